//! What the worker did and is doing, durable: runs, their stages and events, and how they ended.
//!
//! Owns all of the worker's SQL. SQLite in WAL mode with `synchronous=FULL`: what a function here
//! returned from survives a power cut. A thread of the journal's own makes all calls to SQLite, in
//! the order in which they were asked for, so no caller ever waits for the disk on a thread of the
//! runtime. What was asked to be written is written even when the caller's future is dropped
//! before the answer comes.

mod checkpoints;
mod database;
mod delivery;
mod effects;
mod records;
mod renewals;
mod schema;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::Serialize;

use self::database::Database;
pub use self::delivery::{Decision, Unreleased};
pub use self::effects::{BegunEffect, Effect, UnfinishedEffect};
pub use self::records::{CheckRecord, Event, Outcome, RunId, RunRecord, Stage};
use self::renewals::Renewals;

use crate::disk::{DiskError, make_private_directory};
use crate::task::{RepoName, TaskKey};

const FILE_NAME: &str = "journal.sqlite3";

/// How long a reader in another process may keep a writer waiting.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The journal of a worker, which writes it.
#[derive(Debug)]
pub struct Journal {
    database: Database,
    renewals: Renewals,
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Directory(#[from] DiskError),
    #[error("can't open the journal {}", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("can't bring the journal {} up to date", path.display())]
    Migrate { path: PathBuf, source: rusqlite_migration::Error },
    #[error("can't start the journal's thread")]
    Thread(#[source] std::io::Error),
    #[error("can't use the journal")]
    Sql(#[from] rusqlite::Error),
    #[error("can't write down what a run made")]
    Unstorable(#[source] serde_json::Error),
    /// A job panicked; the panic's message is on standard error.
    #[error("the journal's thread gave no answer: see the lines above this one")]
    Gone,
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
    pub async fn open(data_dir: &Path) -> Result<Self, JournalError> {
        let renewals = Renewals::default();
        let (data_dir, to_write) = (data_dir.to_path_buf(), renewals.clone());
        let database =
            Database::start(move || open(&data_dir), move |connection| to_write.write(connection));
        Ok(Self { database: database.await?, renewals })
    }

    /// Records that a run reached a stage, with a sentence that says what is being done.
    ///
    /// # Errors
    /// The database can't be written; so for every function below.
    pub async fn enter(
        &self,
        run: RunId,
        stage: Stage,
        text: &str,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let text = text.to_owned();
        let work = move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "UPDATE runs SET stage = :stage WHERE id = :run",
                named_params! { ":stage": stage.name(), ":run": run.0 },
            )?;
            add_event(&transaction, run, &text, now)?;
            Ok(transaction.commit()?)
        };
        self.database.run(work).await
    }

    /// Records something that happened within the stage a run is in.
    pub async fn note(&self, run: RunId, text: &str, now: Timestamp) -> Result<(), JournalError> {
        let text = text.to_owned();
        self.database.run(move |connection| Ok(add_event(connection, run, &text, now)?)).await
    }

    /// Records the results of the checks that a run ended with.
    pub async fn record_checks(
        &self,
        run: RunId,
        checks: &[CheckRecord],
    ) -> Result<(), JournalError> {
        let checks = stored(&checks)?;
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE runs SET checks = :checks WHERE id = :run",
                named_params! { ":checks": checks, ":run": run.0 },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// Records the commit and the branch it is to be published as, before it is pushed.
    pub async fn publishing(
        &self,
        run: RunId,
        branch: &str,
        commit: &str,
    ) -> Result<(), JournalError> {
        let (branch, commit) = (branch.to_owned(), commit.to_owned());
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE runs SET branch = :branch, commit_id = :commit WHERE id = :run",
                named_params! { ":branch": branch, ":commit": commit, ":run": run.0 },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// Whether a run of this journal meant to push this commit to this branch.
    pub async fn knows_push(
        &self,
        repository: &RepoName,
        branch: &str,
        commit: &str,
    ) -> Result<bool, JournalError> {
        let (repository, branch) = (repository.to_string(), branch.to_owned());
        let commit = commit.to_owned();
        let work = move |connection: &mut Connection| {
            let known = connection.query_row(
                "SELECT 1 FROM runs
                 WHERE repository = :repository AND branch = :branch AND commit_id = :commit
                 LIMIT 1",
                named_params! { ":repository": repository, ":branch": branch, ":commit": commit },
                |_| Ok(()),
            );
            Ok(known.optional()?.is_some())
        };
        self.database.run(work).await
    }

    /// Records the pull request that was found or opened.
    pub async fn record_pull_request(
        &self,
        run: RunId,
        number: u64,
        url: &str,
    ) -> Result<(), JournalError> {
        let url = url.to_owned();
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE runs SET pull_request_number = :number, pull_request_url = :url
                 WHERE id = :run",
                named_params! { ":number": signed(number), ":url": url, ":run": run.0 },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// What earlier runs of a task ended with, oldest first: what was tried.
    pub async fn attempts(&self, task: &TaskKey) -> Result<Vec<RunRecord>, JournalError> {
        let task = task.as_str().to_owned();
        self.runs("WHERE task_key = :value AND ended_at IS NOT NULL ORDER BY id", Some(task)).await
    }

    /// One run; nothing when there is none of this number.
    pub async fn run(&self, run: RunId) -> Result<Option<RunRecord>, JournalError> {
        let number = run.0.to_string();
        Ok(self.runs("WHERE id = CAST(:value AS INTEGER)", Some(number)).await?.pop())
    }

    /// The runs whose message is this worker's, oldest first.
    pub async fn current(&self) -> Result<Vec<RunRecord>, JournalError> {
        self.runs("WHERE released_at IS NULL AND :value IS NULL ORDER BY id", None).await
    }

    /// The newest runs, newest first.
    pub async fn recent(&self, limit: u32) -> Result<Vec<RunRecord>, JournalError> {
        let limit = limit.to_string();
        self.runs("ORDER BY id DESC LIMIT CAST(:value AS INTEGER)", Some(limit)).await
    }

    /// The events after `sequence`, oldest first, 1000 at the most.
    pub async fn events_after(&self, sequence: i64) -> Result<Vec<Event>, JournalError> {
        self.database.run(move |connection| Ok(events_after(connection, sequence)?)).await
    }

    /// The number of the newest event, 0 when there is none.
    pub async fn last_sequence(&self) -> Result<i64, JournalError> {
        let query = "SELECT COALESCE(MAX(id), 0) FROM events";
        self.database
            .run(move |connection| Ok(connection.query_row(query, [], |row| row.get(0))?))
            .await
    }

    async fn runs(
        &self,
        rest: &'static str,
        value: Option<String>,
    ) -> Result<Vec<RunRecord>, JournalError> {
        self.database.run(move |connection| Ok(runs(connection, rest, value.as_deref())?)).await
    }
}

fn events_after(connection: &Connection, sequence: i64) -> rusqlite::Result<Vec<Event>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, run_id, at, stage, text FROM events
         WHERE id > :sequence ORDER BY id LIMIT 1000",
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
    events.collect()
}

fn runs(
    connection: &Connection,
    rest: &str,
    value: Option<&str>,
) -> rusqlite::Result<Vec<RunRecord>> {
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
    runs.collect()
}

fn open(data_dir: &Path) -> Result<Connection, JournalError> {
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
        .map_err(|source| JournalError::Migrate { path, source })?;
    Ok(connection)
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
