//! What the worker receives, and when it receives nothing: the model can't work, the forge can't be
//! asked, the disk is full, or the queue fails.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;

use super::health::State;
use super::{Stop, VISIBLE_NOW, Worker};
use crate::agent::model::ModelProblem;
use crate::errors::{self, Bilingual};
use crate::github::GitHubError;
use crate::queue::QueueError;
use crate::run::pause_after_refusal;
use crate::task::Delivery;

/// How long until a model that did not answer is asked again.
const MODEL_RETRY: Duration = Duration::from_secs(15);

/// How long until a disk that was full is looked at again.
const SPACE_RETRY: Duration = Duration::from_secs(5);

/// How long the worker waits at most after the queue failed in a way that passes by itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long the worker waits at most after the queue failed in a way that a person has to fix.
const LONGEST_PAUSE_FOR_A_PERSON: Duration = Duration::from_secs(300);

/// Why the worker received nothing.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("no task is taken while the agent can't work")]
    Model(#[from] ModelProblem),
    #[error("no task is taken while GitHub can't be asked")]
    Forge(#[from] GitHubError),
    #[error(
        "no task is taken while {} has less than {} MiB free: make space, or lower \
         `worker.free_space_mib`",
        path.display(),
        wanted >> 20
    )]
    NoSpace { path: PathBuf, wanted: u64 },
}

impl Bilingual for WorkerError {
    fn japanese(&self) -> String {
        match self {
            Self::Queue(error) => error.japanese(),
            Self::Model(_) => "エージェントが使えるようになるまで、タスクを受信しません".to_owned(),
            Self::Forge(_) => {
                "GitHubに問い合わせできるようになるまで、タスクを受信しません".to_owned()
            }
            Self::NoSpace { path, wanted } => format!(
                "{} の空き容量が{} MiBを下回っている間は、タスクを受信しません。\
                 空きを作るか、`worker.free_space_mib` を小さくしてください",
                path.display(),
                wanted >> 20
            ),
        }
    }

    fn own_cause(&self) -> Option<&dyn Bilingual> {
        match self {
            Self::Queue(error) => error.own_cause(),
            Self::Model(error) => Some(error),
            Self::Forge(error) => Some(error),
            Self::NoSpace { .. } => None,
        }
    }
}

impl Worker {
    /// Receives one message, when the model can work on it, the forge can be asked about it and the
    /// disk has room for it. SQS counts a receive as a delivery, whatever becomes of it.
    pub(super) async fn take(
        &self,
        wait: Duration,
        stop: &Stop,
    ) -> Result<Option<Delivery>, WorkerError> {
        self.check_space().await?;
        self.services.agent.check_program()?;
        self.services.agent.check_model().await?;
        self.services.forge.check().await?;
        let received = self.receive(wait, stop).await?;
        if self.heartbeat.polled(Timestamp::now()) {
            tracing::info!("the worker takes tasks again");
        }
        Ok(received)
    }

    /// A run that can't write down what it does fails, and costs a delivery.
    async fn check_space(&self) -> Result<(), WorkerError> {
        let config = &self.services.config;
        let (path, wanted) = (config.data_dir.clone(), config.worker.free_space);
        let asked = path.clone();
        // A file system that hangs blocks this call.
        let disk = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&asked)).await;
        match disk {
            Ok(Ok(disk)) if disk.f_bavail.saturating_mul(disk.f_frsize) < wanted => {
                Err(WorkerError::NoSpace { path, wanted })
            }
            // A disk that can't be asked may have enough.
            Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Polls the queue. A poll that is open when the worker is told to stop is waited for, and the
    /// message that it brings is given back: SQS may have answered it already, and a message that
    /// nobody reads stays hidden for hours.
    pub(super) async fn receive(
        &self,
        wait: Duration,
        stop: &Stop,
    ) -> Result<Option<Delivery>, QueueError> {
        let mut poll = pin!(self.queue.receive(wait));
        tokio::select! {
            received = &mut poll => return received,
            () = stop.graceful.cancelled() => {
                tracing::info!("finishing the open poll; a second signal ends it at once");
            }
        }
        tokio::select! {
            late = &mut poll => {
                if let Some(delivery) = late? {
                    self.queue.change_visibility(&delivery, VISIBLE_NOW).await?;
                }
            }
            () = stop.immediate.cancelled() => {}
        }
        Ok(None)
    }

    /// Tells why nothing was received, and how long to wait before the next try.
    pub(super) fn pause_after(
        &self,
        error: &WorkerError,
        backoff: &mut backon::ExponentialBackoff,
    ) -> Duration {
        let problem = errors::phrase(error);
        let shown = problem.of(self.services.config.language).to_owned();
        let problem = problem.en;
        let (state, pause) = match error {
            WorkerError::Model(_) => (State::WaitingForModel, MODEL_RETRY),
            WorkerError::Forge(error) => {
                let interval = self.services.config.github.watch_interval;
                (State::WaitingForForge, pause_after_refusal(error, interval))
            }
            WorkerError::NoSpace { .. } => (State::Unhealthy, SPACE_RETRY),
            WorkerError::Queue(error) => {
                let (state, longest) = longest_pause(error);
                (state, backoff.next().map_or(longest, |pause| pause.min(longest)))
            }
        };
        let again_in = format!("{} s", pause.as_secs_f64().ceil());
        // A problem that lasts for days is told once, and `status` shows it all the time.
        if self.heartbeat.report(state, Some(shown)) {
            tracing::warn!(problem, again_in, "the worker takes no task");
        } else {
            tracing::debug!(problem, again_in, "the worker still takes no task");
        }
        pause
    }
}

/// A fault that a person has to fix is not fixed within a minute.
fn longest_pause(error: &QueueError) -> (State, Duration) {
    match error {
        QueueError::Missing { .. }
        | QueueError::Refused { .. }
        | QueueError::NoCredentials { .. } => (State::Unhealthy, LONGEST_PAUSE_FOR_A_PERSON),
        QueueError::LeaseOver { .. }
        | QueueError::NoDeadLetters { .. }
        | QueueError::TimedOut(_)
        | QueueError::Damaged { .. }
        | QueueError::Failed { .. } => (State::QueueFails, LONGEST_PAUSE),
    }
}
