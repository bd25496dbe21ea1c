//! The right to work on a delivery: held by renewing its visibility, and given up for good once it is lost.
//!
//! Renews at a third of the lease's length. Ends are reckoned on the wall clock, because a machine that slept has lost a lease that a
//! monotonic clock believes in. A lost lease cancels its token; whoever works under the lease watches that token and stops.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::queue::{Delivery, Queue, QueueError};
use crate::run::Hold;

/// SQS ends every lease twelve hours after the receive (the SQS Developer Guide, "Amazon SQS visibility timeout").
const LONGEST: SignedDuration = SignedDuration::from_hours(12);

/// How often the clock is looked at, so that a suspended machine notices soon after it wakes.
const TICK: Duration = Duration::from_secs(1);

/// How long after a failed renewal the next is tried.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// How long before its end a lease counts as lost: time to kill what works under it.
fn margin(length: Duration) -> SignedDuration {
    let length = SignedDuration::try_from(length).unwrap_or(LONGEST);
    (length / 10).min(SignedDuration::from_secs(60))
}

/// A lease that is being renewed until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    lost: CancellationToken,
    renewals: mpsc::Sender<oneshot::Sender<()>>,
    _renewal: DropGuard,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// Holds `delivery`, which was received with `length` of visibility.
    #[must_use]
    pub(super) fn hold(queue: Arc<Queue>, delivery: Delivery, length: Duration) -> Self {
        let lost = CancellationToken::new();
        let released = CancellationToken::new();
        let (renewals, wishes) = mpsc::channel(1);
        let renewing = tokio::spawn(renew(queue, delivery, length, lost.clone(), released.clone(), wishes));
        Self { lost, renewals, _renewal: released.drop_guard(), renewing }
    }

    /// Cancelled once the lease is lost.
    #[must_use]
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// The side of it that a run has, which is to end when `ended` is cancelled.
    #[must_use]
    pub(super) fn hold_until(&self, ended: CancellationToken) -> Hold {
        Hold::new(ended, self.lost.clone(), self.renewals.clone())
    }

    /// Stops renewing, and returns whether the lease is still held. No renewal is under way once this returned, so what is then done to the
    /// delivery is not overtaken by one.
    pub(super) async fn release(self) -> bool {
        let Self { lost, renewals, _renewal, renewing } = self;
        drop((renewals, _renewal));
        if renewing.await.is_err() {
            lost.cancel();
        }
        !lost.is_cancelled()
    }
}

async fn renew(
    queue: Arc<Queue>,
    delivery: Delivery,
    length: Duration,
    lost: CancellationToken,
    released: CancellationToken,
    mut wishes: mpsc::Receiver<oneshot::Sender<()>>,
) {
    // Dropped unanswered when the lease is lost, which tells whoever waits.
    let mut waiting = Vec::new();
    let last_end = add(delivery.received_at, LONGEST);
    let third = length / 3;
    let mut end = add(delivery.received_at, SignedDuration::try_from(length).unwrap_or(LONGEST)).min(last_end);
    let mut next = add(delivery.received_at, SignedDuration::try_from(third).unwrap_or(LONGEST));
    loop {
        tokio::select! {
            () = released.cancelled() => return,
            Some(wish) = wishes.recv() => {
                waiting.push(wish);
                next = Timestamp::now();
            }
            () = tokio::time::sleep(TICK) => {}
        }
        let now = Timestamp::now();
        if now.duration_until(end) <= margin(length) {
            tracing::warn!(message_id = delivery.message_id, "the lease could not be renewed in time: the run stops");
            return lost.cancel();
        }
        if now < next {
            continue;
        }
        let wished = length.min(Duration::try_from(now.duration_until(last_end)).unwrap_or_default());
        match queue.change_visibility(&delivery, wished).await {
            Ok(()) => {
                end = add(now, SignedDuration::try_from(wished).unwrap_or(LONGEST));
                next = add(now, SignedDuration::try_from(third).unwrap_or(LONGEST));
                for wish in waiting.drain(..) {
                    // A run that ended meanwhile waits no more.
                    wish.send(()).ok();
                }
            }
            Err(QueueError::LeaseOver { message }) => {
                tracing::warn!(message_id = delivery.message_id, message, "the lease is lost: the run stops");
                return lost.cancel();
            }
            Err(error) => {
                tracing::warn!(message_id = delivery.message_id, %error, "the lease was not renewed; trying again");
                next = add(now, RETRY);
            }
        }
    }
}

fn add(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_a_tenth_and_a_minute_at_the_most() {
        assert_eq!(margin(Duration::from_secs(30)), SignedDuration::from_secs(3));
        assert_eq!(margin(Duration::from_secs(10_800)), SignedDuration::from_secs(60));
    }
}
