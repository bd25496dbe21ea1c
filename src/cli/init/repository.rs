//! Sets up a target repository with the workflow that queues its issues and a `.codingworker.toml`
//! that describes how the worker checks it now.
//!
//! This module owns both texts. Invariant: the generated `.codingworker.toml` means the same as no
//! such file, and a person who removes the comment mark of a detected check does not change what
//! the worker does.

use std::path::Path;
use std::time::Duration;

use super::files::File;
use crate::checks::{self, Kind, Manifests, Origin, Plan, REPOSITORY_FILE, RepositoryFile};
use crate::language::Language;
use crate::publish::TASK_LABEL;

const WORKFLOW: &str = include_str!("../../../.github/workflows/send-to-sqs.yml");

/// The default of the worker's `checks.timeout_seconds`.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1800);

/// The largest manifest that the program reads, in bytes. The worker has the same limit. Nobody
/// writes a larger one by hand.
const LARGEST_MANIFEST: u64 = 1 << 20;

/// The number of files after which the search stops. Detection depends on the root of the
/// repository, and the search lists the root first.
const MOST_FILES: usize = 20_000;

/// Returns the files for the set-up of a repository.
pub(super) fn files(directory: &Path) -> Vec<File> {
    vec![
        File { path: ".github/workflows/send-to-sqs.yml", text: WORKFLOW.to_owned() },
        File { path: REPOSITORY_FILE, text: checks_file(&detected(directory)) },
    ]
}

/// Returns the text about the steps that remain after the files are written.
pub(super) fn next(language: Language) -> String {
    let (next, role) = language.pick(
        (
            "Next: commit both and push them to main, the only branch whose workflow AWS lets in. \
             Then, in the repository:",
            "the Terraform output github_actions_role_arn",
        ),
        (
            "次に、両方のファイルをコミットし、mainにプッシュしてください\
             （AWSが受け付けるのはmainのワークフローだけです）。\
             続いて、リポジトリで次のコマンドを実行してください。",
            "Terraformの出力github_actions_role_arnの値",
        ),
    );
    format!(
        "{next}\n\
         \n  gh label create {TASK_LABEL}\
         \n  gh secret set AWS_ROLE_ARN   # {role}\
         \n  gh variable set ENABLE_SQS_WORKFLOW --body true"
    )
}

/// Detects the checks that the worker would find. The function skips what it can't read, because
/// the result only appears in comments.
fn detected(directory: &Path) -> Plan {
    let files = files_below(directory);
    let paths: Vec<&str> = files.iter().map(String::as_str).collect();
    let mut contents = Manifests::default();
    for manifest in Plan::manifests(&paths) {
        let path = directory.join(manifest);
        if path.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST_MANIFEST)
            && let Ok(content) = std::fs::read(&path)
        {
            contents.add(manifest, content);
        }
    }
    Plan::detect(&paths, &contents, &RepositoryFile::default(), CHECK_TIMEOUT)
}

/// Lists the paths of the files, each level before the level below it. The list leaves out git's
/// own directory and the directories that builds leave behind.
fn files_below(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut level = vec![String::new()];
    while !level.is_empty() && files.len() < MOST_FILES {
        let mut below = Vec::new();
        for parent in level {
            let mut entries: Vec<_> = std::fs::read_dir(directory.join(&parent))
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
                .collect();
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type())
                else {
                    continue;
                };
                let path = format!("{parent}{name}");
                if kind.is_file() {
                    files.push(path);
                } else if kind.is_dir() && name != ".git" && !is_artifact(&name) {
                    below.push(format!("{path}/"));
                }
            }
        }
        level = below;
    }
    files
}

fn is_artifact(name: &str) -> bool {
    checks::artifacts().iter().any(|pattern| pattern.trim_matches('/') == name)
}

fn checks_file(plan: &Plan) -> String {
    let mut text = String::from(
        "# How CodingWorker checks a change to this repository. Only the base branch's copy of \
         this file is read.\n\
         # It changes nothing as it stands: a line that begins with \"#: \" shows a key with what \
         is done without it, or an example.\n\
         # A command is a line for /bin/sh, a list of lines, or a table \
         { command = \"make test\", timeout_seconds = 1800 }; \"\" turns the check off.\n\
         \n[checks]\n",
    );
    for &kind in Kind::ALL {
        let (found, commands) = shown(plan, kind);
        text.push_str(&format!("# {} {found}\n#: {} = {commands}\n", purpose(kind), kind.name()));
    }
    text.push_str(&format!(
        "# How long a check may take that names no time of its own, 1 to 86400. Else as the \
         worker's settings say.\n\
         #: timeout_seconds = {}\n\
         # Whether the agent is asked for tests in a pass of its own; the test check runs either \
         way.\n\
         #: tests = true\n\
         # Whether setup may fetch from public addresses. Without it no check has a network.\n\
         #: setup_network = false\n\
         # What a pull request is that no test was run on: \"draft\", or \"ready\" for review.\n\
         #: untested = \"draft\"\n",
        CHECK_TIMEOUT.as_secs()
    ));
    text
}

