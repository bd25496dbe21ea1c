//! A listener with so many places and no more. Whoever comes when all are taken waits, as at a
//! listener that is busy.

use std::sync::Arc;

use axum::serve::Listener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub struct Bounded<L> {
    listener: L,
    places: Arc<Semaphore>,
}

impl<L: Listener> Bounded<L> {
    #[must_use]
    pub fn new(listener: L, connections: usize) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections)) }
    }

    /// The next connection, once there is a place for it, and the place, which is free again when
    /// it is dropped. To be called again when it is given up does no harm.
    pub async fn accept(&mut self) -> (L::Io, OwnedSemaphorePermit) {
        let place =
            Arc::clone(&self.places).acquire_owned().await.expect("nobody closes the semaphore");
        let (connection, _) = self.listener.accept().await;
        (connection, place)
    }
}
