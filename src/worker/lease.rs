//! The worker's side of a lease: it renews the visibility of a delivery, and gives the delivery up
//! for good once the lease is lost.
//!
//! A lease is renewed at a third of its length. All times are of the wall clock, because a machine
//! that slept has lost a lease that a monotonic clock still believes in. When a lease is lost its
//! token is cancelled; whoever works under the lease watches the token and stops.
//!
//! A machine that wakes after the end of a lease has it renewed by the old receipt handle, so that
//! SQS does not count another delivery. That lease is *doubtful*: SQS answers 200 to an old handle
//! whoever has the message by then, so the run asks the issue before each effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;

use crate::errors;
use crate::journal::Journal;
use crate::queue::{Queue, QueueError};
use crate::run::LeaseHandle;
use crate::task::Delivery;

/// SQS ends every lease twelve hours after the receive (SQS Developer Guide, "Amazon SQS visibility
/// timeout").
const LONGEST: SignedDuration = SignedDuration::from_hours(12);

/// How often the clock is looked at, so that a suspended machine notices soon after it wakes.
const TICK: Duration = Duration::from_secs(1);

/// How long after a failed renewal the next is tried.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// How long before its end a lease counts as lost. The programs that work under it are killed in
/// that time.
fn margin(length: Duration) -> SignedDuration {
    (signed(length) / 10).min(SignedDuration::from_secs(60))
}

/// For how long a delivery can be leased at `now`, up to `length`; nothing when SQS's twelve hours
/// are over.
pub(super) fn longest(delivery: &Delivery, length: Duration, now: Timestamp) -> Option<Duration> {
    let left = now.duration_until(add(delivery.received_at, LONGEST));
    Duration::try_from(left).ok().filter(|left| !left.is_zero()).map(|left| left.min(length))
}

/// A lease that is renewed until it is released or dropped.
#[derive(Debug)]
pub(super) struct Lease {
    handle: LeaseHandle,
    lost: CancellationToken,
    released: DropGuard,
    renewing: JoinHandle<()>,
}

/// Until when a delivery is leased that was received with this much visibility.
pub(super) fn end_of(delivery: &Delivery, visibility: Duration) -> Timestamp {
    add(delivery.received_at, signed(visibility)).min(add(delivery.received_at, LONGEST))
}

impl Lease {
    /// Holds a delivery that is leased until `end`, for `length` at a time. The journal learns of
    /// each renewal, so that a restarted worker knows whether it still holds the lease. It is
    /// doubtful when somebody else may have received the message since.
    #[must_use]
    pub(super) fn hold(
        queue: Arc<Queue>,
        journal: Arc<Journal>,
        delivery: Delivery,
        end: Timestamp,
        length: Duration,
        is_doubtful: bool,
    ) -> Self {
        let lost = CancellationToken::new();
        let doubtful = Arc::new(AtomicBool::new(is_doubtful));
        let released = CancellationToken::new();
        let (renewals, requests) = mpsc::channel(1);
        let (end_sender, end) = watch::channel(end);
        let handle = LeaseHandle::new(lost.clone(), Arc::clone(&doubtful), end, renewals);
        let renewal = RenewalTask {
            queue,
            journal,
            delivery,
            length,
            end: end_sender,
            lost: lost.clone(),
            doubtful,
            waiting: Vec::new(),
        };
        let renewing = renewal.keep_renewing(released.clone(), requests).in_current_span();
        let renewing = tokio::spawn(renewing);
        Self { handle, lost, released: released.drop_guard(), renewing }
    }

    /// The run's handle on the lease.
    #[must_use]
    pub(super) fn handle(&self) -> LeaseHandle {
        self.handle.clone()
    }

    /// Stops renewing, and returns until when the lease is still held, if it is. No renewal is
    /// under way once this has returned, so none overtakes what is then done to the delivery.
    pub(super) async fn release(self) -> Option<Timestamp> {
        let Self { handle, lost, released, renewing } = self;
        drop(released);
        if renewing.await.is_err() {
            lost.cancel();
        }
        handle.is_held(Timestamp::now()).then(|| handle.end())
    }
}

