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

use super::answer::GitAnswer;
use super::cache::Cache;
use super::error::WorkspaceError;
use super::left_out;
use super::staging::{Files, Snapshot, Staging};
use crate::disk::{self, FileAction};
use crate::git::{CommitId, RepoPath};
use crate::language::{Phrase, Text};

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
/// directory; [`WorkspaceError::LargeFile`] when a new or changed file is larger than the cache
/// accepts; [`WorkspaceError::Encoding`] when git can't convert a file as its attributes say;
/// [`WorkspaceError::Unacceptable`] when there are too many unusual files.
pub(super) async fn snapshot(
    cache: &Cache,
    staging: &Staging,
    scope: Scope,
    base: &CommitId,
) -> Result<Snapshot, WorkspaceError> {
    let Sighted { foreign, has_leftovers } = look_around(cache, staging, scope).await?;
    refuse_what_is_foreign(cache, staging, foreign).await?;
    let all = match scope {
        Scope::All => "--all",
        Scope::Tracked => "--update",
    };
    let added = staging.command(cache, "add", Files::Read).argument(all).run().await?;
    if added.code != 0 {
        return Err(explain_add(added));
    }
    let mut is_without_leftovers = false;
    if scope == Scope::All {
        left_out::add_what_the_agent_added(cache, staging, base).await?;
        // After `add --all` the index names only what is in the tree, and submodules, which are
        // never new. Where the tree has no such name, git need not be asked for them.
        is_without_leftovers =
            has_leftovers && left_out::remove_leftovers(cache, staging, base).await?;
    }
    let name = staging.command(cache, "write-tree", Files::Read).word().await?;
    match name.parse() {
        Ok(tree) => Ok(Snapshot { tree, is_without_leftovers }),
        Err(_) => Err(WorkspaceError::UnexpectedAnswer { command: "write-tree", answer: name }),
    }
}

/// Returns the error for a failed `git add`. git converts a file with the attribute
/// `working-tree-encoding` to UTF-8, and refuses content that is not in that encoding
/// (gitattributes(5), "working-tree-encoding"). It names the file in its message.
fn explain_add(answer: GitAnswer) -> WorkspaceError {
    let complaint = answer.complaint();
    let is_about_an_encoding =
        |line: &&str| line.contains("failed to encode '") || line.starts_with("fatal: BOM is ");
    match complaint.lines().find(is_about_an_encoding) {
        Some(line) => {
            let detail = line.trim_start_matches("fatal: ").to_owned();
            WorkspaceError::Encoding { detail }
        }
        None => answer.into_error(),
    }
}

/// Refuses nested repositories and unusual files. An ignored directory may contain repositories, as
/// those of package managers do, because git does not enter an ignored directory. A directory that
/// contains a tracked file does not count as ignored.
async fn refuse_what_is_foreign(
    cache: &Cache,
    staging: &Staging,
    found: Vec<Foreign>,
) -> Result<(), WorkspaceError> {
    if found.is_empty() {
        return Ok(());
    }
    // Without the `./` a name that starts with a colon would be read as pathspec magic
    // (gitglossary(7), "pathspec").
    let found = without_unchanged(cache, staging, found).await?;
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
        Some((Foreign { path, what, .. }, _)) => Err(match what {
            Oddity::Repository => WorkspaceError::NestedRepository { path },
            Oddity::Large => WorkspaceError::LargeFile { path, limit: cache.file_limit() },
            Oddity::NoFile(what) => WorkspaceError::Foreign { path, what },
        }),
        None => Ok(()),
    }
}

async fn look_around(
    cache: &Cache,
    staging: &Staging,
    scope: Scope,
) -> Result<Sighted, WorkspaceError> {
    let (root, limit) = (staging.files.clone(), cache.file_limit());
    tokio::task::spawn_blocking(move || look_through(&root, scope, limit)).await.map_err(
        |source| WorkspaceError::Io {
            action: FileAction::LookThrough,
            path: staging.files.clone(),
            source: source.into(),
        },
    )?
}

