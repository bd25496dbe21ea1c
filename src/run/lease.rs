//! The run's side of the lease: whether it is held, until when, and how to have it renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::Failure;

/// A run's handle on the lease of its delivery. The worker renews the lease at the other end of
/// `renewals`, and answers a request once a renewal has succeeded.
#[derive(Debug, Clone)]
pub struct LeaseHandle {
    lost: CancellationToken,
    doubtful: Arc<AtomicBool>,
    end: watch::Receiver<Timestamp>,
    renewals: mpsc::Sender<oneshot::Sender<()>>,
}

impl LeaseHandle {
    /// A handle whose lease ends at `end`, or when the worker cancels `lost`. The worker sets
    /// `doubtful` when the lease had ended before it was renewed.
    #[must_use]
    pub fn new(
        lost: CancellationToken,
        doubtful: Arc<AtomicBool>,
        end: watch::Receiver<Timestamp>,
        renewals: mpsc::Sender<oneshot::Sender<()>>,
    ) -> Self {
        Self { lost, doubtful, end, renewals }
    }

    /// Cancelled when the lease is lost; the programs of a run stop with it.
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Until when the lease lasts, by the wall clock.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        *self.end.borrow()
    }

    /// Whether the lease is held at `now`. The clock counts too: a machine that was suspended wakes
    /// with a lease that nobody has called lost yet.
    #[must_use]
    pub fn is_held(&self, now: Timestamp) -> bool {
        !self.lost.is_cancelled() && now < self.end()
    }

    /// Whether somebody else may have the message as well.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Has the lease renewed, and returns when it is. An effect that follows at once happens well
    /// within the lease.
    pub(super) async fn renew(&self) -> Result<(), Failure> {
        let (renewed, answer) = oneshot::channel();
        // Nobody at the other end, and no answer, both mean that the lease is lost.
        self.renewals.send(renewed).await.ok();
        answer.await.map_err(|_| Failure::LeaseLost)
    }
}
