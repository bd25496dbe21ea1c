//! Removing a directory that an agent or a build could fill as it liked: without rights to enter,
//! and nested deeper than any path is long.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::DiskError;

/// Removes a directory and everything in it, on a thread that may block. Links are not followed. A
/// directory that does not exist is no error.
///
/// # Errors
/// Something in it can't be removed.
pub async fn remove_tree(directory: &Path) -> Result<(), DiskError> {
    let top = directory.to_owned();
    let removed = tokio::task::spawn_blocking(move || remove_tree_blocking(&top))
        .await
        .unwrap_or_else(|error| Err(error.into()));
    removed.map_err(DiskError::io("remove", directory))
}

/// As [`remove_tree`], for a caller that is on a thread that may block.
///
/// The tree is taken apart at its top: a deeper directory is moved there before it is emptied, so
/// that no path grows long, and no directory is open but the one that is read.
///
/// # Errors
/// Something in it can't be removed.
pub fn remove_tree_blocking(top: &Path) -> io::Result<()> {
    let mut moved = Moved { top, count: 0 };
    let mut waiting = vec![top.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        match enter(&directory) {
            // Another that was moved took its place.
            Err(gone) if gone.kind() == ErrorKind::NotFound => continue,
            entered => entered?,
        }
        let is_top = directory == top;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
            } else if is_top {
                waiting.push(entry.path());
            } else {
                waiting.push(moved.take(&entry.path())?);
            }
        }
        if !is_top {
            fs::remove_dir(&directory)?;
        }
    }
    match fs::remove_dir(top) {
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Builds leave directories that can't be written (Go's module cache is one), and what is in those
/// can't be removed until they can.
fn enter(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

/// Directories on their way up.
struct Moved<'a> {
    top: &'a Path,
    count: u64,
}

impl Moved<'_> {
    /// Where a directory is now. One that is empty gives way to it; others keep their names,
    /// whoever chose them.
    fn take(&mut self, directory: &Path) -> io::Result<PathBuf> {
        enter(directory)?;
        loop {
            self.count += 1;
            let to = self.top.join(self.count.to_string());
            match fs::rename(directory, &to) {
                Ok(()) => return Ok(to),
                Err(taken) if is_taken(&taken) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn check(fill: impl Fn(&Path)) {
        let place = tempfile::tempdir().unwrap();
        let (doomed, outside) = (place.path().join("doomed"), place.path().join("outside"));
        for directory in [&doomed, &outside] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(outside.join("file"), "").unwrap();
        fill(&doomed);
        remove_tree_blocking(&doomed).unwrap();
        remove_tree_blocking(&doomed).unwrap();
        assert!(!doomed.exists() && outside.join("file").exists());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        check(|doomed| {
            fs::create_dir_all(doomed.join("a/b")).unwrap();
            symlink("../outside", doomed.join("link")).unwrap();
            symlink("../../../outside", doomed.join("a/b/link")).unwrap();
        });
    }

    #[test]
    fn the_names_that_things_are_moved_to_may_be_taken() {
        check(|doomed| {
            for path in ["1/a/x", "2/b", "3/1/2/3/4", "4/4/4/4/4/4", "deep/1/deep/5/6/7"] {
                fs::create_dir_all(doomed.join(path)).unwrap();
            }
            fs::write(doomed.join("5"), "").unwrap();
            fs::write(doomed.join("3/1/2/file"), "").unwrap();
            symlink("1", doomed.join("6")).unwrap();
        });
    }

    #[test]
    fn nothing_is_too_deep() {
        check(|doomed| {
            // Made from below, since no path leads so far down.
            let (inner, outer) = (doomed.join("inner"), doomed.join("outer"));
            fs::create_dir(&inner).unwrap();
            for _ in 0..10_000 {
                fs::create_dir(&outer).unwrap();
                fs::rename(&inner, outer.join("a-directory")).unwrap();
                fs::rename(&outer, &inner).unwrap();
            }
        });
    }
}
