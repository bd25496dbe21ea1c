//! Finds changes that are allowed but that a reviewer should look at: deleted tests, tests that no
//! longer run, and content that GitHub does not show.

use regex::{RegexSet, RegexSetBuilder};

use super::{ChangedFile, conflict};
use crate::git::{ChangeStatus, RepoPath};

/// A reason why a reviewer should look at a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attention {
    /// The change deletes a file of tests.
    TestDeleted,
    /// The change adds a mark that leaves out tests.
    TestSkipped,
    /// The change adds or changes a binary file.
    Binary,
    /// A text has the marks of a merge conflict, which may be meant.
    ConflictMarkers,
}

/// The patterns by which test files and skipped tests are recognized in each language. The caller
/// provides them, because the gate knows no language.
#[derive(Debug, Clone)]
pub struct TestPatterns {
    files: RegexSet,
    skips: RegexSet,
}

impl TestPatterns {
    /// Builds the patterns. `files` are regular expressions that match the paths of test files
    /// without regard to case. `skips` match the marks by which a test framework leaves out a test,
    /// or all tests except one.
    ///
    /// # Errors
    /// A text is not a regular expression; the error names it.
    pub fn new(
        files: impl IntoIterator<Item = &'static str>,
        skips: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, regex::Error> {
        Ok(Self {
            files: RegexSetBuilder::new(files).case_insensitive(true).build()?,
            skips: RegexSet::new(skips)?,
        })
    }

    /// Returns whether a path is that of a file of tests.
    #[must_use]
    pub fn is_test(&self, path: &RepoPath) -> bool {
        self.files.is_match(&path.to_string())
    }
}

/// Returns the reasons to look at a change, each of them once and in order.
#[must_use]
pub fn attention(files: &[ChangedFile], tests: &TestPatterns) -> Vec<Attention> {
    let mut found: Vec<Attention> = files.iter().flat_map(|file| of_one(file, tests)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn of_one(file: &ChangedFile, tests: &TestPatterns) -> impl Iterator<Item = Attention> + use<> {
    let ChangedFile { change, added, .. } = file;
    let deleted = (change.status == ChangeStatus::Deleted && tests.is_test(&change.path))
        .then_some(Attention::TestDeleted);
    let skipped = tests.skips.is_match(added).then_some(Attention::TestSkipped);
    let binary = change.lines.is_none() && change.after.is_some() && change.changes_content();
    let binary = binary.then_some(Attention::Binary);
    let conflict = (conflict::is_prose(&change.path) && conflict::has_marks(added))
        .then_some(Attention::ConflictMarkers);
    [deleted, skipped, binary, conflict].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::git::{Change, LineCount, Mode, TreeEntry};

    fn change(path: &str, status: ChangeStatus) -> Change {
        let entry = TreeEntry { mode: Mode::File, id: "1".repeat(40).parse().unwrap() };
        let after = (status != ChangeStatus::Deleted).then_some(entry);
        let lines = Some(LineCount { added: 1, deleted: 1 });
        let (path, before, link_target) = (path.into(), None, None);
        Change { path, renamed_from: None, status, before, after, lines, size: 1, link_target }
    }

    fn found(change: &Change, added: &str) -> Vec<Attention> {
        let tests = TestPatterns::new([r"_test\.go$"], [r"\bt\.Skip\("]).unwrap();
        let file = ChangedFile {
            change: change.clone(),
            added: added.to_owned(),
            added_size: 1,
            filter: None,
            filter_before: None,
        };
        attention(&[file.clone(), file], &tests)
    }

    #[test]
    fn a_deleted_test_is_told_and_a_changed_one_is_not() {
        let deleted = |path: &str| found(&change(path, ChangeStatus::Deleted), "");
        assert_eq!(deleted("shop_test.go"), [Attention::TestDeleted]);
        assert_eq!(deleted("Shop_Test.go"), [Attention::TestDeleted]);
        assert_eq!(deleted("shop.go"), []);
        assert_eq!(found(&change("shop_test.go", ChangeStatus::Modified), "x := 1\n"), []);
    }

    #[test]
    fn a_mark_that_leaves_out_a_test_is_told_once() {
        let changed = change("shop_test.go", ChangeStatus::Modified);
        assert_eq!(found(&changed, "x := 1\nt.Skip(\"no\")\n"), [Attention::TestSkipped]);
        assert_eq!(found(&changed, "t.skip(\"no\")\n"), []);
    }

    #[test]
    fn binary_content_is_told_and_its_removal_is_not() {
        let binary = Change { lines: None, ..change("a.bin", ChangeStatus::Added) };
        assert_eq!(found(&binary, ""), [Attention::Binary]);
        let removed = Change { lines: None, ..change("a.bin", ChangeStatus::Deleted) };
        assert_eq!(found(&removed, ""), []);
    }

    #[test]
    fn the_marks_of_a_conflict_in_prose_are_told() {
        let marks = "<<<<<<< a\n=======\n>>>>>>> b\n";
        let added = |path: &str| found(&change(path, ChangeStatus::Added), marks);
        assert_eq!(added("docs/merge.md"), [Attention::ConflictMarkers]);
        assert_eq!(added("a.rs"), [], "that is a finding, and the change is refused");
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        assert!(TestPatterns::new(["a("], []).unwrap_err().to_string().contains("a("));
    }
}
