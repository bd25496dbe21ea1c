//! What a run stands on and how far it came, as the journal keeps it: the way that a worker which
//! died left to the next.
//!
//! A run that is taken up again passes through the same stages. Each finds here what it made
//! before, and does only the rest.

use serde::{Deserialize, Serialize};

use super::implement::Progress;
use super::{Claimed, Failure, Services};
use crate::checks::{Baseline, CheckResult, Plan};
use crate::journal::{JournalError, RunId};
use crate::publish::Note;
use crate::workspace::Base;

/// The repository as it was before anybody touched it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PreparedBase {
    pub(super) base: Base,
    pub(super) plan: Plan,
    pub(super) baseline: Baseline,
    pub(super) notes: Vec<Note>,
}

/// What is there from an earlier life of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Checkpoint {
    pub(super) ground: Option<PreparedBase>,
    pub(super) progress: Option<Progress>,
    pub(super) results: Option<Vec<CheckResult>>,
}

impl Services {
    /// What a run left; each part counts only with all before it.
    pub(super) async fn past(&self, run: RunId) -> Result<Checkpoint, JournalError> {
        let ground = self.journal.prepared(run).await?;
        let progress = if ground.is_some() { self.journal.last_pass(run).await? } else { None };
        let results = if progress.is_some() { self.journal.checked(run).await? } else { None };
        Ok(Checkpoint { ground, progress, results })
    }

    /// Says what a run goes on from.
    pub(super) async fn note_past(&self, claimed: &Claimed) -> Result<(), Failure> {
        let Checkpoint { ground, progress, results } = &claimed.past;
        let from = match (ground, progress, results) {
            (None, _, _) => return Ok(()),
            (Some(_), None, _) => "the repository is prepared".to_owned(),
            (_, Some(progress), None) => {
                format!("{} passes are committed, the last as {}", progress.kept, progress.commit)
            }
            (_, Some(progress), Some(_)) => format!("{} is checked", progress.commit),
        };
        self.note(claimed, &format!("going on from what was left: {from}")).await
    }
}
