//! What a run does to the outside world: each act is intended before it is done, and observed
//! after.
//!
//! An act that was intended and not observed may have happened. Whoever goes on with the run looks,
//! and does not believe either.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};

use super::{Journal, JournalError, RunId};

/// Something that the world outside of the worker can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Comment,
    Push,
    OpenPullRequest,
    Label,
    /// The end of the delivery: deleted, or given back.
    Release,
}

/// An act that is on its way.
#[derive(Debug)]
#[must_use = "an act that is never observed looks like one that a crash cut off"]
pub struct BegunEffect(i64);

/// An act whose end is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedEffect {
    pub act: String,
    pub detail: String,
}

impl Effect {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Push => "push",
            Self::OpenPullRequest => "open pull request",
            Self::Label => "label",
            Self::Release => "release",
        }
    }
}

impl Journal {
    /// Records that an act is about to be done.
    ///
    /// # Errors
    /// The database can't be written, and then the act must not be done; so for every function
    /// here.
    pub async fn begin_effect(
        &self,
        run: RunId,
        effect: Effect,
        detail: &str,
        now: Timestamp,
    ) -> Result<BegunEffect, JournalError> {
        let detail = detail.to_owned();
        let work = move |connection: &mut Connection| {
            connection.execute(
                "INSERT INTO acts (run_id, act, detail, intended_at)
                 VALUES (:run, :act, :detail, :now)",
                named_params! {
                    ":run": run.0,
                    ":act": effect.name(),
                    ":detail": detail,
                    ":now": now.to_string(),
                },
            )?;
            Ok(BegunEffect(connection.last_insert_rowid()))
        };
        self.database.run(work).await
    }

    /// Records what came of an act.
    pub async fn finish_effect(
        &self,
        intent: &BegunEffect,
        observation: &str,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let (id, observation) = (intent.0, observation.to_owned());
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE acts SET observed_at = :now, observation = :observation WHERE id = :id",
                named_params! { ":now": now.to_string(), ":observation": observation, ":id": id },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// The acts of a run that a crash cut off.
    pub async fn unfinished_effects(
        &self,
        run: RunId,
    ) -> Result<Vec<UnfinishedEffect>, JournalError> {
        let work = move |connection: &mut Connection| {
            let mut statement = connection.prepare_cached(
                "SELECT act, detail FROM acts
                 WHERE run_id = :run AND observed_at IS NULL ORDER BY id",
            )?;
            let acts = statement.query_map(named_params! { ":run": run.0 }, |row| {
                Ok(UnfinishedEffect { act: row.get("act")?, detail: row.get("detail")? })
            })?;
            Ok(acts.collect::<Result<_, _>>()?)
        };
        self.database.run(work).await
    }
}
