//! The worker: polls the queue, holds the lease of what it took, lets a run work on it, and does to the delivery what the run ended in.
//!
//! Owns the loop, its patience with a queue or a model that does not answer, and the end of a delivery. Leaves the work itself to
//! [`run`](crate::run). Invariant: a message is deleted only when its run was settled and the lease on it still held.

mod lease;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;
use tokio_util::sync::CancellationToken;

use self::lease::Lease;
use crate::agent::model::ModelProblem;
use crate::queue::{Delivery, LONGEST_WAIT, Policy, Queue, QueueError};
use crate::run::{Attempt, Disposition, Rooms};

/// How long the worker waits after a failed call to the queue: doubled from one second, jittered, and no longer than [`longest_pause`].
const PATIENCE: backon::ExponentialBuilder = backon::ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(300))
    .with_jitter()
    .without_max_times();

/// How long until a model that did not answer is asked again.
const MODEL_RETRY: Duration = Duration::from_secs(15);

/// How long until a delivery that was given back may be received again when the worker stops in the midst of it.
const AT_ONCE: Duration = Duration::ZERO;

pub struct Worker {
    queue: Arc<Queue>,
    policy: Policy,
    lease: Duration,
    rooms: Rooms,
}

/// The wish that the worker ends.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Nothing more is taken, and the task that is being worked on is given back.
    pub asked: CancellationToken,
    /// The open poll is not waited for either. A message that it brings stays hidden for the queue's visibility timeout.
    pub insisted: CancellationToken,
}

/// What one turn of the loop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The queue had no message.
    Idle,
    /// A delivery was worked on, and this became of it.
    Worked(Disposition),
}

/// Why a turn could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("no task is taken while the model can't work: {0}")]
    Model(#[from] ModelProblem),
}

impl Worker {
    /// A worker on `queue`; a lease is as long as `lease` says, else as the queue's own visibility timeout.
    ///
    /// # Errors
    /// The queue can't be asked how it is set up.
    pub async fn new(queue: Queue, lease: Option<Duration>, rooms: Rooms) -> Result<Self, QueueError> {
        let policy = queue.policy().await?;
        Ok(Self { queue: Arc::new(queue), policy, lease: lease.unwrap_or(policy.visibility_timeout), rooms })
    }

    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Takes and works on tasks until it is told to stop; what goes wrong on the way is logged and waited out.
    pub async fn run(&self, stop: &Stop) {
        let mut patience = PATIENCE.build();
        tracing::info!(queue = self.queue.url(), "waiting for tasks");
        while !stop.asked.is_cancelled() {
            let pause = match self.turn(LONGEST_WAIT, stop).await {
                Ok(_) => {
                    patience = PATIENCE.build();
                    continue;
                }
                Err(WorkerError::Model(problem)) => {
                    tracing::warn!(%problem, "waiting for the model");
                    MODEL_RETRY
                }
                Err(WorkerError::Queue(error)) => {
                    tracing::warn!(%error, "the queue failed");
                    let longest = longest_pause(&error);
                    patience.next().map_or(longest, |pause| pause.min(longest))
                }
            };
            tokio::select! {
                () = stop.asked.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        tracing::info!("stopped");
    }

    /// Takes one message, waiting up to `wait` for it, and works on it to its end.
    ///
    /// # Errors
    /// The model can't work, so that nothing was taken; or the queue failed.
    pub async fn turn(&self, wait: Duration, stop: &Stop) -> Result<Turn, WorkerError> {
        self.rooms.agent.check_model().await?;
        let Some(delivery) = self.receive(wait, stop).await? else { return Ok(Turn::Idle) };
        if self.lease != self.policy.visibility_timeout {
            self.queue.change_visibility(&delivery, self.lease).await?;
        }
        Ok(Turn::Worked(self.work(delivery, &stop.asked).await))
    }

    /// Takes one message. A poll that is open when the worker is asked to stop is waited for and what it brings is given back: SQS may have
    /// answered it already, and a message nobody reads is hidden for hours.
    async fn receive(&self, wait: Duration, stop: &Stop) -> Result<Option<Delivery>, QueueError> {
        let mut poll = pin!(self.queue.receive(wait));
        tokio::select! {
            received = &mut poll => return received,
            () = stop.asked.cancelled() => tracing::info!("finishing the open poll; a second signal ends it at once"),
        }
        tokio::select! {
            late = &mut poll => {
                if let Some(delivery) = late? {
                    self.queue.change_visibility(&delivery, AT_ONCE).await?;
                }
            }
            () = stop.insisted.cancelled() => {}
        }
        Ok(None)
    }

    async fn work(&self, delivery: Delivery, stop: &CancellationToken) -> Disposition {
        let lease = Lease::hold(Arc::clone(&self.queue), delivery.clone(), self.lease);
        let attempt = Attempt {
            receive_count: delivery.receive_count,
            max_receive_count: self.policy.max_receive_count,
            rest: self.rest_after(delivery.receive_count),
        };
        let ended = CancellationToken::new();
        let watching = tokio::spawn(either(stop.clone(), lease.lost().clone(), ended.clone()));
        let disposition = self.rooms.run(&delivery, attempt, lease.hold_until(ended)).await;
        watching.abort();
        let disposition = if lease.release().await { disposition } else { Disposition::Abandon };
        if let Err(error) = self.end(&delivery, disposition).await {
            tracing::error!(message_id = delivery.message_id, ?disposition, %error, "the delivery could not be ended: it comes again");
        }
        disposition
    }

    /// How long a task rests that failed at its nth delivery; the last of the configured delays goes on. Up to a quarter is added by chance,
    /// so that tasks which failed together do not come back together.
    fn rest_after(&self, deliveries: u32) -> Duration {
        let delays = &self.rooms.config.retry_delays;
        let index = usize::try_from(deliveries.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = delays.get(index).or(delays.last()).copied().unwrap_or_default();
        delay.mul_f64(1.0 + fastrand::f64() / 4.0)
    }

    async fn end(&self, delivery: &Delivery, disposition: Disposition) -> Result<(), QueueError> {
        match disposition {
            Disposition::Complete | Disposition::Cancel => self.queue.delete(delivery).await,
            Disposition::RetryAfter(rest) => self.queue.change_visibility(delivery, rest).await,
            Disposition::DeadLetter => self.queue.change_visibility(delivery, AT_ONCE).await,
            Disposition::Abandon => Ok(()),
        }
    }
}

/// What a person has to mend is not mended within a minute.
fn longest_pause(error: &QueueError) -> Duration {
    match error {
        QueueError::Missing { .. } | QueueError::Refused { .. } => Duration::from_secs(300),
        QueueError::LeaseOver { .. }
        | QueueError::TimedOut(_)
        | QueueError::Damaged { .. }
        | QueueError::Failed { .. } => Duration::from_secs(60),
    }
}

/// Cancels `ended` when one of the two is.
async fn either(one: CancellationToken, other: CancellationToken, ended: CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
    ended.cancel();
}
