//! What came of the earlier attempts at a task, for the last word on it.

use super::services::Services;
use crate::errors;
use crate::journal::Decision;
use crate::publish::{AttemptRecord, Reason};
use crate::task::Task;

/// The earlier attempts, oldest first: of all workers, as the issue tells them, else of this one.
pub(super) async fn earlier_attempts(
    services: &Services,
    task: &Task,
    ours: &AttemptRecord,
) -> Vec<AttemptRecord> {
    let told = services.publisher.attempts(task).await.unwrap_or_else(|error| {
        let error = errors::chain(&error);
        tracing::warn!(error, "the worker could not read the attempts of other workers");
        Vec::new()
    });
    let told: Vec<_> = told.into_iter().filter(|attempt| !attempt.is_same_as(ours)).collect();
    if !told.is_empty() {
        return told;
    }
    let runs = services.journal.attempts(&task.key()).await.unwrap_or_default();
    let failed = runs.into_iter().filter(|run| run.detail.is_some());
    failed
        .map(|run| {
            let reason = run.reason.and_then(|reason| serde_json::from_value(reason).ok());
            AttemptRecord {
                worker: services.worker_name.clone(),
                attempt: run.attempt,
                received_at: run.started_at,
                reason: Some(reason_or_text(reason, run.detail)),
            }
        })
        .collect()
}

/// Why a decision was made, as people are told.
pub(super) fn reason_of(decision: &Decision) -> Reason {
    reason_or_text(decision.reason(), decision.detail.clone())
}

/// Journals of version 0.1.0 hold a reason only as an English text.
fn reason_or_text(reason: Option<Reason>, detail: Option<String>) -> Reason {
    reason.unwrap_or_else(|| Reason::Text(detail.unwrap_or_default()))
}
