//! The forge's memory: one SQLite database in WAL mode with `synchronous=FULL`, and all of the
//! crate's SQL.
//!
//! Owns the schema, its migrations and the rows. Who may do what and what follows from it is
//! `forge`'s. Invariant: `write` returns `Ok` only when the change is on the disk; a closure that
//! fails leaves no trace.

pub(crate) mod comments;
pub(crate) mod events;
pub(crate) mod issues;
pub(crate) mod labels;
pub(crate) mod pulls;
pub(crate) mod repositories;
pub(crate) mod users;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

const STEPS: &[M<'static>] = &[M::up(include_str!("store/schema.sql"))];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// Another process that holds the database is waited for so long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the database could not be opened or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("can't open the forge's database {}: check that its directory exists and may be written", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the forge's database {} can't be brought to this version's schema: it may come from a newer version",
        path.display()
    )]
    Migrate { path: PathBuf, source: rusqlite_migration::Error },
    #[error("the forge's database refused a statement")]
    Statement(#[from] rusqlite::Error),
}

pub(crate) struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(128);
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

    /// Runs `change` alone; what it did is on the disk when this returns `Ok`, and undone when it
    /// fails.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction(TransactionBehavior::Immediate, change)
    }

    fn transaction<T, E: From<StoreError>>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // A panic inside a transaction rolled it back when it unwound, so the connection behind a
        // poisoned lock is sound.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction =
            connection.transaction_with_behavior(behavior).map_err(StoreError::from)?;
        let value = work(&transaction)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(value)
    }
}

type Rows<T> = Result<Vec<T>, StoreError>;

/// The slice of a list that a request asks for, by GitHub's `page` (from 1) and `per_page`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) number: u32,
    pub(crate) size: u32,
}

impl Page {
    fn offset(self) -> i64 {
        i64::from(self.number.saturating_sub(1)).saturating_mul(i64::from(self.size))
    }

    /// The page of a list that is in memory whole.
    pub(crate) fn cut<T>(self, items: Vec<T>) -> Paged<T> {
        let total = items.len() as u64;
        let offset = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        Paged { items: items.into_iter().skip(offset).take(size).collect(), total }
    }
}

/// One page of a list, and how many items the whole list has.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: u64,
}

fn instant(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).unwrap_or_default()
}
