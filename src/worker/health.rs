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
///
/// A worker of another version may have written the file. Its process and the time of its report
/// are what every version knows, and all else may be missing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    pub pid: u32,
    /// When the worker last reported.
    pub updated_at: Timestamp,
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When the queue last answered a poll.
    #[serde(default)]
    pub last_good_poll: Option<Timestamp>,
    #[serde(default)]
    pub state: State,
    /// What keeps the worker from working, in a sentence.
    #[serde(default)]
    pub problem: Option<String>,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A state that this version does not know, or none.
    #[default]
    #[serde(other)]
    Unknown,
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
            Self::Unknown => "in a state that this version of the program does not know",
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
        let can_work = match self.state {
            State::Unhealthy | State::WaitingForForge => false,
            State::Working | State::WaitingForModel | State::QueueFails | State::Stopping => true,
            State::Unknown => self.problem.is_none(),
        };
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
            updated_at: now,
            started_at: Some(now),
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
                Some(problem) => self.forge_fails(problem),
                None => self.forge_answers(),
            }
        }
        std::future::pending::<()>().await;
    }

    /// Reports an outage, unless the poll loop has done so in a longer sentence.
    fn forge_fails(&self, problem: String) {
        self.0.send_if_modified(|health| {
            let is_told = health.state == State::WaitingForForge
                && health.problem.as_ref().is_some_and(|told| told.ends_with(&problem));
            if !is_told {
                (health.state, health.problem) = (State::WaitingForForge, Some(problem));
            }
            !is_told
        });
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

    /// What another version wrote is read as far as it goes: a worker that runs must not pass for
    /// none.
    #[test]
    fn the_file_of_another_version_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(directory.path().join(FILE_NAME), text).unwrap();
            Health::read(directory.path()).unwrap().unwrap()
        };
        let now: Timestamp = "2026-01-26T00:00:10Z".parse().unwrap();
        let older = read(r#"{"pid": 7, "updated_at": "2026-01-26T00:00:00Z"}"#);
        assert_eq!((older.pid, older.state, older.started_at), (7, State::Unknown, None));
        assert!(older.is_alive(now) && older.is_well(now));
        let newer = read(
            r#"{"pid": 7, "started_at": "2026-01-26T00:00:00Z", "state": "dreaming",
                "updated_at": "2026-01-26T00:00:00Z", "problem": "no sheep", "sheep": 0}"#,
        );
        assert_eq!(newer.state, State::Unknown);
        assert!(newer.is_alive(now) && !newer.is_well(now));
        let written = serde_json::to_string(&newer).unwrap();
        assert_eq!(read(&written).state, State::Unknown);
    }
}
