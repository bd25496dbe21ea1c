//! Where git works on a tree that somebody else wrote: beside the repository, inside the sandbox.
//!
//! The repository is only read there. What git makes of the tree goes to a directory of the side's
//! own, and comes over as a pack through a pipe, which is held to a size and to git's strictest
//! rules before the repository has it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::error::WorkspaceError;
use super::git::GitCommand;
use crate::git::{CommitId, TreeId};
use crate::sandbox::FsPolicy;

/// The largest pack that is taken over, in bytes: far more than the gate lets pass.
const LARGEST_PACK: usize = 64 << 20;

/// A tree of files, and what git keeps about it.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) files: PathBuf,
    /// The index, which is the memory of what was seen, and the objects that are not in the
    /// repository yet.
    directory: PathBuf,
}

/// Whether a command changes the files of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Read,
    Written,
}

impl Staging {
    pub(super) fn new(files: PathBuf) -> Self {
        let directory = files.with_extension("staging");
        Self { files, directory }
    }

    pub(super) async fn create(&self) -> Result<(), WorkspaceError> {
        for path in [&self.files, &self.objects()] {
            let made = tokio::fs::create_dir_all(path).await;
            made.map_err(|source| WorkspaceError::Io {
                action: "make the directory",
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    pub(super) fn index(&self) -> PathBuf {
        self.directory.join("index")
    }

    fn objects(&self) -> PathBuf {
        self.directory.join("objects")
    }

    /// A command on the tree, in the sandbox.
    pub(super) fn command<'a>(
        &self,
        cache: &'a Cache,
        name: &'static str,
        files: Files,
    ) -> GitCommand<'a> {
        let repository = cache.directory();
        let mut view = FsPolicy { readable: vec![repository.to_owned()], ..FsPolicy::default() };
        view.writable.push(self.directory.clone());
        match files {
            Files::Read => view.readable.push(self.files.clone()),
            Files::Written => view.writable.push(self.files.clone()),
        }
        cache
            .git()
            .in_repository(repository, name)
            .variable("GIT_WORK_TREE", &self.files)
            .variable("GIT_INDEX_FILE", self.index())
            .variable("GIT_OBJECT_DIRECTORY", self.objects())
            .variable("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted(&repository.join("objects")))
            .confined(view)
    }

    /// Brings a tree that was made here into the repository, whose `base` it has most of its
    /// objects from.
    ///
    /// # Errors
    /// [`WorkspaceError::Unacceptable`] when it is too large, or not what git may be given.
    pub(super) async fn import(
        &self,
        cache: &Cache,
        tree: &TreeId,
        base: &CommitId,
    ) -> Result<(), WorkspaceError> {
        let wanted = format!("{tree}\n^{base}\n");
        if cache.has(tree).await? {
            return Ok(());
        }
        let pack = self
            .command(cache, "pack-objects", Files::Read)
            .arguments(["--revs", "--stdout", "--quiet", "--delta-base-offset"])
            .input(wanted.clone())
            .output_limit(LARGEST_PACK)
            .run()
            .await?;
        if pack.truncated {
            return Err(WorkspaceError::Unacceptable {
                why: format!("what is new in it is more than {} MiB", LARGEST_PACK >> 20),
            });
        }
        if pack.code != 0 {
            return Err(pack.into_error());
        }
        let indexed = cache
            .command("index-pack")
            .arguments(["--stdin", "--strict"])
            .argument(format!("--max-input-size={LARGEST_PACK}"))
            .input(pack.output)
            .run()
            .await?;
        if indexed.code != 0 {
            return Err(WorkspaceError::Unacceptable { why: indexed.complaint() });
        }
        // That all of it came, and not only what was named.
        let whole = cache
            .command("rev-list")
            .arguments(["--objects", "--quiet", "--stdin"])
            .input(wanted)
            .run()
            .await?;
        if whole.code != 0 {
            return Err(WorkspaceError::Unacceptable { why: whole.complaint() });
        }
        let objects = self.objects();
        crate::disk::remove_tree(&objects).await?;
        let made = tokio::fs::create_dir_all(&objects).await;
        made.map_err(|source| WorkspaceError::Io {
            action: "make the directory",
            path: objects,
            source,
        })
    }

    /// The index, for the agent's own git.
    pub(super) async fn copy_index(&self, to: &Path) -> Result<(), WorkspaceError> {
        let copied = tokio::fs::copy(self.index(), to).await;
        copied.map(drop).map_err(|source| WorkspaceError::Io {
            action: "write",
            path: to.to_owned(),
            source,
        })
    }
}

/// A path in a list that colons separate, as `GIT_ALTERNATE_OBJECT_DIRECTORIES` in git(1) has it.
fn quoted(path: &Path) -> OsString {
    let mut quoted = b"\"".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'\n' => quoted.extend(b"\\n"),
            b'"' | b'\\' => quoted.extend([b'\\', byte]),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}
