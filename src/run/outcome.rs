//! How a run ends: its failures, and what becomes of its delivery. The mapping is one exhaustive
//! match and does no I/O.
//!
//! Somebody acts on every kind of failure. The worker retries a failure that another try may fix
//! until the last delivery, and reports any other at once. A task that is not settled stays in the
//! queue.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::agent::{AgentError, Verdict};
use crate::disk::DiskError;
use crate::gate::Refusal;
use crate::git::{BranchName, InvalidName};
use crate::github::GitHubError;
use crate::journal::{JournalError, RunId};
use crate::language::Phrase;
use crate::process::ProcessError;
use crate::task::{InvalidTask, RepoName};
use crate::workspace::{LeftOut, WorkspaceError};

/// The longest a delivery is put off, whatever GitHub asks for: SQS allows no visibility timeout
/// above 12 hours.
const LONGEST_DELAY: Duration = Duration::from_secs(11 * 3600);

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// The task is done: the message is deleted.
    Complete,
    /// The message is given back and comes again after this long.
    RetryAfter(Duration),
    /// The user does not want it any more: the message is deleted.
    Cancel,
    /// The failure is final and reported: the message is given back at once until SQS moves it to
    /// the dead-letter queue.
    DeadLetter,
    /// The delivery is not ours any more: nothing is touched.
    Abandon,
}

/// What becomes of the delivery, in words for the log.
impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("the message is deleted: the task is done"),
            Self::RetryAfter(delay) => {
                write!(f, "another try in {} s", delay.as_secs_f64().ceil())
            }
            Self::Cancel => f.write_str("the message is deleted: nobody wants the task any more"),
            Self::DeadLetter => f.write_str("the message goes to the dead-letter queue"),
            Self::Abandon => f.write_str("the message is left to whoever receives it next"),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Nothing when the message was no task of this worker's.
    pub run: Option<RunId>,
    pub disposition: Disposition,
}

/// Why a run did not end in a pull request that may be merged.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the message is not a task")]
    InvalidMessage(#[from] InvalidTask),
    #[error(
        "{0} is not on the list of repositories that this worker works on: add it to \
         `repositories` in the configuration"
    )]
    RepositoryNotAllowed(RepoName),
    #[error("the issue was closed")]
    IssueClosed,
    #[error("the label `{0}` was taken off")]
    LabelRemoved(&'static str),
    #[error(
        "the label was set by {}, who may not decide that: somebody who may write to the \
         repository \
         has to set it (`github.trust`)",
        labeler.as_deref().unwrap_or("nobody that GitHub knows of")
    )]
    Untrusted { labeler: Option<String> },
    #[error(
        "the issue's text is longer than a message holds, and was changed after the issue was \
         labelled: take the label off and set it again to have the new text done"
    )]
    EditedSinceLabeled,
    #[error(
        "nothing of the issue's title and text is visible at GitHub: write what has to be done, \
         and set the label again"
    )]
    NothingVisible,
    #[error("the message was reported as failed before, and waits for the dead-letter queue")]
    AlreadyReported,
    #[error("{0}")]
    Agent(Verdict),
    #[error("the agent changed nothing that can be committed")]
    NothingTaken(LeftOut),
    #[error("checks fail with the change that did not fail so before it: {0}")]
    ChecksRed(RedChecks),
    #[error("the repository's .codingworker.toml can't be used: {}", .0.en)]
    RepositoryFile(Phrase),
    #[error("the change was refused: {0}")]
    GateRefused(Refusal),
    #[error(
        "its pull request #{number} was closed by somebody: set the label again to have the task \
         done anew"
    )]
    PullRequestClosed { number: u64 },
    #[error(
        "too many pull requests of this issue were closed or merged, on {0} and those after it: \
         open a new issue"
    )]
    TooManyBranches(String),
    #[error(
        "the branch {0} holds commits that this worker did not make: they are left as they are; \
         delete or rename the branch to have the task done anew"
    )]
    BranchTaken(BranchName),
    #[error(
        "git can't have the branch {branch} beside the branch {other}: change \
         `publish.branch_prefix`, or delete or rename the branch"
    )]
    BranchInTheWay { branch: BranchName, other: String },
    #[error(
        "{from} is {to} now, which this worker does not work on: add its repository to \
         `repositories` in the configuration, and set the label again"
    )]
    IssueMoved { from: String, to: String },
    #[error("the lease on the message was lost: whoever receives it next goes on")]
    LeaseLost,
    #[error("the work took longer than SQS lets a message be worked on")]
    OutOfTime,
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    AgentCall(#[from] AgentError),
    #[error("the task's branch has no valid name: change `publish.branch_prefix`")]
    BranchName(#[from] InvalidName),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("{}", what.en)]
    Local { what: Phrase, source: std::io::Error },
    #[error("the worker has a fault, please report it: the run panicked with {message:?}")]
    Panicked { message: String },
}

/// The checks that keep a change from being merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedChecks {
    pub(super) commands: Vec<String>,
    /// The tests that fail and the errors that are reported, which were not so on the base.
    pub(super) failures: Vec<String>,
    /// The branch that holds the change, when no pull request does.
    pub(super) branch: Option<String>,
}

