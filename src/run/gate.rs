//! The gate: whether a change may be published. The policy judges its paths and sizes, and what it
//! adds is searched for secrets.

use std::sync::LazyLock;

use super::Failure;
use super::check::Checked;
use super::checking::repository_file;
use super::effects::enter_stage;
use super::services::Services;
use crate::agent::Verdict;
use crate::checks;
use crate::gate::attention::{Attention, TestPatterns, attention};
use crate::gate::secret::{self, added_lines};
use crate::gate::{self, ProtectedPaths};
use crate::git::{Change, TreeEntry};
use crate::journal::Stage;
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
    secret::judge(&changes, &added, &services.config.redaction).map_err(Failure::GateRefused)?;
    let added = added.iter().map(String::as_str);
    let attention = attention(changes.iter().zip(added), &TEST_PATTERNS);
    let red = checked.red();
    if !red.is_empty() && !run.attempt.is_last() {
        return Err(Failure::ChecksRed(red));
    }
    Ok(ApprovedChange { checked, changes, attention })
}

/// The lines that a change adds to a file.
async fn added_by(cache: &Cache, change: &Change, limit: usize) -> Result<String, WorkspaceError> {
    let after = content(cache, change.after.as_ref(), limit).await?;
    // What was there before may be larger than what may be published. All lines count as added
    // then.
    let before = content(cache, change.before.as_ref(), limit).await.unwrap_or_default();
    Ok(added_lines(&before, &after))
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
