//! Runs git on a tree that somebody else wrote, inside the sandbox.
//!
//! A command there can only read the cache. git writes the objects that it makes from the tree into
//! a directory that belongs to the side. The worker then transfers them into the cache as a pack
//! through a pipe, and checks the size of the pack and git's strictest rules before the cache
//! stores it. A program that gained control of git in the sandbox could therefore not damage the
//! cache.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use super::cache::Cache;
use super::error::WorkspaceError;
use super::git::GitCommand;
use crate::disk::FileAction;
use crate::git::{CommitId, TreeId};
use crate::language::Phrase;
use crate::sandbox::FsPolicy;

/// A tree of files, with the index and the new objects that git keeps for it.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) files: PathBuf,
    /// Holds the index, which remembers the state of the files at the last snapshot, and the
    /// objects that are not in the cache yet.
    directory: PathBuf,
    /// The index that [`Self::give_index`] copied.
    given: OnceLock<IndexDigest>,
}

/// Tells an index from any other file.
#[derive(Debug, PartialEq, Eq)]
struct IndexDigest {
    length: u64,
    sha256: Vec<u8>,
}

impl IndexDigest {
    /// Reads a file of this length, on a thread that may block.
    async fn of(index: &Path, length: u64) -> io::Result<Self> {
        let index = index.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let sha256 = Sha256::digest(fs::read(index)?).to_vec();
            Ok(Self { length, sha256 })
        });
        read.await.unwrap_or_else(|error| Err(error.into()))
    }
}

/// The files of a side as a tree object.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) tree: TreeId,
    /// Whether it leaves out files that programs left behind.
    pub(super) is_without_leftovers: bool,
}

/// Says whether a command may change the files of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Read,
    Written,
}

impl Staging {
    pub(super) fn new(files: PathBuf) -> Self {
        let directory = files.with_extension("staging");
        Self { files, directory, given: OnceLock::new() }
    }

    pub(super) async fn create(&self) -> Result<(), WorkspaceError> {
        for path in [&self.files, &self.objects()] {
            let made = tokio::fs::create_dir_all(path).await;
            made.map_err(|source| WorkspaceError::Io {
                action: FileAction::MakeDirectory,
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

    /// Begins a git command on the tree. The command runs in the sandbox.
    ///
    /// git writes new objects to `GIT_OBJECT_DIRECTORY` and reads the objects of the cache through
    /// `GIT_ALTERNATE_OBJECT_DIRECTORIES`, to which it never writes (git(1)).
    pub(super) fn command<'a>(
        &self,
        cache: &'a Cache,
        name: &'static str,
        files: Files,
    ) -> GitCommand<'a> {
        self.command_with_index(cache, name, files, &self.index())
    }

    /// Begins a git command on the tree as [`Self::command`] does, with another index.
    pub(super) fn command_with_index<'a>(
        &self,
        cache: &'a Cache,
        name: &'static str,
        files: Files,
        index: &Path,
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
            .variable("GIT_INDEX_FILE", index)
            .variable("GIT_OBJECT_DIRECTORY", self.objects())
            .variable("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted(&repository.join("objects")))
            .confined(view)
    }

    /// Imports a tree from the staging directory into the cache. `base` is the commit from which
    /// the tree has most of its objects; the pack leaves those out.
    ///
    /// # Errors
    /// [`WorkspaceError::LargeTree`] when the pack is larger than the cache accepts,
    /// [`WorkspaceError::Unacceptable`] when git's checks refuse an object.
    pub(super) async fn import(
        &self,
        cache: &Cache,
        tree: &TreeId,
        base: &CommitId,
    ) -> Result<(), WorkspaceError> {
        // A commit that is left out does not leave its tree out: git only walks the histories of
        // the commits that it is asked for (git-pack-objects(1), `--revs`), and here is none.
        let wanted = format!("{tree}\n^{base}^{{tree}}\n");
        if cache.has(tree).await? {
            return Ok(());
        }
        let limit = cache.file_limit();
        let largest_pack = usize::try_from(limit).unwrap_or(usize::MAX);
        let pack = self
            .command(cache, "pack-objects", Files::Read)
            .arguments(["--revs", "--stdout", "--quiet", "--delta-base-offset"])
            .input(wanted.clone())
            .output_limit(largest_pack)
            .run()
            .await?;
        if pack.truncated {
            return Err(WorkspaceError::LargeTree { limit });
        }
        if pack.code != 0 {
            return Err(pack.into_error());
        }
        let indexed = cache
            .command("index-pack")
            .arguments(["--stdin", "--strict"])
            .argument(format!("--max-input-size={largest_pack}"))
            .input(pack.output)
            .run()
            .await?;
        if indexed.code != 0 {
            return Err(WorkspaceError::Unacceptable { why: Phrase::same(indexed.complaint()) });
        }
        // `index-pack` checks the objects in the pack. The walk of `rev-list --objects` also fails
        // when an object is missing that the tree refers to, so it shows that the import is
        // complete (git-rev-list(1)).
        let whole = cache
            .command("rev-list")
            .arguments(["--objects", "--quiet", "--stdin"])
            .input(wanted)
            .run()
            .await?;
        if whole.code != 0 {
            return Err(WorkspaceError::Unacceptable { why: Phrase::same(whole.complaint()) });
        }
        let objects = self.objects();
        crate::disk::remove_tree(&objects).await?;
        let made = tokio::fs::create_dir_all(&objects).await;
        made.map_err(|source| WorkspaceError::Io {
            action: FileAction::MakeDirectory,
            path: objects,
            source,
        })
    }

    /// Copies the index to a repository in the tree, whose git then finds no file changed. Returns
    /// its length.
    pub(super) async fn copy_index(&self, to: &Path) -> Result<u64, WorkspaceError> {
        tokio::fs::copy(self.index(), to).await.map_err(failed_to_copy(to))
    }

    /// Copies the index as [`Self::copy_index`] does, once, and remembers it for
    /// [`Self::has_given_index`].
    pub(super) async fn give_index(&self, to: &Path) -> Result<(), WorkspaceError> {
        let length = self.copy_index(to).await?;
        let given = IndexDigest::of(&self.index(), length).await.map_err(failed_to_copy(to))?;
        self.given.get_or_init(|| given);
        Ok(())
    }

    /// Returns whether a file, which is no link and no pipe, is still as [`Self::give_index`] left
    /// it. A file of another length is not read: an agent can make one without end.
    pub(super) async fn has_given_index(&self, file: &Path) -> bool {
        let Some(given) = self.given.get() else { return false };
        match tokio::fs::symlink_metadata(file).await.map(|metadata| metadata.len()) {
            Ok(length) if length == given.length => {
                IndexDigest::of(file, length).await.is_ok_and(|found| found == *given)
            }
            Ok(_) | Err(_) => false,
        }
    }
}

fn failed_to_copy(to: &Path) -> impl FnOnce(io::Error) -> WorkspaceError {
    let path = to.to_owned();
    move |source| WorkspaceError::Io { action: FileAction::Write, path, source }
}

/// Quotes a path for a list that colons separate. git reads an entry of
/// `GIT_ALTERNATE_OBJECT_DIRECTORIES` that starts with a double quote as a C-style quoted path
/// (git(1)), so a colon in it does not end it.
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
