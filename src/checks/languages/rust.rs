//! Rust: Cargo, rustc, rustfmt, Clippy, libtest and nextest.

use super::ProjectType;
use crate::checks::Kind;
use crate::checks::failure_names::FailureNames;
use crate::checks::obstacle::ToldObstacle;
use crate::checks::survey::{ManifestFiles, Survey};

pub(super) const RUST: ProjectType = ProjectType {
    name: "Rust",
    manifests: &[ManifestFiles::toml(&["Cargo.toml"]), ManifestFiles::text(&["Cargo.lock"])],
    commands,
    failure_names,
    missing_tool,
    obstacles: &[
        (ToldObstacle::Network, "dns error: |failed to lookup address information"),
        (ToldObstacle::Network, r"\[\d+\] (?:Could not connect|Couldn't connect) to server"),
        (ToldObstacle::Network, "could not download file from|CONNECT tunnel failed"),
        (ToldObstacle::Certificate, r"\[60\] SSL peer certificate|invalid peer certificate"),
        (
            ToldObstacle::WrongVersion,
            "requires rustc [0-9.]+ or newer|rustc [0-9.]+ is not supported by",
        ),
        (ToldObstacle::WrongVersion, "feature `edition20[0-9]{2}` is required"),
        (ToldObstacle::WrongVersion, "may not be used on the stable release channel"),
    ],
    test_counts: &[
        r"^test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed;",
        r"(?x)^\s*Summary\ \[.*\btests?\ run:\ (?P<passed>\d+)\ passed
        (?:[^,]*,\ (?P<failed>\d+)\ failed)?",
    ],
    progress: &[
        r"^\s*(?:Compiling|Checking|Finished|Blocking)\s",
        r"^\s*(?:Downloading|Downloaded|Updating|Fetching|Locking|Adding)\s",
        r"^test .* \.\.\. (?:ok|ignored.*)$",
        r"^\s*PASS \[",
        r"^\s*\d+: (?:__rustc|core|std|test|alloc|<)\S*",
        r"^\s+at /rustc/",
        r"^note: (?:run with|Some details) .*RUST_BACKTRACE",
    ],
    artifacts: &["/target/"],
    toolchains: &[("RUSTUP_HOME", ".rustup")],
    caches: &[("CARGO_HOME", "cargo")],
    without_network: &[("CARGO_NET_RETRY", "0")],
    test_files: &[r"(^|/)tests?\.[^/]+$"],
    skip_marks: &[r"#\[ignore\b"],
    ..ProjectType::EMPTY
};

fn commands(survey: &Survey<'_>) -> Vec<(Kind, String)> {
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

/// `error: 'cargo-fmt' is not installed for the toolchain '1.95.0'`,
/// `error: toolchain '1.70.0' is not installed`, "error: no such command: `clippy`".
fn missing_tool(line: &str) -> Option<String> {
    let error = line.strip_prefix("error: ")?;
    if let Some(quoted) = error.strip_prefix('\'') {
        let (component, rest) = quoted.split_once("' is not installed for the ")?;
        let rest = rest.strip_prefix("custom ").unwrap_or(rest);
        rest.starts_with("toolchain").then(|| component.to_owned())
    } else if let Some(quoted) = error.strip_prefix("toolchain '") {
        let (toolchain, _) = quoted.split_once("' is not installed")?;
        Some(format!("Rust toolchain {toolchain}"))
    } else {
        let quoted = error
            .strip_prefix("no such command: `")
            .or_else(|| error.strip_prefix("no such subcommand: `"))?;
        quoted.split_once('`').map(|(subcommand, _)| format!("cargo-{subcommand}"))
    }
}

fn failure_names(lines: &[&str], names: &mut FailureNames) {
    let mut target = String::new();
    let mut named_in_target = false;
    for line in lines {
        let trimmed = line.trim_start();
        if let Some(name) = target_of(trimmed) {
            target = name;
            named_in_target = false;
        } else if let Some(test) = failed_in_libtest(line) {
            names.test(&format!("{target} {test}"));
            named_in_target = true;
        } else if let Some(test) = failed_in_nextest(trimmed) {
            names.test(test);
        } else if let Some(rerun) = line.strip_prefix("error: test failed, to rerun pass ") {
            // A test program that died could not name the test.
            if !named_in_target {
                names.test(&format!("cargo test {}", rerun.trim_matches('`')));
            }
        } else if let Some(message) =
            line.strip_prefix("error: ").filter(|message| is_of_cargo(message))
        {
            names.diagnostic("", message, "");
        }
    }
}

/// `Running tests/whole.rs (target/debug/deps/whole-caf4c2aed8f93934)`, `Doc-tests shop`.
fn target_of(line: &str) -> Option<String> {
    if let Some(krate) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{krate} (doc)"));
    }
    let program = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit(['/', '(']).next()?;
    let (name, hash) = program.rsplit_once('-')?;
    hash.chars().all(|c| c.is_ascii_hexdigit()).then(|| name.to_owned())
}

/// `test tests::works ... FAILED`, with what libtest adds to a name taken off.
fn failed_in_libtest(line: &str) -> Option<&str> {
    let (name, end) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    // `src/lib.rs - add (line 4)`
    let name = name.rsplit_once(" (line ").map_or(name, |(name, _)| name);
    end.trim_end().ends_with("FAILED").then_some(name)
}

