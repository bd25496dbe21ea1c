//! The thread that owns a connection to the journal's database.
//!
//! SQLite's calls block: a write waits for the disk (`synchronous=FULL`), and for up to
//! [`BUSY_TIMEOUT`](super::BUSY_TIMEOUT) while another process holds the lock. The runtime has two
//! threads, which also renew leases, so no call is made on them. A caller sends its work to the
//! thread and waits for the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::JournalError;

/// How many jobs may wait for the thread. Each caller waits for its own job's answer, so more than
/// a few wait only when callers were dropped.
const WAITING_JOBS: usize = 64;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A connection on a thread of its own.
///
/// The thread carries the jobs out one after the other, in the order in which they were sent.
/// Dropping the database waits until the jobs that were sent are done and the file is closed.
#[derive(Debug)]
pub(super) struct Database {
    /// `None` only while the database is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Database {
    /// Starts a thread on the connection that `open` returns. The thread calls `after_job` after
    /// every job.
    ///
    /// # Errors
    /// The thread can't be started, or `open` failed.
    pub(super) async fn start(
        open: impl FnOnce() -> Result<Connection, JournalError> + Send + 'static,
        mut after_job: impl FnMut(&Connection) + Send + 'static,
    ) -> Result<Self, JournalError> {
        let (jobs, mut inbox) = mpsc::channel::<Job>(WAITING_JOBS);
        let (opened, answer) = oneshot::channel();
        let serve = move || {
            let mut connection = match open() {
                Ok(connection) => connection,
                Err(error) => {
                    opened.send(Err(error)).ok();
                    return;
                }
            };
            opened.send(Ok(())).ok();
            while let Some(job) = inbox.blocking_recv() {
                // A panic leaves nothing behind in the connection: a transaction that is dropped
                // by it rolls back. Its caller is told by the answer that never comes.
                let job = AssertUnwindSafe(|| {
                    job(&mut connection);
                    after_job(&connection);
                });
                if catch_unwind(job).is_err() {
                    tracing::error!("a job of the journal's thread panicked");
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(serve)
            .map_err(JournalError::Thread)?;
        answer.await.map_err(|_| JournalError::Gone)??;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has the thread do `work`, and returns what it returned.
    ///
    /// The thread carries out work that was sent even if the returned future is dropped before the
    /// answer comes: what was asked to be written is written.
    ///
    /// # Errors
    /// `work` failed, or it panicked ([`JournalError::Gone`]).
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A caller that was dropped wants no answer.
            reply.send(work(connection)).ok();
        });
        let jobs = self.jobs.as_ref().ok_or(JournalError::Gone)?;
        jobs.send(job).await.map_err(|_| JournalError::Gone)?;
        answer.await.map_err(|_| JournalError::Gone)?
    }

    /// Has the thread call `after_job` soon. Returns at once.
    pub(super) fn wake(&self) {
        // A full channel needs no further job: `after_job` follows each of those in it.
        if let Some(jobs) = &self.jobs {
            jobs.try_send(Box::new(|_| {})).ok();
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;

    use futures_util::FutureExt as _;

    use super::*;

    async fn database() -> Database {
        Database::start(|| Ok(Connection::open_in_memory()?), |_| {}).await.unwrap()
    }

    fn count(connection: &Connection) -> Result<i64, JournalError> {
        Ok(connection.query_row("SELECT COUNT(*) FROM t", [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn work_is_done_in_order_even_when_its_caller_is_dropped() {
        let database = database().await;
        let (go_on, held_back) = blocking::channel::<()>();
        let create = database.run(move |connection| {
            held_back.recv().ok();
            Ok(connection.execute_batch("CREATE TABLE t (x)")?)
        });
        assert!(create.now_or_never().is_none());
        let insert =
            database.run(|connection| Ok(connection.execute("INSERT INTO t VALUES (1)", [])?));
        assert!(insert.now_or_never().is_none());
        go_on.send(()).unwrap();
        assert_eq!(database.run(|connection| count(connection)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_caller_and_of_nobody_else() {
        let database = database().await;
        let panicked = database.run(|connection| -> Result<(), JournalError> {
            let transaction = connection.transaction()?;
            transaction.execute_batch("CREATE TABLE t (x)")?;
            panic!("a job may panic");
        });
        assert!(matches!(panicked.await, Err(JournalError::Gone)));
        let created =
            database.run(|connection| Ok(connection.execute_batch("CREATE TABLE t (x)")?));
        created.await.expect("the panicked job's transaction was rolled back");
    }

    #[tokio::test]
    async fn what_was_sent_is_done_before_the_database_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let file = path.clone();
        let database = Database::start(move || Ok(Connection::open(file)?), |_| {}).await.unwrap();
        let (go_on, held_back) = blocking::channel::<()>();
        let write = database.run(move |connection| {
            held_back.recv().ok();
            Ok(connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")?)
        });
        assert!(write.now_or_never().is_none());
        go_on.send(()).unwrap();
        drop(database);
        assert_eq!(count(&Connection::open(path).unwrap()).unwrap(), 1);
    }
}
