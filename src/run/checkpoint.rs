//! What a run has made so far, as the journal keeps it between two lives of a worker.
//!
//! A run that is resumed passes through the same stages as a new one. Each stage finds here what it
//! made before, and does only the rest.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::context::RunContext;
use super::effects::note;
use super::services::Services;
use crate::agent::Report;
use crate::checks::{Baseline, CheckResult, Plan};
use crate::git::{CommitId, TreeId};
use crate::journal::{Journal, JournalError, Kept, RunId};
use crate::publish::Note;
use crate::workspace::{Base, LeftOut};

/// The repository as it was before anybody touched it: where the work begins, which checks there
/// are, and how they ended there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PreparedBase {
    pub(super) base: Base,
    pub(super) plan: Plan,
    pub(super) baseline: Baseline,
    pub(super) notes: Vec<Note>,
    /// The lock files that setup or build rewrote on the base.
    #[serde(default)]
    pub(super) rewritten_locks: Vec<String>,
    /// How the baseline came about. Journals of version 0.1.0 do not say.
    #[serde(default)]
    pub(super) measured: Option<Measured>,
}

/// What tells whether a baseline can serve another run too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Measured {
    /// The plan before a formatter was left out of it.
    pub(super) planned: Plan,
    pub(super) version: String,
    pub(super) at: Timestamp,
}

/// What the agent has done so far. The journal keeps it after each of its calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The agent's tree as the worker last took a snapshot of it.
    pub(super) tree: TreeId,
    /// That tree as a commit on the base.
    pub(super) commit: CommitId,
    /// How many trees were kept so far.
    pub(super) kept: u32,
    /// The pass that was asked for last.
    pub(super) pass: Pass,
    pub(super) reports: Vec<Report>,
    pub(super) fix_ups: u32,
    /// The fix-ups of this pass alone.
    pub(super) fix_ups_of_pass: u32,
    pub(super) notes: Vec<Note>,
    /// What the agent left in its tree and is no part of the work.
    #[serde(default)]
    pub(super) left_out: LeftOut,
}

/// The passes of a run, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Pass {
    None,
    Implement,
    /// It is asked for when the repository wants it; all checks belong to it.
    Tests,
}

impl Progress {
    /// Nothing is done yet: the tree and the commit are the base's.
    pub(super) fn from_base(tree: TreeId, commit: CommitId, notes: Vec<Note>) -> Self {
        let (pass, reports) = (Pass::None, Vec::new());
        let (kept, fix_ups, fix_ups_of_pass, left_out) = (0, 0, 0, LeftOut::default());
        Self { tree, commit, kept, pass, reports, fix_ups, fix_ups_of_pass, notes, left_out }
    }

    pub(super) fn begin(&mut self, pass: Pass) {
        (self.pass, self.fix_ups_of_pass) = (pass, 0);
    }
}

/// What an earlier life of the run left. Each part counts only together with the parts before it.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    pub(super) prepared: Option<PreparedBase>,
    pub(super) progress: Option<Progress>,
    pub(super) results: Option<Vec<CheckResult>>,
    /// Why a part that is there can't be used. The run makes that part anew.
    unreadable: Option<String>,
}

impl Checkpoint {
    /// Reads what the journal has of a run.
    pub(super) async fn load(journal: &Journal, run: RunId) -> Result<Self, JournalError> {
        let mut found = Self::default();
        found.prepared = found.part("prepared repository", journal.prepared(run).await?);
        if found.prepared.is_some() {
            found.progress = found.part("progress", journal.last_pass(run).await?);
        }
        if found.progress.is_some() {
            found.results = found.part("check results", journal.checked(run).await?);
        }
        Ok(found)
    }

    fn part<T>(&mut self, what: &str, kept: Kept<T>) -> Option<T> {
        match kept {
            Kept::Value(value) => Some(value),
            Kept::None => None,
            Kept::Unreadable { why } => {
                self.unreadable = Some(format!("the journal's {what} of this run: {why}"));
                None
            }
        }
    }

    /// Says from where the run goes on, and what of its journal it can't read.
    pub(super) async fn tell(&self, services: &Services, run: &RunContext) -> Result<(), Failure> {
        if let Some(unreadable) = &self.unreadable {
            let text =
                format!("the work since then is repeated: this version can't read {unreadable}");
            note(services, run, &text).await?;
        }
        let from = match (&self.prepared, &self.progress, &self.results) {
            (None, _, _) => return Ok(()),
            (Some(_), None, _) => "the repository is prepared".to_owned(),
            (_, Some(progress), None) => {
                format!("{} passes are committed, the last as {}", progress.kept, progress.commit)
            }
            (_, Some(progress), Some(_)) => format!("{} is checked", progress.commit),
        };
        note(services, run, &format!("the run goes on from its checkpoint: {from}")).await
    }
}
