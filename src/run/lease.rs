//! What a run knows of the lease it works under: whether it is lost, until when it lasts, and how
//! to have it renewed before an effect.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Failure;

/// A run's side of a lease. Whoever renews it is at the other end of `renewals`, and answers each
/// wish once a renewal succeeded.
#[derive(Debug, Clone)]
pub struct LeaseHandle {
    lost: CancellationToken,
    end: LeaseEnd,
    renewals: mpsc::Sender<oneshot::Sender<()>>,
}

/// Until when a lease lasts, by the wall clock: known to whoever renews it and to all who work
/// under it.
#[derive(Debug, Clone)]
pub struct LeaseEnd(Arc<Mutex<Timestamp>>);

impl LeaseEnd {
    #[must_use]
    pub fn at(end: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(end)))
    }

    pub fn set(&self, end: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    #[must_use]
    pub fn get(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseHandle {
    /// `lost` is cancelled when the lease is lost.
    #[must_use]
    pub fn new(
        lost: CancellationToken,
        end: LeaseEnd,
        renewals: mpsc::Sender<oneshot::Sender<()>>,
    ) -> Self {
        Self { lost, end, renewals }
    }

    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.end.get()
    }

    /// Whether the lease is still ours, asked of the clock too: a machine that was suspended wakes
    /// with a lease that nobody has called lost.
    #[must_use]
    pub fn is_held(&self, now: Timestamp) -> bool {
        !self.lost.is_cancelled() && now < self.end.get()
    }

    /// Has the lease renewed, and returns when it is: what is done at once is done in the right of
    /// it.
    pub(super) async fn renew(&self) -> Result<(), Failure> {
        let (renewed, answer) = oneshot::channel();
        // A wish that nobody takes, or that nobody answers, means the same.
        self.renewals.send(renewed).await.ok();
        answer.await.map_err(|_| Failure::LeaseLost)
    }
}
