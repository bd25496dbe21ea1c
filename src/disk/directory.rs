//! Makes directories that no other user of the machine can read.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::{DiskError, FileAction};

/// Makes a directory and its parents with mode 0700. The worker stores issues, sources and logs in
/// it, and no other user of this machine may read those. The function does not change a directory
/// that exists.
///
/// # Errors
/// The operating system does not allow the directory to be made.
pub fn make_private_directory(path: &Path) -> Result<(), DiskError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(DiskError::io(FileAction::MakeDirectory, path))
}
