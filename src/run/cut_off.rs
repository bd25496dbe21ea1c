//! A run that is cut off: its lease is lost, or was over before the worker came back.
//!
//! Whoever receives the message next goes on with the task, and this worker has no right to speak.
//! Only when SQS delivered the message for the last time does this worker tell the issue, since
//! nobody else would.

use super::Failure;
use super::attempts::earlier_attempts;
use super::context::RunContext;
use super::effects::perform_journaled;
use super::ending::{end, if_recorded};
use super::outcome::{Attempt, Disposition};
use super::services::Services;
use crate::errors;
use crate::journal::{Decision, Effect, JournalError, Outcome, RunId, Unreleased};
use crate::publish::{AttemptRecord, IssueStatus, Labels, Reason, TASK_LABEL};
use crate::task::Task;

/// Ends a run whose lease is lost.
pub(super) async fn abandon(services: &Services, run: &RunContext) -> Disposition {
    let cut_off = CutOff {
        run: run.id,
        task: &run.task,
        attempt: run.attempt,
        record: run.attempt_record(),
        why: errors::chain(&Failure::LeaseLost),
        reason: Reason::LeaseLost,
    };
    tracing::warn!(reason = cut_off.why, "the worker gives the run up");
    if let Err(failure) = cut_off.tell(services).await {
        log_untold(&failure);
    }
    if_recorded(cut_off.end(services).await, Disposition::Abandon)
}

/// Ends a run that a worker before this one left, and whose lease is over.
///
/// # Errors
/// Nobody else tells the issue, and an outage of the forge keeps this worker from it; or the
/// journal can't be written.
pub async fn give_up(
    services: &Services,
    left: &Unreleased,
    attempt: Attempt,
) -> Result<(), Failure> {
    let Ok(task) = Task::decode(left.delivery.body.as_bytes()) else {
        // It was a task when the run began, so another version wrote it. There is no issue to tell.
        return Ok(());
    };
    let record = AttemptRecord {
        worker: services.worker_name.clone(),
        attempt: attempt.receive_count,
        received_at: left.delivery.received_at,
        reason: None,
    };
    let why = "the worker was stopped or died, and the lease ended before it came back".to_owned();
    let reason = Reason::CutOff;
    let cut_off = CutOff { run: left.run, task: &task, attempt, record, why, reason };
    match cut_off.tell(services).await {
        Ok(()) => {}
        Err(failure) if services.forge.is_behind(&failure).await => return Err(failure),
        Err(failure) => log_untold(&failure),
    }
    Ok(cut_off.end(services).await?)
}

fn log_untold(failure: &Failure) {
    let error = errors::chain(failure);
    tracing::warn!(error, "the worker could not tell the issue how the run ended");
}

/// A run that lost its lease, or never got it back.
struct CutOff<'a> {
    run: RunId,
    task: &'a Task,
    attempt: Attempt,
    record: AttemptRecord,
    why: String,
    /// The same for people, where another delivery follows.
    reason: Reason,
}

impl CutOff<'_> {
    /// Tells the issue, when no worker gets the message any more.
    ///
    /// SQS moves the message to the dead-letter queue, and tells no worker. An operator may have
    /// redriven it from there by now, so another attempt, or a label that says how the task ended,
    /// keeps this worker silent.
    async fn tell(&self, services: &Services) -> Result<(), Failure> {
        let Some(reason) = self.used_up() else { return Ok(()) };
        let (publisher, task) = (&services.publisher, self.task);
        let issue = services.github.issue(&task.repository, task.issue_number).await?;
        let is_ours = issue.is_open()
            && issue.has_label(TASK_LABEL)
            && !publisher.is_superseded(task, &self.record).await?;
        if !is_ours {
            return Ok(());
        }
        let tried = earlier_attempts(services, task, &self.record).await;
        let status = IssueStatus::Failed { reason: &reason, tried: &tried, draft: None };
        let announcing = async { Ok(publisher.announce(task, &self.record, &status).await?) };
        perform_journaled(services, self.run, Effect::Comment, status.name(), announcing).await?;
        let labels = Labels::Failed;
        let labeling =
            async { Ok(publisher.label(&task.repository, task.issue_number, labels).await?) };
        perform_journaled(services, self.run, Effect::Label, labels.name(), labeling).await
    }

    /// That no delivery follows, when it is so.
    fn used_up(&self) -> Option<Reason> {
        let attempts = self.attempt.max_receive_count.filter(|_| self.attempt.is_last())?;
        Some(Reason::DeliveriesUsedUp { attempts })
    }

    async fn end(&self, services: &Services) -> Result<(), JournalError> {
        let abandon = Disposition::Abandon;
        let reason = self.used_up();
        let decision = Decision::new(Outcome::Abandoned, &abandon)?
            .with_detail(self.why.clone())
            .with_reason(reason.as_ref().unwrap_or(&self.reason))?;
        services.journal.decide(self.run, &decision).await?;
        end(services, self.run, &decision).await
    }
}
