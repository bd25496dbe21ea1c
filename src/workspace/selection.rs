//! Carries some of the files that a check rewrote over to another tree.

use super::Workspace;
use super::cache::Cache;
use super::changes;
use super::error::WorkspaceError;
use crate::git::{ChangeStatus, RepoPath, TreeId};

impl Workspace {
    /// Returns the files that both trees have, with a different content in each.
    ///
    /// # Errors
    /// One of the trees is not in the cache.
    pub async fn rewritten(
        &self,
        before: &TreeId,
        after: &TreeId,
    ) -> Result<Vec<RepoPath>, WorkspaceError> {
        if before == after {
            return Ok(Vec::new());
        }
        let changes = changes::differences(self.cache(), before.as_str(), after.as_str()).await?;
        let rewritten =
            changes.into_iter().filter(|change| change.status == ChangeStatus::Modified);
        Ok(rewritten.map(|change| change.path).collect())
    }

    /// Returns the tree of `onto` with these files as they are in the tree `from`, which has all of
    /// them.
    ///
    /// # Errors
    /// One of the trees is not in the cache, or the disk can't store the new one.
    pub async fn with_files_of(
        &self,
        onto: &TreeId,
        from: &TreeId,
        files: &[RepoPath],
    ) -> Result<TreeId, WorkspaceError> {
        let entries = entries(self.cache(), from, files).await?;
        self.with_entries(onto, entries).await
    }
}

/// Returns the entries of files as `git ls-tree -z` prints them, which is a form that `git
/// update-index --index-info` reads (git-update-index(1), "USING --INDEX-INFO").
async fn entries(
    cache: &Cache,
    tree: &TreeId,
    files: &[RepoPath],
) -> Result<Vec<u8>, WorkspaceError> {
    let listing = cache
        .command("ls-tree")
        .arguments(["-r", "-z", "--full-tree", tree.as_str()])
        .output()
        .await?;
    let is_wanted = |entry: &&[u8]| {
        let path = entry.splitn(2, |&byte| byte == b'\t').nth(1);
        path.is_some_and(|path| files.iter().any(|file| file.as_bytes() == path))
    };
    let wanted = listing.split(|&byte| byte == 0).filter(is_wanted);
    Ok(wanted.flat_map(|entry| [entry, b"\0"].concat()).collect())
}
