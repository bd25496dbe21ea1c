//! Telling a check that failed from one that could not be run.
//!
//! Owns what shells and operating systems print. Leaves to `languages` what one language's tools
//! print. Invariant: a check that shows that it ran a test was run, whatever else it printed,
//! unless a program that it needs was not found.

use std::sync::LazyLock;

use regex::Regex;

use super::Kind;
use super::languages::LANGUAGES;
use super::obstacle::{Obstacle, ToldObstacle};

/// A check that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailedCheck<'a> {
    pub(super) kind: Kind,
    pub(super) command: &'a str,
    /// Whether it could reach public addresses.
    pub(super) network: bool,
    /// Whether its output shows that a test ran.
    pub(super) ran_tests: bool,
    /// Whether its output names a test that failed or an error in a file.
    pub(super) names_failures: bool,
    pub(super) code: i32,
    pub(super) output: &'a str,
}

impl FailedCheck<'_> {
    /// What kept the check from running, if that is what its output says.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        self.not_started().or_else(|| self.told())
    }

    /// A program that was not found or may not be executed.
    fn not_started(&self) -> Option<Obstacle> {
        let Self { command, code, output, .. } = *self;
        if let Some(tool) = from_last_line(output, missing_part).filter(|_| !self.ran_tests) {
            return Some(Obstacle::Missing { tool });
        }
        let inner = output
            .lines()
            .flat_map(|line| LANGUAGES.iter().filter_map(|l| (l.inner_exit_code)(line)));
        let codes: Vec<i32> = inner.chain([code]).collect();
        let first = || command.split_whitespace().next().unwrap_or(command).to_owned();
        if codes.contains(&COMMAND_NOT_FOUND) {
            let tool = from_last_line(output, missing_program).unwrap_or_else(first);
            return Some(Obstacle::Missing { tool });
        }
        if let Some(tool) = hidden_by_a_wrapper(output) {
            return Some(Obstacle::Missing { tool });
        }
        codes.contains(&NOT_EXECUTABLE).then(|| Obstacle::NotExecutable {
            program: from_last_line(output, forbidden_program).unwrap_or_else(first),
        })
    }

    /// An obstacle that a line of the output tells.
    fn told(&self) -> Option<Obstacle> {
        // A test may print such a line about itself, and a setup has no failures with names.
        if self.ran_tests || (self.names_failures && self.kind != Kind::Setup) {
            return None;
        }
        let (told, line) = TELLING_LINES.iter().find_map(|(told, pattern)| {
            let line = self.output.lines().find(|line| pattern.is_match(line))?;
            Some((*told, line.trim().to_owned()))
        })?;
        let detail = line;
        Some(match told {
            ToldObstacle::NoSpace => Obstacle::NoSpace { detail },
            ToldObstacle::ReadOnly => Obstacle::ReadOnly { detail },
            ToldObstacle::WrongVersion => Obstacle::WrongVersion { detail },
            ToldObstacle::Certificate => Obstacle::Certificate { detail },
            ToldObstacle::Network if self.network => Obstacle::Unreachable { detail },
            ToldObstacle::Network => Obstacle::Offline,
        })
    }
}

/// The exit code of a shell whose command was not found (POSIX, Shell Command Language, 2.8.2).
const COMMAND_NOT_FOUND: i32 = 127;
/// The exit code of a shell whose command was found and is no program that may be executed (the
/// same section).
const NOT_EXECUTABLE: i32 = 126;

/// What shells and env print when a program does not exist; the program is the group that matched.
static NOT_FOUND: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        ^(?:/bin/)?(?:ba|da|z)?sh:\ (?:line\ )?\d+:\ ([^:]+):\ (?:command\ )?not\ found$ |
        ^(?:/bin/)?(?:ba|da|z)?sh:\ ([^:]+):\ command\ not\ found$ |
        ^(?:/usr/bin/)?env:\ [‘'`]?([^:’'`]+)[’'`]?:\ No\ such\ file\ or\ directory$
        ",
    )
    .expect("the pattern is a constant that a test compiles")
});

/// What macOS prints in place of a compiler, git or python3 that was never installed.
static NO_DEVELOPER_TOOLS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^xcode-select: (?:note|error): [Nn]o developer tools")
        .expect("the pattern is a constant that a test compiles")
});

