//! The queue's data on the disk: all of the SQL, and the one thread that writes it.
//!
//! A write is done when it is on the disk: SQLite's write-ahead log with `synchronous=FULL` syncs
//! the log in every commit (the SQLite documentation, "PRAGMA synchronous"). What is in the log
//! and not yet in the database file is read back at the next start, also after a power cut.

mod load;
mod rows;
mod schema;
mod writer;

use std::error::Error as StdError;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use self::load::{LoadError, Loaded};
use self::writer::Writer;

pub(crate) use self::rows::{
    MoveRow, MoveStatus, QueueRow, Received, Row, add_moved, change_queue, delete, delete_queue,
    insert_queue, receive, save_move_task, set_visible_at, source_of, update_queue,
};
pub(crate) use self::writer::{Slot, WriteError, Written};

const FILE_NAME: &str = "queue.sqlite3";

/// How long a program that is about to end has to give the data up.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// How many prepared statements are kept. There are fewer in all.
const STATEMENTS: usize = 64;

/// Why the data of a queue can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is not there and can't be made.
    #[error("can't make the queue's directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another program has opened the data.
    #[error(
        "the queue's data {} is in use by another program: \
         stop that one, or use another directory",
        path.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// SQLite can't open or read the file.
    #[error("can't open the queue's data {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A newer version wrote the data.
    #[error(
        "a newer version wrote the queue's data {} (schema {schema}, this version knows {}): use \
         that version, or another directory",
        path.display(),
        schema::LATEST
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The number of its schema.
        schema: usize,
    },
    /// The tables could not be brought to those of this version.
    #[error("the queue's data {} can't be brought to this version's tables", path.display())]
    Version {
        /// The database.
        path: PathBuf,
        /// How the tables differ.
        source: rusqlite_migration::Error,
    },
    /// A row can't have been written by this program. The server does not guess what it was: a
    /// queue that lost its redrive policy would deliver a failing message for ever.
    #[error(
        "the queue's data {} is damaged: column {column} of the row {row} in table {table} \
         can't be read; restore the file from a copy, or correct or delete that row with sqlite3",
        path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// The row: the column that identifies it, and its value there.
        row: String,
        /// The column that can't be read.
        column: String,
        /// What is wrong with it.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The system starts no more threads.
    #[error("can't start the thread that writes the queue's data")]
    Thread(#[source] std::io::Error),
}

/// The data of all queues below one directory.
pub(crate) struct Store {
    writer: Writer,
}

impl Store {
    /// Opens the data below `directory`, and reads what a broker keeps in memory.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Loaded), OpenError> {
        // Other users of this machine must not read the messages.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_path_buf(), source })?;
        let path = directory.join(FILE_NAME);
        let open = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => OpenError::InUse { path: path.clone() },
            _ => OpenError::Open { path: path.clone(), source },
        };
        let mut connection = Connection::open(&path).map_err(open)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
        // The broker decides by what it has in memory, so no other program may change the disk.
        // The mode is set before the log is opened: SQLite then keeps the log's index in its own
        // memory and takes the lock for good ("Write-Ahead Logging", section "Use of WAL Without
        // Shared-Memory").
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(open)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(open)?;
        // Every job has a savepoint, and SQLite writes what it would undo to a temporary file.
        // That file costs more than the job, so it is kept in memory.
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(open)?;
        connection.pragma_update(None, "cache_size", -65_536).map_err(open)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let found: usize =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open)?;
        if found > schema::LATEST {
            return Err(OpenError::Newer { path, schema: found });
        }
        schema::MIGRATIONS
            .to_latest(&mut connection)
            .map_err(|source| OpenError::Version { path: path.clone(), source })?;
        let loaded = load::load(&connection).map_err(|error| match error {
            LoadError::Sql(error) => open(error),
            LoadError::Damaged { table, row, column, source } => {
                OpenError::Damaged { path: path.clone(), table, row, column, source }
            }
        })?;
        if loaded.orphans > 0 {
            tracing::warn!(
                path = %path.display(),
                messages = loaded.orphans,
                "messages in table messages belong to no queue and are not delivered"
            );
        }
        let writer = Writer::start(connection).map_err(OpenError::Thread)?;
        Ok((Self { writer }, loaded))
    }

    /// Waits until one more write may be handed in.
    ///
    /// To be called before the lock under which the write is handed in: that way nobody waits for
    /// the disk while others wait for the lock.
    ///
    /// # Errors
    /// The thread that writes has ended.
    pub(crate) async fn reserve(&self) -> Result<Slot<'_>, WriteError> {
        self.writer.reserve().await
    }

    /// A slot for one write if there is one without waiting.
    pub(crate) fn try_reserve(&self) -> Option<Slot<'_>> {
        self.writer.try_reserve()
    }

    /// Waits for a slot, hands `work` in and waits until it is on the disk.
    ///
    /// # Errors
    /// The work failed or was not committed: nothing of it is on the disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, WriteError> {
        self.reserve().await?.write(work).outcome().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_of_a_newer_version_is_refused_by_its_number() {
        let directory = tempfile::tempdir().unwrap();
        drop(Store::open(directory.path()).unwrap());
        let path = directory.path().join(FILE_NAME);
        Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        let refused = Store::open(directory.path()).err().unwrap();
        assert!(matches!(refused, OpenError::Newer { schema: 99, .. }), "{refused}");
    }
}
