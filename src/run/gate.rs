//! Whether a change may be published: held against the policy, and searched for secrets in what it
//! adds.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::{Approved, Checked, Failure, Prepared, Services, repository_file};
use crate::agent::Verdict;
use crate::checks;
use crate::gate::attention::{TestPatterns, attention};
use crate::gate::{self, Finding, ProtectedPaths, Refusal};
use crate::git::{Change, Entry};
use crate::journal::Stage;
use crate::redaction::Redaction;
use crate::workspace::{Cache, WorkspaceError};

/// How tests look in the languages that checks know.
static TEST_PATTERNS: LazyLock<TestPatterns> = LazyLock::new(|| {
    TestPatterns::new(checks::test_files(), checks::skip_marks())
        .expect("the patterns are constants that a test compiles")
});

impl Services {
    /// Holds the change against the policy. A red change goes on only when no other delivery could
    /// make it green: as a draft.
    pub(super) async fn approve(&self, checked: Checked) -> Result<Approved, Failure> {
        let Prepared { claimed, ground, workspace, .. } = &checked.prepared;
        self.enter(claimed, Stage::Gate, "holding the change against the policy").await?;
        let changes = workspace.changes(&ground.base.commit, &checked.progress.commit).await?;
        if changes.is_empty() {
            return Err(Failure::Agent(Verdict::NoChange));
        }
        let file = repository_file(workspace.cache(), &ground.base.commit).await?;
        let protected =
            ProtectedPaths::of_repository(&file.gate().protected, &file.gate().unprotected);
        let protected = protected
            .map_err(|error| Failure::RepositoryFile(format!("`gate.protected`: {error}")))?;
        let limits = gate::Limits { protected, ..gate::Limits::default() };
        gate::judge(&changes, &limits).map_err(Failure::GateRefused)?;
        let limit = usize::try_from(limits.size).unwrap_or(usize::MAX);
        let mut added = Vec::new();
        for change in &changes {
            added.push(added_by(workspace.cache(), change, limit).await?);
        }
        let findings = find_secrets(&changes, &added, &self.config.redaction);
        if !findings.is_empty() {
            return Err(Failure::GateRefused(Refusal { findings }));
        }
        let added = added.iter().map(String::as_str);
        let attention = attention(changes.iter().zip(added), &TEST_PATTERNS);
        let red = checked.red();
        if !red.is_empty() && !claimed.attempt.is_last() {
            return Err(Failure::ChecksRed(red));
        }
        Ok(Approved { checked, changes, attention })
    }
}

/// Names count too: a path can carry off as much as a line.
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
    // What was there before may be larger than what may be published, and then all of it counts as
    // new.
    let before = content(cache, change.before.as_ref(), limit).await.unwrap_or_default();
    Ok(added(&before, &after))
}

async fn content(
    cache: &Cache,
    entry: Option<&Entry>,
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
