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
mod reader;
mod records;
mod renewals;
mod runs;
mod schema;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::Serialize;

pub use self::checkpoints::Kept;
use self::database::Database;
pub use self::delivery::{Decision, Unreleased};
pub use self::effects::{BegunEffect, Effect, UnfinishedEffect};
pub use self::reader::JournalReader;
pub use self::records::{CheckRecord, Event, Outcome, RunId, RunRecord, Stage};
use self::renewals::Renewals;

use crate::disk::{DiskError, make_private_directory};
use crate::errors::Bilingual;
use crate::language::Phrase;
use crate::task::RepoName;

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
    /// The data directory can't be made.
    #[error(transparent)]
    Directory(#[from] DiskError),
    /// The file is no journal, or can't be opened.
    #[error("can't open the journal {}", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    /// A migration failed. Its transaction was rolled back.
    #[error("can't bring the journal {} up to date", path.display())]
    Migrate { path: PathBuf, source: rusqlite_migration::Error },
    /// A newer version of the program wrote it.
    #[error(
        "{} of codingworker wrote the journal {} (schema {schema}), which this version {} \
         (schema {}) can't read: install {}",
        wrote.en,
        path.display(),
        schema::PROGRAM,
        schema::LATEST,
        wrote.en
    )]
    Newer {
        /// The journal's file.
        path: PathBuf,
        /// The number of the schema that the journal has.
        schema: usize,
        /// The version that wrote it, as words.
        wrote: Phrase,
    },
    /// This user may not look into the data directory.
    #[error(
        "can't read the journal {}: run this command as the user that runs the worker",
        path.display()
    )]
    Inaccessible { path: PathBuf, source: std::io::Error },
    /// This user may not read the journal, or may only read its directory.
    #[error(
        "can't read the journal {}, beside which SQLite has to make a file: \
         run this command as the user that runs the worker",
        path.display()
    )]
    NotOurs { path: PathBuf, source: rusqlite::Error },
    /// The system gives the journal no thread.
    #[error("can't start the journal's thread")]
    Thread(#[source] std::io::Error),
    /// SQLite refused: the disk is full, the lock was held too long, or a row is malformed.
    #[error("can't use the journal")]
    Sql(#[from] rusqlite::Error),
    /// A value that was given to be kept can't be written as JSON.
    #[error("can't write down what a run made")]
    Unstorable(#[source] serde_json::Error),
    /// A job panicked; the panic's message is on standard error.
    #[error("the journal's thread gave no answer: see the lines above this one")]
    Gone,
}

impl Bilingual for JournalError {
    fn japanese(&self) -> String {
        match self {
            Self::Directory(error) => error.japanese(),
            Self::Open { path, source: _ } => {
                format!("ジャーナル {} を開けません", path.display())
            }
            Self::Migrate { path, source: _ } => {
                format!("ジャーナル {} を新しい形式に変換できません", path.display())
            }
            Self::Newer { path, schema, wrote } => format!(
                "ジャーナル {} は{}が書いたものです（スキーマ{schema}）。\
                 このバージョン{}（スキーマ{}）では読めません。{}をインストールしてください",
                path.display(),
                wrote.ja,
                schema::PROGRAM,
                schema::LATEST,
                wrote.ja
            ),
            Self::Inaccessible { path, source: _ } => format!(
                "ジャーナル {} を読み取れません。\
                 ワーカーを動かしているユーザーでこのコマンドを実行してください",
                path.display()
            ),
            Self::NotOurs { path, source: _ } => format!(
                "ジャーナル {} を読み取れません（SQLiteが同じ場所にファイルを作る必要があります）。\
                 ワーカーを動かしているユーザーでこのコマンドを実行してください",
                path.display()
            ),
            Self::Thread(_) => "ジャーナルのスレッドを開始できません".to_owned(),
            Self::Sql(_) => "ジャーナルを使用できません".to_owned(),
            Self::Unstorable(_) => "実行の記録をJSONに変換できません".to_owned(),
            Self::Gone => {
                "ジャーナルのスレッドが応答しません。これより前の行を確認してください".to_owned()
            }
        }
    }

    fn own_cause(&self) -> Option<&dyn Bilingual> {
        match self {
            Self::Directory(error) => error.own_cause(),
            Self::Open { .. }
            | Self::Migrate { .. }
            | Self::Newer { .. }
            | Self::Inaccessible { .. }
            | Self::NotOurs { .. }
            | Self::Thread(_)
            | Self::Sql(_)
            | Self::Unstorable(_)
            | Self::Gone => None,
        }
    }
}

impl Journal {
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
    schema::bring_up_to_date(&mut connection, &path)?;
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
            "INSERT INTO events (run_id, at, stage, text)
             SELECT id, :now, stage, :text FROM runs WHERE id = :run",
        )?
        .execute(named_params! { ":now": now.to_string(), ":text": text, ":run": run.0 })?;
    Ok(())
}

fn timestamp(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get::<_, String>(column)?.parse().map_err(|_| malformed(row, column))
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
