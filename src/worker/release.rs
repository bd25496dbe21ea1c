//! The end of a delivery: what its run ended in is told to the queue, and what a worker that died
//! did not tell is told by the next one.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use jiff::Timestamp;

use super::{AT_ONCE, Worker};
use crate::journal::{Decision, Effect, JournalError, Outcome, RunId, Unreleased};
use crate::queue::QueueError;
use crate::run::{Disposition, Ended};
use crate::task::Delivery;

/// How long a queue that fails is asked again to end a delivery. What is still not ended then comes
/// again, and is known.
const RELEASE_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(30))
    .with_max_times(8)
    .with_jitter();

impl Worker {
    /// Ends a delivery in the right of a lease that is held until `held_until`; without one nothing
    /// is touched.
    pub(super) async fn release(
        &self,
        delivery: &Delivery,
        ended: Ended,
        held_until: Option<Timestamp>,
    ) -> Disposition {
        let Ended { run, disposition } = ended;
        let disposition = if held_until.is_some() { disposition } else { Disposition::Abandon };
        let failed = |error: &JournalError| tracing::error!(message_id = delivery.message_id, %error, "the end of the delivery was not recorded");
        let journal = &self.services.journal;
        let intent = match run {
            Some(run) => {
                let (effect, now) = (Effect::Release, Timestamp::now());
                let begun = journal.begin_effect(run, effect, name(disposition), now).await;
                begun.inspect_err(failed).ok()
            }
            None => None,
        };
        let is_held = |error: &QueueError| {
            !matches!(error, QueueError::LeaseOver { .. })
                && held_until.is_some_and(|end| Timestamp::now() < end)
        };
        let told =
            (|| self.tell_queue(delivery, disposition)).retry(RELEASE_BACKOFF).when(is_held).await;
        if let Err(error) = &told
            && !matches!(error, QueueError::LeaseOver { .. })
        {
            tracing::error!(message_id = delivery.message_id, ?disposition, %error, "the delivery could not be ended: it comes again");
        }
        let observation = told.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
        if let (Some(run), Some(intent)) = (run, intent) {
            let now = Timestamp::now();
            let record = async {
                journal.finish_effect(&intent, &observation, now).await?;
                journal.release(run, now).await
            };
            record.await.inspect_err(failed).ok();
        }
        disposition
    }

    async fn tell_queue(
        &self,
        delivery: &Delivery,
        disposition: Disposition,
    ) -> Result<(), QueueError> {
        match disposition {
            Disposition::Complete | Disposition::Cancel => self.queue.delete(delivery).await,
            Disposition::RetryAfter(delay) => self.queue.change_visibility(delivery, delay).await,
            Disposition::DeadLetter => self.queue.change_visibility(delivery, AT_ONCE).await,
            Disposition::Abandon => Ok(()),
        }
    }

    /// The runs of a worker before this one whose lease is still held, oldest first. The others are
    /// given up: their messages come again.
    pub(super) async fn left_behind(&self) -> Vec<Unreleased> {
        let left = self.services.journal.unreleased().await.unwrap_or_else(|error| {
            tracing::error!(%error, "what a worker before this one left can't be read: its messages come again");
            Vec::new()
        });
        let now = Timestamp::now();
        let (held, over): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|left| now < left.lease_end);
        for left in over {
            tracing::info!(run = %left.run, "a run that was cut off is given up: its lease is over, and its message comes again");
            let ended = left.decided.is_some_and(|decision| decision.told);
            if let Err(error) = self.give_up(left.run, ended, now).await {
                tracing::error!(run = %left.run, %error, "that it was given up could not be recorded");
            }
        }
        held
    }

    async fn give_up(&self, run: RunId, ended: bool, now: Timestamp) -> Result<(), JournalError> {
        let journal = &self.services.journal;
        if !ended {
            let why = "the worker was stopped or died, and the lease ended before it came back";
            let decision = Decision::new(Outcome::Abandoned, &Disposition::Abandon)?
                .with_detail(why.to_owned());
            journal.decide(run, &decision).await?;
            journal.end(run, now).await?;
            journal.note(run, why, now).await?;
        }
        journal.release(run, now).await
    }
}

fn name(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Complete => "delete: done",
        Disposition::Cancel => "delete: cancelled",
        Disposition::RetryAfter(_) => "give back for another try",
        Disposition::DeadLetter => "give back for the dead-letter queue",
        Disposition::Abandon => "leave",
    }
}
