//! What a run made so far: the repository as it was prepared, the commit of each pass, the checked
//! result.
//!
//! The journal keeps these values as their owner writes them. One that a later version can't read
//! any more is as good as none: the run makes it anew.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Journal, JournalError, RunId, stored};

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
        let prepared = stored(prepared)?;
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE runs SET prepared = :prepared WHERE id = :run",
                named_params! { ":prepared": prepared, ":run": run.0 },
            )?;
            Ok(())
        };
        self.database.run(work).await
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
        let checked = stored(checked)?;
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE runs SET checked = :checked WHERE id = :run",
                named_params! { ":checked": checked, ":run": run.0 },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// What was kept of what a run works on.
    pub async fn prepared<T>(&self, run: RunId) -> Result<Option<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.kept(run, "SELECT prepared FROM runs WHERE id = :run").await
    }

    /// What was kept with a run's last pass.
    pub async fn last_pass<T>(&self, run: RunId) -> Result<Option<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let query = "SELECT progress FROM passes WHERE run_id = :run ORDER BY number DESC LIMIT 1";
        self.kept(run, query).await
    }

    /// What was kept of a run's checks.
    pub async fn checked<T>(&self, run: RunId) -> Result<Option<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.kept(run, "SELECT checked FROM runs WHERE id = :run").await
    }

    async fn kept<T>(&self, run: RunId, query: &'static str) -> Result<Option<T>, JournalError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let work = move |connection: &mut Connection| {
            let text: Option<Option<String>> = connection
                .query_row(query, named_params! { ":run": run.0 }, |row| row.get(0))
                .optional()?;
            Ok(text.flatten().and_then(|text| serde_json::from_str(&text).ok()))
        };
        self.database.run(work).await
    }
}
