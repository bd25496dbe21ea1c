//! What the worker did and is doing, durable: runs, their stages and events, and how they ended.
//!
//! Owns all of the worker's SQL. SQLite in WAL mode with `synchronous=FULL`: what a function here returned from survives a power cut. A
//! call takes a few milliseconds at the most and holds no transaction when it returns, so callers need no thread of their own for it.

mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};

use crate::task::{IssueNumber, RepoName, Task, TaskKey};

const FILE_NAME: &str = "journal.sqlite3";

/// How long a reader in another process may keep a writer waiting.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

pub struct Journal {
    connection: Mutex<Connection>,
}

/// The number of a run in its journal, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(i64);

impl RunId {
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number)
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a run is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Admit,
    Prepare,
    Implement,
    Check,
    Gate,
    Publish,
    Settle,
}

impl Stage {
    pub const ALL: [Self; 7] =
        [Self::Admit, Self::Prepare, Self::Implement, Self::Check, Self::Gate, Self::Publish, Self::Settle];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Prepare => "prepare",
            Self::Implement => "implement",
            Self::Check => "check",
            Self::Gate => "gate",
            Self::Publish => "publish",
            Self::Settle => "settle",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A pull request is open and its checks passed.
    Done,
    /// It failed and will be tried again.
    Retrying,
    /// It failed for good; the message goes to the dead-letter queue.
    Failed,
    /// The user took the task back.
    Cancelled,
    /// The worker lost the right to work on it, or was stopped.
    Abandoned,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Done, Self::Retrying, Self::Failed, Self::Cancelled, Self::Abandoned];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// One run as it stands in the journal.
#[derive(Debug, Clone, Serialize)]
pub struct RunRecord {
    pub run: RunId,
    pub task_key: String,
    pub repository: String,
    pub issue_number: u64,
    pub title: String,
    pub attempt: u32,
    pub stage: Stage,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    /// The failure in words, when there is one.
    pub detail: Option<String>,
    pub branch: Option<String>,
    pub commit: Option<String>,
    pub checks: Vec<CheckRecord>,
    pub pull_request_number: Option<u64>,
    pub pull_request_url: Option<String>,
}

/// The measured result of one check of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckRecord {
    pub kind: String,
    pub command: String,
    /// `passed`, `failed`, `failed_before`, `timed_out`, `not_run` or `offline`.
    pub result: String,
    pub seconds: f64,
}

/// Something that happened in a run, for people and for progress displays.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub sequence: i64,
    pub run: RunId,
    pub at: Timestamp,
    pub stage: Stage,
    pub text: String,
}

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("can't make the journal's directory {}: {source}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("can't open the journal {}: {source}", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the journal {} was written by another version of this program: {source}", path.display())]
    Version { path: PathBuf, source: rusqlite_migration::Error },
    #[error("can't use the journal: {0}")]
    Sql(#[from] rusqlite::Error),
}

impl Journal {
    /// Opens the journal below `data_dir`, making it when it is not there and bringing an older one up to date.
    ///
    /// # Errors
    /// The directory can't be made, the file is not a journal, or a later version wrote it.
    pub fn open(data_dir: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(data_dir)
            .map_err(|source| JournalError::Directory { path: data_dir.to_path_buf(), source })?;
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
        schema::MIGRATIONS.to_latest(&mut connection).map_err(|source| JournalError::Version { path, source })?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Records that a delivery of `task` is being worked on.
    ///
    /// # Errors
    /// The database can't be written; so for every function below.
    pub fn begin(&self, task: &Task, message_id: &str, attempt: u32, now: Timestamp) -> Result<RunId, JournalError> {
        let connection = self.connection();
        connection.execute(
            "INSERT INTO runs (task_key, repository, issue_number, title, message_id, attempt, stage, started_at)
             VALUES (:task_key, :repository, :issue_number, :title, :message_id, :attempt, 'admit', :now)",
            named_params! {
                ":task_key": task.key().as_str(),
                ":repository": task.repository.to_string(),
                ":issue_number": signed(task.issue_number.value()),
                ":title": task.title,
                ":message_id": message_id,
                ":attempt": attempt,
                ":now": now.to_string(),
            },
        )?;
        Ok(RunId(connection.last_insert_rowid()))
    }

    /// Records that a run reached a stage, with a sentence that says what is being done.
    pub fn enter(&self, run: RunId, stage: Stage, text: &str, now: Timestamp) -> Result<(), JournalError> {
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
    pub fn observe_checks(&self, run: RunId, checks: &[CheckRecord]) -> Result<(), JournalError> {
        let checks = serde_json::to_string(checks).unwrap_or_else(|_| "[]".to_owned());
        self.connection().execute(
            "UPDATE runs SET checks = :checks WHERE id = :run",
            named_params! { ":checks": checks, ":run": run.0 },
        )?;
        Ok(())
    }

    /// Records the commit and the branch it is to be published as, before it is pushed.
    pub fn intend_push(&self, run: RunId, branch: &str, commit: &str) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET branch = :branch, commit_id = :commit WHERE id = :run",
            named_params! { ":branch": branch, ":commit": commit, ":run": run.0 },
        )?;
        Ok(())
    }

    /// Whether a run of this journal meant to push this commit to this branch.
    pub fn knows_push(&self, repository: &RepoName, branch: &str, commit: &str) -> Result<bool, JournalError> {
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
    pub fn observe_pull_request(&self, run: RunId, number: u64, url: &str) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET pull_request_number = :number, pull_request_url = :url WHERE id = :run",
            named_params! { ":number": signed(number), ":url": url, ":run": run.0 },
        )?;
        Ok(())
    }

    /// Records how a run ended.
    pub fn end(&self, run: RunId, outcome: Outcome, detail: Option<&str>, now: Timestamp) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET outcome = :outcome, detail = :detail, ended_at = :now WHERE id = :run",
            named_params! { ":outcome": outcome.name(), ":detail": detail, ":now": now.to_string(), ":run": run.0 },
        )?;
        Ok(())
    }

    /// How the last ended run of this very message ended; a redriven message has another id and so begins anew.
    pub fn last_outcome(&self, message_id: &str) -> Result<Option<Outcome>, JournalError> {
        let name: Option<String> = self
            .connection()
            .query_row(
                "SELECT outcome FROM runs WHERE message_id = :message_id AND outcome IS NOT NULL ORDER BY id DESC LIMIT 1",
                named_params! { ":message_id": message_id },
                |row| row.get(0),
            )
            .optional()?;
        Ok(name.as_deref().and_then(Outcome::from_name))
    }

    /// What earlier runs of a task ended with, oldest first: what was tried.
    pub fn attempts(&self, task: &TaskKey) -> Result<Vec<RunRecord>, JournalError> {
        self.runs("WHERE task_key = :value AND ended_at IS NOT NULL ORDER BY id", Some(task.as_str()))
    }

    pub fn run(&self, run: RunId) -> Result<Option<RunRecord>, JournalError> {
        Ok(self.runs("WHERE id = CAST(:value AS INTEGER)", Some(&run.0.to_string()))?.pop())
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
        Ok(self.connection().query_row("SELECT COALESCE(MAX(id), 0) FROM events", [], |row| row.get(0))?)
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
                checks: serde_json::from_str(&row.get::<_, String>("checks")?).map_err(|_| malformed(row, "checks"))?,
                pull_request_number: row.get::<_, Option<i64>>("pull_request_number")?.map(i64::unsigned_abs),
                pull_request_url: row.get("pull_request_url")?,
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
    data_dir.join("runs").join(run.to_string())
}

