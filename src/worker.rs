//! The worker: it polls the queue, holds the lease of what it received, lets a run work on it, and
//! does to the delivery what the run ended in.
//!
//! Owns the loop and its slots. Leaves the work itself to [`run`](crate::run). Invariant: a message
//! is deleted only when its run was settled and the lease on it is still held.

pub mod health;
mod intake;
mod lease;
mod release;
pub mod settings;
mod sleep_inhibitor;
mod slot;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder as _;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::health::{Health, Heartbeat, State};
pub use self::intake::WorkerError;
use self::release::LeftBehind;
use crate::queue::{LONGEST_WAIT, Policy, Queue};
use crate::run::{Disposition, Services};

/// How long the worker waits after a failed call to the queue: doubled from one second, with
/// jitter, and no longer than the kind of failure allows.
const BACKOFF: backon::ExponentialBuilder = backon::ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(300))
    .with_jitter()
    .without_max_times();

/// The visibility timeout that makes a message receivable at once.
const VISIBLE_NOW: Duration = Duration::ZERO;

/// A worker on one queue.
pub struct Worker {
    queue: Arc<Queue>,
    policy: Policy,
    lease_length: Duration,
    services: Services,
    heartbeat: Heartbeat,
}

/// The request that the worker ends.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Nothing more is received. A run has the configured time to end, and is suspended then.
    pub graceful: CancellationToken,
    /// Runs are suspended now, and the open poll is not waited for either: a message that it brings
    /// stays hidden for the queue's visibility timeout.
    pub immediate: CancellationToken,
}

/// What one turn of the loop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The queue had no message.
    Idle,
    /// A delivery was worked on, and this became of it.
    Worked(Disposition),
    /// The worker was told to stop. The run goes on when a worker starts again.
    Suspended,
}

impl Worker {
    /// A worker on `queue`, which is set up as `policy` says. A lease is as long as the settings
    /// say, else as the queue's own visibility timeout.
    #[must_use]
    pub fn new(queue: Queue, policy: Policy, services: Services) -> Self {
        let lease_length = services.config.queue.lease.unwrap_or(policy.visibility_timeout);
        let heartbeat = Heartbeat::new(Timestamp::now());
        Self { queue: Arc::new(queue), policy, lease_length, services, heartbeat }
    }

    /// What the worker's runs share.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// How the worker is, now and whenever that changes.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.heartbeat.subscribe()
    }

    /// Works on tasks until it is told to stop; first on the runs that a worker before it left.
    /// Whatever fails on the way is logged and tried again.
    pub async fn run(self: &Arc<Self>, stop: &Stop) {
        let work = async {
            let mut slots = JoinSet::new();
            self.poll(&mut slots, stop).await;
            self.heartbeat.report(State::Stopping, None);
            // Each run knows by itself when it must not be waited for any more.
            while let Some(ended) = slots.join_next().await {
                log_panic(ended);
            }
        };
        tokio::select! {
            () = work => {}
            () = self.heartbeat.beat(&self.services.config.data_dir) => {}
            () = self.heartbeat.follow(self.services.forge.problem()) => {}
        }
        tracing::info!("stopped");
    }

    async fn poll(self: &Arc<Self>, slots: &mut JoinSet<Turn>, stop: &Stop) {
        let LeftBehind { held, mut untold } = self.left_behind().await;
        let mut left = VecDeque::from(held);
        let mut backoff = BACKOFF.build();
        let concurrency = self.services.config.worker.concurrency;
        tracing::info!(queue = self.queue.url(), slots = concurrency, "waiting for tasks");
        while !stop.graceful.is_cancelled() {
            while let Some(ended) = slots.try_join_next() {
                log_panic(ended);
            }
            if slots.len() >= concurrency {
                tokio::select! {
                    Some(ended) = slots.join_next() => log_panic(ended),
                    () = stop.graceful.cancelled() => {}
                }
                continue;
            }
            let (worker, stop_slot) = (Arc::clone(self), stop.clone());
            if let Some(left) = left.pop_front() {
                slots.spawn(async move { worker.resume_in_slot(left, &stop_slot).await });
                continue;
            }
            let pause = match self.take(LONGEST_WAIT, stop).await {
                Ok(delivery) => {
                    backoff = BACKOFF.build();
                    // The forge was asked just now, so that it can be told.
                    untold = self.give_up_all(untold).await;
                    if let Some(delivery) = delivery {
                        slots.spawn(async move { worker.work_in_slot(delivery, &stop_slot).await });
                    }
                    continue;
                }
                Err(error) => self.pause_after(&error, &mut backoff),
            };
            tokio::select! {
                () = stop.graceful.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Resumes a run that a worker before this one left, else receives one message, waiting up to
    /// `wait` for it, and works on it to its end.
    ///
    /// # Errors
    /// The model can't work, the forge can't be asked or the disk is full, so that nothing was
    /// received; or the queue failed.
    pub async fn turn(&self, wait: Duration, stop: &Stop) -> Result<Turn, WorkerError> {
        if let Some(left) = self.left_behind().await.held.into_iter().next() {
            return Ok(self.resume_in_slot(left, stop).await);
        }
        match self.take(wait, stop).await? {
            Some(delivery) => Ok(self.work_in_slot(delivery, stop).await),
            None => Ok(Turn::Idle),
        }
    }
}

/// A slot catches the panics of its run. One that gets here happened outside of the run: its
/// message comes again when the lease is over, and the log must say so.
fn log_panic(ended: Result<Turn, JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a slot of the worker panicked: its message comes again when its \
                                 lease ends");
    }
}
