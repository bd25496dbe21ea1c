//! The name by which people tell a worker from the others on the same queue.
//!
//! It stands on issues that anybody may read, so it is nothing of the machine's own, unless the
//! settings say so.

use std::io::{self, Write as _};
use std::path::Path;

use crate::disk::{DiskError, FileAction};

const FILE_NAME: &str = "worker-name";

/// Returns the name that the worker of a data directory gave itself when it started first.
///
/// # Errors
/// The data directory can't be read or written.
pub(super) fn given(data_dir: &Path) -> Result<String, DiskError> {
    let path = data_dir.join(FILE_NAME);
    match std::fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => return Ok(name.trim().to_owned()),
        Ok(_) => {}
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(DiskError::io(FileAction::Read, &path)(source)),
    }
    let letters: String = (0..4).map(|_| fastrand::lowercase()).collect();
    let name = format!("worker-{letters}");
    let write = || {
        let mut file = std::fs::File::create(&path)?;
        writeln!(file, "{name}")?;
        file.sync_all()
    };
    write().map_err(DiskError::io(FileAction::Write, &path))?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_keeps_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let name = given(directory.path()).unwrap();
        assert!(name.starts_with("worker-") && name.len() == 11, "{name}");
        assert_eq!(given(directory.path()).unwrap(), name);
        std::fs::write(directory.path().join(FILE_NAME), "\n").unwrap();
        assert!(given(directory.path()).unwrap().starts_with("worker-"), "a crash cut it off");
    }
}