fn purpose(kind: Kind) -> &'static str {
    match kind {
        Kind::Setup => {
            "Fetches dependencies, before all others; failing for lack of a network does not block."
        }
        Kind::Format => "Formats in place; what it changes becomes part of the change.",
        Kind::Build => "Must pass before the agent is asked for tests.",
        Kind::Lint => "Finds what compiles and is wrong all the same.",
        Kind::Test => "Runs the tests, the new ones too.",
    }
}

/// Returns the detected checks of a kind, in words and in TOML. When nothing was detected, the TOML
/// is an example. An empty command would turn this kind off for good, even for the change that adds
/// the first such check.
fn shown(plan: &Plan, kind: Kind) -> (String, String) {
    let (mut projects, mut commands) = (Vec::new(), Vec::new());
    for check in plan.of(kind) {
        if let Origin::Detected(project) = &check.origin {
            projects.push(project.as_ref());
        }
        commands.push(check.command.as_str());
    }
    projects.dedup();
    if commands.is_empty() {
        ("Nothing was detected; for example:".to_owned(), quoted(&format!("make {}", kind.name())))
    } else {
        (format!("Detected: {}.", projects.join(", ")), value(&commands))
    }
}

/// Formats a command or a list of commands in TOML.
fn value(commands: &[&str]) -> String {
    match commands {
        [command] => quoted(command),
        several => format!(
            "[{}]",
            several.iter().map(|command| quoted(command)).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Formats a text as a basic string of TOML on one line. TOML knows all of JSON's escapes, and also
/// requires DEL to be escaped (TOML v1.0.0, "String").
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\x7f', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Check;
    use crate::config::Config;
    use crate::environment::Environment;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let plan = detected(directory.path());
        let text = checks_file(&plan);
        for line in expected {
            assert!(text.lines().any(|other| other == *line), "{line:?} is not in:\n{text}");
        }
        assert_eq!(RepositoryFile::parse(text.as_bytes()).unwrap(), RepositoryFile::default());
        let uncommented: String = text
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix("#: ").unwrap_or(line)))
            .collect();
        let said = RepositoryFile::parse(uncommented.as_bytes()).unwrap();
        let said = Plan::detect(&[], &Manifests::default(), &said, Duration::from_secs(1));
        // The file contains an example only for a kind of which nothing was detected.
        let told = |told: &Plan| -> Vec<_> {
            let detected = told.checks.iter().filter(|check| plan.of(check.kind).next().is_some());
            detected.map(|check| (check.kind, check.command.clone(), check.timeout)).collect()
        };
        assert_eq!(told(&said), told(&plan));
        assert_eq!(said.tests_pass, plan.tests_pass);
    }

    #[test]
    fn the_detected_checks_are_shown_and_mean_what_is_done_without_them() {
        check(
            &[],
            &[
                "# Runs the tests, the new ones too. Nothing was detected; for example:",
                "#: test = \"make test\"",
            ],
        );
        check(
            &[("Makefile", "test:\n\ttrue\n")],
            &["# Runs the tests, the new ones too. Detected: Make.", "#: test = \"make test\""],
        );
        check(
            &[
                ("Cargo.toml", "[package]\nname = \"shop\"\n"),
                ("go.mod", "module shop\n"),
                ("target/setup.py", ""),
                ("node_modules/x/test_x.py", ""),
            ],
            &[
                "#: build = [\"cargo build\", \"go build ./...\"]",
                "# Formats in place; what it changes becomes part of the change. Detected: Rust, \
                 Go.",
                "#: test = [\"cargo test --no-fail-fast\", \"go test ./...\"]",
            ],
        );
    }

    #[test]
    fn a_command_stays_on_its_line_whatever_it_holds() {
        let command = "echo \"a\\b\"\nfoo = 'bar'\t\u{7f}\u{1}日本".to_owned();
        let origin = Origin::Detected("Make".into());
        let check = Check {
            kind: Kind::Lint,
            command: command.clone(),
            timeout: CHECK_TIMEOUT,
            origin,
            network: false,
        };
        let text = checks_file(&Plan { checks: vec![check], tests_pass: true, ..Plan::default() });
        assert_eq!(RepositoryFile::parse(text.as_bytes()).unwrap(), RepositoryFile::default());
        let parsed: toml::Table =
            toml::from_str(&format!("lint = {}", value(&[&command]))).unwrap();
        assert_eq!(parsed.get("lint").and_then(toml::Value::as_str), Some(command.as_str()));
    }

    #[test]
    fn the_timeout_shown_is_the_workers_default() {
        let environment =
            Environment::from_variables([("HOME".to_owned(), "/home/user".to_owned())]);
        let config = Config::parse("", Path::new("codingworker.toml"), &environment).unwrap();
        assert_eq!(config.checks.timeout, CHECK_TIMEOUT);
    }
}
