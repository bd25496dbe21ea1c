//! cargo test (libtest), nextest, and the errors of rustc and clippy.

use super::Found;

pub(super) fn collect(lines: &[&str], found: &mut Found) {
    let mut target = String::new();
    let mut named_in_target = false;
    for line in lines {
        let trimmed = line.trim_start();
        if let Some(name) = target_of(trimmed) {
            target = name;
            named_in_target = false;
        } else if let Some(test) = failed_in_libtest(line) {
            found.test(&format!("{target} {test}"));
            named_in_target = true;
        } else if let Some(test) = failed_in_nextest(trimmed) {
            found.test(test);
        } else if let Some(rerun) = line.strip_prefix("error: test failed, to rerun pass ") {
            // A test program that died could not name the test.
            if !named_in_target {
                found.test(&format!("cargo test {}", rerun.trim_matches('`')));
            }
        } else if let Some(message) =
            line.strip_prefix("error: ").filter(|message| is_of_cargo(message))
        {
            found.diagnostic("", message, "");
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
