//! What the journal's rows are to everybody else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// The number of a run in its journal, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(pub(super) i64);

impl RunId {
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a run is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Stage {
    /// Whether the task is wanted is being found out.
    Admit,
    /// The repository is being fetched, and its checks run on the base.
    Prepare,
    /// The agent works on the task.
    Implement,
    /// The agent writes tests, and the checks are run.
    Check,
    /// The change is held against the policy.
    Gate,
    /// The branch is pushed, and the pull request opened.
    Publish,
    /// The issue is told.
    Settle,
}

impl Stage {
    /// The stage's name, as the journal keeps it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Outcome {
    /// A pull request is open and its checks passed.
    Done,
    /// It failed and will be tried again.
    Retrying,
    /// It failed for good; the message goes to the dead-letter queue.
    Failed,
    /// The user took the task back.
    Cancelled,
    /// The worker lost the right to work on it, or was stopped.
    Abandoned,
}

impl Outcome {
    /// The outcome's name, as the journal keeps it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// One run as it stands in the journal.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    pub run: RunId,
    pub task_key: String,
    pub repository: String,
    pub issue_number: u64,
    pub title: String,
    pub attempt: u32,
    pub stage: Stage,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    /// The failure in words, when there is one.
    pub detail: Option<String>,
    /// The same failure as data, as the run wrote it.
    pub reason: Option<serde_json::Value>,
    pub branch: Option<String>,
    pub commit: Option<String>,
    pub checks: Vec<CheckRecord>,
    pub pull_request_number: Option<u64>,
    pub pull_request_url: Option<String>,
    /// Until when the message is this worker's, while the queue was not told what becomes of it.
    pub lease_end: Option<Timestamp>,
}

/// The measured result of one check of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckRecord {
    pub kind: String,
    pub command: String,
    /// `passed`, `failed`, `failed_before`, `timed_out`, `not_run` or `offline`.
    pub result: String,
    pub seconds: f64,
}

/// Something that happened in a run, for people and for progress displays.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub sequence: i64,
    pub run: RunId,
    pub at: Timestamp,
    pub stage: Stage,
    pub text: String,
}
