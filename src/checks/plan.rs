//! The plan: which checks a repository has, from what it says itself and what detection finds.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::languages;
use super::survey::{Manifests, UnreadableManifest};
use super::{Check, Kind, Origin, RepositoryFile};

/// The checks of one repository, in the order in which they run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub checks: Vec<Check>,
    /// Whether the agent is asked for tests in a pass of its own.
    pub tests_pass: bool,
    /// Manifests that could not be used, so that checks which they ask for may be missing.
    #[serde(default)]
    pub unreadable: Vec<UnreadableManifest>,
    /// Whether a change that no test was run on may be ready for review.
    #[serde(default)]
    pub untested_is_ready: bool,
    /// Whether `.codingworker.toml` turns the test check off.
    #[serde(default)]
    pub tests_are_off: bool,
}

impl Plan {
    /// The files among `paths` whose contents [`Plan::detect`] wants to see; a few dozen at most.
    pub fn manifests<'a>(paths: &[&'a str]) -> Vec<&'a str> {
        languages::files_to_read(paths)
    }

    /// Chooses the checks of a repository that consists of `paths`, each relative to its root and
    /// separated by slashes.
    ///
    /// `contents` holds what is in the [`manifests`](Self::manifests). Kind by kind, what `file`
    /// says takes the place of what is detected. A check has `timeout` unless the file gives
    /// another. Unreadable manifests are told unless the file names every kind of check.
    pub fn detect(
        paths: &[&str],
        contents: &Manifests,
        file: &RepositoryFile,
        timeout: Duration,
    ) -> Self {
        let timeout = file.timeout().unwrap_or(timeout);
        let (detected, unreadable) = languages::detect(paths, contents);
        let is_detected = |kind: &Kind| file.commands(*kind).is_none();
        let unreadable = if Kind::ALL.iter().any(is_detected) { unreadable } else { Vec::new() };
        let mut checks = Vec::new();
        for &kind in Kind::ALL {
            let network = file.network(kind);
            if let Some(commands) = file.commands(kind) {
                let timeout = commands.timeout.unwrap_or(timeout);
                checks.extend(commands.lines.iter().map(|command| Check {
                    kind,
                    command: command.clone(),
                    timeout,
                    origin: Origin::RepositoryFile,
                    network,
                }));
            } else {
                let of_kind = detected.iter().filter(|found| found.kind == kind);
                checks.extend(of_kind.map(|found| Check {
                    kind,
                    command: found.command.clone(),
                    timeout,
                    origin: Origin::Detected(found.project.into()),
                    network,
                }));
            }
        }
        Self {
            checks,
            tests_pass: file.tests_pass(),
            unreadable,
            untested_is_ready: file.untested_is_ready(),
            tests_are_off: file.commands(Kind::Test).is_some_and(|named| named.lines.is_empty()),
        }
    }

    /// Adds the checks of kinds that this plan has none of, as `later` has them: what was detected
    /// once the change was made.
    ///
    /// A change may bring the first test, or the first source file at all. What was checked before
    /// stays as it was. A manifest that the change made unreadable is told beside those that were
    /// so before.
    #[must_use]
    pub fn widened(mut self, later: Self) -> Self {
        let present: BTreeSet<Kind> = self.checks.iter().map(|check| check.kind).collect();
        self.checks.extend(later.checks.into_iter().filter(|check| !present.contains(&check.kind)));
        self.checks.sort_by_key(|check| check.kind);
        for manifest in later.unreadable {
            if !self.unreadable.contains(&manifest) {
                self.unreadable.push(manifest);
            }
        }
        self
    }

    /// The checks of one kind; a repository of several languages has several.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifests(files: &[(&str, &str)]) -> Manifests {
        let mut manifests = Manifests::default();
        for (path, text) in files {
            manifests.add(path, text.as_bytes().to_vec());
        }
        manifests
    }

    fn check(file: &str, expected: &[(&str, &str, u64)]) {
        let paths = ["Cargo.toml", "src/lib.rs"];
        let contents = manifests(&[("Cargo.toml", "[package]\nname = \"shop\"\n")]);
        let file = RepositoryFile::parse(file.as_bytes()).unwrap();
        let plan = Plan::detect(&paths, &contents, &file, Duration::from_secs(600));
        let shown: Vec<_> = plan
            .checks
            .iter()
            .map(|c| (c.kind.name(), c.command.as_str(), c.timeout.as_secs()))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn without_a_file_the_plan_is_what_was_detected() {
        check(
            "",
            &[
                ("format", "cargo fmt", 600),
                ("build", "cargo build", 600),
                ("lint", "cargo clippy --all-targets -- -D warnings", 600),
                ("test", "cargo test --no-fail-fast", 600),
            ],
        );
    }

    #[test]
    fn the_file_overrides_kind_by_kind_and_an_empty_command_turns_a_kind_off() {
        let file = r#"
            [checks]
            timeout_seconds = 60
            setup = "./bootstrap"
            format = ""
            lint = ["cargo clippy", "typos"]
            test = { command = "make test", timeout_seconds = 1200 }
        "#;
        check(
            file,
            &[
                ("setup", "./bootstrap", 60),
                ("build", "cargo build", 60),
                ("lint", "cargo clippy", 60),
                ("lint", "typos", 60),
                ("test", "make test", 1200),
            ],
        );
    }

    #[test]
    fn a_change_that_brings_the_first_tests_is_tested() {
        let timeout = Duration::from_secs(1);
        let file = RepositoryFile::parse(b"[checks]\nlint = ''\n").unwrap();
        let base = Plan::detect(&["shop.py"], &Manifests::default(), &file, timeout);
        let contents =
            manifests(&[("test_shop.py", "import unittest\n"), ("setup.cfg", "[flake8]\n")]);
        let later =
            Plan::detect(&["setup.cfg", "shop.py", "test_shop.py"], &contents, &file, timeout);
        let plan = base.widened(later);
        let commands: Vec<_> = plan.checks.iter().map(|c| (c.kind, c.command.as_str())).collect();
        assert_eq!(
            commands,
            [
                (
                    Kind::Setup,
                    "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m \
                        pip install -q flake8"
                ),
                (Kind::Build, "python3 -m compileall -q -f ."),
                (Kind::Test, ".venv/bin/python -m unittest discover"),
            ]
        );
    }

    #[test]
    fn a_plan_has_its_checks_by_kind_and_asks_for_tests() {
        let contents = manifests(&[("go.mod", "module shop\nrequire a.b/c v1.0.0\n")]);
        let file = RepositoryFile::default();
        let plan = Plan::detect(&["go.mod"], &contents, &file, Duration::from_secs(1));
        let of = |kind| plan.of(kind).map(|c| c.command.as_str()).collect::<Vec<_>>();
        assert_eq!(of(Kind::Setup), ["go mod download"]);
        assert_eq!(of(Kind::Build), ["go build ./..."]);
        assert_eq!(of(Kind::Test), ["go test ./..."]);
        assert!(plan.tests_pass);
    }

    #[test]
    fn a_manifest_that_can_not_be_used_is_told_with_the_plan() {
        let contents = manifests(&[("package.json", "{"), ("Makefile", "test:\n\ttrue\n")]);
        let file = RepositoryFile::default();
        let paths = ["Makefile", "package.json"];
        let plan = Plan::detect(&paths, &contents, &file, Duration::from_secs(1));
        let told: Vec<_> = plan.unreadable.iter().map(UnreadableManifest::to_string).collect();
        assert_eq!(told, ["package.json is not valid JSON: line 1: EOF while parsing an object"]);
        // The rest of the repository is checked all the same.
        assert_eq!(plan.of(Kind::Test).count(), 1);

        // Nothing depends on the manifest once the file names all kinds.
        let all = b"[checks]\nsetup = ''\nformat = ''\nbuild = ''\nlint = ''\ntest = 'x'\n";
        let file = RepositoryFile::parse(all).unwrap();
        let plan = Plan::detect(&paths, &contents, &file, Duration::from_secs(1));
        assert_eq!(plan.unreadable, []);
    }

    #[test]
    fn a_manifest_that_a_change_breaks_is_told_once() {
        let plan = |text: &str| {
            let (file, timeout) = (RepositoryFile::default(), Duration::from_secs(1));
            let contents = manifests(&[("package.json", text)]);
            Plan::detect(&["package.json"], &contents, &file, timeout)
        };
        assert_eq!(plan("{}").widened(plan("{")).unreadable, plan("{").unreadable);
        assert_eq!(plan("{").widened(plan("{")).unreadable, plan("{").unreadable);
        assert_eq!(plan("{").unreadable.len(), 1);
    }
}
