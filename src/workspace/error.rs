//! The errors of repositories and work trees. There is one variant for each case that a caller
//! handles in its own way.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::DiskError;
use crate::git::InvalidName;
use crate::git::RepoPath;
use crate::process::ProcessError;

/// Why an operation on a repository or a work tree failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The message does not repeat the address, because it may contain a password.
    #[error(
        "the address of the repository is not usable: write it as https://HOST/OWNER/NAME.git, \
         without a user or a password in it"
    )]
    UnusableAddress,
    #[error(
        "{url} refused the credential: check that GITHUB_TOKEN is valid and may read and write \
         this repository ({detail})"
    )]
    Unauthorized { url: String, detail: String },
    #[error("there is no repository at {url}, or the token may not see it")]
    RepositoryNotFound { url: String },
    #[error(
        "{url} redirects to another address: the repository was renamed or moved, use its new name \
         ({detail})"
    )]
    Moved { url: String, detail: String },
    #[error("{url} has no commits on a default branch: push a first commit")]
    NoCommits { url: String },
    #[error("git refuses what {url} holds, because it is malformed: {detail}")]
    Malformed { url: String, detail: String },
    /// The same command may succeed later.
    #[error("{url} can't be reached: {detail}")]
    Unreachable { url: String, detail: String },
    #[error(
        "branch {branch} was changed at {url} by somebody else since it was last seen ({detail})"
    )]
    StaleRemote { url: String, branch: String, detail: String },
    #[error("{url} refused the push to branch {branch}: {detail}")]
    PushRefused { url: String, branch: String, detail: String },
    #[error("the tree has a git repository inside it, at {path}: it can't be taken in, remove it")]
    NestedRepository { path: RepoPath },
    #[error("{path} is {what}, which can't be taken in: remove it")]
    Foreign { path: RepoPath, what: &'static str },
    #[error(
        "{path} has more than {} MiB, and no larger file can be taken in: remove it",
        limit >> 20
    )]
    LargeFile { path: RepoPath, limit: u64 },
    #[error(
        "what is new in the tree has more than {} MiB, and no more can be taken in: remove files",
        limit >> 20
    )]
    LargeTree { limit: u64 },
    /// The attribute `working-tree-encoding` names an encoding that the content is not in
    /// (gitattributes(5)).
    #[error(
        "git can't store a file in the encoding that `.gitattributes` gives it \
         (`working-tree-encoding`): {detail}"
    )]
    Encoding { detail: String },
    #[error("what the tree holds can't be taken in: {why}")]
    Unacceptable { why: String },
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: String, limit: usize },
    #[error("git {command} took longer than {} s and was stopped", deadline.as_secs())]
    TimedOut { command: &'static str, deadline: Duration },
    #[error("git {command} was killed by signal {signal}")]
    Killed { command: &'static str, signal: i32 },
    #[error("git {command} failed with exit code {code}: {stderr}")]
    Git { command: &'static str, code: i32, stderr: String },
    #[error("git {command} gave an answer that can't be understood: {answer:?}")]
    UnexpectedAnswer { command: &'static str, answer: String },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    #[error("git could not be run")]
    Process(#[from] ProcessError),
    #[error("can't {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl WorkspaceError {
    /// Returns whether whoever wrote the files of a tree can put right what is wrong with them.
    #[must_use]
    pub fn is_about_the_files(&self) -> bool {
        matches!(
            self,
            Self::NestedRepository { .. }
                | Self::Foreign { .. }
                | Self::LargeFile { .. }
                | Self::LargeTree { .. }
                | Self::Encoding { .. }
                | Self::Unacceptable { .. }
        )
    }
}
