//! What the journal's rows are to everybody else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Admit,
    Prepare,
    Implement,
    Check,
    Gate,
    Publish,
    Settle,
}

impl Stage {
    pub const ALL: [Self; 7] = [
        Self::Admit,
        Self::Prepare,
        Self::Implement,
        Self::Check,
        Self::Gate,
        Self::Publish,
        Self::Settle,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Prepare => "prepare",
            Self::Implement => "implement",
            Self::Check => "check",
            Self::Gate => "gate",
            Self::Publish => "publish",
            Self::Settle => "settle",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
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
    const ALL: [Self; 5] =
        [Self::Done, Self::Retrying, Self::Failed, Self::Cancelled, Self::Abandoned];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
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
