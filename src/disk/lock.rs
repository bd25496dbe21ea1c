//! Allows only one worker for each data directory. Two workers would work in each other's clones,
//! and each would treat the runs of the other as those of a worker that died.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::{DiskError, FileAction, make_private_directory};

const FILE_NAME: &str = "worker.lock";

/// The right to work in a data directory. It ends when this value is dropped or when the process
/// ends for any reason.
#[derive(Debug)]
pub struct InstanceLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl InstanceLock {
    /// Takes the lock of a data directory, and makes the directory when it does not exist.
    ///
    /// The lock is a flock(2) on an open file. The kernel releases it when the process ends, even
    /// after SIGKILL, so no stale lock remains. The file itself stays.
    ///
    /// # Errors
    /// Another worker holds the lock, or the directory can't be written.
    pub fn take(data_dir: &Path) -> Result<Self, DiskError> {
        let path = data_dir.join(FILE_NAME);
        make_private_directory(data_dir)?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(DiskError::io(FileAction::Open, &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(DiskError::InUse { path: data_dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(DiskError::io(FileAction::Lock, &path)(source)),
        }
    }

    /// Returns whether no worker holds the lock of a data directory. The call holds the lock for a
    /// moment, so it is for a directory whose worker is believed to be dead.
    #[must_use]
    pub fn is_free(data_dir: &Path) -> bool {
        match File::open(data_dir.join(FILE_NAME)) {
            Ok(file) => file.try_lock_shared().is_ok(),
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = InstanceLock::take(directory.path()).unwrap();
        let refused = InstanceLock::take(directory.path()).unwrap_err();
        assert!(refused.to_string().starts_with("another worker uses "), "{refused}");
        assert!(!InstanceLock::is_free(directory.path()));
        drop(first);
        assert!(InstanceLock::is_free(directory.path()));
        InstanceLock::take(directory.path()).unwrap();
    }
}