fn add_event(connection: &Connection, run: RunId, text: &str, now: Timestamp) -> rusqlite::Result<()> {
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
    row.get::<_, Option<String>>(column)?.map(|text| text.parse().map_err(|_| malformed(row, column))).transpose()
}

fn malformed(row: &Row<'_>, column: &str) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::InvalidColumnType(index, column.to_owned(), rusqlite::types::Type::Text)
}

/// SQLite's integers are signed; GitHub's numbers stay far below the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The repository and issue of a record, as the values they were.
impl RunRecord {
    #[must_use]
    pub fn issue(&self) -> Option<(RepoName, IssueNumber)> {
        Some((self.repository.parse().ok()?, IssueNumber::new(self.issue_number)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            issue_number: IssueNumber::new(7).unwrap(),
            repository: "o/r".parse().unwrap(),
            title: "Add FizzBuzz".to_owned(),
            body: String::new(),
            labels: vec![],
            created_at: "2025-01-26T00:00:00Z".parse().unwrap(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_run_is_found_again_after_the_journal_is_reopened() {
        let directory = tempfile::tempdir().unwrap();
        let run = {
            let journal = Journal::open(directory.path()).unwrap();
            let run = journal.begin(&task(), "m-1", 1, at(10)).unwrap();
            journal.enter(run, Stage::Prepare, "fetching", at(11)).unwrap();
            journal.intend_push(run, "codingworker/issue-7", "abc").unwrap();
            journal.observe_pull_request(run, 8, "http://x/8").unwrap();
            journal.end(run, Outcome::Done, None, at(12)).unwrap();
            run
        };
        let journal = Journal::open(directory.path()).unwrap();
        let record = journal.run(run).unwrap().unwrap();
        assert_eq!(record.stage, Stage::Prepare);
        assert_eq!(record.outcome, Some(Outcome::Done));
        assert_eq!(record.ended_at, Some(at(12)));
        assert_eq!(record.pull_request_number, Some(8));
        assert_eq!(journal.attempts(&task().key()).unwrap().len(), 1);
        assert_eq!(journal.recent(5).unwrap().len(), 1);
    }

    #[test]
    fn events_come_in_order_and_can_be_followed() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        let run = journal.begin(&task(), "m-1", 1, at(10)).unwrap();
        journal.enter(run, Stage::Admit, "one", at(11)).unwrap();
        let seen = journal.last_sequence().unwrap();
        journal.enter(run, Stage::Check, "two", at(12)).unwrap();
        journal.note(run, "three", at(13)).unwrap();
        let texts: Vec<_> =
            journal.events_after(seen).unwrap().into_iter().map(|event| (event.stage, event.text)).collect();
        assert_eq!(texts, [(Stage::Check, "two".to_owned()), (Stage::Check, "three".to_owned())]);
    }

    #[test]
    fn an_outcome_belongs_to_the_message_not_to_the_task() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        let run = journal.begin(&task(), "m-1", 1, at(10)).unwrap();
        assert_eq!(journal.last_outcome("m-1").unwrap(), None);
        journal.end(run, Outcome::Failed, Some("no"), at(11)).unwrap();
        assert_eq!(journal.last_outcome("m-1").unwrap(), Some(Outcome::Failed));
        assert_eq!(journal.last_outcome("m-2").unwrap(), None);
    }

    #[test]
    fn a_file_that_is_no_journal_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(
            directory.path().join(FILE_NAME),
            "not a database, but long enough to be read as one".repeat(20),
        )
        .unwrap();
        let error = Journal::open(directory.path()).err().expect("it is refused").to_string();
        assert!(error.contains(FILE_NAME) && error.contains("not a database"), "{error}");
    }
}
