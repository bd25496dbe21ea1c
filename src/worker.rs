//! The worker: polls the queue, holds the lease of what it took, lets a run work on it, and does to
//! the delivery what the run ended in.
//!
//! Owns the loop with its slots, its backoff with a queue or a model that does not answer, and the
//! end of a delivery. Leaves the work itself to [`run`](crate::run). Invariant: a message is
//! deleted only when its run was settled and the lease on it still held.

pub mod health;
mod lease;
mod release;
mod sleep_inhibitor;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::health::{Health, Heartbeat, State};
use self::lease::{Lease, Leased};
use self::sleep_inhibitor::SleepInhibitor;
use crate::agent::model::ModelProblem;
use crate::journal::Unreleased;
use crate::queue::{LONGEST_WAIT, Policy, Queue, QueueError};
use crate::run::{Attempt, Disposition, Ended, LeaseHandle, Services};
use crate::task::Delivery;

/// How long the worker waits after a failed call to the queue: doubled from one second, jittered,
/// and no longer than [`longest_pause`].
const BACKOFF: backon::ExponentialBuilder = backon::ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(300))
    .with_jitter()
    .without_max_times();

/// How long until a model that did not answer is asked again.
const MODEL_RETRY: Duration = Duration::from_secs(15);

/// How long until a disk that was full is looked at again.
const SPACE_RETRY: Duration = Duration::from_secs(5);

/// How long until a delivery that was given back may be received again when nothing stands against
/// it.
const AT_ONCE: Duration = Duration::ZERO;

pub struct Worker {
    queue: Arc<Queue>,
    policy: Policy,
    lease: Duration,
    services: Services,
    pulse: Heartbeat,
}

/// The wish that the worker ends.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Nothing more is taken. What is being worked on has the configured time to end, and is
    /// suspended then.
    pub graceful: CancellationToken,
    /// What is being worked on is suspended now, and the open poll is not waited for either: a
    /// message that it brings stays hidden for the queue's visibility timeout.
    pub immediate: CancellationToken,
}

/// What one turn of the loop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The queue had no message.
    Idle,
    /// A delivery was worked on, and this became of it.
    Worked(Disposition),
    /// The worker was told to stop: the run goes on when a worker is started again.
    Suspended,
}

/// Why a turn could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("no task is taken while the model can't work: {0}")]
    Model(#[from] ModelProblem),
    #[error("no task is taken while {} has less than {} MiB free: make space, or lower `worker.free_space_mib`", path.display(), wanted >> 20)]
    NoSpace { path: PathBuf, wanted: u64 },
}

