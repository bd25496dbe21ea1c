//! The repository that a check finds in its tree.
//!
//! A check may call git: for a version, or to see whether a generated file is up to date. It gets a
//! repository as CI runners have one, with the commit and without a remote. Its history reaches to
//! the nearest tag, where the cache has one.
//!
//! Invariant: git never runs for the worker in the repository that a check could write. The worker
//! makes the repository outside of the tree, and puts a copy of it there.

use std::io;
use std::path::{Path, PathBuf};

use super::Workspace;
use super::error::WorkspaceError;
use crate::disk::{FileAction, remove_tree};
use crate::git::CommitId;

impl Workspace {
    /// Gives the checks' tree a repository whose branch is at `commit`. The tree has to hold the
    /// files of the commit. The one that was there before is removed.
    ///
    /// # Errors
    /// The commit is not in the cache, or the disk can't store the repository.
    pub async fn give_repository(&self, commit: &CommitId) -> Result<(), WorkspaceError> {
        let outside = self.directory.join("checks.repository");
        let git_dir = outside.join(".git");
        if !git_dir.exists() {
            self.init_repository(&outside).await?;
        }
        let depth = self.cache.depth_to_tag(commit).await?;
        self.fetch_into(&git_dir, commit, depth).await?;
        let inside = self.checks.files.join(".git");
        remove_tree(&inside).await?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WorkspaceError::Io { action: FileAction::Copy, path, source }
        };
        let (from, to) = (git_dir.clone(), inside.clone());
        let copied = tokio::task::spawn_blocking(move || copy_directory(&from, &to)).await;
        let copied = copied.map_err(io::Error::from).and_then(|copied| copied);
        copied.map_err(failed(&git_dir))?;
        // With the worker's own index no file looks changed.
        self.checks.copy_index(&inside.join("index")).await.map(drop)
    }
}

/// Copies a directory of files and directories. What git makes has no links in it.
fn copy_directory(from: &Path, to: &PathBuf) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_directory(&source, &target)?;
        } else {
            std::fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
