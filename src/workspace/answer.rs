//! What git answered, before anybody has understood it.

use super::error::WorkspaceError;

/// The answer of a git command that ran to its end.
pub(super) struct GitAnswer {
    pub(super) name: &'static str,
    pub(super) code: i32,
    pub(super) output: Vec<u8>,
    pub(super) errors: Vec<u8>,
    /// Whether the middle of the output was left out.
    pub(super) truncated: bool,
}

impl GitAnswer {
    /// The error of a command whose exit code nobody could make more of.
    pub(super) fn into_error(self) -> WorkspaceError {
        WorkspaceError::Git { command: self.name, code: self.code, stderr: self.complaint() }
    }

    /// What git wrote to standard error, as text.
    pub(super) fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.errors).trim().to_owned()
    }
}
