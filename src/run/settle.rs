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
use crate::publish::{Labels, Reason, Status};

impl Services {
    /// Tells the issue of the pull request, and ends the task.
    pub(super) async fn settle(&self, claimed: &Claimed, published: Published) -> Disposition {
        let Published { pull_request, red } = published;
        if !red.is_empty() {
            return self.report(claimed, Failure::ChecksRed(red), Some(pull_request.number)).await;
        }
        match self.tell_of(claimed, pull_request.number, &pull_request.url).await {
            Ok(()) => self.recorded(claimed, Disposition::Complete, || {
                let decision = Decision::new(Outcome::Done, None, &Disposition::Complete, None)?;
                self.journal.decide(claimed.id, &decision)?;
                self.end(claimed, &decision)
            }),
            Err(error) => self.report(claimed, error, None).await,
        }
    }

    async fn tell_of(&self, claimed: &Claimed, number: u64, url: &str) -> Result<(), Failure> {
        self.journal.record_pull_request(claimed.id, number, url)?;
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
        let decided = Decision::new(outcome_of(disposition), Some(reason), &disposition, draft)
            .and_then(|decision| self.journal.decide(claimed.id, &decision).map(|()| decision));
        match decided {
            Ok(decision) => self.tell_why(claimed, disposition, &decision).await,
            Err(error) => self.recorded(claimed, disposition, || Err(error)),
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
        let reason = &Reason::Text(detail.clone().unwrap_or_default());
        let draft = *draft;
        let told = match disposition {
            Disposition::Complete | Disposition::Abandon => Ok(()),
            Disposition::RetryAfter(delay) => {
                self.tell(claimed, &Status::Retrying { reason, attempt, delay }, None).await
            }
            Disposition::Cancel => self.tell(claimed, &Status::Cancelled { reason }, None).await,
            Disposition::DeadLetter => {
                let tried = self.tried(claimed);
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
        self.recorded(claimed, disposition, || self.end(claimed, decision))
    }

    /// The lease is lost: whoever receives the message next goes on. Nothing is said, since saying
    /// so would be an act without a right.
    pub(super) fn abandon(&self, claimed: &Claimed) -> Disposition {
        let reason = Failure::LeaseLost.to_string();
        tracing::warn!(run = %claimed.id, task = %claimed.task.key(), reason, "the run is given up");
        self.recorded(claimed, Disposition::Abandon, || {
            let decision =
                Decision::new(Outcome::Abandoned, Some(reason), &Disposition::Abandon, None)?;
            self.journal.decide(claimed.id, &decision)?;
            self.end(claimed, &decision)
        })
    }

    /// What each run of the task failed with before this one.
    fn tried(&self, claimed: &Claimed) -> Vec<Reason> {
        let attempts = self.journal.attempts(&claimed.task.key()).unwrap_or_default();
        attempts
            .into_iter()
            .filter_map(|RunRecord { detail, .. }| detail)
            .map(Reason::Text)
            .collect()
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

    fn end(&self, claimed: &Claimed, decision: &Decision) -> Result<(), JournalError> {
        let outcome = decision.outcome.name();
        let said = decision
            .detail
            .as_ref()
            .map_or_else(|| outcome.to_owned(), |detail| format!("{outcome}: {detail}"));
        let now = Timestamp::now();
        self.journal.end(claimed.id, now)?;
        self.journal.note(claimed.id, &said, now)
    }

    /// A disposition counts once it is recorded.
    fn recorded(
        &self,
        claimed: &Claimed,
        disposition: Disposition,
        record: impl FnOnce() -> Result<(), JournalError>,
    ) -> Disposition {
        match record() {
            Ok(()) => disposition,
            Err(error) => {
                tracing::error!(run = %claimed.id, %error, "how the run ended could not be recorded: its message comes again");
                Disposition::Abandon
            }
        }
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

fn outcome_of(disposition: Disposition) -> Outcome {
    match disposition {
        Disposition::Complete => Outcome::Done,
        Disposition::RetryAfter(_) => Outcome::Retrying,
        Disposition::Cancel => Outcome::Cancelled,
        Disposition::DeadLetter => Outcome::Failed,
        Disposition::Abandon => Outcome::Abandoned,
    }
}
