//! Maven's surefire and Gradle; the errors of javac have the form of other compilers'.

use super::Found;

pub(super) fn collect(lines: &[&str], found: &mut Found) {
    for line in lines {
        if let Some(test) = failed_in_surefire(line).or_else(|| failed_in_gradle(line)) {
            found.test(test);
        }
    }
}

/// `[ERROR] shop.ShopTest.adds -- Time elapsed: 0.01 s <<< FAILURE!`; before version 3,
/// `adds(shop.ShopTest)  Time elapsed: …`. The class has a line of its own, which begins with its
/// count of tests.
fn failed_in_surefire(line: &str) -> Option<&str> {
    let line = line.strip_prefix("[ERROR] ").unwrap_or(line);
    let (name, end) = line.split_once("Time elapsed: ")?;
    let red = end.contains("<<< FAILURE!") || end.contains("<<< ERROR!");
    (red && !name.starts_with("Tests run:")).then(|| name.trim().trim_end_matches("--").trim_end())
}

/// `ShopTest > adds() FAILED`; a task's line begins with `> Task`.
fn failed_in_gradle(line: &str) -> Option<&str> {
    let name = line.strip_suffix(" FAILED")?;
    (name.contains(" > ") && !name.starts_with(['>', ' '])).then_some(name)
}
