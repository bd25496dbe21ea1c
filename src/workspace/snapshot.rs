//! What a work tree holds, as a tree of git.
//!
//! The directory is not trusted, and git looks at it in the sandbox. Its own `.git` is never
//! opened; any other is refused before git looks at the files, since git would run the filters that
//! a nested repository configures (`git add` asks a submodule for its status). What git would pass
//! over in silence, or read without end, is refused too.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::error::WorkspaceError;
use super::staging::{Files, Staging};
use crate::git::RepoPath;
use crate::git::TreeId;

/// No file that is taken in is larger, in bytes. The gate allows far less; this keeps git from
/// reading it at all.
const LARGEST_FILE: u64 = 64 << 20;

/// More than package managers leave, where each has a `.git`. Whoever makes more wants them to be
/// looked at for ever.
const MOST_FOREIGN: usize = 10_000;

/// Which files are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Tracked files and new ones that are not ignored.
    All,
    /// Tracked files only.
    Tracked,
}

/// Writes what the tree holds into its staging area, through the index that is the memory of what
/// was seen.
///
/// # Errors
/// [`WorkspaceError::NestedRepository`] when there is a `.git`, in any spelling, where git might
/// look into it; [`WorkspaceError::Foreign`] when there is what is no file, link or directory;
/// [`WorkspaceError::Unacceptable`] when there is very much of it.
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

/// Ignored directories may hold repositories, as those of package managers do: git passes over them
/// without a look. One that has a tracked file in it does not count as ignored.
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
    // Without the `./` a name could begin with pathspec magic.
    let asked: Vec<Vec<u8>> =
        found.iter().map(|entry| [b"./", entry.asked.as_bytes()].concat()).collect();
    let answer = staging
        .command(cache, "check-ignore", Files::Read)
        .arguments(["-z", "--stdin"])
        .input(asked.join(&b'\0'))
        .run()
        .await?;
    // 1 says that none is ignored, 128 that one is below a submodule.
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

/// What does not belong into a tree that is taken in.
#[derive(Debug)]
struct Foreign {
    path: RepoPath,
    /// What git is asked about: whether it is ignored.
    asked: RepoPath,
    /// What it is; a `.git` when nothing is said.
    what: Option<&'static str>,
}

/// Everything under `root` that git or a file system might take for a `.git`, but for the `.git` of
/// the root itself; and, where new files are taken in, whatever is no ordinary file. Links are not
/// followed.
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
                // At the root there is no directory to be ignored: the entry itself is what git is
                // asked about.
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

/// Whether git, HFS+ or NTFS takes a name for `.git`; as `is_hfs_dotgit` and `is_ntfs_dotgit` of
/// git's own sources have it.
fn is_dot_git(name: &OsStr) -> bool {
    is_hfs_dot_git(name) || is_ntfs_dot_git(name.as_bytes())
}

/// HFS+ folds case and does not see some characters.
fn is_hfs_dot_git(name: &OsStr) -> bool {
    let is_ignored = |character: &char| {
        matches!(
            character,
            '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
        )
    };
    let seen = |character: &char| !is_ignored(character);
    name.to_str().is_some_and(|name| {
        name.chars().filter(seen).flat_map(char::to_lowercase).eq(".git".chars())
    })
}

/// NTFS folds case, has the short name `git~1`, does not see blanks and dots at the end, and reads
/// what follows a colon as a stream.
fn is_ntfs_dot_git(name: &[u8]) -> bool {
    let name = name.split(|&byte| matches!(byte, b'\\' | b':')).next().unwrap_or_default();
    let end =
        name.iter().rposition(|&byte| !matches!(byte, b' ' | b'.')).map_or(0, |last| last + 1);
    let name = name.get(..end).unwrap_or_default();
    name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1")
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
