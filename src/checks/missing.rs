//! Telling a check that failed from one that could not run because a tool or the network is
//! missing.
//!
//! Owns what shells and operating systems print. Leaves to `languages` what one language's tools
//! print.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use super::languages::LANGUAGES;

/// The exit code of a shell whose command was not found (POSIX, Shell Command Language, 2.8.2).
const COMMAND_NOT_FOUND: i32 = 127;

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

/// The tool for lack of which a check ended with `code`, if that is what its output says.
pub(super) fn tool(command: &str, code: i32, output: &str) -> Option<String> {
    // Of several, the one that ended the check is told last.
    let from_last_line = |tool: fn(&str) -> Option<String>| output.lines().rev().find_map(tool);
    if let Some(tool) = from_last_line(missing_part) {
        return Some(tool);
    }
    let inner_codes =
        || output.lines().flat_map(|line| LANGUAGES.iter().map(|l| (l.inner_exit_code)(line)));
    let not_found =
        code == COMMAND_NOT_FOUND || inner_codes().any(|inner| inner == Some(COMMAND_NOT_FOUND));
    not_found.then(|| {
        from_last_line(missing_program)
            .unwrap_or_else(|| command.split_whitespace().next().unwrap_or(command).to_owned())
    })
}

/// A tool, or a part of one, that says of itself that it is not installed.
fn missing_part(line: &str) -> Option<String> {
    LANGUAGES.iter().find_map(|language| (language.missing_tool)(line)).or_else(|| {
        NO_DEVELOPER_TOOLS.is_match(line).then(|| "Xcode command line tools".to_owned())
    })
}

/// A program that something which starts programs did not find.
fn missing_program(line: &str) -> Option<String> {
    let by_shell = || {
        let captures = NOT_FOUND.captures(line)?;
        captures.iter().skip(1).flatten().next().map(|program| program.as_str())
    };
    let by_tool = || LANGUAGES.iter().find_map(|language| (language.missing_program)(line));
    by_shell().or_else(by_tool).map(str::to_owned)
}

/// What the C library, the kernel and curl print when a host can't be resolved or reached.
const UNREACHABLE: [&str; 5] = [
    "[Cc]ould not resolve host",
    "Temporary failure in name resolution",
    "Name or service not known",
    "nodename nor servname",
    "Network is unreachable",
];

/// Whether a setup that failed says that it had no network.
pub(super) fn network(output: &str) -> bool {
    static PATTERNS: LazyLock<RegexSet> = LazyLock::new(|| {
        let of_tools = LANGUAGES.iter().flat_map(|language| language.unreachable);
        RegexSet::new(of_tools.chain(&UNREACHABLE))
            .expect("the patterns are constants that a test compiles")
    });
    PATTERNS.is_match(output)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(tool("first second", code, output).as_deref(), Some(expected), "{output}");
        }
    }

    #[test]
    fn the_last_missing_tool_of_an_output_is_told() {
        let output = "sh: 1: jq: not found\nmoving on\nsh: 1: node: not found\n";
        assert_eq!(tool("./check", 127, output).as_deref(), Some("node"));
    }

    #[test]
    fn a_failure_that_only_resembles_it_is_a_failure() {
        for (code, output) in
            [(1, "sh: 1: eslint: not found\n"), (126, "/bin/sh: 1: ./run: Permission denied\n")]
        {
            assert_eq!(tool("first", code, output), None, "{output}");
        }
    }

    #[test]
    fn a_setup_without_a_network_is_told_from_one_that_is_wrong() {
        for output in [
            "curl: (6) Could not resolve host: example.com\n",
            "[Errno -3] Temporary failure in name resolution')': /simple/pytest/\n",
            "connect: Network is unreachable\n",
        ] {
            assert!(network(output), "{output}");
        }
        for output in [
            "npm error 404 Not Found - GET https://registry.npmjs.org/a\n",
            "ERROR: No matching distribution found for nothing-of-this-name\n",
        ] {
            assert!(!network(output), "{output}");
        }
    }
}