/// `FAIL [   0.004s] (1/4) shop tests::works`; other words are SIGABRT, TIMEOUT, `TRY 2 FAIL`.
fn failed_in_nextest(line: &str) -> Option<&str> {
    let (word, rest) = line.split_once(" [")?;
    let red = word.ends_with("FAIL") || word.ends_with("TIMEOUT") || word.starts_with("SIG");
    let (time, name) = rest.split_once("] ")?;
    let name = name.trim_start();
    let name = name
        .strip_prefix('(')
        .and_then(|count| count.split_once(") "))
        .map_or(name, |(_, name)| name);
    (red && time.trim_start_matches(['>', ' ']).ends_with('s')).then_some(name)
}

/// Errors without a place in a source file that still tell one failure from another.
fn is_of_cargo(message: &str) -> bool {
    [
        "linking with",
        "failed to select a version",
        "no matching package",
        "failed to parse manifest",
        "failed to run custom build",
    ]
    .iter()
    .any(|beginning| message.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{
        counts, detects, is_test, lacks, lacks_nothing, names, obstacle, sample, skips, unreachable,
    };

    #[test]
    fn a_crate() {
        detects(
            &[("Cargo.toml", "[package]\nname = 'shop'\n[dependencies]\n"), ("src/lib.rs", "")],
            &[
                ("format", "cargo fmt"),
                ("build", "cargo build"),
                ("lint", "cargo clippy --all-targets -- -D warnings"),
                ("test", "cargo test --no-fail-fast"),
            ],
        );
    }

    #[test]
    fn a_cargo_workspace_with_dependencies() {
        let lock = "[[package]]\nname = 'serde'\nsource = \
            \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        detects(
            &[("Cargo.toml", "[workspace]\nmembers = ['a']\n"), ("Cargo.lock", lock)],
            &[
                ("setup", "cargo fetch"),
                ("format", "cargo fmt --all"),
                ("build", "cargo build --workspace"),
                ("lint", "cargo clippy --workspace --all-targets -- -D warnings"),
                ("test", "cargo test --workspace --no-fail-fast"),
            ],
        );
    }

    #[test]
    fn cargo_test_names_tests_with_their_target() {
        names(
            &sample("cargo-test"),
            &[
                "shop (doc) src/lib.rs - add",
                "shop tests::adds",
                "shop tests::panics",
                "whole whole_way",
            ],
        );
    }

    #[test]
    fn a_test_program_that_died_is_named_by_its_target() {
        let output = "     Running tests/whole.rs \
            (target/debug/deps/whole-caf4c2aed8f93934)\n\nrunning 2 tests\n\
            error: test failed, to rerun pass `--test whole`\n\nCaused by:\n  process didn't exit \
            successfully: `…` (signal: 6, SIGABRT)\n";
        names(output, &["cargo test --test whole"]);
    }

    #[test]
    fn nextest_names_tests_once_though_it_reports_them_twice() {
        names(
            &sample("cargo-nextest"),
            &["shop tests::adds", "shop tests::panics", "shop::whole whole_way"],
        );
    }

    #[test]
    fn rustc_and_clippy_errors_are_named_by_file_and_message() {
        names(
            &sample("cargo-build"),
            &[
                "src/lib.rs: error[E0308]: mismatched types",
                "src/lib.rs: error[E0425]: cannot find function `missing` in this scope",
            ],
        );
        names(
            &sample("cargo-clippy"),
            &[
                "src/lib.rs: error: length comparison to zero",
                "src/lib.rs: error: unneeded `return` statement",
                "src/lib.rs: error: unused variable: `x`",
                "src/lib.rs: error: writing `&Vec` instead of `&[_]` involves a new object where \
                    a slice will do",
            ],
        );
    }

    #[test]
    fn a_component_or_toolchain_that_is_not_installed_is_a_missing_tool() {
        let component = "error: 'cargo-fmt' is not installed for the toolchain \
            '1.95.0-x86_64-unknown-linux-gnu'.\n";
        lacks(1, component, "cargo-fmt");
        lacks(1, &component.replace("the toolchain", "the custom toolchain"), "cargo-fmt");
        lacks(101, "error: no such command: `clippy`\n", "cargo-clippy");
        lacks(101, "error: no such subcommand: `clippy`\n", "cargo-clippy");
        let toolchain = "1.70.0-x86_64-unknown-linux-gnu";
        lacks(
            1,
            &format!("error: toolchain '{toolchain}' is not installed\n"),
            &format!("Rust toolchain {toolchain}"),
        );
        lacks_nothing(101, "test not_found ... FAILED\n");
    }

    #[test]
    fn cargo_without_a_network_says_so() {
        unreachable(
            "Caused by:\n  [6] Could not resolve hostname (Could not resolve host: \
                index.crates.io)\n",
        );
        unreachable("dns error: failed to lookup address information\n");
    }

    #[test]
    fn a_rustc_that_is_too_old_says_so() {
        obstacle(
            "error: package `shop v0.1.0 (.)` cannot be built because it requires rustc 1.99 or \
                newer, while the currently active rustc version is 1.95.0\n",
            "WrongVersion",
        );
    }

    #[test]
    fn cargo_test_and_nextest_show_that_tests_ran() {
        counts(&sample("cargo-nextest"), 1, 3);
        counts(
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out\n",
            2,
            1,
        );
        counts("test result: ok. 0 passed; 0 failed; 3 ignored; 0 measured\n", 0, 0);
    }

    #[test]
    fn tests_and_the_marks_that_leave_them_out_are_known() {
        is_test("src/tests.rs");
        skips("    #[ignore]");
        skips("#[ignore = \"slow\"]");
    }
}
