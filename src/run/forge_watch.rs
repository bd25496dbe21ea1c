//! Whether the forge can be asked, as all runs of a worker and its poll loop know it.
//!
//! In an outage nobody can ask the forge, or it refuses the worker's credentials. SQS counts every
//! receive, so an outage of minutes would send every waiting task to the dead-letter queue. The
//! worker therefore receives nothing while the forge can't be asked, and a run that is in hand
//! waits. A fault of one repository is no outage: it ends the tasks of that repository alone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::Failure;
use crate::errors;
use crate::github::{GitHub, GitHubError, Token};
use crate::language::Language;
use crate::redaction::Redaction;
use crate::workspace::WorkspaceError;

/// A limit may be lifted early, for example when the token is replaced.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Asks the forge whether it can be asked, and remembers the answer.
#[derive(Debug)]
pub struct ForgeWatch {
    github: GitHub,
    token: Token,
    redaction: Redaction,
    /// What keeps the forge from being asked.
    problem: watch::Sender<Option<String>>,
    /// In which language the problem is told.
    language: Language,
    seen: Mutex<Seen>,
}

/// What runs have seen that a call of the API does not show.
#[derive(Debug, Default)]
struct Seen {
    /// The forge wants no requests before this. A limit may hold for some calls only ("Secondary
    /// rate limits").
    limited_until: Option<Timestamp>,
    /// git could not reach the host of the repositories, which differs from the API's.
    git_fails: bool,
}

impl ForgeWatch {
    /// Watches the forge that `github` asks. A token that is refused is read again from its file.
    #[must_use]
    pub(super) fn new(
        github: GitHub,
        token: Token,
        redaction: Redaction,
        language: Language,
    ) -> Self {
        let (problem, seen) = (watch::Sender::new(None), Mutex::default());
        Self { github, token, redaction, problem, language, seen }
    }

    /// What keeps the forge from being asked, in a sentence, now and whenever that changes.
    #[must_use]
    pub fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.subscribe()
    }

    /// Asks whether the forge can be asked, by a call that needs no repository.
    ///
    /// # Errors
    /// It can't be reached, answers nonsense, refuses the token, or limits the requests.
    pub async fn check(&self) -> Result<(), GitHubError> {
        let answer = self.ask().await;
        let problem = answer.as_ref().err().map(|error| errors::told(error, self.language));
        self.problem.send_if_modified(|now| std::mem::replace(now, problem.clone()) != problem);
        answer
    }

    async fn ask(&self) -> Result<(), GitHubError> {
        let now = Timestamp::now();
        let git_fails = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(until) = seen.limited_until.filter(|until| now < *until) {
                let retry_after = now.duration_until(until).unsigned_abs();
                return Err(GitHubError::RateLimited { retry_after });
            }
            seen.git_fails
        };
        match self.github.check().await {
            Err(GitHubError::Unauthorized { .. }) if self.token.reload(&self.redaction).await => {
                tracing::info!("the token file holds another token: it is used from now on");
                self.github.check().await?;
            }
            answer => answer?,
        }
        if git_fails {
            self.github.check_git().await?;
            self.see(|seen| seen.git_fails = false);
        }
        Ok(())
    }

    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether an outage of the forge is behind a failure. The forge is asked: what fails for one
    /// repository or at one address is no outage.
    pub(super) async fn is_behind(&self, failure: &Failure) -> bool {
        if let Failure::GitHub(GitHubError::RateLimited { retry_after }) = failure {
            let until = add(Timestamp::now(), *retry_after);
            self.see(|seen| seen.limited_until = seen.limited_until.max(Some(until)));
        }
        if let Failure::Workspace(WorkspaceError::Unreachable { .. }) = failure {
            self.see(|seen| seen.git_fails = true);
        }
        let is_suspect = matches!(failure, Failure::GitHub(error) if error.may_be_an_outage())
            || matches!(
                failure,
                Failure::Workspace(
                    WorkspaceError::Unauthorized { .. }
                        | WorkspaceError::Unreachable { .. }
                        | WorkspaceError::TimedOut { .. }
                )
            );
        is_suspect && self.check().await.is_err()
    }
}

/// How long until a forge is asked again that could not be asked.
#[must_use]
pub fn pause_after_refusal(error: &GitHubError, interval: Duration) -> Duration {
    if let GitHubError::RateLimited { retry_after } = error {
        (*retry_after).min(LONGEST_PAUSE)
    } else {
        interval
    }
}

fn add(time: Timestamp, length: Duration) -> Timestamp {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    time.checked_add(length).unwrap_or(Timestamp::MAX)
}
