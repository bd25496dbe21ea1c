//! What is told of a run, as plain data: `run` fills it in, and the templates make text of it.

use std::time::Duration;

use super::reason::Reason;
use crate::task::Task;

/// Everything that a pull request says of the run that made it.
#[derive(Debug, Clone)]
pub struct PullRequestReport<'a> {
    pub task: &'a Task,
    /// The branch that the pull request is to be merged into.
    pub base: &'a str,
    /// The branch of the pull request.
    pub branch: &'a str,
    /// The name of the commit that was pushed.
    pub commit: &'a str,
    /// The agent's name and version, such as `aider 0.86.2`.
    pub agent: String,
    /// The level of the sandbox that the agent worked in.
    pub sandbox: String,
    /// The models that worked on the task, in order.
    pub models: Vec<String>,
    /// The tokens sent and received, when the agent told them.
    pub tokens: Option<(u64, u64)>,
    /// How long the task was worked on, over all of its runs.
    pub duration: Duration,
    /// The receive count of the message.
    pub attempt: u32,
    /// How often the agent was called.
    pub calls: u32,
    /// How many of the calls answered a failed check.
    pub fix_ups: u32,
    pub checks: Vec<CheckLine>,
    pub files: Vec<FileLine>,
    pub notes: Vec<Note>,
}

/// The measured result of one check.
#[derive(Debug, Clone)]
pub struct CheckLine {
    /// `setup`, `build`, `format`, `lint` or `test`.
    pub kind: &'static str,
    pub command: String,
    pub result: CheckOutcome,
    pub duration: Duration,
    /// The end of what a failed check printed.
    pub output: String,
}

/// How a check ended. The words are in `templates/LANGUAGE/check_results.md`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
pub enum CheckOutcome {
    Passed,
    /// It passed on the base branch, or has failures that the base branch has not. Their names may
    /// be unknown.
    Failed {
        failures: Vec<String>,
    },
    /// It failed on the base branch, too, and there is no new failure.
    FailedBefore,
    TimedOut,
    /// A program that it needs is missing.
    NotRun {
        tool: String,
    },
    /// It needs the network, and its sandbox has none.
    Offline,
}

impl CheckOutcome {
    /// Whether the check keeps the change from being merged.
    pub(super) fn is_red(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::TimedOut)
    }
}

/// How much one file was changed.
#[derive(Debug, Clone)]
pub struct FileLine {
    pub path: String,
    /// The lines added and deleted. Nothing for a binary file.
    pub lines: Option<(u64, u64)>,
}

/// Something about a run that the reader of its pull request should know. The words are in
/// `templates/LANGUAGE/notes.md`.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::IntoStaticStr,
)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
pub enum Note {
    /// The agent was asked for tests and changed nothing.
    NoTestsWritten,
    /// The formatter was not run, because it would have rewritten files outside of the change.
    FormatSkipped,
    /// Nothing says how this repository is checked.
    NothingToCheck,
    /// The base branch has moved on since the work began.
    BaseMoved,
    /// The issue has text that GitHub does not show. The agent did not get it.
    HiddenText,
    /// The change deletes a file of tests.
    TestDeleted,
    /// The change marks a test so that its framework skips it, or skips all others.
    TestSkipped,
    /// The change holds content that GitHub does not show.
    BinaryFile,
    /// A text of the change has the marks of a merge conflict.
    ConflictMarkers,
    /// Files that programs leave behind, such as an editor's copies, are not part of the change.
    Leftovers { paths: Vec<String>, more: usize },
    /// New files that the repository ignores are not part of the change.
    IgnoredFiles { paths: Vec<String>, more: usize },
    /// The agent wrote files into submodules, which the worker does not check out.
    SubmoduleFiles { paths: Vec<String>, more: usize },
    /// The base branch's `.codingworker.toml` has a key that this version does not know. The
    /// suggestion is the known key that is most like it.
    UnknownKey { key: String, line: usize, suggestion: Option<String> },
    /// A manifest could not be read, so checks that it asks for may be missing.
    UnreadableManifest { detail: String },
}

impl PullRequestReport<'_> {
    /// The lines added and deleted in all.
    pub(super) fn lines(&self) -> (u64, u64) {
        self.files
            .iter()
            .filter_map(|file| file.lines)
            .fold((0, 0), |sum, lines| (sum.0 + lines.0, sum.1 + lines.1))
    }
}

/// What the status comment says. Each status has a template, and `attempt` is the receive count of
/// the message.
#[derive(Debug, Clone, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum IssueStatus<'a> {
    /// A run is at work.
    Working { stage: ToldStage, attempt: u32 },
    /// The pull request of this number may be merged.
    Done { number: u64 },
    /// The run failed, and another one follows after `delay`.
    Retrying { reason: &'a Reason, attempt: u32, delay: Duration },
    /// The user took the task back.
    Cancelled { reason: &'a Reason },
    /// The task failed for good. `tried` holds the reasons of its earlier runs, `draft` the number
    /// of the pull request that the last one left.
    Failed { reason: &'a Reason, tried: &'a [Reason], draft: Option<u64> },
}

impl IssueStatus<'_> {
    /// The status in one word, for the journal.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if let Self::Working { stage, .. } = self { stage.into() } else { self.into() }
    }
}

/// The part of a run that an issue's reader is told of. The words are in
/// `templates/LANGUAGE/stages.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
pub enum ToldStage {
    Accepted,
    Preparing,
    Implementing,
    Checking,
    Publishing,
}
