//! Directories that the worker owns: made private, locked against a second worker, and removed
//! whatever was left in them.

mod append;
mod directory;
mod lock;
mod removal;

use std::io;
use std::path::{Path, PathBuf};

pub use self::append::append_line;
pub use self::directory::make_private_directory;
pub use self::lock::InstanceLock;
pub use self::removal::{open_up, open_up_directories, remove_tree, remove_tree_blocking};

/// Why a directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("can't {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "another worker uses {}: stop it, or give this one a `data_dir` of its own",
        path.display()
    )]
    InUse { path: PathBuf },
}

impl DiskError {
    /// The thread that worked on a path ended without an answer.
    pub fn interrupted(error: tokio::task::JoinError, path: &Path) -> Self {
        Self::io("use", path)(error.into())
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
