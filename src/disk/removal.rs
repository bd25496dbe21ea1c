//! Removes a directory that an agent or a build could fill in any way: with directories that nobody
//! may enter, and with paths longer than the system allows.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{DiskError, FileAction};

/// Removes a directory and everything in it, on a thread that may block. The function removes
/// symbolic links and does not follow them. A directory that does not exist is not an error.
///
/// # Errors
/// Something in the directory can't be removed.
pub async fn remove_tree(directory: &Path) -> Result<(), DiskError> {
    let top = directory.to_owned();
    let removed = tokio::task::spawn_blocking(move || remove_tree_blocking(&top))
        .await
        .unwrap_or_else(|error| Err(error.into()));
    removed.map_err(DiskError::io(FileAction::Remove, directory))
}

/// Does the same as [`remove_tree`], for a caller that is already on a thread that may block.
///
/// The kernel refuses a path of more than `PATH_MAX` bytes (`path_resolution(7)`), and a walk that
/// keeps every level open runs out of file descriptors. So the function first moves each deeper
/// directory directly below `top`, and then empties it there. No path becomes long, and only the
/// directory that is being read is open.
///
/// # Errors
/// Something in the directory can't be removed.
pub fn remove_tree_blocking(top: &Path) -> io::Result<()> {
    let mut moved = Moved { top, count: 0 };
    let mut waiting = vec![top.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        match enter(&directory) {
            // Another directory was moved to this name while this one waited, so this one was an
            // empty directory that rename(2) replaced.
            Err(gone) if gone.kind() == ErrorKind::NotFound => continue,
            entered => entered?,
        }
        let is_top = directory == top;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            // `file_type` does not follow a symbolic link, so a link to a directory is removed as a
            // file.
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

/// Gives the owner of a directory all rights on it, and the owner of any other file the right to
/// read it, when they do not have them. Symbolic links are followed, so the caller names none.
///
/// # Errors
/// The rights can't be read or set.
pub fn open_up(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    let (mode, needed) =
        (metadata.permissions().mode(), if metadata.is_dir() { 0o700 } else { 0o400 });
    if mode & needed == needed {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode((mode | needed) & 0o7777))
}

/// Gives the owner all rights on every directory of a tree. Symbolic links are not followed.
///
/// # Errors
/// The rights can't be read or set, or a directory can't be read.
pub fn open_up_directories(top: &Path) -> io::Result<()> {
    let mut waiting = vec![top.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        open_up(&directory)?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Gives the owner all rights on a directory. Builds leave directories that are not writable, as Go
/// does in its module cache, and removing an entry requires the right to write the directory that
/// contains it (unlink(2)).
fn enter(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

/// Moves directories to the top of the tree.
struct Moved<'a> {
    top: &'a Path,
    count: u64,
}

impl Moved<'_> {
    /// Moves a directory below `top` and returns its new path. An agent may have used the same
    /// numbers as names, so the function tries numbers until one works: rename(2) replaces an empty
    /// directory and refuses any other entry.
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
            // The tree is built from its deepest directory up, because no path can reach so deep.
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
