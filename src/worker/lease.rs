//! The right to work on a delivery: held by renewing its visibility, and given up for good once it
//! is lost.
//!
//! Renews at a third of the lease's length. Ends are reckoned on the wall clock, because a machine
//! that slept has lost a lease that a monotonic clock believes in. A lost lease cancels its token;
//! whoever works under the lease watches that token and stops.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::journal::Journal;
use crate::queue::{Queue, QueueError};
use crate::run::{LeaseEnd, LeaseHandle};
use crate::task::Delivery;

/// SQS ends every lease twelve hours after the receive (the SQS Developer Guide, "Amazon SQS
/// visibility timeout").
const LONGEST: SignedDuration = SignedDuration::from_hours(12);

/// How often the clock is looked at, so that a suspended machine notices soon after it wakes.
const TICK: Duration = Duration::from_secs(1);

/// How long after a failed renewal the next is tried.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// How long before its end a lease counts as lost: time to kill what works under it.
fn margin(length: Duration) -> SignedDuration {
    (signed(length) / 10).min(SignedDuration::from_secs(60))
}

/// A lease that is being renewed until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    hold: LeaseHandle,
    lost: CancellationToken,
    _renewal: DropGuard,
    renewing: JoinHandle<()>,
}

/// What is leased: a delivery, until when, and for how long at a time.
pub(super) struct Leased {
    pub(super) delivery: Delivery,
    pub(super) end: Timestamp,
    pub(super) length: Duration,
}

/// Until when a delivery is leased that was received with this much visibility.
pub(super) fn end_of(delivery: &Delivery, visibility: Duration) -> Timestamp {
    add(delivery.received_at, signed(visibility)).min(add(delivery.received_at, LONGEST))
}

impl Lease {
    /// Holds what is leased. The journal learns of each renewal, so that a restarted worker knows
    /// whether it holds the lease still.
    #[must_use]
    pub(super) fn hold(queue: Arc<Queue>, journal: Arc<Journal>, leased: Leased) -> Self {
        let lost = CancellationToken::new();
        let released = CancellationToken::new();
        let (renewals, wishes) = mpsc::channel(1);
        let end = LeaseEnd::at(leased.end);
        let hold = LeaseHandle::new(lost.clone(), end.clone(), renewals);
        let renewal =
            Renewal { queue, journal, leased, end, lost: lost.clone(), waiting: Vec::new() };
        let renewing = tokio::spawn(renewal.go_on(released.clone(), wishes));
        Self { hold, lost, _renewal: released.drop_guard(), renewing }
    }

    /// The side of it that a run has.
    #[must_use]
    pub(super) fn side(&self) -> LeaseHandle {
        self.hold.clone()
    }

    /// Stops renewing, and returns until when the lease is still held, if it is. No renewal is
    /// under way once this returned, so what is then done to the delivery is not overtaken by one.
    pub(super) async fn release(self) -> Option<Timestamp> {
        let Self { hold, lost, _renewal, renewing } = self;
        drop(_renewal);
        if renewing.await.is_err() {
            lost.cancel();
        }
        hold.is_held(Timestamp::now()).then(|| hold.end())
    }
}

struct Renewal {
    queue: Arc<Queue>,
    journal: Arc<Journal>,
    leased: Leased,
    end: LeaseEnd,
    lost: CancellationToken,
    /// Dropped unanswered when the lease is lost, which tells whoever waits.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Renewal {
    async fn go_on(
        mut self,
        released: CancellationToken,
        mut wishes: mpsc::Receiver<oneshot::Sender<()>>,
    ) {
        let mut schedule = Schedule::of(&self.leased, Timestamp::now());
        loop {
            tokio::select! {
                () = released.cancelled() => return,
                Some(wish) = wishes.recv() => self.waiting.push(wish),
                () = tokio::time::sleep(TICK) => {}
            }
            let now = Timestamp::now();
            match schedule.look(now, self.end.get(), !self.waiting.is_empty()) {
                Look::Wait => continue,
                Look::Renew => {}
                Look::Lost => {
                    self.lose("it could not be renewed in time");
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
                    let message_id = &self.leased.delivery.message_id;
                    tracing::warn!(message_id, %error, "the lease was not renewed; trying again");
                    schedule.failed(now);
                }
            }
        }
    }

    /// One renewal, from the moment it is asked for.
    async fn renew(&mut self, now: Timestamp) -> Result<(), QueueError> {
        let Leased { delivery, length, .. } = &self.leased;
        let last_end = add(delivery.received_at, LONGEST);
        let wished =
            (*length).min(Duration::try_from(now.duration_until(last_end)).unwrap_or_default());
        self.queue.change_visibility(delivery, wished).await?;
        let end = add(now, signed(wished));
        self.end.set(end);
        self.journal.record_renewal(delivery, end);
        for wish in self.waiting.drain(..) {
            // A run that ended meanwhile waits no more.
            wish.send(()).ok();
        }
        Ok(())
    }

    fn lose(&self, why: &str) {
        tracing::warn!(
            message_id = self.leased.delivery.message_id,
            why,
            "the lease is lost: the run stops"
        );
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
    /// After a failure, until then not even for one who waits.
    not_before: Timestamp,
}

#[derive(Debug, PartialEq, Eq)]
enum Look {
    Wait,
    Renew,
    Lost,
}

impl Schedule {
    fn of(leased: &Leased, now: Timestamp) -> Self {
        let length = signed(leased.length);
        let next = add(leased.end, length / 3 - length);
        Self { length, margin: margin(leased.length), next, seen: now, not_before: Timestamp::MIN }
    }

    fn look(&mut self, now: Timestamp, end: Timestamp, is_wished: bool) -> Look {
        if now < self.seen {
            (self.next, self.not_before) = (now, now);
        }
        self.seen = now;
        if now.duration_until(end) <= self.margin {
            Look::Lost
        } else if now >= self.not_before && (is_wished || now >= self.next) {
            Look::Renew
        } else {
            Look::Wait
        }
    }

    fn renewed(&mut self, asked: Timestamp) {
        self.next = add(asked, self.length / 3);
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
            not_before: Timestamp::MIN,
        }
    }

    #[test]
    fn a_lease_is_renewed_at_a_third_and_when_it_is_wished() {
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
        schedule.failed(at(268));
        assert_eq!(schedule.look(at(270), at(300), true), Look::Lost);
    }

    #[test]
    fn a_clock_that_jumps_forward_over_the_end_ends_the_lease() {
        let mut schedule = schedule();
        assert_eq!(schedule.look(at(10), at(300), false), Look::Wait);
        assert_eq!(schedule.look(at(3_600), at(300), true), Look::Lost);
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
