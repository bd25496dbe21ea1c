//! Directories that no other user of the machine may read.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::DiskError;

/// Makes a directory and its parents with mode 0700. The worker keeps issues, sources and logs in
/// it, which no other user of this machine may read. A directory that exists stays as it is.
///
/// # Errors
/// The system does not let it be made.
pub fn make_private_directory(path: &Path) -> Result<(), DiskError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(DiskError::io("make the directory", path))
}
