//! What a run made so far: the repository as it was prepared, the commit of each pass, the checked
//! result.
//!
//! The journal keeps these values as their owner writes them. A value that another version of the
//! program wrote may be of a shape that this one can't read: its reader is told, and makes it anew.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Journal, JournalError, RunId, stored};
use crate::task::RepoName;

const PREPARED: &str = "prepared";
const CHECKED: &str = "checked";

/// What the journal has of something that a run made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept<T> {
    /// The run did not come so far.
    None,
    /// What the run made.
    Value(T),
    /// The run made it, and this version of the program can't read it.
    Unreadable {
        /// What is wrong with the stored value.
        why: String,
    },
}

impl Journal {
    /// Records what a run works on.
    ///
    /// # Errors
    /// The database can't be written; so for every function here.
    pub async fn keep_prepared(
        &self,
        run: RunId,
        prepared: &impl Serialize,
    ) -> Result<(), JournalError> {
        self.keep(run, PREPARED, prepared).await
    }

    /// Records a pass that was committed, with all that is needed to go on after it.
    pub async fn keep_pass(
        &self,
        run: RunId,
        commit: &str,
        progress: &impl Serialize,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let (commit, progress) = (commit.to_owned(), stored(progress)?);
        let work = move |connection: &mut Connection| {
            connection.execute(
                "INSERT INTO passes (run_id, number, commit_id, progress, at)
                 SELECT :run, COALESCE(MAX(number), 0) + 1, :commit, :progress, :now
                 FROM passes WHERE run_id = :run",
                named_params! {
                    ":run": run.0,
                    ":commit": commit,
                    ":progress": progress,
                    ":now": now.to_string(),
                },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// Records what the checks said of the last pass.
    pub async fn keep_checked(
        &self,
        run: RunId,
        checked: &impl Serialize,
    ) -> Result<(), JournalError> {
        self.keep(run, CHECKED, checked).await
    }

    async fn keep(
        &self,
        run: RunId,
        name: &'static str,
        value: &impl Serialize,
    ) -> Result<(), JournalError> {
        let value = stored(value)?;
        let work = move |connection: &mut Connection| {
            connection.execute(
                "INSERT INTO checkpoints (run_id, name, value) VALUES (:run, :name, :value)
                 ON CONFLICT (run_id, name) DO UPDATE SET value = excluded.value",
                named_params! { ":run": run.0, ":name": name, ":value": value },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// What was kept of what a run works on.
    pub async fn prepared<T>(&self, run: RunId) -> Result<Kept<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.kept(move |connection| checkpoint(connection, run, PREPARED)).await
    }

    /// What was kept of what the last runs of a repository worked on before this one, newest first.
    /// A value that this version can't read is passed over.
    pub async fn prepared_before<T>(
        &self,
        run: RunId,
        repository: &RepoName,
    ) -> Result<Vec<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let repository = repository.to_string();
        let work = move |connection: &mut Connection| {
            let mut earlier = connection.prepare_cached(
                "SELECT value FROM checkpoints JOIN runs ON runs.id = run_id
                 WHERE name = :name AND repository = :repository AND run_id < :run
                 ORDER BY run_id DESC LIMIT 5",
            )?;
            let named = named_params! {
                ":name": PREPARED,
                ":repository": repository,
                ":run": run.0,
            };
            let values: Vec<String> =
                earlier.query_map(named, |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(values.iter().filter_map(|value| serde_json::from_str(value).ok()).collect())
        };
        self.database.run(work).await
    }

    /// What was kept with a run's last pass.
    pub async fn last_pass<T>(&self, run: RunId) -> Result<Kept<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.kept(move |connection| last_pass(connection, run)).await
    }

    /// What was kept of a run's checks.
    pub async fn checked<T>(&self, run: RunId) -> Result<Kept<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.kept(move |connection| checkpoint(connection, run, CHECKED)).await
    }

    async fn kept<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<String> + Send + 'static,
    ) -> Result<Kept<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let work = move |connection: &mut Connection| {
            let Some(text) = read(connection).optional()? else { return Ok(Kept::None) };
            Ok(serde_json::from_str(&text)
                .map_or_else(|error| Kept::Unreadable { why: error.to_string() }, Kept::Value))
        };
        self.database.run(work).await
    }
}

fn checkpoint(connection: &Connection, run: RunId, name: &str) -> rusqlite::Result<String> {
    connection
        .prepare_cached("SELECT value FROM checkpoints WHERE run_id = :run AND name = :name")?
        .query_row(named_params! { ":run": run.0, ":name": name }, |row| row.get(0))
}

fn last_pass(connection: &Connection, run: RunId) -> rusqlite::Result<String> {
    connection
        .prepare_cached(
            "SELECT progress FROM passes WHERE run_id = :run ORDER BY number DESC LIMIT 1",
        )?
        .query_row(named_params! { ":run": run.0 }, |row| row.get(0))
}
