//! What is told of a run, as plain data: `run` fills it in, and the templates make text of it.

use std::time::Duration;

use super::attempts::AttemptRecord;
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
    /// The name of the worker.
    pub worker: String,
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
    /// Why no test says that the change is right; nothing when one does, or when a check is red.
    pub untested: Vec<NoTest>,
    /// Whether the repository wants an untested change as a draft.
    pub untested_is_draft: bool,
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
    /// The end of what a check printed that did not pass.
    pub output: String,
}

/// Why a check could not be run on the worker's machine. The words are in
/// `templates/LANGUAGE/hindrances.md`: what is wrong, and after a blank line what to do next.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::IntoStaticStr,
)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
pub enum Hindrance {
    /// A program, or a part of a toolchain, is not installed.
    Missing {
        tool: String,
    },
    NotExecutable {
        program: String,
    },
    /// The repository forbids the installed version of a tool.
    WrongVersion {
        detail: String,
    },
    /// It needs the network, and its sandbox has none.
    Offline,
    /// It has a network, and a host was refused or can't be reached.
    Unreachable {
        detail: String,
    },
    /// The certificate of a host is not trusted.
    Certificate {
        detail: String,
    },
    ReadOnly {
        detail: String,
    },
    NoSpace {
        detail: String,
    },
    /// It takes too long, on the base branch too.
    TimeLimit {
        seconds: u64,
    },
}

/// Why no test says that a change is right. The words are in `templates/LANGUAGE/untested.md`.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::IntoStaticStr,
)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
pub enum NoTest {
    /// The repository has no check of any kind.
    NoChecks,
    /// None of the repository's checks is a test.
    NoTestCommand,
    /// `.codingworker.toml` turns the test check off.
    TurnedOff,
    /// The command passed and shows no test.
    NoTestRan {
        command: String,
    },
    /// The command failed on the base branch too, and no test passes in both.
    NothingPasses {
        command: String,
    },
    NotRun {
        command: String,
        hindrance: Hindrance,
    },
    /// The setup before the tests could not be run.
    SetupNotRun {
        command: String,
        hindrance: Hindrance,
    },
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
    /// Something of the worker's machine kept it from running.
    NotRun {
        hindrance: Hindrance,
    },
}

impl CheckOutcome {
    /// Whether the check was run.
    pub(super) fn is_of_a_run(&self) -> bool {
        !matches!(self, Self::NotRun { .. })
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
    /// The agent was asked for tests and changed nothing, and it wrote none before.
    NoTestsWritten,
    /// The formatter was not run, because it would have rewritten files outside of the change.
    FormatSkipped,
    /// Nothing says how this repository is checked. Journals of version 0.1.0 may hold it.
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
    /// Whether the change is a draft because no test was run on it.
    pub(super) fn is_untested_draft(&self) -> bool {
        self.untested_is_draft && !self.untested.is_empty()
    }

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
    /// The pull request of this number was not tested, for which it is a draft where that can be
    /// had. There are no reasons when an earlier run made it.
    NotTested { number: u64, draft: bool, reasons: &'a [NoTest] },
    /// The run failed, and another one follows after `delay`.
    Retrying { reason: &'a Reason, attempt: u32, delay: Duration },
    /// The user took the task back.
    Cancelled { reason: &'a Reason },
    /// The task failed for good. `tried` holds its earlier attempts, `draft` the number of the pull
    /// request that the last one left.
    Failed { reason: &'a Reason, tried: &'a [AttemptRecord], draft: Option<u64> },
}

impl IssueStatus<'_> {
    /// Why the attempt failed, when it did.
    pub(super) fn failure(&self) -> Option<&Reason> {
        match self {
            Self::Retrying { reason, .. } | Self::Failed { reason, .. } => Some(reason),
            Self::Working { .. }
            | Self::Done { .. }
            | Self::NotTested { .. }
            | Self::Cancelled { .. } => None,
        }
    }

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
