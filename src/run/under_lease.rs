//! A run and its lease: the run ends when the lease does, when SQS's time is over, or when it is
//! done.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tracing::Instrument as _;

use super::admit::published_elsewhere;
use super::claim::Claimed;
use super::context::RunContext;
use super::outage::{Waiting, outlast};
use super::outcome::{Disposition, Ended, Failure, catch_panic};
use super::publish::Published;
use super::services::Services;
use super::{cut_off, execute, moved, settle};
use crate::journal::Decision;

/// SQS ends every lease twelve hours after the receive (SQS Developer Guide, "Amazon SQS visibility
/// timeout"). A run ends before that, with time left to say so.
const LONGEST_RUN: SignedDuration = SignedDuration::from_mins(11 * 60 + 30);

/// How often the clock is looked at for the end of that time.
const CLOCK_INTERVAL: Duration = Duration::from_secs(30);

/// Renews the lease, then runs until the run or its lease ends. A message that an open poll brought
/// may have waited in a machine that slept, and belong to somebody else by now. When the lease is
/// lost, everything in flight is dropped, which kills the programs that it started.
pub(super) async fn run_under_lease(
    services: &Services,
    claimed: Claimed,
    decided: Option<(&Decision, Disposition)>,
) -> Ended {
    let run = claimed.run.clone();
    let span = tracing::info_span!("run", run = %run.id, task = %run.task.key());
    let to_its_end = async {
        if run.lease.renew().await.is_err() {
            return cut_off::abandon(services, &run).await;
        }
        match decided {
            Some((decision, disposition)) => {
                settle::tell_decision(services, &run, disposition, decision).await
            }
            None => Box::pin(execute_and_settle(services, &run, claimed)).await,
        }
    };
    async {
        let disposition = tokio::select! {
            biased;
            () = run.lease.lost().cancelled() => cut_off::abandon(services, &run).await,
            disposition = to_its_end => disposition,
        };
        run.clean_up().await;
        Ended { run: Some(run.id), disposition }
    }
    .instrument(span)
    .await
}

async fn execute_and_settle(
    services: &Services,
    run: &Arc<RunContext>,
    claimed: Claimed,
) -> Disposition {
    let _issue_lock = services.issue_locks.lock(&run.task).await;
    let mut place = Arc::clone(run);
    let published = tokio::select! {
        published = execute_everywhere(services, &mut place, claimed) => published,
        () = until_out_of_time(run.received_at) => Err(Failure::OutOfTime),
    };
    let run = &*place;
    let published = match published {
        Err(failure @ (Failure::IssueClosed | Failure::LabelRemoved(_))) => {
            published_elsewhere(services, &run.task, failure).await.map(Published::before)
        }
        published => published,
    };
    match published {
        Ok(published) => settle::settle(services, run, published).await,
        Err(failure) => settle::settle_failure(services, run, failure, None).await,
    }
}

/// Executes the run, and follows its issue once to where that was moved. `run` is the run at the
/// place where it ended.
async fn execute_everywhere(
    services: &Services,
    run: &mut Arc<RunContext>,
    claimed: Claimed,
) -> Result<Published, Failure> {
    match execute_through_outages(services, run, claimed).await {
        Ok(published) => Ok(published),
        Err(failure) => {
            *run = moved::follow(services, run, failure).await?;
            execute_through_outages(services, run, Claimed::anew(run)).await
        }
    }
}

/// Executes the run, and goes on with it after each outage of the forge that cut it off.
async fn execute_through_outages(
    services: &Services,
    run: &Arc<RunContext>,
    mut claimed: Claimed,
) -> Result<Published, Failure> {
    loop {
        match catch_panic(execute(services, claimed)).await.flatten() {
            Ok(published) => return Ok(published),
            Err(failure) => outlast(services, run, failure, Waiting::ToWork).await?,
        }
        claimed = Claimed::again(services, run).await?;
    }
}

/// Returns when a run whose message was received then has no time left.
async fn until_out_of_time(received_at: Timestamp) {
    while !is_out_of_time(received_at, Timestamp::now()) {
        tokio::time::sleep(CLOCK_INTERVAL).await;
    }
}

/// Whether SQS soon ends the lease on a message that was received then, by the wall clock: a
/// machine that slept has less time left.
fn is_out_of_time(received_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(received_at) >= LONGEST_RUN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_half_an_hour_before_sqs_ends_its_lease() {
        let received_at: Timestamp = "2026-01-26T00:00:00Z".parse().unwrap();
        let is_over = |now: &str| is_out_of_time(received_at, now.parse().unwrap());
        assert!(!is_over("2026-01-26T11:29:59Z"));
        assert!(is_over("2026-01-26T11:30:00Z"));
        assert!(is_over("2026-01-28T00:00:00Z"), "the machine slept for two days");
        assert!(!is_over("2026-01-25T00:00:00Z"), "the clock was set back");
    }
}
