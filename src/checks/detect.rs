//! Detection: what a repository's files show it to be, and the ordinary commands of such a project.
//!
//! Looks at the root alone. Each project type is a pure function from a [`Survey`] to commands, so
//! that it is tested as a table. A repository of several languages gets the commands of each; Make,
//! which mostly wraps other tools, only fills the kinds that no language has.

mod java;
mod make;
mod node;
mod python;

use std::collections::BTreeMap;

use super::{Kind, ProjectType};

/// A command that fits the repository, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) command: String,
    pub(super) project: ProjectType,
}

/// A repository's paths, and the text of those that tell something.
#[derive(Clone, Copy)]
struct Survey<'a> {
    paths: &'a [&'a str],
    contents: &'a BTreeMap<String, String>,
}

impl<'a> Survey<'a> {
    fn has(self, path: &str) -> bool {
        self.paths.contains(&path)
    }

    /// The file's text, when the repository has it; a file whose text was not to be had counts as
    /// empty.
    fn text(self, path: &str) -> Option<&'a str> {
        self.has(path).then(|| self.contents.get(path).map_or("", String::as_str))
    }

    /// The file's text as TOML, empty when it is not.
    fn toml(self, path: &str) -> Option<toml::Table> {
        self.text(path).map(|text| text.parse().unwrap_or_default())
    }
}

/// Files at the root that detection reads.
const MANIFESTS: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "go.mod",
    "package.json",
    ".yarnrc.yml",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "tox.ini",
    ".pre-commit-config.yaml",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
];

/// How many test files are read to learn in which style they are written.
const TEST_FILES_READ: usize = 20;

pub(super) fn manifests<'a>(paths: &[&'a str]) -> Vec<&'a str> {
    let named = |path: &&str| {
        MANIFESTS.contains(path)
            || make::MAKEFILES.contains(path)
            || python::is_requirements_file(path)
    };
    let mut wanted: Vec<&str> = paths.iter().copied().filter(named).collect();
    wanted.extend(
        paths.iter().copied().filter(|path| python::is_test_file(path)).take(TEST_FILES_READ),
    );
    wanted
}

pub(super) fn commands(paths: &[&str], contents: &BTreeMap<String, String>) -> Vec<Found> {
    let survey = Survey { paths, contents };
    let mut found = Vec::new();
    let mut add = |project, commands: Vec<(Kind, String)>| {
        found.extend(commands.into_iter().map(|(kind, command)| Found { kind, command, project }));
    };
    add(ProjectType::Rust, rust(survey));
    add(ProjectType::Go, go(survey));
    add(ProjectType::Node, node::commands(survey));
    add(ProjectType::Python, python::commands(survey));
    // A repository that is being moved from one to the other has both; the one with a wrapper is
    // the one that is in use.
    if java::is_gradle(survey)
        && (!java::is_maven(survey) || (survey.has("gradlew") && !survey.has("mvnw")))
    {
        add(ProjectType::Gradle, java::gradle(survey));
    } else {
        add(ProjectType::Maven, java::maven(survey));
    }
    if found.is_empty() {
        found.extend(python::scripts(survey).into_iter().map(|(kind, command)| Found {
            kind,
            command,
            project: ProjectType::Python,
        }));
    }
    for (kind, command) in make::commands(survey) {
        if !found.iter().any(|other| other.kind == kind) {
            found.push(Found { kind, command, project: ProjectType::Make });
        }
    }
    found
}

fn rust(survey: Survey<'_>) -> Vec<(Kind, String)> {
    let Some(manifest) = survey.toml("Cargo.toml") else { return Vec::new() };
    let workspace = if manifest.contains_key("workspace") { " --workspace" } else { "" };
    let all = if manifest.contains_key("workspace") { " --all" } else { "" };
    // The lock file lists what is fetched from a registry with its source; without one, the
    // manifest has to do.
    let fetches = match survey.text("Cargo.lock") {
        Some(lock) => lock.contains("source = "),
        None => {
            let filled = |key| {
                manifest
                    .get(key)
                    .and_then(toml::Value::as_table)
                    .is_some_and(|table| !table.is_empty())
            };
            filled("dependencies") || filled("dev-dependencies") || filled("build-dependencies")
        }
    };
    let mut commands = Vec::new();
    if fetches {
        commands.push((Kind::Setup, "cargo fetch".to_owned()));
    }
    commands.extend([
        (Kind::Format, format!("cargo fmt{all}")),
        (Kind::Build, format!("cargo build{workspace}")),
        (Kind::Lint, format!("cargo clippy{workspace} --all-targets -- -D warnings")),
        // By default the run ends at the first test binary that is red, which would hide new
        // failures behind old ones.
        (Kind::Test, format!("cargo test{workspace} --no-fail-fast")),
    ]);
    commands
}

fn go(survey: Survey<'_>) -> Vec<(Kind, String)> {
    let Some(module) = survey.text("go.mod") else { return Vec::new() };
    let mut commands = Vec::new();
    if module.lines().any(|line| line.trim_start().starts_with("require"))
        && !survey.has("vendor/modules.txt")
    {
        commands.push((Kind::Setup, "go mod download".to_owned()));
    }
    commands.extend([
        (Kind::Format, "go fmt ./...".to_owned()),
        (Kind::Build, "go build ./...".to_owned()),
        (Kind::Lint, "go vet ./...".to_owned()),
    ]);
    let golangci = [".golangci.yml", ".golangci.yaml", ".golangci.toml", ".golangci.json"];
    if golangci.iter().any(|name| survey.has(name)) {
        commands.push((Kind::Lint, "golangci-lint run".to_owned()));
    }
    commands.push((Kind::Test, "go test ./...".to_owned()));
    commands
}

#[cfg(test)]
mod tests;
