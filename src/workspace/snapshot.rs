//! Stores the files of a work tree as a tree object.
//!
//! The worker does not trust the directory, and git reads it only in the sandbox. git never opens
//! the tree's own `.git`, because `GIT_DIR` names the cache. The worker refuses every other `.git`
//! before git reads the files: `git add` asks a nested repository for its status, and that runs the
//! filters which the nested repository configures. The worker also refuses what git would silently
//! leave out, such as a named pipe, and what git would read without end.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use gix_validate::path::component;
use gix_validate::path::component::{Error, Options};

use super::cache::Cache;
use super::error::WorkspaceError;
use super::staging::{Files, Staging};
use crate::git::RepoPath;
use crate::git::TreeId;

/// The largest file that a snapshot accepts, in bytes. The gate allows far less. This limit keeps
/// git from reading a larger file at all.
const LARGEST_FILE: u64 = 64 << 20;

/// The largest number of nested repositories and other unusual files in a tree. It is more than
/// package managers leave, where each package may have a `.git`. A tree with more of them would
/// only keep the worker busy.
const MOST_FOREIGN: usize = 10_000;

/// Selects the files that a snapshot takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Tracked files, and new files that are not ignored.
    All,
    /// Tracked files only.
    Tracked,
}

/// Adds the files of the tree to the side's index and writes a tree object into its staging
/// directory. The index remembers the state of the files at the last snapshot, so git reads only
/// those that changed since.
///
/// # Errors
/// [`WorkspaceError::NestedRepository`] when there is a `.git`, in any spelling, where git might
/// open it; [`WorkspaceError::Foreign`] when there is something that is not a file, link or
/// directory; [`WorkspaceError::Unacceptable`] when there are too many of these.
pub(super) async fn snapshot(
    cache: &Cache,
    staging: &Staging,
    scope: Scope,
) -> Result<TreeId, WorkspaceError> {
    refuse_what_is_foreign(cache, staging, scope).await?;
    let all = match scope {
        Scope::All => "--all",
        Scope::Tracked => "--update",
    };
    staging.command(cache, "add", Files::Read).argument(all).output().await?;
    let name = staging.command(cache, "write-tree", Files::Read).word().await?;
    name.parse()
        .map_err(|_| WorkspaceError::UnexpectedAnswer { command: "write-tree", answer: name })
}

/// Refuses nested repositories and unusual files. An ignored directory may contain repositories, as
/// those of package managers do, because git does not enter an ignored directory. A directory that
/// contains a tracked file does not count as ignored.
async fn refuse_what_is_foreign(
    cache: &Cache,
    staging: &Staging,
    scope: Scope,
) -> Result<(), WorkspaceError> {
    let root = staging.files.clone();
    let found = tokio::task::spawn_blocking(move || look_through(&root, scope)).await.map_err(
        |source| WorkspaceError::Io {
            action: "look through",
            path: staging.files.clone(),
            source: source.into(),
        },
    )??;
    if found.is_empty() {
        return Ok(());
    }
    // Without the `./` a name that starts with a colon would be read as pathspec magic
    // (gitglossary(7), "pathspec").
    let asked: Vec<Vec<u8>> =
        found.iter().map(|entry| [b"./", entry.asked.as_bytes()].concat()).collect();
    let answer = staging
        .command(cache, "check-ignore", Files::Read)
        .arguments(["-z", "--stdin"])
        .input(asked.join(&b'\0'))
        .run()
        .await?;
    // The exit code 1 means that git ignores none of the paths, and 128 means a fatal error
    // (git-check-ignore(1), EXIT STATUS), for example because a path is inside a submodule. Both
    // count as "not ignored", so the worker refuses the tree.
    let ignored: BTreeSet<&[u8]> = if answer.code == 0 {
        answer.output.split(|&byte| byte == 0).collect()
    } else {
        BTreeSet::new()
    };
    match found.into_iter().zip(asked).find(|(_, asked)| !ignored.contains(asked.as_slice())) {
        Some((Foreign { path, what: None, .. }, _)) => {
            Err(WorkspaceError::NestedRepository { path })
        }
        Some((Foreign { path, what: Some(what), .. }, _)) => {
            Err(WorkspaceError::Foreign { path, what })
        }
        None => Ok(()),
    }
}

