//! The policy on what a commit may change.
//!
//! The module is pure: it judges a list of changes and does no I/O. A refusal lists every finding,
//! not only the first. `workspace` reads the changes. The text of a finding is for the log and
//! `status`; people read `violations.md` of their language in `publish/templates`. Invariant: only
//! a change that passed becomes an [`Approved`].

pub mod attention;
mod conflict;
mod filter;
mod link;
mod protected_path;
pub mod secret;
pub mod settings;
mod size;

use std::fmt;

pub use self::protected_path::ProtectedPaths;
use self::settings::GateSettings;
use crate::git::{Change, RepoPath};

/// A rule that judges a changed file, or the whole change, and finds at most one breach.
type Rule<T> = fn(&T, &ChangeLimits) -> Option<Finding>;

/// The rules on each changed file.
const FILE_RULES: &[Rule<ChangedFile>] = &[
    protected_path::rule,
    link::submodule,
    link::escaping_link,
    filter::rule,
    conflict::rule,
    size::large_binary,
];

/// The rules on the change as a whole.
const CHANGE_RULES: &[Rule<[ChangedFile]>] = &[size::too_many_files, size::too_large];

/// A changed file with everything that the rules judge it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    pub change: Change,
    /// The lines that the change adds. Binary content counts as lines too.
    pub added: String,
    /// How many bytes the change adds: those of the added lines, or of binary content as a whole.
    pub added_size: u64,
    /// The filter that the attributes give to the path (gitattributes(5), `filter`).
    pub filter: Option<String>,
    /// The filter of the path that a renamed file had before.
    pub filter_before: Option<String>,
}

/// The limits of a change, and the paths that it must not touch.
#[derive(Debug, Clone)]
pub struct ChangeLimits {
    pub files: usize,
    /// The largest number of bytes that the change may add.
    pub size: u64,
    /// The largest size of one binary file, in bytes.
    pub binary_size: u64,
    pub protected: ProtectedPaths,
}

impl ChangeLimits {
    /// The limits that the settings give.
    #[must_use]
    pub fn new(settings: &GateSettings, protected: ProtectedPaths) -> Self {
        let GateSettings { files, size, binary_size, .. } = *settings;
        Self { files, size, binary_size, protected }
    }
}

/// Proves that a change passed the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    files: usize,
    size: u64,
}

impl Approved {
    /// Returns how many files the change touches.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// Returns how many bytes the change adds.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Why a change does not pass. It holds at least one finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    pub findings: Vec<Finding>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.findings.iter().enumerate() {
            write!(f, "{}{finding}", if position == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// One rule that the change breaks, with the path and the amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    #[error("{path} is protected by the rule {rule}")]
    ProtectedPath { path: RepoPath, rule: String },
    #[error("{path} adds, changes or removes a submodule, and submodules may not be changed")]
    Submodule { path: RepoPath },
    #[error("{path} is a symbolic link out of the repository")]
    EscapingLink { path: RepoPath },
    #[error("{path} is a binary file of {size} bytes, and the limit is {limit} bytes")]
    LargeBinary { path: RepoPath, size: u64, limit: u64 },
    /// The worker has no filters, so it can't store what the repository expects.
    #[error(
        "{path} is stored through the filter {filter} (`.gitattributes`), which this worker does \
         not have"
    )]
    Filtered { path: RepoPath, filter: String },
    #[error("{path} has the marks of a merge conflict")]
    ConflictMarkers { path: RepoPath },
    /// The message never contains the secret itself.
    #[error("{path} adds what looks like a secret ({rule})")]
    Secret { path: RepoPath, rule: String },
    #[error("{files} files are changed, and the limit is {limit}")]
    TooManyFiles { files: usize, limit: usize },
    #[error("the change adds {size} bytes, and the limit is {limit} bytes")]
    TooLarge { size: u64, limit: u64 },
}

/// Judges everything that a commit changes.
///
/// # Errors
/// Every rule that the change breaks. Findings about single files come first, in the order of the
/// changes.
pub fn judge(files: &[ChangedFile], limits: &ChangeLimits) -> Result<Approved, Refusal> {
    let of_files =
        files.iter().flat_map(|file| FILE_RULES.iter().filter_map(|rule| rule(file, limits)));
    let of_all = CHANGE_RULES.iter().filter_map(|rule| rule(files, limits));
    let findings: Vec<Finding> = of_files.chain(of_all).collect();
    let (count, size) = (files.len(), size::size_of(files));
    if findings.is_empty() {
        Ok(Approved { files: count, size })
    } else {
        Err(Refusal { findings })
    }
}

#[cfg(test)]
mod tests;