impl RedChecks {
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

impl fmt::Display for RedChecks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.commands.join(", "))?;
        match &self.branch {
            Some(branch) => write!(formatter, "; the change is on the branch {branch}"),
            None => Ok(()),
        }
    }
}

/// Where a delivery stands on its way to the dead-letter queue.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// How often the message was received, this time included.
    pub receive_count: u32,
    /// After this many receives SQS moves it to the dead-letter queue; `None` when there is none.
    pub max_receive_count: Option<u32>,
    /// How long the task rests before its next delivery, unless something asks for more.
    pub retry_delay: Duration,
}

impl Attempt {
    /// Whether another delivery follows when this one fails.
    #[must_use]
    pub fn is_last(self) -> bool {
        self.max_receive_count.is_some_and(|most| self.receive_count >= most)
    }
}

/// What becomes of a delivery whose run failed.
#[must_use]
pub(super) fn disposition(failure: &Failure, attempt: Attempt) -> Disposition {
    match remedy(failure) {
        Remedy::Another if attempt.is_last() => Disposition::DeadLetter,
        Remedy::Another => Disposition::RetryAfter(attempt.retry_delay),
        Remedy::Later(delay) => {
            Disposition::RetryAfter(delay.max(attempt.retry_delay).min(LONGEST_DELAY))
        }
        Remedy::None => Disposition::DeadLetter,
        Remedy::Unwanted => Disposition::Cancel,
        Remedy::Elsewhere => Disposition::Abandon,
    }
}

fn remedy(failure: &Failure) -> Remedy {
    match failure {
        Failure::IssueClosed | Failure::LabelRemoved(_) | Failure::PullRequestClosed { .. } => {
            Remedy::Unwanted
        }
        Failure::LeaseLost => Remedy::Elsewhere,
        Failure::InvalidMessage(_)
        | Failure::AlreadyReported
        | Failure::EditedSinceLabeled
        | Failure::NothingVisible
        | Failure::Untrusted { .. }
        | Failure::RepositoryNotAllowed(_)
        | Failure::RepositoryFile(_)
        | Failure::GateRefused(_)
        | Failure::TooManyBranches(_)
        | Failure::BranchTaken(_)
        | Failure::BranchInTheWay { .. }
        | Failure::IssueMoved { .. }
        | Failure::BranchName(_) => Remedy::None,
        Failure::Agent(verdict) => match verdict {
            Verdict::TokenLimit => Remedy::None,
            Verdict::Stopped => Remedy::Elsewhere,
            Verdict::Edited
            | Verdict::NoChange
            | Verdict::MalformedEdits
            | Verdict::ModelUnreachable { .. }
            | Verdict::ModelMissing
            | Verdict::TimedOut
            | Verdict::Failed { .. } => Remedy::Another,
        },
        Failure::GitHub(error) => match error {
            GitHubError::RateLimited { retry_after } => Remedy::Later(*retry_after),
            GitHubError::Deleted { .. } => Remedy::Unwanted,
            GitHubError::NotFound { .. }
            | GitHubError::IssuesDisabled { .. }
            | GitHubError::Moved { .. }
            | GitHubError::Invalid { .. } => Remedy::None,
            GitHubError::NotPermitted => Remedy::Elsewhere,
            GitHubError::UnusableToken
            | GitHubError::Unauthorized { .. }
            | GitHubError::Forbidden { .. }
            | GitHubError::Unavailable { .. }
            | GitHubError::TimedOut { .. }
            | GitHubError::Unreachable { .. }
            | GitHubError::Unexpected { .. } => Remedy::Another,
        },
        Failure::Workspace(error) => match error {
            WorkspaceError::NoCommits { .. }
            | WorkspaceError::RepositoryNotFound { .. }
            | WorkspaceError::Moved { .. }
            | WorkspaceError::UnusableAddress
            | WorkspaceError::InvalidName(_)
            | WorkspaceError::Malformed { .. }
            | WorkspaceError::LargeFile { .. }
            | WorkspaceError::LargeTree { .. }
            | WorkspaceError::Encoding { .. }
            | WorkspaceError::PushRefused { .. } => Remedy::None,
            WorkspaceError::Unauthorized { .. }
            | WorkspaceError::Unreachable { .. }
            | WorkspaceError::StaleRemote { .. }
            | WorkspaceError::NestedRepository { .. }
            | WorkspaceError::Foreign { .. }
            | WorkspaceError::Unacceptable { .. }
            | WorkspaceError::TooLarge { .. }
            | WorkspaceError::TimedOut { .. }
            | WorkspaceError::Killed { .. }
            | WorkspaceError::Git { .. }
            | WorkspaceError::UnexpectedAnswer { .. }
            | WorkspaceError::Process(_)
            | WorkspaceError::Disk(_)
            | WorkspaceError::Io { .. } => Remedy::Another,
        },
        Failure::ChecksRed(_)
        | Failure::NothingTaken(_)
        | Failure::OutOfTime
        | Failure::Process(_)
        | Failure::AgentCall(_)
        | Failure::Journal(_)
        | Failure::Disk(_)
        | Failure::Local { .. }
        | Failure::Panicked { .. } => Remedy::Another,
    }
}

