//! Project types: each file below holds everything that the worker knows of one language.
//!
//! A project type is a value of [`ProjectType`], made of constants and pure functions, and has one
//! line in [`LANGUAGES`]. What it does not say has the default of [`ProjectType::EMPTY`].
//!
//! Detection looks at the repository's root. The output of every check is read with the knowledge
//! of every project type, since a command may be a wrapper (`make test`) around anything.

mod go;
mod java;
mod make;
mod node;
mod python;
mod rust;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;

use super::Kind;
use super::failure_names::{self, FailureNames};
use super::obstacle::ToldObstacle;
use super::survey::{ManifestFiles, Manifests, Survey, UnreadableManifest};

/// All project types. Checks of one kind run in this order.
pub(super) const LANGUAGES: &[&ProjectType] = &[
    // The comment keeps rustfmt from putting several on one line.
    &rust::RUST,
    &go::GO,
    &node::NODE,
    &python::PYTHON,
    &java::MAVEN,
    &java::GRADLE,
    &make::MAKE,
];

/// What the worker knows of one project type.
pub(super) struct ProjectType {
    /// What reports call it. Journals hold it, so a released name stays as it is.
    pub(super) name: &'static str,
    /// The files at the root that detection reads when they exist.
    manifests: &'static [ManifestFiles],
    /// Whether a file shows by its text in which style the project's tests are written. Detection
    /// reads the first [`SAMPLED_FILES`] of them.
    is_sampled: fn(path: &str) -> bool,
    /// The commands of a repository that its manifests show to be of this type, else none: each
    /// with its kind, as a line for `/bin/sh -c`.
    commands: fn(&Survey<'_>) -> Vec<(Kind, String)>,
    /// The commands of a repository that has files of this type, and in which the manifests show
    /// no type at all.
    commands_without_manifest: fn(&Survey<'_>) -> Vec<(Kind, String)>,
    /// Whether its commands are used only for kinds for which no other type has one.
    fills_gaps: bool,
    /// Adds the failures that an output names.
    failure_names: fn(lines: &[&str], names: &mut FailureNames),
    /// The tool that a line of output says is not installed, whatever the exit code is.
    pub(super) missing_tool: fn(line: &str) -> Option<String>,
    /// The program that a line says was not found. Asked only when a command ended with 127.
    pub(super) missing_program: fn(line: &str) -> Option<&str>,
    /// The exit code of a command that this tool started, as a line of its output gives it.
    pub(super) inner_exit_code: fn(line: &str) -> Option<i32>,
    /// Whether a line is of a tool that started a shell and does not pass its exit code on.
    pub(super) hides_exit_code: fn(line: &str) -> bool,
    /// Regular expressions of lines by which its tools say what kept them from running.
    pub(super) obstacles: &'static [(ToldObstacle, &'static str)],
    /// Regular expressions of the lines in which its tools tell how many tests ran. A group is
    /// named `passed`, `failed`, `total` or `left_out`, with `_too` for a second one; what it
    /// matches is a number, or a word that stands for one test.
    pub(super) test_counts: &'static [&'static str],
    /// Regular expressions of lines that tell only of progress and success.
    pub(super) progress: &'static [&'static str],
    /// What its tools leave behind in a tree, as patterns of gitignore.
    artifacts: &'static [&'static str],
    /// Directories that hold installed programs: the variable that a tool reads, and the default
    /// below the user's home, or the empty string when there is none. Each is as the tool's manual
    /// names it.
    pub(super) toolchains: &'static [(&'static str, &'static str)],
    /// Directories for what tools download: the variable that a tool reads, and the directory's
    /// name in the repository's cache.
    pub(super) caches: &'static [(&'static str, &'static str)],
    /// Variables that depend on the repository's cache otherwise.
    pub(super) cache_options: fn(cache: &Path) -> Vec<(&'static str, OsString)>,
    /// Variables that keep its tools from asking the network for what no check needs, and keep
    /// the tree clean. A variable that a program under test might look at belongs to no check.
    pub(super) variables: &'static [(&'static str, &'static str)],
    /// Variables by which its tools give up at once when a host can't be reached, for checks that
    /// have no network.
    pub(super) without_network: &'static [(&'static str, &'static str)],
    /// Regular expressions of the paths of tests, without regard to case.
    test_files: &'static [&'static str],
    /// Regular expressions of the marks that leave out a test, or all tests but one.
    skip_marks: &'static [&'static str],
}

