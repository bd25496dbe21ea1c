//! The gate: whether a change may be published. The policy judges its paths and sizes, and what it
//! adds is searched for secrets.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::Failure;
use super::check::Checked;
use super::checking::repository_file;
use super::effects::enter_stage;
use super::services::Services;
use crate::agent::Verdict;
use crate::checks;
use crate::gate::attention::{Attention, TestPatterns, attention};
use crate::gate::{self, Finding, ProtectedPaths, Refusal};
use crate::git::{Change, TreeEntry};
use crate::journal::Stage;
use crate::redaction::Redaction;
use crate::workspace::{Cache, WorkspaceError};

/// How tests look in the languages that `checks` knows.
static TEST_PATTERNS: LazyLock<TestPatterns> = LazyLock::new(|| {
    TestPatterns::new(checks::test_files(), checks::skip_marks())
        .expect("the patterns are constants that a test compiles")
});

/// A change that may be published.
pub(super) struct ApprovedChange {
    pub(super) checked: Checked,
    pub(super) changes: Vec<Change>,
    /// What its reader should look at.
    pub(super) attention: Vec<Attention>,
}

/// Judges the change by the policy. A change with failed checks goes on only when no other delivery
/// could make it green; it becomes a draft.
pub(super) async fn gate(services: &Services, checked: Checked) -> Result<ApprovedChange, Failure> {
    let (prepared, run) = (&checked.prepared, &checked.prepared.run);
    enter_stage(services, run, Stage::Gate, "judging the change by the policy").await?;
    let (cache, base) = (prepared.workspace.cache(), &prepared.base.base.commit);
    let changes = prepared.workspace.changes(base, &checked.progress.commit).await?;
    if changes.is_empty() {
        return Err(Failure::Agent(Verdict::NoChange));
    }
    let file = repository_file(cache, base).await?;
    let protected = ProtectedPaths::of_repository(&file.gate().protected, &file.gate().unprotected)
        .map_err(|error| Failure::RepositoryFile(format!("`gate.protected`: {error}")))?;
    let limits = gate::ChangeLimits { protected, ..gate::ChangeLimits::default() };
    gate::judge(&changes, &limits).map_err(Failure::GateRefused)?;
    let limit = usize::try_from(limits.size).unwrap_or(usize::MAX);
    let mut added = Vec::new();
    for change in &changes {
        added.push(added_by(cache, change, limit).await?);
    }
    let findings = find_secrets(&changes, &added, &services.config.redaction);
    if !findings.is_empty() {
        return Err(Failure::GateRefused(Refusal { findings }));
    }
    let added = added.iter().map(String::as_str);
    let attention = attention(changes.iter().zip(added), &TEST_PATTERNS);
    let red = checked.red();
    if !red.is_empty() && !run.attempt.is_last() {
        return Err(Failure::ChecksRed(red));
    }
    Ok(ApprovedChange { checked, changes, attention })
}

/// Paths are searched too: a path can leak as much as a line.
fn find_secrets(changes: &[Change], added: &[String], redaction: &Redaction) -> Vec<Finding> {
    let found = changes.iter().zip(added).flat_map(|(change, added)| {
        let rules = redaction.find(&format!("{}\n{added}", change.path));
        rules.into_iter().map(|rule| Finding::Secret { path: change.path.clone(), rule })
    });
    found.collect()
}

/// The lines that a change adds to a file.
async fn added_by(cache: &Cache, change: &Change, limit: usize) -> Result<String, WorkspaceError> {
    let after = content(cache, change.after.as_ref(), limit).await?;
    // What was there before may be larger than what may be published. All lines count as added
    // then.
    let before = content(cache, change.before.as_ref(), limit).await.unwrap_or_default();
    Ok(added(&before, &after))
}

async fn content(
    cache: &Cache,
    entry: Option<&TreeEntry>,
    limit: usize,
) -> Result<String, WorkspaceError> {
    let Some(entry) = entry else { return Ok(String::new()) };
    let content = cache.blob(&entry.id, limit).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// The lines that were nowhere in the file before, in their order.
fn added(before: &str, after: &str) -> String {
    let old: HashSet<&str> = before.lines().collect();
    after.lines().filter(|line| !old.contains(line)).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_not_added() {
        assert_eq!(added("a\nb\n", "b\nc\na\nd"), "c\nd\n");
        assert_eq!(added("", "a"), "a\n");
        assert_eq!(added("a", ""), "");
    }
}
