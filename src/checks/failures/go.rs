//! go test; the errors of go build and go vet have the form of other compilers'.

use super::Found;

pub(super) fn collect(lines: &[&str], found: &mut Found) {
    // The package is named only after its tests.
    let mut pending: Vec<&str> = Vec::new();
    for line in lines {
        if let Some(test) = line.trim_start().strip_prefix("--- FAIL: ") {
            pending.push(test.rsplit_once(" (").map_or(test, |(name, _)| name));
        } else if let Some(package) = line.strip_prefix("FAIL\t") {
            let package = package.split(['\t', ' ']).next().unwrap_or(package);
            for test in leaves(&pending) {
                found.test(&format!("{package} {test}"));
            }
            if pending.is_empty() {
                found.test(package);
            }
            pending.clear();
        } else if line.starts_with("ok  \t") {
            pending.clear();
        }
    }
    for test in leaves(&pending) {
        found.test(test);
    }
}

/// A test with subtests fails because one of them does.
fn leaves<'a>(tests: &[&'a str]) -> Vec<&'a str> {
    let has_subtest = |test: &str| {
        tests.iter().any(|other| other.strip_prefix(test).is_some_and(|rest| rest.starts_with('/')))
    };
    tests.iter().copied().filter(|test| !has_subtest(test)).collect()
}
