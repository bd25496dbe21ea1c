//! What a run does that others can see: every effect is journaled before it begins and after it
//! ends, and none begins without the lease.

use std::error::Error;

use jiff::Timestamp;

use super::context::RunContext;
use super::{Failure, Services};
use crate::errors;
use crate::journal::{Effect, Stage};
use crate::publish::{self, IssueStatus};
use crate::task::Task;

/// Records that the run reached a stage, and says so on the issue. A forge that can't be told stops
/// nothing.
pub(super) async fn enter_stage(
    services: &Services,
    run: &RunContext,
    stage: Stage,
    text: &str,
) -> Result<(), Failure> {
    services.journal.enter(run.id, stage, text, Timestamp::now()).await?;
    tracing::info!("{text}");
    run.log_line(&format!("{}: {text}", stage.name())).await?;
    let told = match stage {
        Stage::Admit => publish::ToldStage::Accepted,
        Stage::Prepare => publish::ToldStage::Preparing,
        Stage::Implement => publish::ToldStage::Implementing,
        Stage::Check => publish::ToldStage::Checking,
        Stage::Publish => publish::ToldStage::Publishing,
        Stage::Gate | Stage::Settle => return Ok(()),
    };
    let status = IssueStatus::Working { stage: told, attempt: run.attempt.receive_count };
    match announce(services, run, &status).await {
        Err(Failure::GitHub(error)) => {
            let error = errors::chain(&error);
            tracing::warn!(error, "the worker could not tell the issue about the stage");
            Ok(())
        }
        told => told,
    }
}

/// Brings the issue's status comment to `status`.
pub(super) async fn announce(
    services: &Services,
    run: &RunContext,
    status: &IssueStatus<'_>,
) -> Result<(), Failure> {
    let Task { repository, issue_number, .. } = &run.task;
    let announcing = run.publisher.announce(repository, *issue_number, status);
    perform(services, run, Effect::Comment, status.name(), announcing).await
}

/// Carries out an effect that the outside world sees.
///
/// An effect that can't be journaled is not carried out, nor is one whose lease has ended: the
/// machine may have slept since the lease was renewed.
pub(super) async fn perform<T, E: Error + 'static>(
    services: &Services,
    run: &RunContext,
    effect: Effect,
    detail: &str,
    effect_future: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let journal = &services.journal;
    let begun = journal.begin_effect(run.id, effect, detail, Timestamp::now()).await?;
    if !run.lease.is_held(Timestamp::now()) {
        let result = "not done: the lease was lost";
        journal.finish_effect(&begun, result, Timestamp::now()).await?;
        return Err(Failure::LeaseLost);
    }
    let done = effect_future.await;
    let result = match &done {
        Ok(_) => "done".to_owned(),
        Err(error) => errors::chain(error),
    };
    journal.finish_effect(&begun, &result, Timestamp::now()).await?;
    Ok(done?)
}

/// Records something that happened, in the journal, in the run's log and in the worker's.
pub(super) async fn note(services: &Services, run: &RunContext, text: &str) -> Result<(), Failure> {
    services.journal.note(run.id, text, Timestamp::now()).await?;
    tracing::info!("{text}");
    run.log_line(text).await
}