/// The task that renews a lease.
struct RenewalTask {
    queue: Arc<Queue>,
    journal: Arc<Journal>,
    delivery: Delivery,
    length: Duration,
    end: watch::Sender<Timestamp>,
    lost: CancellationToken,
    doubtful: Arc<AtomicBool>,
    /// Those who wait for a renewal. They are dropped unanswered when the lease is lost, which
    /// tells them.
    waiting: Vec<oneshot::Sender<()>>,
}

impl RenewalTask {
    async fn keep_renewing(
        mut self,
        released: CancellationToken,
        mut requests: mpsc::Receiver<oneshot::Sender<()>>,
    ) {
        let mut schedule = Schedule::new(*self.end.borrow(), self.length, Timestamp::now());
        loop {
            tokio::select! {
                () = released.cancelled() => return,
                Some(request) = requests.recv() => self.waiting.push(request),
                () = tokio::time::sleep(TICK) => {}
            }
            let now = Timestamp::now();
            let end = *self.end.borrow();
            match schedule.look(now, end, !self.waiting.is_empty()) {
                Look::Wait => continue,
                Look::Renew => {}
                Look::Over if now >= add(self.delivery.received_at, LONGEST) => {
                    self.lose("SQS's twelve hours from the receive are over");
                    return;
                }
                Look::Over => self.doubt(),
                Look::Lost => {
                    self.lose("the worker could not renew it in time");
                    return;
                }
            }
            match self.renew(now).await {
                Ok(()) => schedule.renewed(now),
                Err(QueueError::LeaseOver { message }) => {
                    self.lose(&message);
                    return;
                }
                Err(error) => {
                    let (message_id, error) = (&self.delivery.message_id, errors::chain(&error));
                    tracing::warn!(message_id, error, "the lease was not renewed; trying again");
                    schedule.failed(now);
                }
            }
        }
    }

    /// Renews once. SQS counts the visibility from the moment it receives the call, so the new end
    /// is reckoned from the moment before.
    async fn renew(&mut self, now: Timestamp) -> Result<(), QueueError> {
        let length = longest(&self.delivery, self.length, now).unwrap_or_default();
        self.queue.change_visibility(&self.delivery, length).await?;
        let end = add(now, signed(length));
        self.end.send_replace(end);
        // This does not wait for the disk: a slow one must not delay the next renewal.
        self.journal.record_renewal(&self.delivery, end);
        for request in self.waiting.drain(..) {
            // A run that has ended meanwhile does not wait any more.
            request.send(()).ok();
        }
        Ok(())
    }

    fn doubt(&self) {
        if !self.doubtful.swap(true, Ordering::Relaxed) {
            let message_id = &self.delivery.message_id;
            tracing::warn!(
                message_id,
                "the machine slept for longer than the lease: the run goes on under the same \
                 delivery, unless another worker has begun"
            );
        }
    }

    fn lose(&self, why: &str) {
        let message_id = &self.delivery.message_id;
        tracing::warn!(message_id, why, "the lease is lost: the run stops");
        self.lost.cancel();
    }
}

/// When to renew, by what the clock says. The clock may jump: forward, as after a sleep, and then
/// the lease may be over; or back, and then nothing that was reckoned by it counts, so the lease is
/// renewed at once.
struct Schedule {
    length: SignedDuration,
    margin: SignedDuration,
    next: Timestamp,
    seen: Timestamp,
    /// Whether the lease ended before it was renewed.
    is_over: bool,
    /// After a failure nothing is tried until then, even when somebody waits.
    not_before: Timestamp,
}

/// What a look at the clock tells to do.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Wait,
    Renew,
    /// The lease ended while nobody looked: the machine slept. It may be had again.
    Over,
    /// It could not be renewed and is about to end.
    Lost,
}

impl Schedule {
    fn new(end: Timestamp, length: Duration, now: Timestamp) -> Self {
        let margin = margin(length);
        let length = signed(length);
        let next = add(end, length / 3 - length);
        let (is_over, not_before) = (false, Timestamp::MIN);
        Self { length, margin, next, seen: now, is_over, not_before }
    }

