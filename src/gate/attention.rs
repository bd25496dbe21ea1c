//! What nothing forbids, and whoever reads a change should look at: tests that went, tests that no
//! longer run, content that is not shown.

use std::sync::LazyLock;

use regex::Regex;

use crate::git::{Change, ChangeStatus, RepoPath};

/// Each kind once, however often it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attention {
    TestDeleted,
    TestSkipped,
    Binary,
}

/// A file of tests, by the habits of many languages.
static TEST_FILE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(^|/)(tests?|specs?|__tests__)/|(^|/)test_[^/]*$|[._-](test|spec)s?\.[^/]+$|(?-i:[^/]*(Test|Tests|Spec)\.[A-Za-z]+$)|(^|/)tests?\.[^/]+$")
        .expect("the pattern is constant")
});

/// The marks by which test frameworks leave a test out, or all others.
static SKIPS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"#\[ignore\b|@(pytest\.mark\.|unittest\.)?(skip|skipIf|skipUnless|skipif|xfail|expectedFailure)\b|pytest\.skip\(",
        r"|\b(it|test|describe|context)\.(skip|only|todo)\b|\b(xit|xtest|xdescribe|fit|fdescribe)\(|\bt\.(Skip|SkipNow|Skipf)\(",
        r"|@(Disabled|Ignore)\b|\bself\.skipTest\(",
    ))
    .expect("the pattern is constant")
});

/// What there is of it, in order.
#[must_use]
pub fn attention<'a>(changes: impl IntoIterator<Item = (&'a Change, &'a str)>) -> Vec<Attention> {
    let mut found: Vec<Attention> =
        changes.into_iter().flat_map(|(change, added)| of_one(change, added)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn of_one(change: &Change, added: &str) -> impl Iterator<Item = Attention> {
    let deleted = (change.status == ChangeStatus::Deleted && is_test(&change.path))
        .then_some(Attention::TestDeleted);
    let skipped = SKIPS.is_match(added).then_some(Attention::TestSkipped);
    let binary = (change.lines.is_none() && change.after.is_some()).then_some(Attention::Binary);
    [deleted, skipped, binary].into_iter().flatten()
}

fn is_test(path: &RepoPath) -> bool {
    TEST_FILE.is_match(&path.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_tests_are_known_by_their_names() {
        for test in [
            "tests/a.rs",
            "src/test/java/A.java",
            "test_shop.py",
            "shop_test.go",
            "a.spec.ts",
            "src/ShopTest.java",
            "spec/a.rb",
            "src/tests.rs",
        ] {
            assert!(is_test(&test.into()), "{test}");
        }
        for other in ["src/latest.rs", "contest.py", "protest/a", "testing.md", "attest.go"] {
            assert!(!is_test(&other.into()), "{other}");
        }
    }

    #[test]
    fn marks_that_leave_tests_out_are_known() {
        for mark in [
            "    #[ignore]",
            "@pytest.mark.skip(reason='')",
            "it.skip('a', () => {})",
            "describe.only(",
            "\tt.Skip(\"no\")",
            "@Disabled",
            "xit('a'",
        ] {
            assert!(SKIPS.is_match(mark), "{mark}");
        }
        for other in
            ["#[ignored_any]", "skip = 1", "items.iter().skip(1)", "it('a'", "exit(1)", "audit("]
        {
            assert!(!SKIPS.is_match(other), "{other}");
        }
    }
}
