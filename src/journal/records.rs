//! What the journal's rows are to everybody else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// The number of a run in its journal, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(pub(super) i64);

impl RunId {
    /// The run of this number, which may not be in any journal.
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
    /// The run's number.
    pub run: RunId,
    /// The key of its task: `owner/repo#issue@created_at`.
    pub task_key: String,
    /// The repository, as `owner/repo`.
    pub repository: String,
    /// The number of the issue.
    pub issue_number: u64,
    /// The title of the issue.
    pub title: String,
    /// How often the message had been received, this time included.
    pub attempt: u32,
    /// The stage that it is in, or ended in.
    pub stage: Stage,
    /// When work on the task began.
    pub started_at: Timestamp,
    /// When the issue was told how the run ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended, once that is decided.
    pub outcome: Option<Outcome>,
    /// The failure in words, when there is one.
    pub detail: Option<String>,
    /// The same failure as data, as the run wrote it.
    pub reason: Option<serde_json::Value>,
    /// The branch that it pushed, or was about to push.
    pub branch: Option<String>,
    /// The commit that it pushed, or was about to push.
    pub commit: Option<String>,
    /// The results of the checks that it ended with.
    pub checks: Vec<CheckRecord>,
    /// The number of its pull request.
    pub pull_request_number: Option<u64>,
    /// The address of its pull request.
    pub pull_request_url: Option<String>,
    /// Until when the message is this worker's, while the queue was not told what becomes of it.
    pub lease_end: Option<Timestamp>,
}

/// The measured result of one check of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckRecord {
    /// `setup`, `build`, `format`, `lint` or `test`.
    pub kind: String,
    /// The command line that was run.
    pub command: String,
    /// `passed`, `failed`, `failed_before`, `timed_out` or `not_run`. Version 0.1.0 also wrote
    /// `offline`.
    pub result: String,
    /// What kept the check from running, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// The same as data, as the run wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<serde_json::Value>,
    /// How long it took.
    pub seconds: f64,
}

/// Something that happened in a run, for people and for progress displays.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// The event's number in the journal, from 1; later events have larger ones.
    pub sequence: i64,
    /// The run that it happened in.
    pub run: RunId,
    /// When it happened.
    pub at: Timestamp,
    /// The stage that the run was in.
    pub stage: Stage,
    /// What happened, in words.
    pub text: String,
}
