//! What every project type's tests use, and tests of several project types together.
//!
//! The samples are what the tools printed over small projects with known mistakes; those of Go,
//! Maven and Gradle follow their documentation.

use super::*;
use crate::checks::not_run::tests::found;
use crate::checks::obstacle::Obstacle;
use crate::checks::test_counts::{self, TestCounts};

/// The kinds and commands that are detected, in the order of their kinds. Each entry of `files` is
/// a path and its text.
pub(super) fn detected(files: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
    // Only what detection asks for is given to it.
    let wanted = files_to_read(&paths);
    let mut contents = Manifests::default();
    for (path, text) in files.iter().filter(|(path, _)| wanted.contains(path)) {
        contents.add(path, text.as_bytes().to_vec());
    }
    let (mut found, _) = detect(&paths, &contents);
    found.sort_by_key(|found| found.kind);
    found.into_iter().map(|found| (found.kind.name(), found.command)).collect()
}

/// Checks which commands are detected.
#[track_caller]
pub(super) fn detects(files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let found = detected(files);
    let found: Vec<_> = found.iter().map(|(kind, command)| (*kind, command.as_str())).collect();
    assert_eq!(found, expected);
}

/// Checks which failures an output names.
#[track_caller]
pub(super) fn names(output: &str, expected: &[&str]) {
    let names = failures_named_in(output);
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// Checks that a command which ended with `code` ended so for lack of `tool`.
#[track_caller]
pub(super) fn lacks(code: i32, output: &str, tool: &str) {
    let missing = Obstacle::Missing { tool: tool.to_owned() };
    assert_eq!(found(Kind::Test, code, output), Some(missing), "{output}");
}

#[track_caller]
pub(super) fn lacks_nothing(code: i32, output: &str) {
    assert_eq!(found(Kind::Test, code, output), None, "{output}");
}

/// Checks that an output is of a setup that had no network.
#[track_caller]
pub(super) fn unreachable(output: &str) {
    assert_eq!(found(Kind::Setup, 1, output), Some(Obstacle::Offline), "{output}");
}

/// Checks that an output tells an obstacle of this name.
#[track_caller]
pub(super) fn obstacle(output: &str, name: &str) {
    let found = found(Kind::Setup, 1, output);
    let shown = format!("{found:?}");
    assert!(shown.starts_with(&format!("Some({name}")), "{shown}: {output}");
}

/// Checks how many tests an output shows to have passed and failed.
#[track_caller]
pub(super) fn counts(output: &str, passed: u64, failed: u64) {
    assert_eq!(test_counts::counted_in(output), TestCounts { passed, failed }, "{output}");
}

/// Checks that a path is that of a test.
#[track_caller]
pub(super) fn is_test(path: &str) {
    assert!(tests_have(path), "{path}");
}

fn tests_have(path: &str) -> bool {
    let patterns = regex::RegexSetBuilder::new(test_files()).case_insensitive(true).build();
    patterns.unwrap().is_match(path)
}

/// Checks that a line leaves out tests.
#[track_caller]
pub(super) fn skips(line: &str) {
    assert!(has_skip_mark(line), "{line}");
}

fn has_skip_mark(line: &str) -> bool {
    regex::RegexSet::new(skip_marks()).unwrap().is_match(line)
}

/// An output of a tool, of `samples/`.
pub(super) fn sample(name: &str) -> String {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/src/checks/languages/samples");
    std::fs::read_to_string(format!("{samples}/{name}.txt")).unwrap()
}

#[test]
fn nothing_is_made_up_for_a_repository_of_prose() {
    detects(&[("README.md", ""), ("docs/requirements.txt", "sphinx"), ("tools/gen.py", "")], &[]);
}

#[test]
fn several_languages_are_all_checked_and_make_fills_what_none_has() {
    detects(
        &[
            ("Cargo.toml", "[package]\nname = 'shop'\n"),
            ("package.json", r#"{"scripts": {"test": "node --test"}}"#),
            ("Makefile", "test:\n\tcargo test\nlint:\n\ttrue\n"),
        ],
        &[
            ("format", "cargo fmt"),
            ("build", "cargo build"),
            ("lint", "cargo clippy --all-targets -- -D warnings"),
            ("test", "cargo test --no-fail-fast"),
            ("test", "npm test"),
        ],
    );
    detects(
        &[
            ("package.json", r#"{"scripts": {"test": "node --test"}}"#),
            ("Makefile", "test:\n\tx\nlint:\n\ty\n"),
        ],
        &[("lint", "make lint"), ("test", "npm test")],
    );
}

#[test]
fn a_stray_script_does_not_make_a_python_project() {
    detects(
        &[("go.mod", "module a\n"), ("release.py", "")],
        &[
            ("format", "go fmt ./..."),
            ("build", "go build ./..."),
            ("lint", "go vet ./..."),
            ("test", "go test ./..."),
        ],
    );
}

#[test]
fn c_and_java_compilers_are_named_by_file_and_message() {
    names(
        &sample("gcc"),
        &[
            "a.c: error: expected declaration specifiers or ‘...’ before ‘{’ token",
            "a.c: error: ‘x’ undeclared (first use in this function)",
        ],
    );
    names(
        &sample("javac-maven"),
        &[
            "src/main/java/shop/Shop.java: cannot find symbol",
            "src/main/java/shop/Shop.java: incompatible types: java.lang.String cannot be \
                converted to int",
        ],
    );
    names(&sample("javac-gradle"), &["src/main/java/shop/Shop.java: error: ';' expected"]);
    names(
        "/usr/bin/ld: main.o: in function `main':\nmain.c:(.text+0x5): undefined reference to \
            `f'\n",
        &["undefined reference to `f'"],
    );
}

#[test]
fn what_moves_with_an_edit_or_a_run_is_not_in_a_name() {
    let before = "a.py:9:1: F811 redefinition of unused 'f' from line 3\n\
        FAILED tests/test_a.py::test_b[<object at 0x7f00aa11bb22>] - x\na.c:4:1: error: \
        /tmp/cc1a2b.s: bad\n";
    let after = "a.py:19:1: F811 redefinition of unused 'f' from line 13\n\
        FAILED tests/test_a.py::test_b[<object at 0x7f99dd11bb22>] - y\na.c:7:2: error: \
        /tmp/ccXYZ.s: bad\n";
    assert_eq!(failures_named_in(before), failures_named_in(after));
    assert_eq!(failures_named_in(before).len(), 3);
}

#[test]
fn one_more_of_the_same_error_in_a_file_is_a_new_name() {
    let one = "error[E0308]: mismatched types\n --> src/lib.rs:1:2\n";
    let two = format!("{one}error[E0308]: mismatched types\n --> src/lib.rs:9:2\n");
    let new: Vec<_> =
        failures_named_in(&two).difference(&failures_named_in(one)).cloned().collect();
    assert_eq!(new, ["src/lib.rs: error[E0308]: mismatched types (2)"]);
    let reported_twice = format!("{one}{one}");
    assert_eq!(failures_named_in(&reported_twice), failures_named_in(one));
}

#[test]
fn what_passes_or_only_warns_names_nothing() {
    names(
        "warning: unused variable: `x`\n --> src/lib.rs:2:23\ntest a ... ok\nPASS a.test.js\nok  \
            \texample.com/shop\t0.1s\n\
         a.c:1:2: warning: unused\na.c:1:2: note: here\nok 1 - fine\nOK (3 tests)\n",
        &[],
    );
}

#[test]
fn paths_and_lines_that_only_resemble_those_of_tests_are_not_taken_for_them() {
    for test in ["tests/a.rs", "spec/a.rb"] {
        assert!(tests_have(test), "{test}");
    }
    for other in ["src/latest.rs", "contest.py", "protest/a", "testing.md", "attest.go"] {
        assert!(!tests_have(other), "{other}");
    }
    for other in
        ["#[ignored_any]", "skip = 1", "items.iter().skip(1)", "it('a'", "exit(1)", "audit("]
    {
        assert!(!has_skip_mark(other), "{other}");
    }
}

#[test]
fn each_project_type_has_a_row_in_the_documents() {
    for document in
        [include_str!("../../../docs/checks.md"), include_str!("../../../docs/checks.ja.md")]
    {
        for language in LANGUAGES {
            let row = format!("| {} | `", language.name);
            assert!(document.lines().any(|line| line.starts_with(&row)), "{}", language.name);
        }
    }
}

#[test]
fn what_tools_leave_behind_is_listed_once() {
    let patterns = artifacts();
    let different: BTreeSet<_> = patterns.iter().collect();
    assert_eq!(different.len(), patterns.len());
    for pattern in [
        "/.venv/",
        "node_modules/",
        "/target/",
        "__pycache__/",
        "*.egg-info/",
        ".pytest_cache/",
        "/.gradle/",
    ] {
        assert!(patterns.contains(&pattern), "{pattern}");
    }
}

proptest::proptest! {
    #[test]
    fn no_output_is_too_odd_to_be_read(
        lines in proptest::collection::vec(
            ("(FAIL|not ok 1 - |test |--- FAIL: |  ● |2 failing|  1\\) |\\[ERROR\\] |# Subtest: \
                |error|FAILED )?", "\\PC{0,12}"), 0..12,
        ),
    ) {
        let output = lines.into_iter().map(|(mark, rest)| mark + &rest + "\n").collect::<String>();
        for name in failures_named_in(&output) {
            proptest::prop_assert!(!name.contains('\n'), "{name}");
        }
    }
}
