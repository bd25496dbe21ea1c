//! A run that is in hand during an outage of the forge: it keeps its lease and waits.

use std::mem::discriminant;

use jiff::{SignedDuration, Timestamp};

use super::Failure;
use super::context::RunContext;
use super::effects::note;
use super::forge_watch::pause_after_refusal;
use super::services::Services;
use crate::errors;
use crate::github::GitHubError;

/// How long a run waits for credentials that are good while its message has a delivery left. The
/// token of another worker on the queue may be good.
const LONGEST_REFUSAL: SignedDuration = SignedDuration::from_mins(30);

/// What a run waits with during an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// With work. Another worker may do it as well.
    ToWork,
    /// With the last word on the issue, which no other worker knows.
    ToTell,
}

/// Waits until the outage of the forge is over that made a run fail. The lease is renewed
/// meanwhile.
///
/// # Errors
/// The failure itself, when no outage is behind it, or when another worker should try.
pub(super) async fn outlast(
    services: &Services,
    run: &RunContext,
    failure: Failure,
    waiting: Waiting,
) -> Result<(), Failure> {
    let is_over =
        services.forge.is_behind(&failure).await && wait_for_forge(services, run, waiting).await?;
    if is_over { Ok(()) } else { Err(failure) }
}

/// Waits until the forge can be asked. Returns false when the message should go to another worker,
/// whose token may be good.
async fn wait_for_forge(
    services: &Services,
    run: &RunContext,
    waiting: Waiting,
) -> Result<bool, Failure> {
    let began = Timestamp::now();
    let mut told = None;
    loop {
        let error = match services.forge.check().await {
            Ok(()) => {
                note(services, run, "GitHub can be asked again: the run goes on").await?;
                return Ok(true);
            }
            Err(error) => error,
        };
        let may_go = waiting == Waiting::ToWork && !run.attempt.is_last();
        if may_go
            && matches!(error, GitHubError::Unauthorized { .. })
            && Timestamp::now().duration_since(began) >= LONGEST_REFUSAL
        {
            return Ok(false);
        }
        if told.replace(discriminant(&error)) != Some(discriminant(&error)) {
            let problem = errors::chain(&error);
            tracing::warn!(problem, "the run keeps its message until GitHub can be asked again");
            let text = format!("the run waits until GitHub can be asked again: {problem}");
            note(services, run, &text).await?;
        }
        tokio::time::sleep(pause_after_refusal(&error, services.config.github.watch_interval))
            .await;
    }
}