impl Worker {
    /// A worker on `queue`, which is set up as `policy` says; a lease is as long as configured,
    /// else as the queue's own visibility timeout.
    #[must_use]
    pub fn new(queue: Queue, policy: Policy, services: Services) -> Self {
        let lease = services.config.queue.lease.unwrap_or(policy.visibility_timeout);
        Self {
            queue: Arc::new(queue),
            policy,
            lease,
            services,
            pulse: Heartbeat::new(Timestamp::now()),
        }
    }

    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// How the worker is, now and whenever that changes.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.pulse.follow()
    }

    /// Takes and works on tasks until it is told to stop, those first that a worker before it left;
    /// what goes wrong on the way is logged and waited out.
    pub async fn run(self: &Arc<Self>, stop: &Stop) {
        let living = async {
            let mut runs = JoinSet::new();
            self.poll(&mut runs, stop).await;
            self.pulse.is(State::Stopping, None);
            // Each knows by itself when it must not be waited for any more.
            while runs.join_next().await.is_some() {}
        };
        tokio::select! {
            () = living => {}
            () = self.pulse.beat(&self.services.config.data_dir) => {}
        }
        tracing::info!("stopped");
    }

    async fn poll(self: &Arc<Self>, runs: &mut JoinSet<Turn>, stop: &Stop) {
        let mut left = VecDeque::from(self.left_behind().await);
        let mut backoff = BACKOFF.build();
        tracing::info!(
            queue = self.queue.url(),
            slots = self.services.config.concurrency,
            "waiting for tasks"
        );
        while !stop.graceful.is_cancelled() {
            while runs.try_join_next().is_some() {}
            if runs.len() >= self.services.config.concurrency {
                tokio::select! {
                    _ = runs.join_next() => {}
                    () = stop.graceful.cancelled() => {}
                }
                continue;
            }
            if let Some(left) = left.pop_front() {
                let (worker, stop) = (Arc::clone(self), stop.clone());
                runs.spawn(
                    async move { worker.unless_suspended(worker.resume(left), &stop).await },
                );
                continue;
            }
            let pause = match self.take(LONGEST_WAIT, stop).await {
                Ok(delivery) => {
                    backoff = BACKOFF.build();
                    if let Some(delivery) = delivery {
                        let (worker, stop) = (Arc::clone(self), stop.clone());
                        runs.spawn(async move {
                            worker.unless_suspended(worker.work(delivery), &stop).await
                        });
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

    fn pause_after(
        &self,
        error: &WorkerError,
        backoff: &mut backon::ExponentialBackoff,
    ) -> Duration {
        match error {
            WorkerError::Model(problem) => {
                tracing::warn!(%problem, "waiting for the model");
                self.pulse.is(State::WaitingForModel, Some(problem.to_string()));
                MODEL_RETRY
            }
            WorkerError::NoSpace { .. } => {
                tracing::warn!("{error}");
                self.pulse.is(State::Unhealthy, Some(error.to_string()));
                SPACE_RETRY
            }
            WorkerError::Queue(error) => {
                tracing::warn!(%error, "the queue failed");
                let (state, longest) = longest_pause(error);
                self.pulse.is(state, Some(error.to_string()));
                backoff.next().map_or(longest, |pause| pause.min(longest))
            }
        }
    }

    /// Goes on with what a worker before this one left, else takes one message, waiting up to
    /// `wait` for it, and works on it to its end.
    ///
    /// # Errors
    /// The model can't work, so that nothing was taken; or the queue failed.
    pub async fn turn(&self, wait: Duration, stop: &Stop) -> Result<Turn, WorkerError> {
        if let Some(left) = self.left_behind().await.into_iter().next() {
            return Ok(self.unless_suspended(self.resume(left), stop).await);
        }
        match self.take(wait, stop).await? {
            Some(delivery) => Ok(self.unless_suspended(self.work(delivery), stop).await),
            None => Ok(Turn::Idle),
        }
    }

    /// Takes one message, when the model can work on it.
    async fn take(&self, wait: Duration, stop: &Stop) -> Result<Option<Delivery>, WorkerError> {
        self.check_space()?;
        self.services.agent.check_model().await?;
        let received = self.receive(wait, stop).await?;
        self.pulse.polled(Timestamp::now());
        Ok(received)
    }

    /// A run that can't write down what it does fails, and spends a delivery on it.
    fn check_space(&self) -> Result<(), WorkerError> {
        let config = &self.services.config;
        match rustix::fs::statvfs(&config.data_dir) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < config.free_space => {
                Err(WorkerError::NoSpace {
                    path: config.data_dir.clone(),
                    wanted: config.free_space,
                })
            }
            // A disk that can't be asked may have enough.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A poll that is open when the worker is asked to stop is waited for and what it brings is
    /// given back: SQS may have answered it already, and a message nobody reads is hidden for
    /// hours.
    async fn receive(&self, wait: Duration, stop: &Stop) -> Result<Option<Delivery>, QueueError> {
        let mut poll = pin!(self.queue.receive(wait));
        tokio::select! {
            received = &mut poll => return received,
            () = stop.graceful.cancelled() => tracing::info!("finishing the open poll; a second signal ends it at once"),
        }
        tokio::select! {
            late = &mut poll => {
                if let Some(delivery) = late? {
                    self.queue.change_visibility(&delivery, AT_ONCE).await?;
                }
            }
            () = stop.immediate.cancelled() => {}
        }
        Ok(None)
    }

    async fn work(&self, delivery: Delivery) -> Disposition {
        let end = lease::end_of(&delivery, self.policy.visibility_timeout);
        let leased = Leased { delivery: delivery.clone(), end, length: self.lease };
        self.with_lease(&delivery, leased, async |attempt, hold| {
            self.services.run(&delivery, attempt, hold).await
        })
        .await
    }

    /// Goes on with a run of a worker before this one, under the lease that it held.
    async fn resume(&self, left: Unreleased) -> Disposition {
        tracing::info!(run = %left.run, lease_end = %left.lease_end, "taking up a run that was cut off");
        let leased =
            Leased { delivery: left.delivery.clone(), end: left.lease_end, length: self.lease };
        let resume = async |attempt, hold| self.services.resume(&left, attempt, hold).await;
        self.with_lease(&left.delivery, leased, resume).await
    }

    async fn with_lease(
        &self,
        delivery: &Delivery,
        leased: Leased,
        run: impl AsyncFnOnce(Attempt, LeaseHandle) -> Ended,
    ) -> Disposition {
        let config = &self.services.config;
        let _awake = SleepInhibitor::keep(config.keep_awake, config.environment.search_path());
        let lease =
            Lease::hold(Arc::clone(&self.queue), Arc::clone(&self.services.journal), leased);
        let attempt = Attempt {
            receive_count: delivery.receive_count,
            max_receive_count: self.policy.max_receive_count,
            retry_delay: self.retry_delay(delivery.receive_count),
        };
        let ended = run(attempt, lease.side()).await;
        let held_until = lease.release().await;
        self.release(delivery, ended, held_until).await
    }

    /// Does `work`, as long as a worker that is told to stop waits for it. Then it is dropped,
    /// which kills what it started; the journal has what the next worker goes on with.
    async fn unless_suspended(&self, work: impl Future<Output = Disposition>, stop: &Stop) -> Turn {
        let over = async {
            stop.graceful.cancelled().await;
            tokio::select! {
                () = tokio::time::sleep(self.services.config.drain) => {}
                () = stop.immediate.cancelled() => {}
            }
        };
        tokio::select! {
            disposition = work => Turn::Worked(disposition),
            () = over => {
                tracing::info!("the run is suspended: it goes on when a worker is started again");
                Turn::Suspended
            }
        }
    }

    /// How long a task rests that failed at its nth delivery; the last of the configured delays
    /// goes on. Up to a quarter is added by chance, so that tasks which failed together do not come
    /// back together.
    fn retry_delay(&self, deliveries: u32) -> Duration {
        let delays = &self.services.config.retry_delays;
        let index = usize::try_from(deliveries.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = delays.get(index).or(delays.last()).copied().unwrap_or_default();
        delay.mul_f64(1.0 + fastrand::f64() / 4.0)
    }
}

/// What a person has to mend is not mended within a minute.
fn longest_pause(error: &QueueError) -> (State, Duration) {
    match error {
        QueueError::Missing { .. } | QueueError::Refused { .. } | QueueError::NoCredentials => {
            (State::Unhealthy, Duration::from_secs(300))
        }
        QueueError::LeaseOver { .. }
        | QueueError::NoDeadLetters { .. }
        | QueueError::TimedOut(_)
        | QueueError::Damaged { .. }
        | QueueError::Failed { .. } => (State::QueueFails, Duration::from_secs(60)),
    }
}
