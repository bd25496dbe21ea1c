//! From a run's failure to what becomes of its delivery: one exhaustive match, no I/O.
//!
//! Every kind of failure is one that somebody acts on. A failure that another try may mend is retried until the last delivery; one that it
//! can't is reported at once. Whatever is not settled stays in the queue.

use std::time::Duration;

use crate::agent::{ModelProblem, Verdict};
use crate::gate::Refusal;
use crate::github::GitHubError;
use crate::journal::JournalError;
use crate::process::ProcessError;
use crate::task::{InvalidTask, RepoName};
use crate::workspace::WorkspaceError;

/// How long a failed task rests before its next delivery, by the number of deliveries so far.
const RETRY_DELAYS: [Duration; 3] = [Duration::from_secs(30), Duration::from_secs(60), Duration::from_secs(120)];

/// The longest a delivery is put off, whatever GitHub asks for: SQS allows no visibility timeout above 12 hours.
const LONGEST_DELAY: Duration = Duration::from_secs(11 * 3600);

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The task is done: the message is deleted.
    Complete,
    /// The message is given back and comes again after this long.
    RetryAfter(Duration),
    /// The user does not want it any more: the message is deleted.
    Cancel,
    /// The failure is final and reported: the message is given back at once until SQS moves it to the dead-letter queue.
    DeadLetter,
    /// The delivery is not ours any more: nothing is touched.
    Abandon,
}

/// Why a run did not end in a pull request that may be merged.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the message is not a task: {0}")]
    InvalidMessage(#[from] InvalidTask),
    #[error("{0} is not on the list of repositories that this worker works on: add it to `repositories` in the configuration")]
    RepositoryNotAllowed(RepoName),
    #[error("the issue was closed")]
    IssueClosed,
    #[error("the label `{0}` was taken off")]
    LabelRemoved(&'static str),
    #[error("{0}")]
    Model(#[from] ModelProblem),
    #[error("the agent did not change the repository: {0}")]
    Agent(Verdict),
    #[error("checks failed that passed before: {}", .0.join(", "))]
    ChecksRed(Vec<String>),
    #[error("the repository's .codingworker.toml can't be used: {0}")]
    RepositoryFile(String),
    #[error("the change was refused: {0}")]
    GateRefused(Refusal),
    #[error("the pull request #{number} for the branch {branch} is {state}: reopen the issue's work by a new branch or a new issue")]
    PullRequestEnded { number: u64, branch: String, state: &'static str },
    #[error("the lease on the message was lost")]
    LeaseLost,
    #[error("the worker was told to stop")]
    Stopped,
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{what}: {source}")]
    Local { what: String, source: std::io::Error },
}
