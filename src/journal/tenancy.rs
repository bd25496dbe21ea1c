//! One worker a data directory: two would work on each other's clones, and each would take the
//! other's runs for a dead worker's.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::JournalError;

const FILE_NAME: &str = "worker.lock";

/// The right to work in a data directory, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Tenancy(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Tenancy {
    /// Takes the lock, which a process that was killed has let go of.
    ///
    /// # Errors
    /// Another worker holds it, or the directory can't be written.
    pub fn take(data_dir: &Path) -> Result<Self, JournalError> {
        let path = data_dir.join(FILE_NAME);
        let unusable = |source| JournalError::Directory { path: data_dir.to_path_buf(), source };
        super::make_directory(data_dir).map_err(unusable)?;
        let file = File::options().create(true).append(true).open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(JournalError::Occupied { path: data_dir.to_path_buf() })
            }
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = Tenancy::take(directory.path()).unwrap();
        let refused = Tenancy::take(directory.path()).unwrap_err();
        assert!(refused.to_string().starts_with("another worker uses "), "{refused}");
        drop(first);
        Tenancy::take(directory.path()).unwrap();
    }
}