/// Of several lines that tell, the one that ended the check is the last.
fn from_last_line(output: &str, tell: fn(&str) -> Option<String>) -> Option<String> {
    output.lines().rev().find_map(tell)
}

/// The program that a shell did not find, when the next line is of a tool that had started the
/// shell and that hides its exit code.
fn hidden_by_a_wrapper(output: &str) -> Option<String> {
    let mut lines = output.lines().filter(|line| !line.trim().is_empty()).peekable();
    let mut found = None;
    while let Some(line) = lines.next() {
        let is_wrapped = |next: &&str| LANGUAGES.iter().any(|l| (l.hides_exit_code)(next));
        if let Some(program) = by_shell(line).filter(|_| lines.peek().is_some_and(is_wrapped)) {
            found = Some(program.to_owned());
        }
    }
    found
}

/// A tool, or a part of one, that says of itself that it is not installed.
fn missing_part(line: &str) -> Option<String> {
    LANGUAGES.iter().find_map(|language| (language.missing_tool)(line)).or_else(|| {
        NO_DEVELOPER_TOOLS.is_match(line).then(|| "Xcode command line tools".to_owned())
    })
}

/// A program that something which starts programs did not find.
fn missing_program(line: &str) -> Option<String> {
    let by_tool = || LANGUAGES.iter().find_map(|language| (language.missing_program)(line));
    by_shell(line).or_else(by_tool).map(str::to_owned)
}

fn by_shell(line: &str) -> Option<&str> {
    let captures = NOT_FOUND.captures(line)?;
    captures.iter().skip(1).flatten().next().map(|program| program.as_str())
}

/// `/bin/sh: 1: ./run: Permission denied`, `make: ./run: Permission denied`.
fn forbidden_program(line: &str) -> Option<String> {
    let program = line.strip_suffix(": Permission denied")?.rsplit(": ").next()?;
    (!program.is_empty() && !program.contains(char::is_whitespace)).then(|| program.to_owned())
}

/// What the C library, the kernel and curl print, whatever the language is.
const TOLD_BY_SYSTEMS: &[(ToldObstacle, &str)] = &[
    (ToldObstacle::NoSpace, r"[Nn]o space left on device|\bENOSPC\b|[Dd]isk quota exceeded"),
    (ToldObstacle::ReadOnly, r"[Rr]ead-only file system|\bEROFS\b"),
    (
        ToldObstacle::Certificate,
        r"SSL certificate problem|certificate verify failed|self[- ]signed certificate",
    ),
    (
        ToldObstacle::Network,
        r"(?x) [Cc]ould\ not\ resolve\ host | Temporary\ failure\ in\ name\ resolution |
        Name\ or\ service\ not\ known | nodename\ nor\ servname | Network\ is\ unreachable |
        CONNECT\ tunnel\ failed | Proxy\ CONNECT\ aborted",
    ),
];

