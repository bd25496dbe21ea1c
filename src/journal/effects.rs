//! What a run does to the outside world: each effect is recorded as begun before it is done, and as
//! finished after.
//!
//! An effect that was begun and not finished may have happened. Whoever goes on with the run asks
//! the outside world, and believes neither.

use jiff::Timestamp;
use rusqlite::{Connection, named_params};
use strum::IntoStaticStr;

use super::{Journal, JournalError, RunId};

/// Something that the world outside of the worker can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Effect {
    /// A comment on the issue, new or edited.
    Comment,
    /// A push of the task's branch.
    Push,
    /// A new or updated pull request.
    #[strum(serialize = "open pull request")]
    OpenPullRequest,
    /// Labels added to the issue or taken off.
    Label,
    /// The end of the delivery: deleted, or given back.
    Release,
}

/// An effect that is on its way.
#[derive(Debug)]
#[must_use = "an effect that is never finished looks like one that a crash cut off"]
pub struct BegunEffect(i64);

/// An effect whose end is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedEffect {
    /// The name of the [`Effect`]; one that an older version knew may have no variant any more.
    pub effect: String,
    /// What exactly was done, such as the commit and the branch of a push.
    pub detail: String,
}

impl Effect {
    /// The effect's name, as the journal keeps it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Journal {
    /// Records that an effect is about to be done.
    ///
    /// # Errors
    /// The database can't be written, and then the effect must not be done; so for every function
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
                "INSERT INTO effects (run_id, effect, detail, begun_at)
                 VALUES (:run, :effect, :detail, :now)",
                named_params! {
                    ":run": run.0,
                    ":effect": effect.name(),
                    ":detail": detail,
                    ":now": now.to_string(),
                },
            )?;
            Ok(BegunEffect(connection.last_insert_rowid()))
        };
        self.database.run(work).await
    }

    /// Records what came of an effect: `done`, or why it failed.
    pub async fn finish_effect(
        &self,
        begun: &BegunEffect,
        result: &str,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let (id, result) = (begun.0, result.to_owned());
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE effects SET finished_at = :now, result = :result WHERE id = :id",
                named_params! { ":now": now.to_string(), ":result": result, ":id": id },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// The effects of a run that a crash cut off, in the order in which they were begun.
    pub async fn unfinished_effects(
        &self,
        run: RunId,
    ) -> Result<Vec<UnfinishedEffect>, JournalError> {
        let work = move |connection: &mut Connection| {
            let mut statement = connection.prepare_cached(
                "SELECT effect, detail FROM effects
                 WHERE run_id = :run AND finished_at IS NULL ORDER BY id",
            )?;
            let effects = statement.query_map(named_params! { ":run": run.0 }, |row| {
                Ok(UnfinishedEffect { effect: row.get("effect")?, detail: row.get("detail")? })
            })?;
            Ok(effects.collect::<Result<_, _>>()?)
        };
        self.database.run(work).await
    }
}
