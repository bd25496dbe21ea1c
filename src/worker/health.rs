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
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::disk::InstanceLock;

const FILE_NAME: &str = "health.json";

/// How often a living worker renews the file.
const INTERVAL: Duration = Duration::from_secs(10);

/// How old the file of a living worker may get on a machine that is overloaded.
const STALE: SignedDuration = SignedDuration::from_secs(60);

/// What a worker reports about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    pub pid: u32,
    pub started_at: Timestamp,
    /// When the worker last reported.
    pub updated_at: Timestamp,
    /// When the queue last answered a poll.
    pub last_good_poll: Option<Timestamp>,
    pub state: State,
    /// What keeps the worker from working, in a sentence.
    pub problem: Option<String>,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It polls the queue, or all of its slots are busy.
    Working,
    /// It takes nothing until the model answers.
    WaitingForModel,
    /// It takes nothing until GitHub can be asked, and accepts the token.
    WaitingForForge,
    /// The queue fails, and is asked again soon.
    QueueFails,
    /// The queue is missing or refuses the credentials, or the disk is full: a person has to fix
    /// it.
    Unhealthy,
    Stopping,
}

impl State {
    /// The state as a part of a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::WaitingForModel => "waiting for the agent or its model",
            Self::WaitingForForge => "waiting for GitHub",
            Self::QueueFails => "asking a queue that fails",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
        }
    }
}

impl Health {
    /// Reads what the worker of a data directory last reported.
    ///
    /// # Errors
    /// The file exists and can't be read.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(data_dir.join(FILE_NAME)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a living worker can work.
    #[must_use]
    pub fn is_well(&self, now: Timestamp) -> bool {
        let can_work = !matches!(self.state, State::Unhealthy | State::WaitingForForge);
        self.is_alive(now) && can_work
    }

    /// Whether the worker of this data directory is running: it renewed the file a short time ago,
    /// and was not killed since.
    #[must_use]
    pub fn is_running(&self, data_dir: &Path, now: Timestamp) -> bool {
        self.is_alive(now) && !has_died(self.pid, data_dir)
    }

    /// Whether the file was renewed a short time ago.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now.duration_since(self.updated_at) < STALE
    }
}

/// Whether the worker that wrote the file was killed before it could remove the file. A process id
/// alone says little: it may be another process's by now, or one of another PID namespace. So the
/// lock of the data directory has the last word, which the kernel releases when a process ends.
fn has_died(pid: u32, data_dir: &Path) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let is_gone = pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH));
    is_gone && InstanceLock::is_free(data_dir)
}

/// The worker's own side: what it reports goes to the file and to whoever subscribed.
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

    /// Reports that the queue was asked, and returns whether a problem before it is over.
    pub(super) fn polled(&self, now: Timestamp) -> bool {
        let had_problem = self.0.borrow().problem.is_some();
        self.0.send_modify(|health| {
            (health.last_good_poll, health.state, health.problem) =
                (Some(now), State::Working, None);
        });
        had_problem
    }

    /// Reports a state, and returns whether the problem is another one than before.
    pub(super) fn report(&self, state: State, problem: Option<String>) -> bool {
        let is_new = self.0.borrow().problem != problem;
        self.0.send_modify(|health| (health.state, health.problem) = (state, problem));
        is_new
    }

    /// Reports an outage of the forge that a run has met, and its end. While all slots are busy
    /// nobody else looks.
    pub(super) async fn follow(&self, mut outage: watch::Receiver<Option<String>>) {
        while outage.changed().await.is_ok() {
            match outage.borrow_and_update().clone() {
                Some(problem) => {
                    self.report(State::WaitingForForge, Some(problem));
                }
                None => self.forge_answers(),
            }
        }
        std::future::pending::<()>().await;
    }

    fn forge_answers(&self) {
        self.0.send_if_modified(|health| {
            let waited = health.state == State::WaitingForForge;
            if waited {
                (health.state, health.problem) = (State::Working, None);
            }
            waited
        });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Health> {
        self.0.subscribe()
    }

    /// Renews the file below `data_dir` until this is dropped, and removes it then: a worker that
    /// has ended must not pass for one that hangs.
    pub(super) async fn beat(&self, data_dir: &Path) {
        let file = HealthFile(data_dir.join(FILE_NAME));
        let mut reported = self.0.subscribe();
        loop {
            let health =
                Health { updated_at: Timestamp::now(), ..reported.borrow_and_update().clone() };
            if let Err(error) = file.write(&health).await {
                let file = file.0.display();
                tracing::warn!(%error, %file, "the worker could not write down how it is");
            }
            // The sender lives as long as this does, so only the interval can end the wait.
            tokio::time::timeout(INTERVAL, reported.changed()).await.ok();
        }
    }
}

/// The file that tells other processes how the worker is.
struct HealthFile(PathBuf);

impl HealthFile {
    /// Replaces the file as a whole, so that readers see the old one or the new one. The write
    /// happens on a thread that may block.
    async fn write(&self, health: &Health) -> io::Result<()> {
        let (path, new) = (self.0.clone(), self.0.with_extension("json.new"));
        let text = serde_json::to_vec(health)?;
        let replace = move || {
            std::fs::write(&new, text)?;
            std::fs::rename(&new, &path)
        };
        tokio::task::spawn_blocking(replace).await.unwrap_or_else(|error| Err(error.into()))
    }
}

impl Drop for HealthFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_new_once_and_over_once() {
        let now = Timestamp::UNIX_EPOCH;
        let heartbeat = Heartbeat::new(now);
        let report =
            |problem: &str| heartbeat.report(State::WaitingForModel, Some(problem.to_owned()));
        assert!(!heartbeat.polled(now));
        assert!(report("no model") && !report("no model") && report("no agent"));
        assert!(heartbeat.polled(now) && !heartbeat.polled(now));
    }
}