/// The patterns of all languages and systems. The obstacles that have to be removed first come
/// first: a full disk also breaks a download.
static TELLING_LINES: LazyLock<Vec<(ToldObstacle, Regex)>> = LazyLock::new(|| {
    let order = [
        ToldObstacle::NoSpace,
        ToldObstacle::WrongVersion,
        ToldObstacle::Certificate,
        ToldObstacle::Network,
        ToldObstacle::ReadOnly,
    ];
    let all = || LANGUAGES.iter().flat_map(|language| language.obstacles).chain(TOLD_BY_SYSTEMS);
    order
        .iter()
        .flat_map(|told| all().filter(move |(of, _)| of == told))
        .map(|(told, pattern)| {
            (*told, Regex::new(pattern).expect("the pattern is a constant that a test compiles"))
        })
        .collect()
});

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What keeps a check of a kind that ended with `code` from running.
    pub(in crate::checks) fn found(kind: Kind, code: i32, output: &str) -> Option<Obstacle> {
        let command = "first second";
        let failed = FailedCheck {
            kind,
            command,
            network: false,
            ran_tests: false,
            names_failures: false,
            code,
            output,
        };
        failed.obstacle()
    }

    fn missing(tool: &str) -> Option<Obstacle> {
        Some(Obstacle::Missing { tool: tool.to_owned() })
    }

    #[test]
    fn a_program_that_a_shell_did_not_find_is_missing() {
        for (code, output, expected) in [
            (127, "/bin/sh: 1: gradle: not found\n", "gradle"),
            (127, "sh: 1: eslint: not found\n", "eslint"),
            (127, "sh: go: command not found\n", "go"),
            (127, "/bin/sh: line 1: go: command not found\n", "go"),
            (127, "/usr/bin/env: ‘node’: No such file or directory\n", "node"),
            (127, "env: node: No such file or directory\n", "node"),
            (127, "", "first"),
            (1, "xcode-select: note: No developer tools were found.\n", "Xcode command line tools"),
        ] {
            assert_eq!(found(Kind::Test, code, output), missing(expected), "{output}");
        }
    }

    #[test]
    fn the_last_missing_tool_of_an_output_is_told() {
        let output = "sh: 1: jq: not found\nmoving on\nsh: 1: node: not found\n";
        assert_eq!(found(Kind::Lint, 127, output), missing("node"));
    }

    #[test]
    fn a_program_that_may_not_be_executed_was_not_run() {
        for (code, output, program) in [
            (126, "/bin/sh: 1: ./gradlew: Permission denied\n", "./gradlew"),
            (126, "sh: ./run: Permission denied\n", "./run"),
            (
                2,
                "/bin/sh: 1: ./run: Permission denied\nmake: *** [Makefile:2: test] Error 126\n",
                "./run",
            ),
            (126, "", "first"),
        ] {
            let expected = Obstacle::NotExecutable { program: program.to_owned() };
            assert_eq!(found(Kind::Test, code, output), Some(expected), "{output}");
        }
    }

    #[test]
    fn a_failure_that_only_resembles_it_is_a_failure() {
        for (code, output) in [
            (1, "sh: 1: eslint: not found\n"),
            (1, "/bin/sh: 1: ./run: Permission denied\n"),
            (1, "npm error 404 Not Found - GET https://registry.npmjs.org/a\n"),
            (1, "ERROR: No matching distribution found for nothing-of-this-name\n"),
        ] {
            assert_eq!(found(Kind::Setup, code, output), None, "{output}");
        }
    }

    #[test]
    fn what_the_system_says_of_itself_is_no_failure_of_the_repository() {
        for output in [
            "curl: (6) Could not resolve host: example.com\n",
            "[Errno -3] Temporary failure in name resolution')': /simple/pytest/\n",
            "connect: Network is unreachable\n",
        ] {
            assert_eq!(found(Kind::Setup, 1, output), Some(Obstacle::Offline), "{output}");
        }
        let full = found(Kind::Build, 1, "x\ncc1: fatal: a.o: No space left on device\n");
        let detail = "cc1: fatal: a.o: No space left on device".to_owned();
        assert_eq!(full, Some(Obstacle::NoSpace { detail }));
        let read_only = found(Kind::Test, 1, "mkdir: cannot create: Read-only file system\n");
        assert!(matches!(read_only, Some(Obstacle::ReadOnly { .. })), "{read_only:?}");
    }

    #[test]
    fn a_check_that_has_a_network_says_which_host_it_did_not_reach() {
        let output = "curl: (6) Could not resolve host: npm.example.com\n";
        let failed = FailedCheck {
            kind: Kind::Setup,
            command: "npm ci",
            network: true,
            ran_tests: false,
            names_failures: false,
            code: 1,
            output,
        };
        let detail = output.trim().to_owned();
        assert_eq!(failed.obstacle(), Some(Obstacle::Unreachable { detail }));
    }

    #[test]
    fn tests_that_ran_and_errors_with_names_are_not_excused_by_what_they_print() {
        let output = "E   OSError: [Errno 28] No space left on device\n";
        let failed = FailedCheck {
            kind: Kind::Test,
            command: "pytest",
            network: false,
            ran_tests: true,
            names_failures: false,
            code: 1,
            output,
        };
        assert_eq!(failed.obstacle(), None);
        let named = FailedCheck { ran_tests: false, names_failures: true, ..failed };
        assert_eq!(named.obstacle(), None);
        let setup = FailedCheck { kind: Kind::Setup, ..named };
        assert!(setup.obstacle().is_some());
    }
}
