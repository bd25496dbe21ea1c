//! The rule on merge conflicts: the marks that a merge leaves in a file break its syntax, and a
//! configuration file or a script often has no check that finds them.

use super::{ChangeLimits, ChangedFile, Finding};
use crate::git::RepoPath;

/// The endings of files in which the marks may be text: documentation and patches.
const PROSE: &[&str] = &[".md", ".markdown", ".rst", ".adoc", ".txt", ".diff", ".patch"];

/// The marks of a conflict in a file that is no prose.
pub(super) fn rule(file: &ChangedFile, _: &ChangeLimits) -> Option<Finding> {
    let path = &file.change.path;
    (!is_prose(path) && has_marks(&file.added))
        .then(|| Finding::ConflictMarkers { path: path.clone() })
}

/// Returns whether lines have the marks of a conflict: seven of a character at the beginning of a
/// line each, in the order in which git writes them (git-merge(1), "HOW CONFLICTS ARE PRESENTED").
pub(super) fn has_marks(lines: &str) -> bool {
    let mut lines = lines.lines().map(|line| line.trim_end_matches('\r'));
    lines.any(|line| line.starts_with("<<<<<<< "))
        && lines.any(|line| line == "=======")
        && lines.any(|line| line.starts_with(">>>>>>> "))
}

/// Returns whether a file is one in which the marks of a conflict may be meant as text.
pub(super) fn is_prose(path: &RepoPath) -> bool {
    let name = path.to_string().to_ascii_lowercase();
    PROSE.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_known_by_all_of_its_marks() {
        for marks in [
            "a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> x\n",
            "<<<<<<< HEAD\r\n||||||| base\r\n=======\r\n>>>>>>> x",
        ] {
            assert!(has_marks(marks), "{marks}");
        }
        for other in [
            "Title\n=======\n",
            "<<<<<<< HEAD\n",
            ">>>>>>> x\n=======\n<<<<<<< HEAD\n",
            "  <<<<<<< HEAD\n  =======\n  >>>>>>> x\n",
            "<<<<<<<<< x\n=======\n>>>>>>> y\n",
        ] {
            assert!(!has_marks(other), "{other}");
        }
    }
}
