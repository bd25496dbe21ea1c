//! A repository's own checks: which commands they are, what they said, and whether the change is to
//! blame.
//!
//! Owns the [`Plan`] (detected by project type, overridden by the `.codingworker.toml` of the base
//! branch), the running of one check ([`Checker`]) and the judgment against the [`Baseline`].
//! Leaves to `run` when checks run and what is asked of the agent when one fails. Invariant: a
//! check that is red, or that could not run, is never reported as passed; and a failure that was
//! there before the agent came never blocks.

mod baseline;
mod checker;
mod detect;
mod failures;
mod missing;
mod output;
mod repository_file;
pub mod settings;
mod toolchains;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use baseline::{Baseline, CheckResult, CheckVerdict};
pub use checker::{CheckError, Checker, Ending, Ran, Site};
pub use repository_file::{RepositoryFile, RepositoryFileError};
pub use toolchains::Toolchains;

/// The file at a repository's root that says how it wants to be checked. Only the base branch's is
/// read.
pub const REPOSITORY_FILE: &str = ".codingworker.toml";

/// What setup and checks leave behind in a tree, as patterns of gitignore: never part of a change,
/// whether the repository ignores them or not.
pub const ARTIFACTS: &[&str] = &[
    "/.venv/",
    "node_modules/",
    "/target/",
    "__pycache__/",
    "*.egg-info/",
    ".pytest_cache/",
    "/.gradle/",
];

/// What a check is for. The order is the order in which checks run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Fetches dependencies.
    Setup,
    /// Runs the formatter in its writing mode: what it changes is part of the change.
    Format,
    Build,
    Lint,
    Test,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Setup, Self::Format, Self::Build, Self::Lint, Self::Test];

    /// The kind's name in `.codingworker.toml` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Format => "format",
            Self::Build => "build",
            Self::Lint => "lint",
            Self::Test => "test",
        }
    }
}

/// One command to run in the repository's root.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Check {
    pub kind: Kind,
    /// A line for `/bin/sh -c`.
    pub command: String,
    pub timeout: Duration,
    pub origin: Origin,
    /// Whether it may reach public addresses: a setup of a repository that says so.
    #[serde(default)]
    pub network: bool,
}

/// Why a check is what it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Origin {
    /// `.codingworker.toml` names it.
    RepositoryFile,
    /// It is the ordinary command of such a project.
    Detected(ProjectType),
}

/// What the files at a repository's root show it to be.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum ProjectType {
    Rust,
    Go,
    Node,
    Python,
    Maven,
    Gradle,
    Make,
}

impl ProjectType {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::Node => "Node",
            Self::Python => "Python",
            Self::Maven => "Maven",
            Self::Gradle => "Gradle",
            Self::Make => "Make",
        }
    }
}

/// The checks of one repository, in the order in which they run.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    pub checks: Vec<Check>,
    /// Whether the agent is asked for tests in a pass of its own.
    pub tests_pass: bool,
}

impl Plan {
    /// The files among `paths` whose contents [`Plan::detect`] wants to see; a few dozen at most.
    pub fn manifests<'a>(paths: &[&'a str]) -> Vec<&'a str> {
        detect::manifests(paths)
    }

    /// Chooses the checks of a repository that consists of `paths`, each relative to its root and
    /// separated by slashes.
    ///
    /// `contents` holds the text of the [`manifests`](Self::manifests). Kind by kind, what `file`
    /// says takes the place of what is detected. A check has `timeout` unless the file gives
    /// another.
    pub fn detect(
        paths: &[&str],
        contents: &BTreeMap<String, String>,
        file: &RepositoryFile,
        timeout: Duration,
    ) -> Self {
        let timeout = file.timeout().unwrap_or(timeout);
        let detected = detect::commands(paths, contents);
        let mut checks = Vec::new();
        for kind in Kind::ALL {
            let network = file.network(kind);
            if let Some(commands) = file.commands(kind) {
                let timeout = commands.timeout.unwrap_or(timeout);
                let origin = Origin::RepositoryFile;
                let named = commands.lines.iter().map(|command| Check {
                    kind,
                    command: command.clone(),
                    timeout,
                    origin,
                    network,
                });
                checks.extend(named);
            } else {
                let of_kind = detected.iter().filter(|found| found.kind == kind);
                checks.extend(of_kind.map(|found| Check {
                    kind,
                    command: found.command.clone(),
                    timeout,
                    origin: Origin::Detected(found.project),
                    network,
                }));
            }
        }
        Self { checks, tests_pass: file.tests_pass() }
    }

    /// Adds the checks of kinds that this plan has none of, as `later` has them: what was detected
    /// once the change was made.
    ///
    /// A change may bring the first test, or the first source file at all. What was checked before
    /// stays as it was.
    #[must_use]
    pub fn widened(mut self, later: Self) -> Self {
        let present: BTreeSet<Kind> = self.checks.iter().map(|check| check.kind).collect();
        self.checks.extend(later.checks.into_iter().filter(|check| !present.contains(&check.kind)));
        self.checks.sort_by_key(|check| check.kind);
        self
    }

    /// The checks of one kind; a repository of several languages has several.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(move |check| check.kind == kind)
    }

    /// What must pass before the agent is asked for tests: the change builds.
    pub fn before_tests(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.kind, Kind::Setup | Kind::Build))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, expected: &[(&str, &str, u64)]) {
        let paths = ["Cargo.toml", "src/lib.rs"];
        let contents =
            BTreeMap::from([("Cargo.toml".to_owned(), "[package]\nname = \"shop\"\n".to_owned())]);
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
        let base = Plan::detect(&["shop.py"], &BTreeMap::new(), &file, timeout);
        let contents = BTreeMap::from([
            ("test_shop.py".to_owned(), "import unittest\n".to_owned()),
            ("setup.cfg".to_owned(), "[flake8]\n".to_owned()),
        ]);
        let later =
            Plan::detect(&["setup.cfg", "shop.py", "test_shop.py"], &contents, &file, timeout);
        let plan = base.widened(later);
        let commands: Vec<_> = plan.checks.iter().map(|c| (c.kind, c.command.as_str())).collect();
        assert_eq!(
            commands,
            [
                (
                    Kind::Setup,
                    "python3 -m venv --clear --system-site-packages .venv && .venv/bin/python -m pip install -q flake8"
                ),
                (Kind::Build, "python3 -m compileall -q -f ."),
                (Kind::Test, ".venv/bin/python -m unittest discover"),
            ]
        );
    }

    #[test]
    fn before_tests_only_setup_and_build_run() {
        let paths = ["go.mod"];
        let contents = BTreeMap::from([(
            "go.mod".to_owned(),
            "module shop\nrequire a.b/c v1.0.0\n".to_owned(),
        )]);
        let plan =
            Plan::detect(&paths, &contents, &RepositoryFile::default(), Duration::from_secs(1));
        let before: Vec<_> = plan.before_tests().map(|c| c.command.as_str()).collect();
        assert_eq!(before, ["go mod download", "go build ./..."]);
        assert!(plan.tests_pass);
        assert_eq!(
            plan.of(Kind::Test).map(|c| c.command.as_str()).collect::<Vec<_>>(),
            ["go test ./..."]
        );
    }
}
