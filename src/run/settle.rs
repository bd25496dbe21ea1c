//! The end of a run: what the issue is told, which labels it carries, what the journal keeps and what is removed.
//!
//! Invariant: a failure on the way out never makes a published task a lost one; what could not be said is said by the next delivery.

use jiff::Timestamp;

use super::outcome::{self, Disposition, Failure};
use super::{Claimed, Published, Rooms, SCRATCH, TREES};
use crate::github::GitHubError;
use crate::journal::{Outcome, RunRecord, Stage};
use crate::publish::{Labels, PullRequest, Status};

impl Rooms {
    /// Tells the issue of the pull request, and ends the task.
    pub(super) async fn settle(&self, claimed: &Claimed, published: Published) -> Disposition {
        let Published { pull_request, red } = published;
        if !red.is_empty() {
            return self.report(claimed, Failure::ChecksRed(red), Some(&pull_request)).await;
        }
        if let Err(error) = self.enter(claimed, Stage::Settle, "telling the issue").await {
            return self.report(claimed, error, None).await;
        }
        let told = self.tell(claimed, &Status::Done { number: pull_request.number }, Some(Labels::Done)).await;
        match told {
            Ok(()) => self.end(claimed, Outcome::Done, None, Disposition::Complete),
            Err(error) => self.report(claimed, error.into(), None).await,
        }
    }

    /// Tells the issue why there is no pull request to merge, and what comes next.
    pub(super) async fn report(&self, claimed: &Claimed, failure: Failure, draft: Option<&PullRequest>) -> Disposition {
        let disposition = outcome::disposition(&failure, claimed.attempt);
        let reason = failure.to_string();
        tracing::warn!(run = %claimed.id, task = %claimed.task.key(), reason, ?disposition, "the run failed");
        let attempt = claimed.attempt.receive_count;
        let told = match disposition {
            Disposition::Complete | Disposition::Abandon => Ok(()),
            Disposition::RetryAfter(rest) => {
                self.tell(claimed, &Status::Retrying { reason: &reason, attempt, rest }, None).await
            }
            Disposition::Cancel => self.tell(claimed, &Status::Cancelled { reason: &reason }, None).await,
            Disposition::DeadLetter => {
                let tried = self.tried(claimed);
                let draft = draft.map(|pull_request| pull_request.number);
                let status = Status::Failed { reason: &reason, tried: &tried, draft };
                self.tell(claimed, &status, Some(Labels::Failed)).await
            }
        };
        if let Err(error) = told {
            tracing::warn!(run = %claimed.id, %error, "the issue could not be told");
        }
        self.end(claimed, outcome_of(disposition), Some(&reason), disposition)
    }

    /// What each run of the task failed with before this one.
    fn tried(&self, claimed: &Claimed) -> Vec<String> {
        let attempts = self.journal.attempts(&claimed.task.key()).unwrap_or_default();
        attempts.into_iter().filter_map(|RunRecord { detail, .. }| detail).collect()
    }

    async fn tell(&self, claimed: &Claimed, status: &Status<'_>, labels: Option<Labels>) -> Result<(), GitHubError> {
        let (repository, issue) = (&claimed.task.repository, claimed.task.issue_number);
        self.publisher.announce(repository, issue, status).await?;
        match labels {
            Some(labels) => self.publisher.label(repository, issue, labels).await,
            None => Ok(()),
        }
    }

    fn end(&self, claimed: &Claimed, outcome: Outcome, detail: Option<&str>, disposition: Disposition) -> Disposition {
        let said = match detail {
            Some(detail) => format!("{}: {detail}", outcome.name()),
            None => outcome.name().to_owned(),
        };
        let now = Timestamp::now();
        let recorded =
            self.journal.end(claimed.id, outcome, detail, now).and_then(|()| self.journal.note(claimed.id, &said, now));
        match recorded {
            Ok(()) => disposition,
            Err(error) => {
                tracing::error!(run = %claimed.id, %error, "how the run ended could not be recorded: its message comes again");
                Disposition::Abandon
            }
        }
    }

    /// Removes what a run worked in; its log stays, and what the agent made is in the worker's repository.
    pub(super) async fn clear(&self, claimed: &Claimed) {
        for directory in [TREES, SCRATCH] {
            let directory = claimed.directory.join(directory);
            if let Err(error) = crate::workspace::remove_tree(&directory).await {
                tracing::warn!(run = %claimed.id, %error, "the run's directory could not be removed");
            }
        }
    }
}

fn outcome_of(disposition: Disposition) -> Outcome {
    match disposition {
        Disposition::Complete => Outcome::Done,
        Disposition::RetryAfter(_) => Outcome::Retrying,
        Disposition::Cancel => Outcome::Cancelled,
        Disposition::DeadLetter => Outcome::Failed,
        Disposition::Abandon => Outcome::Abandoned,
    }
}
