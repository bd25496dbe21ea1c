//! The rule on secrets: a change may not publish a key or a password.

use std::collections::HashSet;

use super::{Finding, Refusal};
use crate::git::Change;
use crate::redaction::Redaction;

/// Judges what a change adds: `added` has the added lines of each of `changes`, in their order.
/// The paths are searched too, because a path can leak as much as a line.
///
/// # Errors
/// One finding for each file and each kind of secret.
pub fn judge(changes: &[Change], added: &[String], redaction: &Redaction) -> Result<(), Refusal> {
    let found = changes.iter().zip(added).flat_map(|(change, added)| {
        let rules = redaction.find(&format!("{}\n{added}", change.path));
        rules.into_iter().map(|rule| Finding::Secret { path: change.path.clone(), rule })
    });
    let findings: Vec<Finding> = found.collect();
    if findings.is_empty() { Ok(()) } else { Err(Refusal { findings }) }
}

/// Returns the lines that were nowhere in a file before, in their order.
#[must_use]
pub fn added_lines(before: &str, after: &str) -> String {
    let old: HashSet<&str> = before.lines().collect();
    after.lines().filter(|line| !old.contains(line)).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_not_added() {
        assert_eq!(added_lines("a\nb\n", "b\nc\na\nd"), "c\nd\n");
        assert_eq!(added_lines("", "a"), "a\n");
        assert_eq!(added_lines("a", ""), "");
    }
}
