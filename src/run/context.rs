//! What all stages of one run share: the task, the delivery's attempt, the lease and the log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::Failure;
use super::lease::LeaseHandle;
use super::outcome::Attempt;
use crate::disk::{self, DiskError, make_private_directory, remove_tree};
use crate::journal::{self, RunId};
use crate::publish::{AttemptRecord, Publisher};
use crate::task::Task;
use crate::task::cut::CutBody;

/// Where a run keeps the agent's and the checks' trees, in its own directory.
pub(super) const TREES: &str = "trees";
/// Where a run keeps what the agent and the checks need beside their trees.
pub(super) const SCRATCH: &str = "scratch";
const LOG: &str = "log";

/// One run of a task. Its stages share this value; what a stage made travels in the stage's own
/// value, so that no stage can be skipped.
#[derive(Clone)]
pub(super) struct RunContext {
    pub(super) id: RunId,
    /// The task as the message has it.
    pub(super) task: Task,
    /// Set when the task's body is only the beginning of the issue's.
    pub(super) cut: Option<CutBody>,
    pub(super) attempt: Attempt,
    pub(super) lease: LeaseHandle,
    /// It writes to the forge only while the lease is held.
    pub(super) publisher: Publisher,
    /// The name of this worker.
    pub(super) worker: String,
    pub(super) received_at: Timestamp,
    /// When the work on the task began, in whichever life of the run. The commit bears this date,
    /// so that a run which is resumed makes the same commit again.
    pub(super) started_at: Timestamp,
    pub(super) directory: PathBuf,
}

impl RunContext {
    /// The attempt as the issue has it, as long as nothing came of it.
    pub(super) fn attempt_record(&self) -> AttemptRecord {
        AttemptRecord {
            worker: self.worker.clone(),
            attempt: self.attempt.receive_count,
            received_at: self.received_at,
            reason: None,
        }
    }

    pub(super) fn trees(&self) -> PathBuf {
        self.directory.join(TREES)
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.directory.join(SCRATCH)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join(LOG)
    }

    /// How long the task has been worked on.
    pub(super) fn age(&self) -> Duration {
        Timestamp::now().duration_since(self.started_at).try_into().unwrap_or_default()
    }

    /// Makes the run's directory, on a thread that may block.
    pub(super) async fn make_directories(&self) -> Result<(), Failure> {
        let scratch = self.scratch();
        let made = tokio::task::spawn_blocking(move || make_private_directory(&scratch)).await;
        made.unwrap_or_else(|error| Err(DiskError::interrupted(error, &self.directory)))?;
        Ok(())
    }

    /// Appends a line about the run itself to its log, with the time. Programs write there too.
    pub(super) async fn log_line(&self, text: &str) -> Result<(), Failure> {
        self.append_log(&format!("# {:.0} {text}", Timestamp::now())).await
    }

    /// Appends a line to the run's log.
    pub(super) async fn append_log(&self, line: &str) -> Result<(), Failure> {
        Ok(disk::append_line(&self.log(), line).await?)
    }

    /// Removes the directories that the run worked in. Its log stays, and what the agent made is in
    /// the worker's own repository.
    pub(super) async fn clean_up(&self) {
        for directory in [self.trees(), self.scratch()] {
            if let Err(error) = remove_tree(&directory).await {
                let error = crate::errors::chain(&error);
                tracing::warn!(error, "the worker could not remove a directory of the run");
            }
        }
    }
}

/// The file that receives all output of a run's programs.
#[must_use]
pub fn log_file(data_dir: &Path, run: RunId) -> PathBuf {
    journal::run_directory(data_dir, run).join(LOG)
}
