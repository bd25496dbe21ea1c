//! The directory of one call outside the tree: the agent's private home, its temporary files,
//! histories, and what it is told by file.
//!
//! Made anew for each call, so that nothing an agent left there (a configuration in its home)
//! governs the next.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::AgentError;

/// More than this of what an agent left is not read, in bytes.
const LARGEST_FILE: u64 = 16 << 20;

pub(super) struct CallDir {
    directory: PathBuf,
}

impl CallDir {
    pub(super) fn prepare(scratch: &Path) -> Result<Self, AgentError> {
        let room = Self { directory: scratch.join("agent") };
        match fs::remove_dir_all(&room.directory) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(AgentError::Scratch { path: room.directory, source });
            }
            Err(_) | Ok(()) => {}
        }
        for directory in [room.home(), room.temporary()] {
            fs::create_dir_all(&directory)
                .map_err(|source| AgentError::Scratch { path: directory, source })?;
        }
        Ok(room)
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

    /// What the agent left in a file beside the prompt; nothing when it is no plain file of a
    /// sensible size. The agent could have put a link, a pipe that nobody writes to, or gigabytes
    /// there.
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

    /// A file beside the prompt.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_left_is_read_only_if_it_is_a_plain_file() {
        let scratch = tempfile::tempdir().unwrap();
        let room = CallDir::prepare(scratch.path()).unwrap();
        room.write(&room.file("plain"), "text").unwrap();
        std::os::unix::fs::symlink(room.file("plain"), room.file("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            room.file("pipe"),
            rustix::fs::FileType::Fifo,
            Mode::RWXU,
            0,
        )
        .unwrap();
        assert_eq!(
            ["plain", "link", "pipe", "none"].map(|name| room.left(name)),
            ["text", "", "", ""]
        );
    }
}