impl ProjectType {
    /// Knows nothing.
    const EMPTY: Self = Self {
        name: "",
        manifests: &[],
        is_sampled: |_| false,
        commands: |_| Vec::new(),
        commands_without_manifest: |_| Vec::new(),
        fills_gaps: false,
        failure_names: |_, _| {},
        missing_tool: |_| None,
        missing_program: |_| None,
        inner_exit_code: |_| None,
        hides_exit_code: |_| false,
        obstacles: &[],
        test_counts: &[],
        progress: &[],
        artifacts: &[],
        toolchains: &[],
        caches: &[],
        cache_options: |_| Vec::new(),
        variables: &[],
        without_network: &[],
        test_files: &[],
        skip_marks: &[],
    };
}

/// A command that fits the repository, and the name of the project type that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DetectedCommand {
    pub(super) kind: Kind,
    pub(super) command: String,
    pub(super) project: &'static str,
}

/// How many files of tests detection reads for each project type.
const SAMPLED_FILES: usize = 20;

/// The paths among `paths` whose contents detection needs.
pub(super) fn files_to_read<'a>(paths: &[&'a str]) -> Vec<&'a str> {
    let is_manifest = |path: &&str| manifests().any(|manifest| manifest.paths.contains(path));
    let mut wanted: Vec<&str> = paths.iter().copied().filter(is_manifest).collect();
    for language in LANGUAGES {
        let samples = paths.iter().copied().filter(|path| (language.is_sampled)(path));
        wanted.extend(samples.take(SAMPLED_FILES));
    }
    wanted
}

fn manifests() -> impl Iterator<Item = ManifestFiles> {
    LANGUAGES.iter().flat_map(|language| language.manifests).copied()
}

/// The commands that fit a repository, and the manifests that detection could not use.
pub(super) fn detect(
    paths: &[&str],
    contents: &Manifests,
) -> (Vec<DetectedCommand>, Vec<UnreadableManifest>) {
    let (survey, unreadable) = Survey::new(paths, contents, manifests());
    let of_all = |commands: fn(&ProjectType, &Survey<'_>) -> Vec<(Kind, String)>| {
        let own = LANGUAGES.iter().filter(|language| !language.fills_gaps);
        own.flat_map(|language| detected(language, commands(language, &survey))).collect()
    };
    let mut found: Vec<_> = of_all(|language, survey| (language.commands)(survey));
    if found.is_empty() {
        found = of_all(|language, survey| (language.commands_without_manifest)(survey));
    }
    for language in LANGUAGES.iter().filter(|language| language.fills_gaps) {
        let kinds: BTreeSet<Kind> = found.iter().map(|command| command.kind).collect();
        let commands = detected(language, (language.commands)(&survey));
        found.extend(commands.filter(|command| !kinds.contains(&command.kind)));
    }
    (found, unreadable)
}

fn detected(
    language: &ProjectType,
    commands: Vec<(Kind, String)>,
) -> impl Iterator<Item = DetectedCommand> + use<> {
    let project = language.name;
    commands.into_iter().map(move |(kind, command)| DetectedCommand { kind, command, project })
}

/// The failures that an output names.
pub(super) fn failures_named_in(output: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = output.lines().collect();
    let mut names = FailureNames::default();
    for language in LANGUAGES {
        (language.failure_names)(&lines, &mut names);
    }
    failure_names::compilers::collect(&lines, &mut names);
    names.into_names()
}

/// Variables by which all tools give up at once when a host can't be reached.
pub(super) fn without_network() -> impl Iterator<Item = (OsString, OsString)> {
    let variables = LANGUAGES.iter().flat_map(|language| language.without_network);
    variables.map(|&(name, value)| (name.into(), value.into()))
}

/// What setup and checks leave behind in a tree, as patterns of gitignore: it is never part of a
/// change, whether the repository ignores it or not.
pub fn artifacts() -> &'static [&'static str] {
    static ARTIFACTS: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let mut patterns = Vec::new();
        for pattern in LANGUAGES.iter().flat_map(|language| language.artifacts) {
            if !patterns.contains(pattern) {
                patterns.push(pattern);
            }
        }
        patterns
    });
    &ARTIFACTS
}

/// Regular expressions of the paths of tests, without regard to case, in the languages of all
/// project types.
pub fn test_files() -> impl Iterator<Item = &'static str> {
    // A directory of tests is named so in every language.
    let directory = r"(^|/)(tests?|specs?)/";
    LANGUAGES.iter().flat_map(|language| language.test_files).copied().chain([directory])
}

/// Regular expressions of the marks by which test frameworks leave out a test, or all tests but
/// one.
pub fn skip_marks() -> impl Iterator<Item = &'static str> {
    LANGUAGES.iter().flat_map(|language| language.skip_marks).copied()
}

#[cfg(test)]
mod tests;