/// Drives `work` to its end. A panic in it becomes a failure, which is recorded and retried like
/// any other: without this the delivery would stay hidden until its visibility timeout ends.
///
/// # Errors
/// [`Failure::Panicked`] with the panic's message.
pub async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    // What the work shares with others is behind locks that are taken over when they are poisoned,
    // or in the journal, whose transactions a panic rolls back.
    let caught = AssertUnwindSafe(work).catch_unwind().await;
    caught.map_err(|panic| Failure::Panicked { message: panic_message(&*panic) })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is no text").to_owned()
}

/// What may fix a failure.
enum Remedy {
    /// Another try, by the same rules.
    Another,
    /// Another try, not before this long.
    Later(Duration),
    /// Nothing that a worker does.
    None,
    /// Nothing has to be fixed: the user took the task back.
    Unwanted,
    /// The task is not ours any more.
    Elsewhere,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: &Failure, receive_count: u32, expected: Disposition) {
        let retry_delay = Duration::from_secs(30 * u64::from(receive_count));
        let attempt = Attempt { receive_count, max_receive_count: Some(3), retry_delay };
        assert_eq!(
            disposition(failure, attempt),
            expected,
            "{failure} at delivery {receive_count}"
        );
    }

    fn retry(seconds: u64) -> Disposition {
        Disposition::RetryAfter(Duration::from_secs(seconds))
    }

    #[test]
    fn what_another_try_may_fix_is_retried_until_the_last_delivery() {
        for failure in [
            Failure::Agent(Verdict::NoChange),
            Failure::Agent(Verdict::MalformedEdits),
            Failure::Agent(Verdict::TimedOut),
            Failure::Agent(Verdict::ModelMissing),
            Failure::ChecksRed(RedChecks {
                commands: vec!["make test".to_owned()],
                ..RedChecks::default()
            }),
            Failure::GitHub(GitHubError::Unavailable { url: "u".to_owned(), status: 502 }),
            Failure::GitHub(GitHubError::Unauthorized {
                url: "u".to_owned(),
                message: "m".to_owned(),
            }),
        ] {
            check(&failure, 1, retry(30));
            check(&failure, 2, retry(60));
            check(&failure, 3, Disposition::DeadLetter);
        }
    }

    #[test]
    fn what_no_try_fixes_is_reported_at_once() {
        for failure in [
            Failure::InvalidMessage(crate::task::Task::decode(b"{}").unwrap_err()),
            Failure::RepositoryNotAllowed("o/r".parse().unwrap()),
            Failure::Agent(Verdict::TokenLimit),
            Failure::Workspace(WorkspaceError::NoCommits { url: "u".to_owned() }),
            Failure::GitHub(GitHubError::NotFound { url: "u".to_owned() }),
            Failure::GitHub(GitHubError::IssuesDisabled { url: "u".to_owned() }),
        ] {
            check(&failure, 1, Disposition::DeadLetter);
        }
    }

    #[test]
    fn what_the_user_took_back_is_cancelled() {
        check(&Failure::IssueClosed, 1, Disposition::Cancel);
        check(&Failure::LeaseLost, 3, Disposition::Abandon);
        check(&Failure::LabelRemoved("ai-task"), 3, Disposition::Cancel);
        let deleted = GitHubError::Deleted { url: "u".to_owned() };
        check(&Failure::GitHub(deleted), 1, Disposition::Cancel);
    }

    #[test]
    fn githubs_limit_is_obeyed_even_on_the_last_delivery() {
        let limited = |seconds| {
            Failure::GitHub(GitHubError::RateLimited { retry_after: Duration::from_secs(seconds) })
        };
        check(&limited(600), 1, retry(600));
        check(&limited(5), 2, retry(60));
        check(&limited(600), 3, retry(600));
        check(&limited(1 << 40), 1, retry(11 * 3600));
    }

    #[test]
    fn without_a_dead_letter_queue_there_is_always_another_delivery() {
        let attempt = Attempt {
            receive_count: 9,
            max_receive_count: None,
            retry_delay: Duration::from_secs(120),
        };
        assert_eq!(disposition(&Failure::Agent(Verdict::NoChange), attempt), retry(120));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_that_is_tried_again() {
        assert_eq!(catch_panic(async { 7 }).await.unwrap(), 7);
        let texts: [fn(); 2] = [|| panic!("constant"), || panic!("formatted {}", 1)];
        for (panics, expected) in texts.into_iter().zip(["constant", "formatted 1"]) {
            let failure = catch_panic(async { panics() }).await.unwrap_err();
            let is_told = matches!(&failure, Failure::Panicked { message } if message == expected);
            assert!(is_told, "{failure:?}");
            check(&failure, 1, retry(30));
        }
    }
}
