//! What the worker did and is doing, durable: runs, their stages and events, and how they ended.
//!
//! Owns all of the worker's SQL. SQLite in WAL mode with `synchronous=FULL`: what a function here
//! returned from survives a power cut. A call takes a few milliseconds at the most and holds no
//! transaction when it returns, so callers need no thread of their own for it.

mod delivery;
mod effects;
mod records;
mod schema;

mod checkpoints;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::Serialize;

pub use self::delivery::{Decision, Unreleased};
pub use self::effects::{BegunEffect, Effect, UnfinishedEffect};
pub use self::records::{CheckRecord, Event, Outcome, RunId, RunRecord, Stage};

use crate::disk::{DiskError, make_private_directory};
use crate::task::{RepoName, TaskKey};

const FILE_NAME: &str = "journal.sqlite3";

/// How long a reader in another process may keep a writer waiting.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

pub struct Journal {
    connection: Mutex<Connection>,
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Directory(#[from] DiskError),
    #[error("can't open the journal {}: {source}", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the journal {} was written by another version of this program: {source}", path.display())]
    Version { path: PathBuf, source: rusqlite_migration::Error },
    #[error("can't use the journal: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("can't write down what a run made: {0}")]
    Unstorable(serde_json::Error),
}

impl Journal {
    /// Whether a worker ever ran on this data directory.
    #[must_use]
    pub fn is_in(data_dir: &Path) -> bool {
        data_dir.join(FILE_NAME).exists()
    }

    /// Opens the journal below `data_dir`, making it when it is not there and bringing an older one
    /// up to date.
    ///
    /// # Errors
    /// The directory can't be made, the file is not a journal, or a later version wrote it.
    pub fn open(data_dir: &Path) -> Result<Self, JournalError> {
        make_private_directory(data_dir)?;
        let path = data_dir.join(FILE_NAME);
        let mut connection = Connection::open(&path)
            .and_then(|connection| {
                connection.busy_timeout(BUSY_TIMEOUT)?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection.pragma_update(None, "foreign_keys", true)?;
                Ok(connection)
            })
            .map_err(|source| JournalError::Open { path: path.clone(), source })?;
        schema::MIGRATIONS
            .to_latest(&mut connection)
            .map_err(|source| JournalError::Version { path, source })?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Records that a run reached a stage, with a sentence that says what is being done.
    ///
    /// # Errors
    /// The database can't be written; so for every function below.
    pub fn enter(
        &self,
        run: RunId,
        stage: Stage,
        text: &str,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "UPDATE runs SET stage = :stage WHERE id = :run",
            named_params! { ":stage": stage.name(), ":run": run.0 },
        )?;
        add_event(&transaction, run, text, now)?;
        transaction.commit()?;
        Ok(())
    }

    /// Records something that happened within the stage a run is in.
    pub fn note(&self, run: RunId, text: &str, now: Timestamp) -> Result<(), JournalError> {
        Ok(add_event(&self.connection(), run, text, now)?)
    }

    /// Records the results of the checks that a run ended with.
    pub fn record_checks(&self, run: RunId, checks: &[CheckRecord]) -> Result<(), JournalError> {
        let checks = stored(&checks)?;
        self.connection().execute(
            "UPDATE runs SET checks = :checks WHERE id = :run",
            named_params! { ":checks": checks, ":run": run.0 },
        )?;
        Ok(())
    }

