//! What a run made so far: the repository as it was prepared, the commit of each pass, the checked
//! result.
//!
//! The journal keeps these values as their owner writes them. One that a later version can't read
//! any more is as good as none: the run makes it anew.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Journal, JournalError, RunId, stored};

impl Journal {
    /// Records what a run works on.
    ///
    /// # Errors
    /// The database can't be written; so for every function here.
    pub fn keep_prepared(&self, run: RunId, prepared: &impl Serialize) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET prepared = :prepared WHERE id = :run",
            named_params! { ":prepared": stored(prepared)?, ":run": run.0 },
        )?;
        Ok(())
    }

    /// Records a pass that was committed, with all that is needed to go on after it.
    pub fn keep_pass(
        &self,
        run: RunId,
        commit: &str,
        progress: &impl Serialize,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.connection().execute(
            "INSERT INTO passes (run_id, number, commit_id, progress, at)
             SELECT :run, COALESCE(MAX(number), 0) + 1, :commit, :progress, :now FROM passes WHERE run_id = :run",
            named_params! { ":run": run.0, ":commit": commit, ":progress": stored(progress)?, ":now": now.to_string() },
        )?;
        Ok(())
    }

    /// Records what the checks said of the last pass.
    pub fn keep_checked(&self, run: RunId, checked: &impl Serialize) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET checked = :checked WHERE id = :run",
            named_params! { ":checked": stored(checked)?, ":run": run.0 },
        )?;
        Ok(())
    }

    /// What was kept of what a run works on.
    pub fn prepared<T: DeserializeOwned>(&self, run: RunId) -> Result<Option<T>, JournalError> {
        self.kept(run, "SELECT prepared FROM runs WHERE id = :run")
    }

    /// What was kept with a run's last pass.
    pub fn last_pass<T: DeserializeOwned>(&self, run: RunId) -> Result<Option<T>, JournalError> {
        self.kept(
            run,
            "SELECT progress FROM passes WHERE run_id = :run ORDER BY number DESC LIMIT 1",
        )
    }

    /// What was kept of a run's checks.
    pub fn checked<T: DeserializeOwned>(&self, run: RunId) -> Result<Option<T>, JournalError> {
        self.kept(run, "SELECT checked FROM runs WHERE id = :run")
    }

    /// The commit of each pass of a run, in order.
    pub fn passes(&self, run: RunId) -> Result<Vec<String>, JournalError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT commit_id FROM passes WHERE run_id = :run ORDER BY number")?;
        let commits = statement.query_map(named_params! { ":run": run.0 }, |row| row.get(0))?;
        Ok(commits.collect::<Result<_, _>>()?)
    }

    fn kept<T: DeserializeOwned>(
        &self,
        run: RunId,
        query: &str,
    ) -> Result<Option<T>, JournalError> {
        let text: Option<Option<String>> = self
            .connection()
            .query_row(query, named_params! { ":run": run.0 }, |row| row.get(0))
            .optional()?;
        Ok(text.flatten().and_then(|text| serde_json::from_str(&text).ok()))
    }
}