    fn look(&mut self, now: Timestamp, end: Timestamp, is_requested: bool) -> Look {
        if now < self.seen {
            (self.next, self.not_before) = (now, now);
        }
        let slept = self.seen.duration_until(now) > self.margin;
        self.seen = now;
        self.is_over |= now >= end;
        if self.is_over {
            if now >= self.not_before { Look::Over } else { Look::Wait }
        } else if now.duration_until(end) <= self.margin {
            // The machine woke with hardly any time left, and nothing has failed yet.
            if slept { Look::Renew } else { Look::Lost }
        } else if now >= self.not_before && (is_requested || now >= self.next) {
            Look::Renew
        } else {
            Look::Wait
        }
    }

    fn renewed(&mut self, asked: Timestamp) {
        self.next = add(asked, self.length / 3);
        self.is_over = false;
    }

    fn failed(&mut self, now: Timestamp) {
        self.next = add(now, RETRY.min(self.length / 10));
        self.not_before = self.next;
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(LONGEST)
}

fn add(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    /// Of a lease of 300 seconds that was received at 0.
    fn schedule() -> Schedule {
        let (margin, next) = (margin(Duration::from_secs(300)), at(100));
        Schedule {
            length: SignedDuration::from_secs(300),
            margin,
            next,
            seen: at(0),
            is_over: false,
            not_before: Timestamp::MIN,
        }
    }

    #[test]
    fn a_lease_is_renewed_at_a_third_and_when_it_is_requested() {
        let mut schedule = schedule();
        assert_eq!(schedule.look(at(99), at(300), false), Look::Wait);
        assert_eq!(schedule.look(at(99), at(300), true), Look::Renew);
        assert_eq!(schedule.look(at(100), at(300), false), Look::Renew);
        schedule.renewed(at(100));
        assert_eq!(schedule.look(at(199), at(400), false), Look::Wait);
        assert_eq!(schedule.look(at(200), at(400), false), Look::Renew);
    }

    #[test]
    fn a_renewal_that_failed_is_tried_again_in_a_moment_until_the_margin() {
        let mut schedule = schedule();
        schedule.failed(at(100));
        assert_eq!(schedule.look(at(101), at(300), true), Look::Wait);
        assert_eq!(schedule.look(at(105), at(300), false), Look::Renew);
        assert_eq!(schedule.look(at(265), at(300), false), Look::Renew);
        schedule.failed(at(268));
        assert_eq!(schedule.look(at(270), at(300), true), Look::Lost);
    }

    #[test]
    fn a_lease_whose_end_was_slept_through_is_asked_for_again() {
        let mut schedule = schedule();
        assert_eq!(schedule.look(at(10), at(300), false), Look::Wait);
        assert_eq!(schedule.look(at(3_600), at(300), true), Look::Over);
        schedule.failed(at(3_600));
        assert_eq!(schedule.look(at(3_601), at(300), true), Look::Wait);
        assert_eq!(schedule.look(at(3_605), at(300), true), Look::Over);
        schedule.renewed(at(3_605));
        assert_eq!(schedule.look(at(3_606), at(3_905), false), Look::Wait);
        assert_eq!(schedule.look(at(3_705), at(3_905), false), Look::Renew);
    }

    #[test]
    fn a_machine_that_wakes_shortly_before_the_end_tries_once() {
        let mut schedule = schedule();
        assert_eq!(schedule.look(at(10), at(300), false), Look::Wait);
        assert_eq!(schedule.look(at(290), at(300), false), Look::Renew);
        schedule.failed(at(290));
        assert_eq!(schedule.look(at(291), at(300), false), Look::Lost);
    }

    #[test]
    fn a_clock_that_jumps_back_has_the_lease_renewed_at_once() {
        let mut schedule = schedule();
        assert_eq!(schedule.look(at(50), at(300), false), Look::Wait);
        assert_eq!(schedule.look(at(-3_600), at(300), false), Look::Renew);
        schedule.renewed(at(-3_600));
        assert_eq!(schedule.look(at(-3_599), at(-3_300), false), Look::Wait);
        assert_eq!(schedule.look(at(-3_500), at(-3_300), false), Look::Renew);
    }

    #[test]
    fn the_margin_is_a_tenth_and_a_minute_at_the_most() {
        assert_eq!(margin(Duration::from_secs(30)), SignedDuration::from_secs(3));
        assert_eq!(margin(Duration::from_secs(10_800)), SignedDuration::from_secs(60));
    }
}
