//! Telling a check that failed from one that could not run because a tool is not there.

use std::sync::LazyLock;

use regex::Regex;

/// What shells, make and tool managers print when a program is not there; the program is the group
/// that matched.
static NOT_FOUND: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?xm)
        ^(?:/bin/)?(?:ba|da|z)?sh:\ (?:line\ )?\d+:\ (?P<dash>[^:\n]+):\ (?:command\ )?not\ found$ |
        ^(?:/bin/)?(?:ba|da|z)?sh:\ (?P<bash>[^:\n]+):\ command\ not\ found$ |
        ^(?:/usr/bin/)?env:\ [‘'`]?(?P<env>[^:’'`\n]+)[’'`]?:\ No\ such\ file\ or\ directory$ |
        ^pyenv:\ (?P<pyenv>\S+):\ command\ not\ found |
        ^make(?:\[\d+\])?:\ (?P<make>[^:\n*]+):\ (?:No\ such\ file\ or\ directory|Command\ not\ found)$
        ",
    )
    .expect("the pattern is a constant that a test compiles")
});

/// What tools print, with exit codes of their own, when a part of them is not there.
static PART_MISSING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?xm)
        ^error:\ '(?P<component>[\w-]+)'\ is\ not\ installed\ for\ the\ (?:custom\ )?toolchain |
        ^error:\ toolchain\ '(?P<toolchain>[^']+)'\ is\ not\ installed |
        ^error:\ no\ such\ (?:sub)?command:\ `(?P<subcommand>[\w-]+)` |
        ^\S*python[\d.]*(?:\.exe)?:\ No\ module\ named\ '?(?P<module>[\w.]+)'?$ |
        (?P<java>Unable\ to\ locate\ a\ Java\ Runtime|JAVA_HOME\ (?:environment\ variable\ )?is\ not\ (?:set|defined)) |
        (?P<developer_tools>^xcode-select:\ (?:note|error):\ [Nn]o\ developer\ tools)
        ",
    )
    .expect("the pattern is a constant that a test compiles")
});

/// The exit code of a shell whose command was not found (POSIX, Shell Command Language, 2.8.2).
const COMMAND_NOT_FOUND: i32 = 127;

/// The tool for lack of which a check ended with `code`, if that is what its output says.
pub(super) fn tool(command: &str, code: i32, output: &str) -> Option<String> {
    let from_parts = PART_MISSING.captures_iter(output).last().and_then(|captures| {
        let named =
            |name| captures.name(name).map(|found: regex::Match<'_>| found.as_str().to_owned());
        named("component")
            .or_else(|| named("subcommand").map(|name| format!("cargo-{name}")))
            .or_else(|| named("toolchain").map(|name| format!("Rust toolchain {name}")))
            .or_else(|| named("module"))
            .or_else(|| captures.name("java").map(|_| "java".to_owned()))
            .or_else(|| {
                captures.name("developer_tools").map(|_| "Xcode command line tools".to_owned())
            })
    });
    if from_parts.is_some() {
        return from_parts;
    }
    // make exits with 2 and prints the code of its recipe; npm hands the code on.
    let not_found = code == COMMAND_NOT_FOUND
        || output.lines().any(|line| line.starts_with("make") && line.ends_with("Error 127"));
    not_found.then(|| {
        let named = NOT_FOUND.captures_iter(output).last();
        let named = named.and_then(|captures| {
            captures.iter().skip(1).flatten().next().map(|name| name.as_str().to_owned())
        });
        named.unwrap_or_else(|| command.split_whitespace().next().unwrap_or(command).to_owned())
    })
}

/// What package managers print when a host can't be resolved or reached.
static UNREACHABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        [Cc]ould\ not\ resolve\ host | Temporary\ failure\ in\ name\ resolution | Name\ or\ service\ not\ known | nodename\ nor\ servname |
        \b(?:ENOTFOUND|EAI_AGAIN|ENETUNREACH|ETIMEDOUT|ECONNREFUSED)\b | Network\ is\ unreachable | Failed\ to\ establish\ a\ new\ connection |
        dial\ tcp:?\ .*(?:no\ such\ host|i/o\ timeout|unreachable|refused) | dns\ error: | UnknownHostException | Unknown\ host
        ",
    )
    .expect("the pattern is a constant that a test compiles")
});

/// Whether a setup that failed says that it had no network.
pub(super) fn network(output: &str) -> bool {
    UNREACHABLE.is_match(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_saying_that_a_tool_is_not_there_is_understood() {
        for (code, output, expected) in [
            (127, "/bin/sh: 1: gradle: not found\n", "gradle"),
            (127, "sh: 1: eslint: not found\n", "eslint"),
            (127, "sh: go: command not found\n", "go"),
            (127, "/bin/sh: line 1: go: command not found\n", "go"),
            (127, "/usr/bin/env: ‘node’: No such file or directory\n", "node"),
            (127, "env: node: No such file or directory\n", "node"),
            (
                127,
                "pyenv: black: command not found\n\nThe `black' command exists in these Python versions:\n",
                "black",
            ),
            (127, "", "first"),
            (
                2,
                "golangci-lint run\nmake: golangci-lint: No such file or directory\nmake: *** [Makefile:2: lint] Error 127\n",
                "golangci-lint",
            ),
            (
                1,
                "error: 'cargo-fmt' is not installed for the toolchain '1.95.0-x86_64-unknown-linux-gnu'.\n",
                "cargo-fmt",
            ),
            (101, "error: no such command: `clippy`\n", "cargo-clippy"),
            (
                1,
                "error: toolchain '1.70.0-x86_64-unknown-linux-gnu' is not installed\n",
                "Rust toolchain 1.70.0-x86_64-unknown-linux-gnu",
            ),
            (1, "/usr/bin/python3: No module named pytest\n", "pytest"),
            (1, ".venv/bin/python: No module named flake8\n", "flake8"),
            (1, "Error: JAVA_HOME is not defined correctly.\n", "java"),
        ] {
            assert_eq!(tool("first second", code, output).as_deref(), Some(expected), "{output}");
        }
    }

    #[test]
    fn a_failure_that_only_resembles_it_is_a_failure() {
        for (code, output) in [
            (1, "E   ModuleNotFoundError: No module named 'requests'\n"),
            (1, "ImportError: No module named shop\n"),
            (1, "sh: 1: eslint: not found\n"),
            (101, "test not_found ... FAILED\n"),
            (126, "/bin/sh: 1: ./run: Permission denied\n"),
            (2, "make: *** [Makefile:2: test] Error 1\n"),
        ] {
            assert_eq!(tool("first", code, output), None, "{output}");
        }
    }

    #[test]
    fn a_setup_without_a_network_is_told_from_one_that_is_wrong() {
        for output in [
            "npm error code ENOTFOUND\nnpm error network request to https://registry.npmjs.org/a failed\n",
            "Caused by:\n  [6] Could not resolve hostname (Could not resolve host: index.crates.io)\n",
            "WARNING: Retrying … [Errno -3] Temporary failure in name resolution')': /simple/pytest/\n",
            "go: a.b/c@v1: Get \"https://proxy.golang.org/\": dial tcp: lookup proxy.golang.org: no such host\n",
            "Could not transfer artifact a:b:pom:1 from/to central (https://repo.maven.apache.org/maven2): Unknown host repo.maven.apache.org\n",
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
