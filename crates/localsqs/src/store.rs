//! The disk: all of the SQL, and the one thread that writes it.
//!
//! Writers hand their work to the thread, which does what has piled up in one transaction and
//! commits it once: that is how thousands of durable writes a second are had from a disk that syncs
//! a few hundred times. A write has returned only when it is on the disk (WAL, `synchronous=FULL`).
//! Invariant: an error of one writer undoes that writer's statements alone.

mod rows;
mod schema;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

pub(crate) use self::rows::{
    MoveRow, QueueRow, Received, Row, change_queue, delete, delete_queue, insert_queue, receive,
    save_move_task, set_visible_at, source_of, update_queue,
};

const FILE_NAME: &str = "queue.sqlite3";

/// How much is done in one transaction: enough to share a sync, few enough that nobody waits long.
const LARGEST_GROUP: usize = 512;

/// How long a program that is ending has to leave the data to the next.
const PATIENCE: Duration = Duration::from_millis(500);

/// Prepared statements kept; there are fewer in all.
const STATEMENTS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("can't make the queue's directory {}: {source}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("the queue's data {} is in use by another program: stop that one, or use another directory", path.display())]
    InUse { path: PathBuf },
    #[error("can't open the queue's data {}: {source}", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the queue's data {} was written by another version of this program: {source}", path.display())]
    Version { path: PathBuf, source: rusqlite_migration::Error },
    #[error("can't start the thread that writes the queue's data: {0}")]
    Thread(std::io::Error),
}

/// Why a write is not on the disk.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the queue's data can't be written: {0}")]
pub(crate) struct WriteError(String);

/// What remains of a write once its group was committed, or was not: to tell whoever waits for it.
type Answer = Box<dyn FnOnce(Result<(), WriteError>) + Send>;
type Job = Box<dyn FnOnce(&Connection) -> Answer + Send>;

/// A write that was handed in, and will be told of.
pub(crate) type Written<T> = Pin<Box<dyn Future<Output = Result<T, WriteError>> + Send>>;

pub(crate) struct Store {
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the data below `directory`, and reads what a broker keeps in memory.
    pub(crate) fn open(directory: &Path) -> Result<(Self, rows::Loaded), OpenError> {
        // Messages are no other user's of this machine.
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
        // What is in memory is the truth, so only one program may have it.
        connection.busy_timeout(PATIENCE).map_err(open)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(open)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(open)?;
        // What a savepoint would undo is kept in memory: each job has one, and a file for it costs
        // more than the job.
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(open)?;
        connection.pragma_update(None, "cache_size", -65_536).map_err(open)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        schema::MIGRATIONS
            .to_latest(&mut connection)
            .map_err(|source| OpenError::Version { path: path.clone(), source })?;
        let loaded = rows::load(&connection).map_err(open)?;
        let (jobs, inbox) = mpsc::channel();
        let writer = std::thread::Builder::new().name("localsqs-writer".to_owned());
        let writer = writer
            .spawn(move || write_until_closed(&connection, &inbox))
            .map_err(OpenError::Thread)?;
        Ok((Self { jobs: Some(jobs), writer: Some(writer) }, loaded))
    }

    /// Hands `work` in for the next transaction; the future is done when it is on the disk.
    ///
    /// It is handed in when this is called, so that writes under one lock are in the order of that
    /// lock.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, WriteError>> + Send + 'static {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let done = in_savepoint(connection, work);
            Box::new(move |committed| {
                let answer =
                    committed.and_then(|()| done.map_err(|error| WriteError(error.to_string())));
                // A caller that went away hears nothing; what it asked for is done all the same.
                drop(tell.send(answer));
            })
        });
        // A job that is not done is dropped, and with it the sender that the future listens to.
        if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            tracing::error!("the queue is closed and can't be written");
        }
        async move { told.await.map_err(|_| WriteError("no transaction could be begun".to_owned()))? }
    }
}

impl Drop for Store {
    /// Waits until what was handed in is written.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes the queue's data panicked");
        }
    }
}

fn write_until_closed(connection: &Connection, inbox: &mpsc::Receiver<Job>) {
    while let Ok(first) = inbox.recv() {
        // Whoever handed in what is dropped hears that it was not written.
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            tracing::error!(%error, "a write is lost: no transaction could be begun");
            continue;
        }
        let mut answers = Vec::new();
        let group = std::iter::once(first).chain(inbox.try_iter()).take(LARGEST_GROUP);
        answers.extend(group.map(|job| job(connection)));
        let committed = connection.execute_batch("COMMIT").map_err(|error| {
            tracing::error!(%error, "a group of writes is lost");
            if !connection.is_autocommit()
                && let Err(error) = connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "the transaction could not be rolled back");
            }
            WriteError(error.to_string())
        });
        for answer in answers {
            answer(committed.clone());
        }
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let done = work(connection);
    if done.is_err() {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    done
}
