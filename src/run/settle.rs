//! Settlement: what the issue is told, which labels it bears, and what the journal keeps of the
//! end.
//!
//! A run's end is decided before anybody is told, so that a worker which dies in between says the
//! same after its restart. Invariant: once the pull request is open, nothing makes the task fail.

use super::Failure;
use super::attempts::{earlier_attempts, reason_of};
use super::context::RunContext;
use super::cut_off::abandon;
use super::effects::{announce, enter_stage, perform};
use super::ending::{end, if_recorded};
use super::outage::{Waiting, outlast};
use super::outcome::{self, Disposition};
use super::publish::Published;
use super::reason::reason;
use super::services::Services;
use crate::errors;
use crate::journal::{Decision, Effect, JournalError, Outcome, Stage};
use crate::publish::{IssueStatus, Labels, NoTest, PullRequest};

/// Tells the issue about the pull request, and ends the task.
pub(super) async fn settle(
    services: &Services,
    run: &RunContext,
    published: Published,
) -> Disposition {
    let (pull_request, not_tested) = match published {
        Published::PullRequest { pull_request, not_tested } => (pull_request, not_tested),
        Published::Red { red, draft } => {
            return settle_failure(services, run, Failure::ChecksRed(red), draft).await;
        }
    };
    let untold = tell_success(services, run, &pull_request, &not_tested).await;
    if matches!(untold, Err(Failure::LeaseLost)) {
        return abandon(services, run).await;
    }
    let recorded = record_success(services, run, untold.err()).await;
    if_recorded(recorded, Disposition::Complete)
}

async fn tell_success(
    services: &Services,
    run: &RunContext,
    pull_request: &PullRequest,
    not_tested: &[NoTest],
) -> Result<(), Failure> {
    let PullRequest { number, url, draft, .. } = pull_request;
    services.journal.record_pull_request(run.id, *number, url).await?;
    enter_stage(services, run, Stage::Settle, "telling the issue").await?;
    // A draft without a red check is one that was not tested, whoever made it.
    let status = if *draft || !not_tested.is_empty() {
        IssueStatus::NotTested { number: *number, draft: *draft, reasons: not_tested }
    } else {
        IssueStatus::Done { number: *number }
    };
    tell_in_the_end(services, run, &status, Some(Labels::Done)).await
}

/// The pull request is what the task asked for, so the task is done, whatever the issue could not
/// be told: it may be locked, or full of comments. The log and `status` say what is missing.
async fn record_success(
    services: &Services,
    run: &RunContext,
    untold: Option<Failure>,
) -> Result<(), JournalError> {
    let mut decision = Decision::new(Outcome::Done, &Disposition::Complete)?;
    if let Some(failure) = untold {
        let error = errors::chain(&failure);
        tracing::warn!(
            error,
            "the pull request is open, but the issue could not be told all of it"
        );
        decision = decision.with_detail(services.config.language.pick(
            format!("the issue could not be told all of it: {error}"),
            format!("Issueに結果のすべてを書き込めませんでした: {error}"),
        ));
    }
    services.journal.decide(run.id, &decision).await?;
    end(services, run.id, &decision).await
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
    let detail = errors::chain(&failure);
    tracing::warn!(reason = detail, next = %disposition, "the run failed");
    let decided = async {
        let decision = Decision::new(outcome_of(disposition), &disposition)?
            .with_detail(detail)
            .with_reason(&reason(&failure, services.config.language))?
            .with_draft(draft);
        services.journal.decide(run.id, &decision).await?;
        Ok(decision)
    };
    match decided.await {
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
    let (reason, draft) = (&reason_of(decision), decision.draft);
    let told = match disposition {
        Disposition::Complete | Disposition::Abandon => Ok(()),
        Disposition::RetryAfter(delay) => {
            tell(services, run, &IssueStatus::Retrying { reason, attempt, delay }, None).await
        }
        Disposition::Cancel => {
            tell_in_the_end(services, run, &IssueStatus::Cancelled { reason }, None).await
        }
        Disposition::DeadLetter => {
            let tried = earlier_attempts(services, &run.task, &run.attempt_record()).await;
            let status = IssueStatus::Failed { reason, tried: &tried, draft };
            tell_in_the_end(services, run, &status, Some(Labels::Failed)).await
        }
    };
    if let Err(error) = told {
        let error = errors::chain(&error);
        tracing::warn!(error, "the worker could not tell the issue how the run ended");
    }
    if_recorded(end(services, run.id, decision).await, disposition)
}

/// Tells the issue the last word on the task. Nobody says it later, so an outage of the forge is
/// waited out.
async fn tell_in_the_end(
    services: &Services,
    run: &RunContext,
    status: &IssueStatus<'_>,
    labels: Option<Labels>,
) -> Result<(), Failure> {
    loop {
        match tell(services, run, status, labels).await {
            Ok(()) => return Ok(()),
            Err(failure) => outlast(services, run, failure, Waiting::ToTell).await?,
        }
    }
}

/// The comment and the labels do not depend on each other: an issue that takes no comment, since it
/// is locked, still gets its label.
async fn tell(
    services: &Services,
    run: &RunContext,
    status: &IssueStatus<'_>,
    labels: Option<Labels>,
) -> Result<(), Failure> {
    let announced = announce(services, run, status).await;
    let Some(labels) = labels else { return announced };
    let labeling = run.publisher.label(&run.task.repository, run.task.issue_number, labels);
    let labeled = perform(services, run, Effect::Label, labels.name(), labeling).await;
    announced.and(labeled)
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
