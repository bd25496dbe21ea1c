//! Whether the worker is well: a file that a living worker renews, for `codingworker status`, a
//! look at its age, or an HTTP probe.
//!
//! What a worker is busy with is in the journal. Invariant: only a living worker renews the file,
//! however long its runs take.

pub mod http;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

const FILE_NAME: &str = "health.json";

/// How often a living worker renews the file.
const BEAT: Duration = Duration::from_secs(10);

/// How old the file of a living worker may get on a machine that is short of breath.
const STALE: SignedDuration = SignedDuration::from_secs(60);

/// How a worker is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    pub pid: u32,
    pub started_at: Timestamp,
    /// When the worker last said so.
    pub updated_at: Timestamp,
    /// When the queue last answered a poll.
    pub last_good_poll: Option<Timestamp>,
    pub state: State,
    /// What keeps the worker from working, in words.
    pub problem: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It polls the queue, or all of its slots are busy.
    Working,
    /// It takes nothing until the model answers.
    WaitingForModel,
    /// The queue fails, and is asked again soon.
    QueueFails,
    /// The queue is missing or refuses the credentials: a person has to mend it.
    Unhealthy,
    Stopping,
}

impl State {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::WaitingForModel => "waiting for the model",
            Self::QueueFails => "asking a queue that fails",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
        }
    }
}

impl Health {
    /// Reads what the worker of a data directory last said.
    ///
    /// # Errors
    /// There is such a file and it can't be read.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(data_dir.join(FILE_NAME)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a worker lives that can work.
    #[must_use]
    pub fn is_well(&self, now: Timestamp) -> bool {
        self.is_alive(now) && self.state != State::Unhealthy
    }

    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now.duration_since(self.updated_at) < STALE
    }
}

/// The worker's own side: what it says goes to the file and to whoever follows.
pub(super) struct Heartbeat(watch::Sender<Health>);

impl Heartbeat {
    pub(super) fn new(now: Timestamp) -> Self {
        Self(watch::Sender::new(Health {
            pid: std::process::id(),
            started_at: now,
            updated_at: now,
            last_good_poll: None,
            state: State::Working,
            problem: None,
        }))
    }

    pub(super) fn polled(&self, now: Timestamp) {
        self.0.send_modify(|health| {
            (health.last_good_poll, health.state, health.problem) =
                (Some(now), State::Working, None);
        });
    }

    pub(super) fn is(&self, state: State, problem: Option<String>) {
        self.0.send_modify(|health| (health.state, health.problem) = (state, problem));
    }

    pub(super) fn follow(&self) -> watch::Receiver<Health> {
        self.0.subscribe()
    }

    /// Keeps the file of `data_dir` until it is dropped, and takes it away then: a worker that
    /// ended is not one that hangs.
    pub(super) async fn beat(&self, data_dir: &Path) {
        let file = File(data_dir.join(FILE_NAME));
        let mut said = self.0.subscribe();
        loop {
            let health =
                Health { updated_at: Timestamp::now(), ..said.borrow_and_update().clone() };
            if let Err(error) = file.write(&health) {
                tracing::warn!(%error, file = %file.0.display(), "how the worker is could not be written down");
            }
            // The sender lives as long as this does.
            tokio::time::timeout(BEAT, said.changed()).await.ok();
        }
    }
}

struct File(PathBuf);

impl File {
    /// Readers see the old file or the new one.
    fn write(&self, health: &Health) -> io::Result<()> {
        let new = self.0.with_extension("json.new");
        std::fs::write(&new, serde_json::to_vec(health)?)?;
        std::fs::rename(&new, &self.0)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}
