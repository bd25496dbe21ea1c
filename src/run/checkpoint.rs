//! What a run stands on and how far it came, as the journal keeps it: the way that a worker which
//! died left to the next.
//!
//! A run that is taken up again passes through the same stages. Each finds here what it made
//! before, and does only the rest.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::implement::Progress;
use super::{Claimed, Failure, Services};
use crate::checks::{Baseline, CheckResult, Plan};
use crate::journal::{JournalError, Kept, RunId};
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
        let prepared = self.journal.prepared(run).await?;
        let mut past =
            Checkpoint { ground: self.readable(run, prepared).await?, ..Checkpoint::default() };
        if past.ground.is_some() {
            let last_pass = self.journal.last_pass(run).await?;
            past.progress = self.readable(run, last_pass).await?;
        }
        if past.progress.is_some() {
            let checked = self.journal.checked(run).await?;
            past.results = self.readable(run, checked).await?;
        }
        Ok(past)
    }

    /// What was kept, if it can be read. What can't be is made anew, and that is told: the agent's
    /// work is repeated.
    async fn readable<T>(&self, run: RunId, kept: Kept<T>) -> Result<Option<T>, JournalError> {
        match kept {
            Kept::None => Ok(None),
            Kept::Value(value) => Ok(Some(value)),
            Kept::Unreadable { why } => {
                tracing::warn!(%run, why, "what another version left of the run can't be read");
                let text =
                    format!("what another version left can't be read and is made anew: {why}");
                self.journal.note(run, &text, Timestamp::now()).await?;
                Ok(None)
            }
        }
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