/// Passes over large files that nobody changed since the last snapshot. A repository may hold any
/// file; the limit is for what an agent adds.
///
/// `ls-files --modified` compares the content of a file only when its time differs and its size
/// does not, so git reads no file here that is larger than the one in the repository.
async fn without_unchanged(
    cache: &Cache,
    staging: &Staging,
    mut found: Vec<Foreign>,
) -> Result<Vec<Foreign>, WorkspaceError> {
    if !found.iter().any(|entry| entry.what == Oddity::Large) {
        return Ok(found);
    }
    let list = async |which| {
        let command = staging.command(cache, "ls-files", Files::Read);
        let listing = command.arguments(["-z", which]).output().await?;
        Ok::<BTreeSet<RepoPath>, WorkspaceError>(
            listing.split(|&byte| byte == 0).map(|path| RepoPath::new(path.to_vec())).collect(),
        )
    };
    let (tracked, modified) = (list("--cached").await?, list("--modified").await?);
    found.retain(|entry| {
        let is_unchanged = tracked.contains(&entry.path) && !modified.contains(&entry.path);
        entry.what != Oddity::Large || !is_unchanged
    });
    Ok(found)
}

/// What is in a tree, as far as a snapshot has to know.
#[derive(Debug)]
struct Sighted {
    foreign: Vec<Foreign>,
    /// Whether the name of anything is one that programs leave behind.
    has_leftovers: bool,
}

/// A file that a snapshot must not take.
#[derive(Debug)]
struct Foreign {
    path: RepoPath,
    /// The path that the worker asks git about, to learn whether it is ignored.
    asked: RepoPath,
    what: Oddity,
}

/// Why a snapshot must not take a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Oddity {
    /// It is a `.git`.
    Repository,
    /// It has more bytes than the cache accepts.
    Large,
    /// It is no ordinary file. The text says what it is.
    NoFile(Text),
}

/// Returns everything under `root` that git or a file system might treat as a `.git`, except for
/// the `.git` of the root itself. When the snapshot takes new files, it also returns everything
/// that is not an ordinary file.
///
/// The function does not follow symbolic links: `DirEntry::metadata` describes the link itself, and
/// so the walk never leaves `root`.
///
/// On the way it gives the owner the rights that git needs. An agent may leave a directory or a
/// file that nobody may read, and git stores no right except the one to execute.
fn look_through(root: &Path, scope: Scope, limit: u64) -> Result<Sighted, WorkspaceError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WorkspaceError::Io { action: FileAction::LookThrough, path, source }
    };
    let (mut found, mut has_leftovers) = (Vec::new(), false);
    let mut waiting = vec![PathBuf::new()];
    disk::open_up(root).map_err(failed(root))?;
    while let Some(directory) = waiting.pop() {
        let here = root.join(&directory);
        for entry in std::fs::read_dir(&here).map_err(failed(&here))? {
            if found.len() > MOST_FOREIGN {
                let why = Phrase::new(
                    format!(
                        "it has more than {MOST_FOREIGN} nested repositories, pipes, links or \
                         large files"
                    ),
                    format!(
                        "入れ子のリポジトリ、パイプ、リンク、大きなファイルが\
                         {MOST_FOREIGN}個を超えています"
                    ),
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
                let (asked, path) = (repo_path(asked), repo_path(&path));
                found.push(Foreign { asked, path, what: Oddity::Repository });
                continue;
            }
            has_leftovers |= left_out::is_leftover_name(name.as_bytes());
            let metadata = entry.metadata().map_err(failed(&here))?;
            let needed = if metadata.is_dir() { 0o700 } else { 0o400 };
            if metadata.mode() & needed != needed && !metadata.is_symlink() {
                disk::open_up(&root.join(&path)).map_err(failed(&root.join(&path)))?;
            }
            if metadata.is_dir() {
                waiting.push(path);
            } else if let Some(what) = Some(&metadata)
                .filter(|_| scope == Scope::All)
                .and_then(|metadata| no_ordinary_file(metadata, limit))
            {
                found.push(Foreign { asked: repo_path(&path), path: repo_path(&path), what });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Sighted { foreign: found, has_leftovers })
}

/// Returns what a file is when a snapshot must not take it. A file with a second hard link is
/// refused because its content may belong to a file outside of the tree.
fn no_ordinary_file(metadata: &Metadata, limit: u64) -> Option<Oddity> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        None
    } else if kind.is_fifo() {
        Some(Oddity::NoFile(Text { en: "a named pipe", ja: "名前付きパイプ" }))
    } else if kind.is_socket() {
        Some(Oddity::NoFile(Text { en: "a socket", ja: "ソケット" }))
    } else if kind.is_block_device() || kind.is_char_device() {
        Some(Oddity::NoFile(Text { en: "a device", ja: "デバイスファイル" }))
    } else if metadata.nlink() > 1 {
        Some(Oddity::NoFile(Text {
            en: "a file with a second name (a hard link)",
            ja: "別の名前を持つファイル（ハードリンク）",
        }))
    } else if metadata.len() > limit {
        Some(Oddity::Large)
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
