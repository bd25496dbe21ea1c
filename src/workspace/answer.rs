//! The raw answer of a git command, before a caller interprets it.

use super::error::WorkspaceError;

/// The answer of a git command that ran to its end.
pub(super) struct GitAnswer {
    pub(super) name: &'static str,
    pub(super) code: i32,
    pub(super) output: Vec<u8>,
    pub(super) errors: Vec<u8>,
    /// Whether the output was longer than the limit, so that its middle is missing.
    pub(super) truncated: bool,
}

impl GitAnswer {
    /// Makes the general error for a command that failed in a way no caller recognized.
    pub(super) fn into_error(self) -> WorkspaceError {
        WorkspaceError::Git { command: self.name, code: self.code, stderr: self.complaint() }
    }

    /// Returns what git wrote to standard error, as text without blanks around it.
    pub(super) fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.errors).trim().to_owned()
    }
}
