//! Compares the files that `init` should write with what is on the disk, and writes those that
//! differ.
//!
//! Invariant: the program looks at all paths before it writes any file, never writes through a
//! symbolic link, and leaves every file either complete or unchanged.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::errors::Bilingual;

/// The mode of a new file: everybody may read and write it. The kernel removes the bits of the
/// user's umask, as for any new file (umask(2)).
const NEW_FILE_MODE: u32 = 0o666;

/// A file with the content that it should have. The path is relative to the directory that is being
/// set up, and slashes separate its parts.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) text: String,
}

/// A file together with what is now at its path.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: File,
    pub(super) present: Present,
    target: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Present {
    Nothing,
    TheSame,
    /// A file with other content. `mode` holds its permissions.
    Another {
        mode: u32,
    },
}

/// Why the program can't write a file.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum FileError {
    #[error("{} is a symbolic link, and nothing is written through one: remove it, or write the \
             file by hand", .0.display())]
    SymbolicLink(PathBuf),
    #[error("{} is not a directory: move it out of the way", .0.display())]
    NotADirectory(PathBuf),
    #[error("{} is not a file: move it out of the way", .0.display())]
    NotAFile(PathBuf),
    #[error("can't read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("can't write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Bilingual for FileError {
    fn japanese(&self) -> String {
        match self {
            Self::SymbolicLink(path) => format!(
                "{} はシンボリックリンクです。リンク先には書き込みません。\
                 リンクを削除するか、ファイルを手で作成してください",
                path.display()
            ),
            Self::NotADirectory(path) => {
                format!("{} はディレクトリではありません。別の場所に移してください", path.display())
            }
            Self::NotAFile(path) => {
                format!("{} はファイルではありません。別の場所に移してください", path.display())
            }
            Self::Read { path, source: _ } => format!("{} を読み取れません", path.display()),
            Self::Write { path, source: _ } => format!("{} に書き込めません", path.display()),
        }
    }
}

impl Place {
    /// Finds out what is at the path of the file below `directory`.
    ///
    /// # Errors
    /// A part of the path is a symbolic link or has the wrong kind, or the existing file can't be
    /// read.
    pub(super) fn look(directory: &Path, file: File) -> Result<Self, FileError> {
        let target = directory.join(file.path);
        let mut here = directory.to_path_buf();
        for part in Path::new(file.path).parent().into_iter().flat_map(Path::components) {
            here.push(part);
            match kind(&here)? {
                None => return Ok(Self { file, present: Present::Nothing, target }),
                Some(metadata) if metadata.is_dir() => {}
                Some(_) => return Err(FileError::NotADirectory(here)),
            }
        }
        let present = match kind(&target)? {
            None => Present::Nothing,
            Some(metadata) if metadata.is_file() => {
                let read = |source| FileError::Read { path: target.clone(), source };
                if std::fs::read(&target).map_err(read)? == file.text.as_bytes() {
                    Present::TheSame
                } else {
                    Present::Another { mode: metadata.permissions().mode() }
                }
            }
            Some(_) => return Err(FileError::NotAFile(target)),
        };
        Ok(Self { file, present, target })
    }

    /// Returns the path to show to a person, relative to their working directory.
    pub(super) fn path(&self) -> std::path::Display<'_> {
        self.target.strip_prefix(".").unwrap_or(&self.target).display()
    }

    /// Returns whether a file with other content exists at the path.
    pub(super) fn differs(&self) -> bool {
        matches!(self.present, Present::Another { .. })
    }

    /// Writes the file, unless it already has this content. The function writes a temporary file
    /// beside it first and then puts that in its place, so a crash never leaves a part of the
    /// content.
    ///
    /// # Errors
    /// The directory or the file can't be made, or somebody made a file at a path that had none.
    pub(super) fn write(&self) -> Result<(), FileError> {
        let write = |source| FileError::Write { path: self.target.clone(), source };
        let mode = match self.present {
            Present::TheSame => return Ok(()),
            Present::Nothing => NEW_FILE_MODE,
            Present::Another { mode } => mode,
        };
        let parent = self.target.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(write)?;
        let mut temporary = tempfile::Builder::new()
            .prefix(".codingworker-init-")
            .permissions(std::fs::Permissions::from_mode(mode))
            .tempfile_in(parent)
            .map_err(write)?;
        temporary.write_all(self.file.text.as_bytes()).map_err(write)?;
        temporary.as_file().sync_all().map_err(write)?;
        let kept = match self.present {
            Present::Nothing | Present::TheSame => temporary.persist_noclobber(&self.target),
            Present::Another { .. } => temporary.persist(&self.target),
        };
        kept.map(drop).map_err(|error| write(error.error))
    }
}

/// Returns what is at a path, or `None` when nothing is. A symbolic link is an error.
/// `symlink_metadata` describes the link itself and not its target (lstat(2)).
fn kind(path: &Path) -> Result<Option<std::fs::Metadata>, FileError> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Err(FileError::SymbolicLink(path.to_path_buf())),
        Ok(metadata) => Ok(Some(metadata)),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Read { path: path.to_path_buf(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File { path: "a/b.txt", text: text.to_owned() }
    }

    #[test]
    fn a_file_is_written_with_its_directories_and_found_the_same_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::look(directory.path(), file("x")).unwrap();
        assert_eq!(place.present, Present::Nothing);
        place.write().unwrap();
        assert_eq!(Place::look(directory.path(), file("x")).unwrap().present, Present::TheSame);
        assert_eq!(
            std::fs::read_dir(directory.path().join("a")).unwrap().count(),
            1,
            "a temporary file was left"
        );
    }

    #[test]
    fn what_takes_a_files_place_keeps_its_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a/b.txt");
        Place::look(directory.path(), file("x")).unwrap().write().unwrap();
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
        Place::look(directory.path(), file("y")).unwrap().write().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"y");
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_appears_after_the_look_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::look(directory.path(), file("ours")).unwrap();
        std::fs::create_dir(directory.path().join("a")).unwrap();
        std::fs::write(directory.path().join("a/b.txt"), "theirs").unwrap();
        assert!(matches!(place.write(), Err(FileError::Write { .. })));
        assert_eq!(std::fs::read(directory.path().join("a/b.txt")).unwrap(), b"theirs");
    }

    #[test]
    fn a_link_and_a_thing_of_the_wrong_kind_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let look = || Place::look(directory.path(), file("x"));
        let link = directory.path().join("a");
        std::os::unix::fs::symlink(outside.path(), &link).unwrap();
        assert!(matches!(look(), Err(FileError::SymbolicLink(path)) if path == link));
        std::fs::remove_file(directory.path().join("a")).unwrap();
        std::fs::write(directory.path().join("a"), "").unwrap();
        assert!(matches!(look(), Err(FileError::NotADirectory(_))));
        std::fs::remove_file(directory.path().join("a")).unwrap();
        std::fs::create_dir_all(directory.path().join("a/b.txt")).unwrap();
        assert!(matches!(look(), Err(FileError::NotAFile(_))));
        std::fs::remove_dir(directory.path().join("a/b.txt")).unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("a/b.txt")).unwrap();
        assert!(matches!(look(), Err(FileError::SymbolicLink(_))));
    }
}
