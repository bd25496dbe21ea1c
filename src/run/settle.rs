//! The end of a run: what the issue is told, which labels it carries, what the journal keeps and
//! what is removed.
//!
//! A failure is decided before anybody is told, so that a worker which died in between says the
//! same. Invariant: a failure on the way out never makes a published task a lost one; what could
//! not be said is said by the next delivery.

use jiff::Timestamp;

use super::outcome::{self, Disposition, Failure};
use super::{Claimed, Published, SCRATCH, Services, TREES};
use crate::journal::{Decision, Effect, JournalError, Outcome, RunRecord, Stage};
use crate::publish::{Labels, Status};

impl Services {
    /// Tells the issue of the pull request, and ends the task.
    pub(super) async fn settle(&self, claimed: &Claimed, published: Published) -> Disposition {
        let Published { pull_request, red } = published;
        if !red.is_empty() {
            return self.report(claimed, Failure::ChecksRed(red), Some(pull_request.number)).await;
        }
        match self.tell_of(claimed, pull_request.number, &pull_request.url).await {
            Ok(()) => {
                let record = async {
                    let decision = Decision::new(Outcome::Done, &Disposition::Complete)?;
                    self.journal.decide(claimed.id, &decision).await?;
                    self.end(claimed, &decision).await
                };
                recorded(claimed, Disposition::Complete, record.await)
            }
            Err(error) => self.report(claimed, error, None).await,
        }
    }

    async fn tell_of(&self, claimed: &Claimed, number: u64, url: &str) -> Result<(), Failure> {
        self.journal.record_pull_request(claimed.id, number, url).await?;
        self.enter(claimed, Stage::Settle, "telling the issue").await?;
        self.tell(claimed, &Status::Done { number }, Some(Labels::Done)).await
    }

    /// Decides what becomes of a delivery whose run failed, and tells the issue why there is no
    /// pull request to merge, and what comes next.
    pub(super) async fn report(
        &self,
        claimed: &Claimed,
        failure: Failure,
        draft: Option<u64>,
    ) -> Disposition {
        let disposition = outcome::disposition(&failure, claimed.attempt);
        let reason = failure.to_string();
        tracing::warn!(run = %claimed.id, task = %claimed.task.key(), reason, ?disposition, "the run failed");
        let decide = async {
            let outcome = outcome_of(disposition);
            let decision =
                Decision::new(outcome, &disposition)?.with_detail(reason).with_draft(draft);
            self.journal.decide(claimed.id, &decision).await?;
            Ok(decision)
        };
        match decide.await {
            Ok(decision) => self.tell_why(claimed, disposition, &decision).await,
            Err(error) => recorded(claimed, disposition, Err(error)),
        }
    }

    /// Tells the issue what was decided. That it could not be told changes nothing of it.
    pub(super) async fn tell_why(
        &self,
        claimed: &Claimed,
        disposition: Disposition,
        decision: &Decision,
    ) -> Disposition {
        let attempt = claimed.attempt.receive_count;
        let Decision { detail, draft, .. } = decision;
        let (reason, draft) = (detail.as_deref().unwrap_or_default(), *draft);
        let told = match disposition {
            Disposition::Complete | Disposition::Abandon => Ok(()),
            Disposition::RetryAfter(delay) => {
                self.tell(claimed, &Status::Retrying { reason, attempt, delay }, None).await
            }
            Disposition::Cancel => self.tell(claimed, &Status::Cancelled { reason }, None).await,
            Disposition::DeadLetter => {
                let tried = self.tried(claimed).await;
                self.tell(
                    claimed,
                    &Status::Failed { reason, tried: &tried, draft },
                    Some(Labels::Failed),
                )
                .await
            }
        };
        if let Err(error) = told {
            tracing::warn!(run = %claimed.id, %error, "the issue could not be told");
        }
        recorded(claimed, disposition, self.end(claimed, decision).await)
    }

    /// The lease is lost: whoever receives the message next goes on. Nothing is said, since saying
    /// so would be an act without a right.
    pub(super) async fn abandon(&self, claimed: &Claimed) -> Disposition {
        let reason = Failure::LeaseLost.to_string();
        tracing::warn!(run = %claimed.id, task = %claimed.task.key(), reason, "the run is given up");
        let record = async {
            let decision =
                Decision::new(Outcome::Abandoned, &Disposition::Abandon)?.with_detail(reason);
            self.journal.decide(claimed.id, &decision).await?;
            self.end(claimed, &decision).await
        };
        recorded(claimed, Disposition::Abandon, record.await)
    }

    /// What each run of the task failed with before this one.
    async fn tried(&self, claimed: &Claimed) -> Vec<String> {
        let attempts = self.journal.attempts(&claimed.task.key()).await.unwrap_or_default();
        attempts.into_iter().filter_map(|RunRecord { detail, .. }| detail).collect()
    }

    async fn tell(
        &self,
        claimed: &Claimed,
        status: &Status<'_>,
        labels: Option<Labels>,
    ) -> Result<(), Failure> {
        self.announce(claimed, status).await?;
        let Some(labels) = labels else { return Ok(()) };
        let (repository, issue) = (&claimed.task.repository, claimed.task.issue_number);
        self.perform(
            claimed,
            Effect::Label,
            labels.name(),
            claimed.publisher.label(repository, issue, labels),
        )
        .await
    }

    async fn end(&self, claimed: &Claimed, decision: &Decision) -> Result<(), JournalError> {
        let outcome = decision.outcome.name();
        let said = decision
            .detail
            .as_ref()
            .map_or_else(|| outcome.to_owned(), |detail| format!("{outcome}: {detail}"));
        let now = Timestamp::now();
        self.journal.end(claimed.id, now).await?;
        self.journal.note(claimed.id, &said, now).await
    }

    /// Removes what a run worked in; its log stays, and what the agent made is in the worker's
    /// repository.
    pub(super) async fn clear(&self, claimed: &Claimed) {
        for directory in [TREES, SCRATCH] {
            let directory = claimed.directory.join(directory);
            if let Err(error) = crate::disk::remove_tree(&directory).await {
                tracing::warn!(run = %claimed.id, %error, "the run's directory could not be removed");
            }
        }
    }
}

/// A disposition counts once it is recorded.
fn recorded(
    claimed: &Claimed,
    disposition: Disposition,
    recorded: Result<(), JournalError>,
) -> Disposition {
    match recorded {
        Ok(()) => disposition,
        Err(error) => {
            tracing::error!(run = %claimed.id, %error, "how the run ended could not be recorded: its message comes again");
            Disposition::Abandon
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
