//! What is told of a run, as plain data: the run fills it in, and the templates
//! make text of it.

use std::time::Duration;

use super::reason::Reason;
use crate::task::Task;

/// Everything a pull request says of the run that made it.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    pub task: &'a Task,
    pub base: &'a str,
    pub branch: &'a str,
    pub commit: &'a str,
    /// Name and version, such as `aider 0.86.2`.
    pub agent: String,
    /// The level of the sandbox that it worked in.
    pub sandbox: String,
    /// The models that worked on it, in the order they came.
    pub models: Vec<String>,
    /// Tokens sent and received, when the agent told.
    pub tokens: Option<(u64, u64)>,
    pub duration: Duration,
    /// The receive count of the message.
    pub attempt: u32,
    /// How often the agent was called, and how many of those calls answered a failed check.
    pub calls: u32,
    pub fix_ups: u32,
    pub checks: Vec<CheckLine>,
    pub files: Vec<FileLine>,
    pub notes: Vec<Note>,
}

/// The measured result of one check.
#[derive(Debug, Clone)]
pub struct CheckLine {
    pub kind: &'static str,
    pub command: String,
    pub result: CheckOutcome,
    pub duration: Duration,
    /// The end of what it printed, for one that failed.
    pub output: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum CheckOutcome {
    Passed,
    /// Failed, and did not before; the names of what is new may be empty.
    Failed {
        failures: Vec<String>,
    },
    FailedBefore,
    TimedOut,
    NotRun {
        tool: String,
    },
    /// It needs the network, and there was none.
    Offline,
}

impl CheckOutcome {
    /// Whether the check keeps the change from being merged.
    pub(super) fn is_red(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::TimedOut)
    }
}

/// How much one file was changed; `lines` is missing for a binary file.
#[derive(Debug, Clone)]
pub struct FileLine {
    pub path: String,
    pub lines: Option<(u64, u64)>,
}

/// Something about a run that the reader of its pull request should know.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum Note {
    /// The second pass was asked for and changed nothing.
    NoTestsWritten,
    /// The formatter would have rewritten files that the task does not touch, so it was left alone.
    FormatSkipped,
    /// Nothing says how this repository is checked.
    NothingToCheck,
    /// The base branch has moved on since the work began.
    BaseMoved,
    /// The issue has text that GitHub does not show; the agent did not get it.
    HiddenText,
    /// The change deletes a file of tests.
    TestDeleted,
    /// It leaves tests out, by a mark of their framework.
    TestSkipped,
    /// It holds content that GitHub does not show.
    BinaryFile,
}

impl Report<'_> {
    /// Lines added and deleted in all.
    pub(super) fn lines(&self) -> (u64, u64) {
        self.files
            .iter()
            .filter_map(|file| file.lines)
            .fold((0, 0), |sum, lines| (sum.0 + lines.0, sum.1 + lines.1))
    }
}

/// What the status comment says.
#[derive(Debug, Clone, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status<'a> {
    Working { stage: Stage, attempt: u32 },
    Done { number: u64 },
    Retrying { reason: &'a Reason, attempt: u32, delay: Duration },
    Cancelled { reason: &'a Reason },
    Failed { reason: &'a Reason, tried: &'a [Reason], draft: Option<u64> },
}

impl Status<'_> {
    /// The status in one word, for the journal.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if let Self::Working { stage, .. } = self { stage.into() } else { self.into() }
    }
}

/// The part of the way that an issue's reader is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Stage {
    Accepted,
    Preparing,
    Implementing,
    Checking,
    Publishing,
}
