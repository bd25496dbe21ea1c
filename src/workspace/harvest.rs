//! What a work tree holds, as a tree of git.
//!
//! A directory in, the name of a tree out: nothing else of the workspace is known here, so that the whole of it can
//! move into a sandbox. The directory is not trusted. Its own `.git` is never opened; any other is refused before git
//! looks at the files, since git would run the filters that a nested repository configures (`git add` asks a submodule
//! for its status).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::error::WorkspaceError;
use super::git::Git;
use super::object::TreeId;
use super::path::RepoPath;

/// Which files are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Tracked files and new ones that are not ignored.
    All,
    /// Tracked files only.
    Tracked,
}

/// Writes what `tree` holds into the repository at `git_dir`, by way of the index at `index`, which stays as the memory
/// of what was seen.
///
/// # Errors
/// [`WorkspaceError::NestedRepository`] when there is a `.git`, in any spelling, where git might look into it.
pub(super) async fn harvest(
    git: &Git,
    git_dir: &Path,
    tree: &Path,
    index: &Path,
    scope: Scope,
) -> Result<TreeId, WorkspaceError> {
    refuse_nested_repositories(git, git_dir, tree, index).await?;
    let scope = match scope {
        Scope::All => "--all",
        Scope::Tracked => "--update",
    };
    git.in_repository(git_dir, "add").work_tree(tree, index).argument(scope).output().await?;
    let name = git.in_repository(git_dir, "write-tree").variable("GIT_INDEX_FILE", index).word().await?;
    name.parse().map_err(|_| WorkspaceError::UnexpectedAnswer { command: "write-tree", answer: name })
}

/// Ignored directories may hold repositories, as those of package managers do: git passes over them without a look. One
/// that has a tracked file in it does not count as ignored.
async fn refuse_nested_repositories(
    git: &Git,
    git_dir: &Path,
    tree: &Path,
    index: &Path,
) -> Result<(), WorkspaceError> {
    let root = tree.to_owned();
    let nested = tokio::task::spawn_blocking(move || nested_repositories(&root)).await.map_err(|source| {
        WorkspaceError::Io { action: "look through", path: tree.to_owned(), source: source.into() }
    })??;
    if nested.is_empty() {
        return Ok(());
    }
    // Without the `./` a name could begin with pathspec magic.
    let asked: Vec<Vec<u8>> = nested.iter().map(|entry| [b"./", entry.directory.as_bytes()].concat()).collect();
    let answer = git
        .in_repository(git_dir, "check-ignore")
        .work_tree(tree, index)
        .arguments(["-z", "--stdin"])
        .input(asked.join(&b'\0'))
        .run()
        .await?;
    // 1 says that none is ignored, 128 that one is below a submodule.
    let ignored: BTreeSet<&[u8]> =
        if answer.code == 0 { answer.output.split(|&byte| byte == 0).collect() } else { BTreeSet::new() };
    match nested.into_iter().zip(asked).find(|(_, asked)| !ignored.contains(asked.as_slice())) {
        Some((entry, _)) => Err(WorkspaceError::NestedRepository { path: entry.path }),
        None => Ok(()),
    }
}

/// A `.git` below the root.
#[derive(Debug)]
struct Nested {
    path: RepoPath,
    directory: RepoPath,
}

/// Everything under `root` that git or a file system might take for a `.git`, but for the `.git` of the root itself.
/// Links are not followed.
fn nested_repositories(root: &Path) -> Result<Vec<Nested>, WorkspaceError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WorkspaceError::Io { action: "look through", path, source }
    };
    let mut nested = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        let here = root.join(&directory);
        for entry in std::fs::read_dir(&here).map_err(failed(&here))? {
            let entry = entry.map_err(failed(&here))?;
            let name = entry.file_name();
            let path = directory.join(&name);
            if is_dot_git(&name) {
                if directory.as_os_str().is_empty() && name == ".git" {
                    continue;
                }
                // At the root there is no directory to be ignored: the entry itself is what git is asked about.
                let asked = if directory.as_os_str().is_empty() { &path } else { &directory };
                nested.push(Nested { directory: repo_path(asked), path: repo_path(&path) });
            } else if entry.file_type().map_err(failed(&here))?.is_dir() {
                waiting.push(path);
            }
        }
    }
    nested.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(nested)
}

fn repo_path(path: &Path) -> RepoPath {
    RepoPath::new(path.as_os_str().to_owned().into_vec())
}

/// Whether git, HFS+ or NTFS takes a name for `.git`; as `is_hfs_dotgit` and `is_ntfs_dotgit` of git's own sources have
/// it.
fn is_dot_git(name: &OsStr) -> bool {
    is_hfs_dot_git(name) || is_ntfs_dot_git(name.as_bytes())
}

/// HFS+ folds case and does not see some characters.
fn is_hfs_dot_git(name: &OsStr) -> bool {
    let seen = |character: &char| !matches!(character, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    name.to_str().is_some_and(|name| name.chars().filter(seen).flat_map(char::to_lowercase).eq(".git".chars()))
}

/// NTFS folds case, has the short name `git~1`, does not see blanks and dots at the end, and reads what follows a colon
/// as a stream.
fn is_ntfs_dot_git(name: &[u8]) -> bool {
    let name = name.split(|&byte| matches!(byte, b'\\' | b':')).next().unwrap_or_default();
    let end = name.iter().rposition(|&byte| !matches!(byte, b' ' | b'.')).map_or(0, |last| last + 1);
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
