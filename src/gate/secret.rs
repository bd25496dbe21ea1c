//! The rule on secrets: a change may not publish a key or a password.

use std::collections::HashMap;

use super::{ChangedFile, Finding, Refusal};
use crate::redaction::Redaction;

/// Judges what a change adds. The paths are searched too, because a path can leak as much as a
/// line.
///
/// # Errors
/// One finding for each file and each kind of secret.
pub fn judge(files: &[ChangedFile], redaction: &Redaction) -> Result<(), Refusal> {
    let found = files.iter().flat_map(|ChangedFile { change, added, .. }| {
        let rules = redaction.find(&format!("{}\n{added}", change.path));
        rules.into_iter().map(|rule| Finding::Secret { path: change.path.clone(), rule })
    });
    let findings: Vec<Finding> = found.collect();
    if findings.is_empty() { Ok(()) } else { Err(Refusal { findings }) }
}

/// Returns the lines that a file did not have before, or not as often, in their order. A line that
/// only moved is not added.
#[must_use]
pub fn added_lines(before: &str, after: &str) -> String {
    let mut old: HashMap<&str, usize> = HashMap::new();
    for line in before.lines() {
        *old.entry(line).or_default() += 1;
    }
    let mut added = String::new();
    for line in after.lines() {
        match old.get_mut(line) {
            Some(left) if *left > 0 => *left -= 1,
            Some(_) | None => added.extend([line, "\n"]),
        }
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_not_added() {
        assert_eq!(added_lines("a\nb\n", "b\nc\na\nd"), "c\nd\n");
        assert_eq!(added_lines("a\nb\n", "a\nb\na\na\n"), "a\na\n");
        assert_eq!(added_lines("", "a"), "a\n");
        assert_eq!(added_lines("a", ""), "");
    }
}
