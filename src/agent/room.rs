//! The directory of one call outside the tree: the agent's private home, its temporary files, histories, and what it is told by file.
//!
//! Made anew for each call, so that nothing an agent left there (a configuration in its home) governs the next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::AgentError;

pub(super) struct Room {
    directory: PathBuf,
}

impl Room {
    pub(super) fn prepare(scratch: &Path) -> Result<Self, AgentError> {
        let room = Self { directory: scratch.join("agent") };
        match fs::remove_dir_all(&room.directory) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(AgentError::Scratch { path: room.directory, source });
            }
            Err(_) | Ok(()) => {}
        }
        for directory in [room.home(), room.temporary()] {
            fs::create_dir_all(&directory).map_err(|source| AgentError::Scratch { path: directory, source })?;
        }
        Ok(room)
    }

    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), AgentError> {
        fs::write(path, text).map_err(|source| AgentError::Scratch { path: path.to_owned(), source })
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

    /// A file beside the prompt.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
