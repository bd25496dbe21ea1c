//! The directory of one call, outside the tree. It holds the agent's private home, its temporary
//! files, its histories, and the files that tell the agent about the call.
//!
//! The worker makes it anew for each call, so that no file that an agent left there, such as a
//! configuration in its home, influences the next call.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::AgentError;
use crate::disk::remove_tree;

/// The number of bytes that the worker reads from a file that an agent left. It does not read the
/// rest.
const LARGEST_FILE: u64 = 16 << 20;

pub(super) struct CallDir {
    directory: PathBuf,
}

impl CallDir {
    /// Makes the directory anew. The function uses `remove_tree` because an agent may have left
    /// directories that are nested too deep for the standard library to remove.
    pub(super) async fn prepare(scratch: &Path) -> Result<Self, AgentError> {
        let call_dir = Self { directory: scratch.join("agent") };
        remove_tree(&call_dir.directory).await?;
        for directory in [call_dir.home(), call_dir.temporary()] {
            fs::create_dir_all(&directory)
                .map_err(|source| AgentError::Scratch { path: directory, source })?;
        }
        Ok(call_dir)
    }

    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), AgentError> {
        fs::write(path, text)
            .map_err(|source| AgentError::Scratch { path: path.to_owned(), source })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    pub(super) fn prompt(&self) -> PathBuf {
        self.directory.join("prompt.md")
    }

    /// Reads a file that the agent left beside the prompt. Returns an empty text when it is not a
    /// regular file.
    ///
    /// The agent could have put something else there. `O_NOFOLLOW` refuses a symbolic link as the
    /// last part of the path (open(2)). `O_NONBLOCK` keeps the open of a named pipe from waiting
    /// for a writer (fifo(7)). The type is checked on the open file, so the agent can't exchange it
    /// between the check and the read. The limit of the read stops at a sensible size.
    pub(super) fn left(&self, name: &str) -> String {
        let read = || {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = fs::File::from(rustix::fs::open(self.file(name), flags, Mode::empty())?);
            let mut text = String::new();
            if file.metadata()?.is_file() {
                file.take(LARGEST_FILE).read_to_string(&mut text)?;
            }
            io::Result::Ok(text)
        };
        read().unwrap_or_default()
    }

    /// Returns the path of a file beside the prompt.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_an_agent_left_is_read_only_if_it_is_a_plain_file() {
        let scratch = tempfile::tempdir().unwrap();
        let call_dir = CallDir::prepare(scratch.path()).await.unwrap();
        call_dir.write(&call_dir.file("plain"), "text").unwrap();
        std::os::unix::fs::symlink(call_dir.file("plain"), call_dir.file("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            call_dir.file("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        assert_eq!(
            ["plain", "link", "pipe", "none"].map(|name| call_dir.left(name)),
            ["text", "", "", ""]
        );
    }

    /// The standard library keeps every directory level open while it removes a tree, and a process
    /// may usually have 1,024 open files.
    #[tokio::test]
    async fn a_home_that_is_nested_too_deep_for_a_path_is_made_anew() {
        let scratch = tempfile::tempdir().unwrap();
        let call_dir = CallDir::prepare(scratch.path()).await.unwrap();
        let mut directory = fs::File::open(call_dir.home()).unwrap();
        for _ in 0..3_000 {
            rustix::fs::mkdirat(&directory, "deep", Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            directory =
                rustix::fs::openat(&directory, "deep", flags, Mode::empty()).unwrap().into();
        }
        let again = CallDir::prepare(scratch.path()).await.unwrap();
        assert_eq!(fs::read_dir(again.home()).unwrap().count(), 0);
    }
}
