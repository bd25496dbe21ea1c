//! What a run knows of the lease it works under: when to end, whether the lease is lost, and how to have it renewed before an effect.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Failure;

/// A run's side of a lease. Whoever renews it is at the other end of `renewals`, and answers each wish once a renewal succeeded.
#[derive(Debug, Clone)]
pub struct Hold {
    ended: CancellationToken,
    lost: CancellationToken,
    renewals: mpsc::Sender<oneshot::Sender<()>>,
}

impl Hold {
    /// `ended` is cancelled when the run is to end, for whatever reason; `lost` when the lease is.
    #[must_use]
    pub fn new(ended: CancellationToken, lost: CancellationToken, renewals: mpsc::Sender<oneshot::Sender<()>>) -> Self {
        Self { ended, lost, renewals }
    }

    pub(super) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Has the lease renewed, and returns when it is: what is done at once is done in the right of it.
    pub(super) async fn renew(&self) -> Result<(), Failure> {
        let (renewed, answer) = oneshot::channel();
        // A wish that nobody takes, or that nobody answers, means the same.
        self.renewals.send(renewed).await.ok();
        answer.await.map_err(|_| Failure::LeaseLost)
    }
}