/// A file that a snapshot must not take.
#[derive(Debug)]
struct Foreign {
    path: RepoPath,
    /// The path that the worker asks git about, to learn whether it is ignored.
    asked: RepoPath,
    /// A description of the file. `None` means that it is a `.git`.
    what: Option<&'static str>,
}

/// Returns everything under `root` that git or a file system might treat as a `.git`, except for
/// the `.git` of the root itself. When the snapshot takes new files, it also returns everything
/// that is not an ordinary file.
///
/// The function does not follow symbolic links: `DirEntry::metadata` describes the link itself, and
/// so the walk never leaves `root`.
fn look_through(root: &Path, scope: Scope) -> Result<Vec<Foreign>, WorkspaceError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WorkspaceError::Io { action: "look through", path, source }
    };
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        let here = root.join(&directory);
        for entry in std::fs::read_dir(&here).map_err(failed(&here))? {
            if found.len() > MOST_FOREIGN {
                let why = format!(
                    "it has more than {MOST_FOREIGN} nested repositories, pipes, links or large \
                     files"
                );
                return Err(WorkspaceError::Unacceptable { why });
            }
            let entry = entry.map_err(failed(&here))?;
            let name = entry.file_name();
            let path = directory.join(&name);
            if is_dot_git(&name) {
                if directory.as_os_str().is_empty() && name == ".git" {
                    continue;
                }
                // The worker usually asks whether the directory around the `.git` is ignored. At
                // the root there is no such directory, so it asks about the entry itself.
                let asked = if directory.as_os_str().is_empty() { &path } else { &directory };
                found.push(Foreign { asked: repo_path(asked), path: repo_path(&path), what: None });
                continue;
            }
            let metadata = entry.metadata().map_err(failed(&here))?;
            if metadata.is_dir() {
                waiting.push(path);
            } else if let Some(what) =
                Some(&metadata).filter(|_| scope == Scope::All).and_then(no_ordinary_file)
            {
                found.push(Foreign {
                    asked: repo_path(&path),
                    path: repo_path(&path),
                    what: Some(what),
                });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Returns what a file is when a snapshot must not take it. A file with a second hard link is
/// refused because its content may belong to a file outside of the tree.
fn no_ordinary_file(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        None
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("a device")
    } else if metadata.nlink() > 1 {
        Some("a file with a second name (a hard link)")
    } else if metadata.len() > LARGEST_FILE {
        Some("a file of more than 64 MiB")
    } else {
        None
    }
}

fn repo_path(path: &Path) -> RepoPath {
    RepoPath::new(path.as_os_str().to_owned().into_vec())
}

/// Returns whether git, HFS+ or NTFS treats a name as `.git`, by the rules of `is_hfs_dotgit` and
/// `is_ntfs_dotgit` in git's source code.
///
/// A backslash separates directories on Windows, and gix-validate takes the name of one directory.
fn is_dot_git(name: &OsStr) -> bool {
    let name = name.as_bytes().split(|&byte| byte == b'\\').next().unwrap_or_default();
    let options = Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    matches!(component(name.into(), None, options), Err(Error::DotGitDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_dot_git_is_known() {
        let spellings = [
            ".git",
            ".GIT",
            ".Git",
            "git~1",
            "GIT~1",
            ".git ",
            ".git.",
            ".git. .",
            ".git::$INDEX_ALLOCATION",
            ".git:x",
            ".git\\config",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".gi\u{206f}t",
            ".\u{202a}GIT",
        ];
        for spelling in spellings {
            assert!(is_dot_git(OsStr::new(spelling)), "{spelling:?}");
        }
        for other in [
            ".gitignore",
            ".github",
            ".gitmodules",
            "git",
            "git~2",
            ".gi",
            "x.git",
            "..git",
            ".gít",
            "",
            ".",
            "repo.git",
        ] {
            assert!(!is_dot_git(OsStr::new(other)), "{other:?}");
        }
        assert!(!is_dot_git(OsStr::from_bytes(b".git\xff")));
    }
}
