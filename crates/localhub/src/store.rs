//! The forge's database: one SQLite file in WAL mode with `synchronous=FULL`, and all of the
//! crate's SQL.
//!
//! This module owns the schema, its migrations and the rows. The rules (who may do what, and what
//! follows from it) are `forge`'s.
//!
//! # Invariants
//!
//! - [`Store::write`] returns `Ok` only when the change is on the disk. A change that fails leaves
//!   nothing behind.
//! - A transaction contains SQL and no git command. It holds the only connection, so whatever runs
//!   in it delays every other request. `forge` asks git before the transaction and checks in the
//!   transaction that the answer still holds.
//! - The calls block on the disk. All requests make them in one way: `Hub::run` puts the work of a
//!   request on tokio's blocking threads. Nothing here is called from an async thread.
//! - A stored value that no version of this program writes is a [`StoreError::Damaged`]. It is
//!   never read as a default.

pub(crate) mod comments;
pub(crate) mod events;
pub(crate) mod issues;
pub(crate) mod labels;
pub(crate) mod pulls;
pub(crate) mod repositories;
mod row;
pub(crate) mod users;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

/// The schema's history. A step that was released is never edited: a new one is added.
const STEPS: &[M<'static>] =
    &[M::up(include_str!("store/schema.sql")), M::up(include_str!("store/merging.sql"))];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// How long a statement waits for another process that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many prepared statements are kept: more than the crate has.
const STATEMENT_CACHE: usize = 128;

/// Why the database could not be opened, or why it did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be opened or set up.
    #[error(
        "can't open the forge's database {}: check that its directory exists and may be written",
        path.display()
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A newer version wrote the file.
    #[error(
        "a newer version wrote the forge's database {} (schema {schema}, this version knows {}): \
         use that version, or another directory",
        path.display(),
        STEPS.len()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The number of its schema.
        schema: usize,
    },
    /// The schema of the file could not be brought to the one that this version uses.
    #[error("the forge's database {} can't be brought to this version's schema", path.display())]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// What failed.
        source: rusqlite_migration::Error,
    },
    /// SQLite did not carry out a statement.
    #[error("the forge's database refused a statement")]
    Statement(#[from] rusqlite::Error),
    /// A row holds a value that no version of this program writes.
    #[error(
        "the forge's database is damaged: in table {table}, row {row}, the column {column} can't \
         be read; correct the row or restore the database from a backup"
    )]
    Damaged {
        /// The table that the row is in.
        table: &'static str,
        /// The primary key of the row, with its columns' names.
        row: String,
        /// The column that can't be read.
        column: &'static str,
        /// What is wrong with its value.
        source: rusqlite::Error,
    },
}

/// The open database.
pub(crate) struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the database file, or makes it, and brings its schema to this version.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        let schema: usize = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(failed)?;
        if schema > STEPS.len() {
            return Err(StoreError::Newer { path: path.to_owned(), schema });
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        MIGRATIONS
            .to_latest(&mut connection)
            .map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Runs `query` on one snapshot of the database.
    pub(crate) fn read<T, E: From<StoreError>>(
        &self,
        query: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction(TransactionBehavior::Deferred, query)
    }

    /// Runs `change` while nothing else is written. What it did is on the disk when this returns
    /// `Ok`, and is undone when it fails.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // IMMEDIATE takes the write lock at once. A DEFERRED transaction that reads first and
        // writes later fails with SQLITE_BUSY, without waiting, when another process has written
        // in between (SQLite's page "Transaction", section "Read transactions versus write
        // transactions").
        self.transaction(TransactionBehavior::Immediate, change)
    }

    fn transaction<T, E: From<StoreError>>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // The mutex is poisoned when `work` panicked. The connection is sound nevertheless: the
        // transaction was rolled back when the panic dropped it.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction =
            connection.transaction_with_behavior(behavior).map_err(StoreError::from)?;
        let value = work(&transaction)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(value)
    }
}

/// The part of a list that a request asks for, by GitHub's `page` and `per_page`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Counted from 1.
    pub(crate) number: u32,
    /// How many items a page has.
    pub(crate) size: u32,
}

impl Page {
    /// The page that holds a whole list.
    pub(crate) const ALL: Self = Self { number: 1, size: u32::MAX };

    fn offset(self) -> i64 {
        i64::from(self.number.saturating_sub(1)).saturating_mul(i64::from(self.size))
    }

    /// The page of a list that is in memory as a whole.
    pub(crate) fn cut<T>(self, items: Vec<T>) -> Paged<T> {
        let total = items.len() as u64;
        let offset = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        Paged { items: items.into_iter().skip(offset).take(size).collect(), total }
    }
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    pub(crate) items: Vec<T>,
    /// How many items the whole list has.
    pub(crate) total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_the_first_version_is_opened() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("localhub.db");
        let first = Connection::open(&path).unwrap();
        first.execute_batch(include_str!("store/schema.sql")).unwrap();
        first
            .execute_batch(
                "INSERT INTO users VALUES (1, 'octo', 'token', 0);
                 INSERT INTO repositories VALUES (1, 1, 'hello', NULL, 'main', 1, 1, 0, 0, 0);
                 INSERT INTO issues (id, repository_id, number, author_id, title, created_at,
                                     updated_at)
                 VALUES (1, 1, 1, 1, 't', 0, 0);
                 INSERT INTO pulls (issue_id, head_ref, head_sha, base_ref, base_sha, draft)
                 VALUES (1, 'one', 'a', 'main', 'b', 1);
                 PRAGMA user_version = 1;",
            )
            .unwrap();
        drop(first);

        let store = Store::open(&path).unwrap();
        let issue: Result<_, StoreError> = store.read(|tx| issues::by_id(tx, 1));
        let pull = issue.unwrap().unwrap().pull.unwrap();
        assert_eq!((pull.head_ref.as_str(), pull.draft, pull.merging), ("one", true, None));
        let repository: Result<_, StoreError> = store.read(|tx| repositories::by_id(tx, 1));
        assert_eq!(repository.unwrap().unwrap().branch_changes, 0);
        assert!(Store::open(&path).is_ok(), "it is opened again");
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused_by_its_number() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("localhub.db");
        Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        let refused = Store::open(&path).err().unwrap();
        assert!(matches!(refused, StoreError::Newer { schema: 99, .. }), "{refused}");
    }
}
