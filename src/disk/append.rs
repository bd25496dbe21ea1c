//! Appends lines to a file.

use std::io::Write as _;
use std::path::Path;

use super::{DiskError, FileAction};

/// Appends a line to a file, and makes the file when it does not exist. The write happens on a
/// thread that may block, because a slow disk must not delay the renewal of a lease.
///
/// # Errors
/// The file can't be opened or written.
pub async fn append_line(path: &Path, line: &str) -> Result<(), DiskError> {
    let (file, text) = (path.to_owned(), format!("{line}\n"));
    let append = move || {
        let mut file = std::fs::File::options().create(true).append(true).open(file)?;
        file.write_all(text.as_bytes())
    };
    let appended =
        tokio::task::spawn_blocking(append).await.unwrap_or_else(|error| Err(error.into()));
    appended.map_err(DiskError::io(FileAction::Write, path))
}
