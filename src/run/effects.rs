//! What a run does that others can see: every effect is journaled before it begins and after it
//! ends, and none begins without the lease.

use std::error::Error;

use jiff::Timestamp;

use super::context::RunContext;
use super::{Failure, Services};
use crate::errors;
use crate::journal::{Effect, RunId, Stage};
use crate::publish::{self, IssueStatus};

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
    let attempt = run.attempt_record();
    let announcing = run.publisher.announce(&run.task, &attempt, status);
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
    ensure_ours(run).await?;
    let under_lease = async {
        // Writing down that it begins may have taken long, on a slow disk or in a machine that
        // slept.
        if run.lease.is_held(Timestamp::now()) {
            Ok(effect_future.await?)
        } else {
            Err(Failure::LeaseLost)
        }
    };
    perform_journaled(services, run.id, effect, detail, under_lease).await
}

/// Carries out an effect of a run that has no lease any more and nobody takes over.
pub(super) async fn perform_journaled<T>(
    services: &Services,
    run: RunId,
    effect: Effect,
    detail: &str,
    effect_future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let journal = &services.journal;
    let begun = journal.begin_effect(run, effect, detail, Timestamp::now()).await?;
    let done = effect_future.await;
    let result = match &done {
        Ok(_) => "done".to_owned(),
        Err(error) => errors::chain(error),
    };
    journal.finish_effect(&begun, &result, Timestamp::now()).await?;
    done
}

/// Whether the delivery is this run's.
///
/// A machine that slept for longer than its lease goes on under the same receipt handle. SQS takes
/// an old handle for good whoever has the message now, so only the issue tells whether another
/// worker has begun meanwhile.
async fn ensure_ours(run: &RunContext) -> Result<(), Failure> {
    if !run.lease.is_held(Timestamp::now()) {
        run.lease.renew().await?;
    }
    if run.lease.is_doubtful()
        && run.publisher.is_superseded(&run.task, &run.attempt_record()).await?
    {
        return Err(Failure::LeaseLost);
    }
    Ok(())
}

/// Records something that happened, in the journal, in the run's log and in the worker's.
pub(super) async fn note(services: &Services, run: &RunContext, text: &str) -> Result<(), Failure> {
    services.journal.note(run.id, text, Timestamp::now()).await?;
    tracing::info!("{text}");
    run.log_line(text).await
}