    /// Records the commit and the branch it is to be published as, before it is pushed.
    pub fn publishing(&self, run: RunId, branch: &str, commit: &str) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET branch = :branch, commit_id = :commit WHERE id = :run",
            named_params! { ":branch": branch, ":commit": commit, ":run": run.0 },
        )?;
        Ok(())
    }

    /// Whether a run of this journal meant to push this commit to this branch.
    pub fn knows_push(
        &self,
        repository: &RepoName,
        branch: &str,
        commit: &str,
    ) -> Result<bool, JournalError> {
        let known = self
            .connection()
            .query_row(
                "SELECT 1 FROM runs WHERE repository = :repository AND branch = :branch AND commit_id = :commit LIMIT 1",
                named_params! { ":repository": repository.to_string(), ":branch": branch, ":commit": commit },
                |_| Ok(()),
            )
            .optional()?;
        Ok(known.is_some())
    }

    /// Records the pull request that was found or opened.
    pub fn record_pull_request(
        &self,
        run: RunId,
        number: u64,
        url: &str,
    ) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET pull_request_number = :number, pull_request_url = :url WHERE id = :run",
            named_params! { ":number": signed(number), ":url": url, ":run": run.0 },
        )?;
        Ok(())
    }

    /// What earlier runs of a task ended with, oldest first: what was tried.
    pub fn attempts(&self, task: &TaskKey) -> Result<Vec<RunRecord>, JournalError> {
        self.runs(
            "WHERE task_key = :value AND ended_at IS NOT NULL ORDER BY id",
            Some(task.as_str()),
        )
    }

    pub fn run(&self, run: RunId) -> Result<Option<RunRecord>, JournalError> {
        Ok(self.runs("WHERE id = CAST(:value AS INTEGER)", Some(&run.0.to_string()))?.pop())
    }

    /// The runs whose message is this worker's, oldest first.
    pub fn current(&self) -> Result<Vec<RunRecord>, JournalError> {
        self.runs("WHERE released_at IS NULL AND :value IS NULL ORDER BY id", None)
    }

    /// The newest runs, newest first.
    pub fn recent(&self, limit: u32) -> Result<Vec<RunRecord>, JournalError> {
        self.runs("ORDER BY id DESC LIMIT CAST(:value AS INTEGER)", Some(&limit.to_string()))
    }

    /// The events after `sequence`, oldest first.
    pub fn events_after(&self, sequence: i64) -> Result<Vec<Event>, JournalError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT id, run_id, at, stage, text FROM events WHERE id > :sequence ORDER BY id LIMIT 1000",
        )?;
        let events = statement.query_map(named_params! { ":sequence": sequence }, |row| {
            Ok(Event {
                sequence: row.get("id")?,
                run: RunId(row.get("run_id")?),
                at: timestamp(row, "at")?,
                stage: stage(row)?,
                text: row.get("text")?,
            })
        })?;
        Ok(events.collect::<Result<_, _>>()?)
    }

    /// The number of the newest event, 0 when there is none.
    pub fn last_sequence(&self) -> Result<i64, JournalError> {
        Ok(self
            .connection()
            .query_row("SELECT COALESCE(MAX(id), 0) FROM events", [], |row| row.get(0))?)
    }

    fn runs(&self, rest: &str, value: Option<&str>) -> Result<Vec<RunRecord>, JournalError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(&format!("SELECT * FROM runs {rest}"))?;
        let runs = statement.query_map(named_params! { ":value": value }, |row| {
            let outcome: Option<String> = row.get("outcome")?;
            Ok(RunRecord {
                run: RunId(row.get("id")?),
                task_key: row.get("task_key")?,
                repository: row.get("repository")?,
                issue_number: row.get::<_, i64>("issue_number")?.unsigned_abs(),
                title: row.get("title")?,
                attempt: row.get("attempt")?,
                stage: stage(row)?,
                started_at: timestamp(row, "started_at")?,
                ended_at: optional_timestamp(row, "ended_at")?,
                outcome: outcome.as_deref().and_then(Outcome::from_name),
                detail: row.get("detail")?,
                branch: row.get("branch")?,
                commit: row.get("commit_id")?,
                checks: serde_json::from_str(&row.get::<_, String>("checks")?)
                    .map_err(|_| malformed(row, "checks"))?,
                pull_request_number: row
                    .get::<_, Option<i64>>("pull_request_number")?
                    .map(i64::unsigned_abs),
                pull_request_url: row.get("pull_request_url")?,
                lease_end: match row.get::<_, Option<String>>("released_at")? {
                    None => optional_timestamp(row, "lease_end")?,
                    Some(_released) => None,
                },
            })
        })?;
        Ok(runs.collect::<Result<_, _>>()?)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a run keeps its trees, its log and its scratch files.
#[must_use]
pub fn run_directory(data_dir: &Path, run: RunId) -> PathBuf {
    runs_directory(data_dir).join(run.to_string())
}

/// The directories of all runs.
#[must_use]
pub fn runs_directory(data_dir: &Path) -> PathBuf {
    data_dir.join("runs")
}

fn add_event(
    connection: &Connection,
    run: RunId,
    text: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO events (run_id, at, stage, text) SELECT id, :now, stage, :text FROM runs WHERE id = :run",
        )?
        .execute(named_params! { ":now": now.to_string(), ":text": text, ":run": run.0 })?;
    Ok(())
}

fn stage(row: &Row<'_>) -> rusqlite::Result<Stage> {
    let name: String = row.get("stage")?;
    Stage::from_name(&name).ok_or_else(|| malformed(row, "stage"))
}

fn timestamp(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get::<_, String>(column)?.parse().map_err(|_| malformed(row, column))
}

fn optional_timestamp(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<String>>(column)?
        .map(|text| text.parse().map_err(|_| malformed(row, column)))
        .transpose()
}

fn malformed(row: &Row<'_>, column: &str) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::InvalidColumnType(index, column.to_owned(), rusqlite::types::Type::Text)
}

/// A value as the journal keeps it, for its owner to read again.
fn stored(value: &impl Serialize) -> Result<String, JournalError> {
    serde_json::to_string(value).map_err(JournalError::Unstorable)
}

/// SQLite's integers are signed; GitHub's numbers stay far below the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
