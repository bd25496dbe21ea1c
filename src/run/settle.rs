//! Settlement: what the issue is told, which labels it bears, and what the journal keeps of the end.
//!
//! A run's end is decided before anybody is told, so that a worker which dies in between says the
//! same after its restart. Invariant: a failure on the way out never loses a published task; what
//! could not be said now is said by the next delivery.

use jiff::Timestamp;

use super::Failure;
use super::context::RunContext;
use super::effects::{announce, enter_stage, perform};
use super::outcome::{self, Disposition};
use super::publish::Published;
use super::services::Services;
use crate::errors;
use crate::journal::{Decision, Effect, JournalError, Outcome, RunRecord, Stage};
use crate::publish::{Labels, PullRequest, Status};

/// Tells the issue about the pull request, and ends the task.
pub(super) async fn settle(
    services: &Services,
    run: &RunContext,
    published: Published,
) -> Disposition {
    let Published { pull_request, red } = published;
    if !red.is_empty() {
        let draft = Some(pull_request.number);
        return settle_failure(services, run, Failure::ChecksRed(red), draft).await;
    }
    match tell_success(services, run, &pull_request).await {
        Ok(()) => {
            let recorded = record_success(services, run).await;
            if_recorded(recorded, Disposition::Complete)
        }
<<<<<<< HEAD
        Err(failure) => settle_failure(services, run, failure, None).await,
    }
}

async fn tell_success(
    services: &Services,
    run: &RunContext,
    pull_request: &PullRequest,
) -> Result<(), Failure> {
    let PullRequest { number, url, .. } = pull_request;
    services.journal.record_pull_request(run.id, *number, url).await?;
    enter_stage(services, run, Stage::Settle, "telling the issue").await?;
    tell(services, run, &Status::Done { number: *number }, Some(Labels::Done)).await
}

async fn record_success(services: &Services, run: &RunContext) -> Result<(), JournalError> {
    let decision = Decision::new(Outcome::Done, None, &Disposition::Complete, None)?;
    services.journal.decide(run.id, &decision).await?;
    end(services, run, &decision).await
}

/// Decides what becomes of a delivery whose run failed, and tells the issue why there is no pull
/// request to merge, and what comes next.
pub(super) async fn settle_failure(
    services: &Services,
    run: &RunContext,
    failure: Failure,
    draft: Option<u64>,
) -> Disposition {
    let disposition = outcome::disposition(&failure, run.attempt);
    let reason = errors::chain(&failure);
    tracing::warn!(reason, ?disposition, "the run failed");
    let decision = Decision::new(outcome_of(disposition), Some(reason), &disposition, draft);
    let decided = match decision {
        Ok(decision) => services.journal.decide(run.id, &decision).await.map(|()| decision),
        Err(error) => Err(error),
    };
    match decided {
        Ok(decision) => tell_decision(services, run, disposition, &decision).await,
        Err(error) => if_recorded(Err(error), disposition),
    }
}

/// Tells the issue what was decided. A forge that can't be told changes nothing of the decision.
pub(super) async fn tell_decision(
    services: &Services,
    run: &RunContext,
    disposition: Disposition,
    decision: &Decision,
) -> Disposition {
    let attempt = run.attempt.receive_count;
    let Decision { detail, draft, .. } = decision;
    let (reason, draft) = (detail.as_deref().unwrap_or_default(), *draft);
    let told = match disposition {
        Disposition::Complete | Disposition::Abandon => Ok(()),
        Disposition::RetryAfter(delay) => {
            tell(services, run, &Status::Retrying { reason, attempt, delay }, None).await
        }
        Disposition::Cancel => tell(services, run, &Status::Cancelled { reason }, None).await,
        Disposition::DeadLetter => {
            let tried = earlier_reasons(services, run).await;
            let status = Status::Failed { reason, tried: &tried, draft };
            tell(services, run, &status, Some(Labels::Failed)).await
=======
        match self.tell_of(claimed, pull_request.number, &pull_request.url).await {
            Ok(()) => {
                let record = async {
                    let decision =
                        Decision::new(Outcome::Done, None, &Disposition::Complete, None)?;
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
            let decision = Decision::new(outcome, Some(reason), &disposition, draft)?;
            self.journal.decide(claimed.id, &decision).await?;
            Ok(decision)
        };
        match decide.await {
            Ok(decision) => self.tell_why(claimed, disposition, &decision).await,
            Err(error) => recorded(claimed, disposition, Err(error)),
>>>>>>> h-journal
        }
    };
    if let Err(error) = told {
        let error = errors::chain(&error);
        tracing::warn!(error, "the worker could not tell the issue how the run ended");
    }
    if_recorded(end(services, run, decision).await, disposition)
}

<<<<<<< HEAD
/// Ends a run whose lease is lost. Nothing is said on the issue: whoever receives the message next
/// goes on, and this worker has no right to speak any more.
pub(super) async fn abandon(services: &Services, run: &RunContext) -> Disposition {
    let reason = errors::chain(&Failure::LeaseLost);
    tracing::warn!(reason, "the worker gives the run up");
    let recorded = async {
        let abandon = Disposition::Abandon;
        let decision = Decision::new(Outcome::Abandoned, Some(reason), &abandon, None)?;
        services.journal.decide(run.id, &decision).await?;
        end(services, run, &decision).await
    };
    if_recorded(recorded.await, Disposition::Abandon)
}

/// What each earlier run of the task failed with.
async fn earlier_reasons(services: &Services, run: &RunContext) -> Vec<String> {
    let attempts = services.journal.attempts(&run.task.key()).await.unwrap_or_default();
    attempts.into_iter().filter_map(|RunRecord { detail, .. }| detail).collect()
}

async fn tell(
    services: &Services,
    run: &RunContext,
    status: &Status<'_>,
    labels: Option<Labels>,
) -> Result<(), Failure> {
    announce(services, run, status).await?;
    let Some(labels) = labels else { return Ok(()) };
    let labeling = run.publisher.label(&run.task.repository, run.task.issue_number, labels);
    perform(services, run, Effect::Label, labels.name(), labeling).await
}
=======
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
                Decision::new(Outcome::Abandoned, Some(reason), &Disposition::Abandon, None)?;
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
>>>>>>> h-journal

async fn end(
    services: &Services,
    run: &RunContext,
    decision: &Decision,
) -> Result<(), JournalError> {
    let outcome = decision.outcome.name();
    let detail = decision.detail.as_ref();
    let text = detail.map_or_else(|| outcome.to_owned(), |detail| format!("{outcome}: {detail}"));
    let now = Timestamp::now();
    services.journal.end(run.id, now).await?;
    services.journal.note(run.id, &text, now).await
}

<<<<<<< HEAD
/// A disposition counts once it is recorded. Without a record the message has to come again.
fn if_recorded(recorded: Result<(), JournalError>, disposition: Disposition) -> Disposition {
    match recorded {
        Ok(()) => disposition,
        Err(error) => {
            let error = errors::chain(&error);
            tracing::error!(
                error,
                "the worker could not record how the run ended: its message comes again"
            );
            Disposition::Abandon
=======
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
>>>>>>> h-journal
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
