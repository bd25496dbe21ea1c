//! Directories that the worker owns: made private, locked against a second worker, and removed
//! whatever was left in them.

mod append;
mod directory;
mod lock;
mod removal;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use self::append::append_line;
pub use self::directory::make_private_directory;
pub use self::lock::InstanceLock;
pub use self::removal::{open_up, open_up_directories, remove_tree, remove_tree_blocking};
use crate::errors::Bilingual;

/// What could not be done with a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileAction {
    Use,
    Open,
    Read,
    Write,
    Copy,
    Remove,
    Lock,
    Unlock,
    MakeDirectory,
    LookThrough,
}

impl FileAction {
    /// What stands after the path in a Japanese sentence.
    #[must_use]
    pub fn japanese(self) -> &'static str {
        match self {
            Self::Use => "を使用できません",
            Self::Open => "を開けません",
            Self::Read => "を読み取れません",
            Self::Write => "に書き込めません",
            Self::Copy => "をコピーできません",
            Self::Remove => "を削除できません",
            Self::Lock => "をロックできません",
            Self::Unlock => "のロックを解除できません",
            Self::MakeDirectory => "（ディレクトリ）を作成できません",
            Self::LookThrough => "の中を調べられません",
        }
    }
}

impl fmt::Display for FileAction {
    /// The words after "can't", before the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Use => "use",
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Copy => "copy",
            Self::Remove => "remove",
            Self::Lock => "lock",
            Self::Unlock => "take the locks away in",
            Self::MakeDirectory => "make the directory",
            Self::LookThrough => "look through",
        })
    }
}

/// Why a directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("can't {action} {}", path.display())]
    Io { action: FileAction, path: PathBuf, source: io::Error },
    #[error(
        "another worker uses {}: stop it, or give this one a `data_dir` of its own",
        path.display()
    )]
    InUse { path: PathBuf },
}

impl Bilingual for DiskError {
    fn japanese(&self) -> String {
        match self {
            Self::Io { action, path, source: _ } => {
                format!("{} {}", path.display(), action.japanese())
            }
            Self::InUse { path } => format!(
                "{} は別のワーカーが使用しています。そのワーカーを停止するか、\
                 このワーカーに別の `data_dir` を設定してください",
                path.display()
            ),
        }
    }
}

impl DiskError {
    /// The thread that worked on a path ended without an answer.
    pub fn interrupted(error: tokio::task::JoinError, path: &Path) -> Self {
        Self::io(FileAction::Use, path)(error.into())
    }

    pub(crate) fn io(action: FileAction, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
