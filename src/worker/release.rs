//! The end of a delivery: the worker tells the queue what the run ended in. What a worker that died
//! did not tell, the next one tells.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use jiff::Timestamp;

use super::{VISIBLE_NOW, Worker, lease};
use crate::errors;
use crate::journal::{BegunEffect, Effect, JournalError, RunId, Unreleased};
use crate::queue::QueueError;
use crate::run::{self, Disposition, Ended};
use crate::task::Delivery;

/// How long a queue that fails is asked again to end a delivery. A delivery that is still not ended
/// then comes again, and the journal knows its run.
const RELEASE_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(30))
    .with_max_times(8)
    .with_jitter();

impl Worker {
    /// Ends a delivery under a lease that is held until `held_until`. Without a lease the delivery
    /// is left alone.
    pub(super) async fn release(
        &self,
        delivery: &Delivery,
        ended: Ended,
        held_until: Option<Timestamp>,
    ) -> Disposition {
        let Ended { run, disposition } = ended;
        let disposition = if held_until.is_some() { disposition } else { Disposition::Abandon };
        let begun = match run {
            Some(run) => self.begin_release(run, disposition).await,
            None => None,
        };
        let is_held = |error: &QueueError| {
            let ours = held_until.is_some_and(|end| Timestamp::now() < end);
            ours && !matches!(error, QueueError::LeaseOver { .. })
        };
        let told =
            (|| self.tell_queue(delivery, disposition)).retry(RELEASE_BACKOFF).when(is_held).await;
        if let Err(error) = &told
            && !matches!(error, QueueError::LeaseOver { .. })
        {
            let (message_id, error) = (&delivery.message_id, errors::chain(error));
            tracing::error!(
                message_id,
                wanted = %disposition,
                error,
                "the worker could not end the delivery: it comes again"
            );
        }
        if let (Some(run), Some(begun)) = (run, begun) {
            let result = match &told {
                Ok(()) => "done".to_owned(),
                Err(error) => errors::chain(error),
            };
            if let Err(error) = self.record_release(run, &begun, &result).await {
                log_unrecorded(run, &error);
            }
        }
        disposition
    }

    /// A release that can't be journaled is carried out all the same: the message is the queue's,
    /// and it would come again for no reason.
    async fn begin_release(&self, run: RunId, disposition: Disposition) -> Option<BegunEffect> {
        let (journal, now) = (&self.services.journal, Timestamp::now());
        let begun = journal.begin_effect(run, Effect::Release, name(disposition), now).await;
        begun.inspect_err(|error| log_unrecorded(run, error)).ok()
    }

    async fn record_release(
        &self,
        run: RunId,
        begun: &BegunEffect,
        result: &str,
    ) -> Result<(), JournalError> {
        let now = Timestamp::now();
        self.services.journal.finish_effect(begun, result, now).await?;
        self.services.journal.release(run, now).await
    }

    async fn tell_queue(
        &self,
        delivery: &Delivery,
        disposition: Disposition,
    ) -> Result<(), QueueError> {
        match disposition {
            Disposition::Complete | Disposition::Cancel => self.queue.delete(delivery).await,
            Disposition::RetryAfter(delay) => self.queue.change_visibility(delivery, delay).await,
            Disposition::DeadLetter => self.queue.change_visibility(delivery, VISIBLE_NOW).await,
            Disposition::Abandon => Ok(()),
        }
    }

    /// The runs of a worker before this one whose lease is held, oldest first: it lasts still, or
    /// could be had again. The others are given up: their messages come again, or were delivered
    /// for the last time.
    pub(super) async fn left_behind(&self) -> LeftBehind {
        let left = self.services.journal.unreleased().await.unwrap_or_else(|error| {
            let error = errors::chain(&error);
            tracing::error!(
                error,
                "the worker can't read what one before it left: its messages come again"
            );
            Vec::new()
        });
        let (mut held, mut over) = (Vec::new(), Vec::new());
        for left in left {
            match self.lease_on(&left).await {
                Some(lease_end) => held.push(Unreleased { lease_end, ..left }),
                None => over.push(left),
            }
        }
        LeftBehind { held, untold: self.give_up_all(over).await }
    }

    /// Gives runs up whose lease is over, and returns those of which the issue could not be told.
    pub(super) async fn give_up_all(&self, over: Vec<Unreleased>) -> Vec<Unreleased> {
        let mut untold = Vec::new();
        for left in over {
            if !self.give_up(&left).await {
                untold.push(left);
            }
        }
        untold
    }

    /// Until when a run's delivery is leased that a worker before this one left. SQS takes the
    /// receipt handle for twelve hours from the receive, and so lets a machine that was off for
    /// longer than the lease go on without another delivery.
    async fn lease_on(&self, left: &Unreleased) -> Option<Timestamp> {
        let now = Timestamp::now();
        if now < left.lease_end {
            return Some(left.lease_end);
        }
        let length = lease::longest(&left.delivery, self.lease_length, now)?;
        let renew = || self.queue.change_visibility(&left.delivery, length);
        let renewed = renew.retry(RELEASE_BACKOFF).when(QueueError::is_passing).await;
        match renewed {
            Ok(()) => {
                let run = left.run;
                tracing::info!(%run, "the lease of a run had ended: it goes on under the same \
                                      delivery, unless another worker has begun");
                now.checked_add(length).ok()
            }
            Err(error) => {
                let (run, error) = (left.run, errors::chain(&error));
                tracing::info!(%run, error, "the lease of a run has ended");
                None
            }
        }
    }

    /// Gives a run up, and returns whether nobody is left who has to be told.
    async fn give_up(&self, left: &Unreleased) -> bool {
        let run = left.run;
        tracing::info!(%run, "giving up a run whose lease is over");
        if !left.decided.as_ref().is_some_and(|decision| decision.told) {
            let attempt = self.attempt(&left.delivery);
            if let Err(failure) = run::give_up(&self.services, left, attempt).await {
                let error = errors::chain(&failure);
                tracing::warn!(%run, error, "the worker could not tell the issue how a run ended: \
                                             it tries again");
                return false;
            }
        }
        let now = Timestamp::now();
        if let Err(error) = self.services.journal.release(run, now).await {
            log_unrecorded(run, &error);
        }
        true
    }
}

/// The runs that a worker before this one left.
pub(super) struct LeftBehind {
    /// Those whose lease is held.
    pub(super) held: Vec<Unreleased>,
    /// Those that were given up, and of whose end the issue could not be told yet.
    pub(super) untold: Vec<Unreleased>,
}

fn log_unrecorded(run: RunId, error: &JournalError) {
    let error = errors::chain(error);
    tracing::error!(%run, error, "the worker could not record the end of the run's delivery");
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
