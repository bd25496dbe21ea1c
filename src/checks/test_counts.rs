//! How many tests ran, as a check's output shows it.
//!
//! Owns the sum. Leaves to `languages` what one language's tools print. Invariant: a test that was
//! skipped did not run, so a number is never larger than what ran, except that a tool which tells
//! its numbers twice is counted twice.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};
use serde::{Deserialize, Serialize};

use super::languages::LANGUAGES;

/// The tests that an output shows to have passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    pub passed: u64,
    pub failed: u64,
}

impl TestCounts {
    /// Whether at least one test ran.
    pub fn any(self) -> bool {
        self.passed > 0 || self.failed > 0
    }
}

/// What the lines of one language's tools add up to.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    passed: u64,
    failed: u64,
    /// Tests of which it is told only that they ran, or were left out.
    total: u64,
    left_out: u64,
}

/// The patterns of all languages, each with the place of its language in [`LANGUAGES`].
static PATTERNS: LazyLock<(RegexSet, Vec<(usize, Regex)>)> = LazyLock::new(|| {
    let of =
        |(place, patterns): (usize, &'static [&str])| patterns.iter().map(move |p| (place, *p));
    let patterns: Vec<_> =
        LANGUAGES.iter().map(|language| language.test_counts).enumerate().flat_map(of).collect();
    let set = RegexSet::new(patterns.iter().map(|(_, pattern)| pattern))
        .expect("the patterns are constants that a test compiles");
    let compiled = patterns.into_iter().map(|(place, pattern)| {
        (place, Regex::new(pattern).expect("the pattern is a constant that a test compiles"))
    });
    (set, compiled.collect())
});

/// The tests that an output shows to have run.
pub(super) fn counted_in(output: &str) -> TestCounts {
    let (set, patterns) = &*PATTERNS;
    let mut sums = vec![Sum::default(); LANGUAGES.len()];
    for line in output.lines() {
        let matching = set.matches(line);
        for (place, pattern) in matching.iter().filter_map(|number| patterns.get(number)) {
            if let Some(sum) = sums.get_mut(*place) {
                add(sum, pattern, line);
            }
        }
    }
    sums.iter().fold(TestCounts::default(), |counts, sum| {
        let of_total = sum.total.saturating_sub(sum.failed.saturating_add(sum.left_out));
        TestCounts {
            passed: counts.passed.saturating_add(sum.passed).saturating_add(of_total),
            failed: counts.failed.saturating_add(sum.failed),
        }
    })
}

/// Adds what the named groups of a pattern matched: a number, or a word that stands for one test.
fn add(sum: &mut Sum, pattern: &Regex, line: &str) {
    let Some(captures) = pattern.captures(line) else { return };
    for name in pattern.capture_names().flatten() {
        let Some(found) = captures.name(name) else { continue };
        let number = found.as_str().parse().unwrap_or(1);
        // A group's name may occur once in a pattern, and some tools tell failures twice.
        let kind = name.trim_end_matches("_too");
        let part = match kind {
            "passed" => &mut sum.passed,
            "failed" => &mut sum.failed,
            "total" => &mut sum.total,
            _ => &mut sum.left_out,
        };
        *part = part.saturating_add(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_a_meaning() {
        let (_, patterns) = &*PATTERNS;
        for (_, pattern) in patterns {
            let names: Vec<_> = pattern.capture_names().flatten().collect();
            assert!(!names.is_empty(), "{pattern}");
            for name in names {
                let kind = name.trim_end_matches("_too");
                assert!(["passed", "failed", "total", "left_out"].contains(&kind), "{pattern}");
            }
        }
    }

    #[test]
    fn an_output_without_tests_counts_none() {
        for output in ["", "everything is fine\n", "error: 3 passed through\n", "cc -o test a.c\n"]
        {
            assert_eq!(counted_in(output), TestCounts::default(), "{output}");
        }
    }
}
