//! Lock files that a check brings up to date: they become part of the change.
//!
//! An agent that changes a version in `Cargo.toml` or a dependency in `package.json` often leaves
//! the lock file as it was. Setup and build update the file here, so that all checks pass, and the
//! change fails wherever the lock file has to be right already (`cargo build --locked`, `npm ci`).

use super::checkpoint::{PreparedBase, Progress};
use crate::checks::{self, Check, Kind};
use crate::git::{CommitId, RepoPath, TreeId};
use crate::workspace::{Side, Workspace, WorkspaceError};

/// Whether a check updates lock files: setup and build read the manifests.
pub(super) fn may_update(check: &Check) -> bool {
    matches!(check.kind, Kind::Setup | Kind::Build)
}

/// Remembers which lock files a check rewrote on the base: such a file says nothing of the change.
pub(super) async fn remember_rewritten(
    workspace: &Workspace,
    base: &mut PreparedBase,
    check: &Check,
) -> Result<(), WorkspaceError> {
    if !may_update(check) || !has_lock_files(workspace, &base.base.commit).await? {
        return Ok(());
    }
    let before = workspace.cache().tree_at(&base.base.commit).await?;
    let after = workspace.snapshot(Side::Checks).await?;
    for path in lock_files(workspace, &before, &after).await? {
        let path = path.to_string();
        if !base.rewritten_locks.contains(&path) {
            base.rewritten_locks.push(path);
        }
    }
    Ok(())
}

/// The agent's tree with the lock files that the checks of the change rewrote since, and that they
/// did not rewrite on the base. It is the agent's tree itself when there are none.
pub(super) async fn updated(
    workspace: &Workspace,
    base: &PreparedBase,
    Progress { tree: before, commit, .. }: &Progress,
) -> Result<TreeId, WorkspaceError> {
    if !has_lock_files(workspace, commit).await? {
        return Ok(before.clone());
    }
    let after = workspace.snapshot(Side::Checks).await?;
    let mut locks = lock_files(workspace, before, &after).await?;
    locks.retain(|path| !base.rewritten_locks.contains(&path.to_string()));
    if locks.is_empty() {
        return Ok(before.clone());
    }
    workspace.with_files_of(before, &after, &locks).await
}

/// Whether a commit has a lock file. Only one that it has can be rewritten, so no snapshot of the
/// checks' tree is needed where there is none.
async fn has_lock_files(workspace: &Workspace, commit: &CommitId) -> Result<bool, WorkspaceError> {
    let files = workspace.cache().files_at(commit).await?;
    Ok(files.iter().filter_map(RepoPath::as_str).any(checks::is_lock_file))
}

async fn lock_files(
    workspace: &Workspace,
    before: &TreeId,
    after: &TreeId,
) -> Result<Vec<RepoPath>, WorkspaceError> {
    let mut rewritten = workspace.rewritten(before, after).await?;
    rewritten.retain(|path| path.as_str().is_some_and(checks::is_lock_file));
    Ok(rewritten)
}
