//! The end of a run in the journal.

use jiff::Timestamp;

use super::outcome::Disposition;
use super::services::Services;
use crate::errors;
use crate::journal::{Decision, JournalError, Outcome, RunId};

/// Records that a run is over, as it was decided.
pub(super) async fn end(
    services: &Services,
    run: RunId,
    decision: &Decision,
) -> Result<(), JournalError> {
    let outcome = decision.outcome.name();
    let detail = decision.detail.as_ref();
    let text = detail.map_or_else(|| outcome.to_owned(), |detail| format!("{outcome}: {detail}"));
    let now = Timestamp::now();
    services.journal.end(run, now).await?;
    // Whoever decided that the run failed has logged it.
    if decision.outcome == Outcome::Done {
        tracing::info!("{text}");
    }
    services.journal.note(run, &text, now).await
}

/// A disposition counts once it is recorded. Without a record the message has to come again.
pub(super) fn if_recorded(
    recorded: Result<(), JournalError>,
    disposition: Disposition,
) -> Disposition {
    match recorded {
        Ok(()) => disposition,
        Err(error) => {
            let error = errors::chain(&error);
            tracing::error!(
                error,
                "the worker could not record how the run ended: its message comes again"
            );
            Disposition::Abandon
        }
    }
}
