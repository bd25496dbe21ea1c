//! A run that is in hand during an outage of the forge: it keeps its lease and waits.

use std::mem::discriminant;

use jiff::{SignedDuration, Timestamp};

use super::Failure;
use super::context::RunContext;
use super::effects::note;
use super::forge_watch::pause_after_refusal;
use super::outcome::Attempt;
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
        if lets_go(waiting, run.attempt, &error, Timestamp::now().duration_since(began)) {
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

/// Whether a run that has `waited` so long gives its message to another worker, whose token may be
/// good. It never does on the last delivery, which SQS would send to the dead-letter queue untold,
/// nor with the last word on the issue.
fn lets_go(
    waiting: Waiting,
    attempt: Attempt,
    error: &GitHubError,
    waited: SignedDuration,
) -> bool {
    let another_may_work = waiting == Waiting::ToWork && !attempt.is_last();
    let is_refused = matches!(error, GitHubError::Unauthorized { .. });
    another_may_work && is_refused && waited >= LONGEST_REFUSAL
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(waiting: Waiting, delivery: u32, error: &GitHubError, minutes: i64, expected: bool) {
        let retry_delay = Duration::from_secs(30);
        let attempt = Attempt { receive_count: delivery, max_receive_count: Some(3), retry_delay };
        let told = lets_go(waiting, attempt, error, SignedDuration::from_mins(minutes));
        assert_eq!(told, expected, "{waiting:?} at delivery {delivery} after {minutes} min");
    }

    #[test]
    fn a_message_is_given_back_after_half_an_hour_while_another_delivery_follows() {
        let (url, message) = ("u".to_owned(), "Bad credentials".to_owned());
        let refused = GitHubError::Unauthorized { url, message };
        check(Waiting::ToWork, 1, &refused, 29, false);
        check(Waiting::ToWork, 1, &refused, 30, true);
        check(Waiting::ToWork, 2, &refused, 31, true);
        check(Waiting::ToWork, 3, &refused, 11 * 60, false);
        check(Waiting::ToTell, 1, &refused, 11 * 60, false);
    }

    /// No other worker reaches a forge that is down.
    #[test]
    fn a_message_is_kept_while_the_forge_is_down() {
        for error in [
            GitHubError::Unavailable { url: "u".to_owned(), status: 502 },
            GitHubError::TimedOut { url: "u".to_owned() },
            GitHubError::RateLimited { retry_after: Duration::from_secs(3600) },
        ] {
            check(Waiting::ToWork, 1, &error, 11 * 60, false);
        }
    }
}
