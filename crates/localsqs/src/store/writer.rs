//! The one thread that writes.
//!
//! Whoever wants to write hands a job to the thread. The thread does all the jobs that have piled
//! up in one transaction and commits it once: this is how thousands of durable writes a second
//! come from a disk that syncs a few hundred times a second. Invariant: what a job is told is what
//! the disk has. An error of one job undoes the statements of that job alone, and when the
//! transaction as a whole is lost, every job in it is told so.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use localhttp::chain;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// How many jobs are done in one transaction: enough of them to share the cost of a sync, and so
/// few that the first job does not wait long for the last.
const LARGEST_GROUP: usize = 512;

/// How many jobs wait for the thread. When as many wait, whoever wants to write waits too, and so
/// does the client. A whole group can gather while the one before it is written, and more would
/// not make the disk faster. A job holds at most the messages of one batch (1 MiB), so at most
/// 1 GiB is in memory: one group that waits and one that is written.
const QUEUED_JOBS: usize = LARGEST_GROUP;

/// Why a write is not on the disk.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WriteError {
    /// Shared by all the jobs of a transaction that was lost.
    #[error("the queue's data can't be written")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    #[error("the queue's data can't be written: the transaction was rolled back")]
    RolledBack,
    #[error("the queue's data can't be written any more: restart the server, its writer has ended")]
    Ended,
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

/// Tells whoever waits for a job, once it is known whether its transaction was committed.
type Answer = Box<dyn FnOnce(Result<(), WriteError>) + Send>;

/// What a job leaves behind: whom to tell, and its own error.
struct Done {
    answer: Answer,
    failure: Option<WriteError>,
}

/// A job is given the connection, or the reason why there is no transaction to do it in.
type Job = Box<dyn FnOnce(Result<&Connection, WriteError>) -> Done + Send>;

/// The right to hand in one write without waiting.
pub(crate) struct Slot<'a>(mpsc::Permit<'a, Job>);

impl Slot<'_> {
    /// Hands `work` in for the next transaction. It takes its place in the order of writes now,
    /// so writes that are handed in under one lock are done in the order of that lock.
    pub(crate) fn write<T: Send + 'static>(
        self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Written<T> {
        let (tell, told) = oneshot::channel();
        self.0.send(Box::new(move |connection| {
            let done = connection.and_then(|connection| Ok(in_savepoint(connection, work)?));
            let failure = done.as_ref().err().cloned();
            let answer: Answer = Box::new(move |committed| {
                let outcome = done.and_then(|done| committed.map(|()| done));
                // A caller that has gone away hears nothing. The write is what it is all the same.
                drop(tell.send(outcome));
            });
            Done { answer, failure }
        }));
        Written(told)
    }
}

/// A write that was handed in.
pub(crate) struct Written<T>(oneshot::Receiver<Result<T, WriteError>>);

impl<T> Written<T> {
    /// Waits until the write is on the disk, or is known not to be there.
    pub(crate) async fn outcome(self) -> Result<T, WriteError> {
        self.0.await.unwrap_or(Err(WriteError::Ended))
    }
}

/// The thread, and the way to it.
pub(super) struct Writer {
    /// Taken when the writer is dropped, which lets the thread end.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel(QUEUED_JOBS);
        let thread = std::thread::Builder::new().name("localsqs-writer".to_owned());
        let thread = thread.spawn(move || write_until_closed(&connection, inbox))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) async fn reserve(&self) -> Result<Slot<'_>, WriteError> {
        let jobs = self.jobs.as_ref().ok_or(WriteError::Ended)?;
        jobs.reserve().await.map(Slot).map_err(|_closed| WriteError::Ended)
    }

    pub(super) fn try_reserve(&self) -> Option<Slot<'_>> {
        self.jobs.as_ref()?.try_reserve().ok().map(Slot)
    }
}

impl Drop for Writer {
    /// Waits until every job that was handed in is done: the thread ends when there is neither a
    /// sender nor a job left.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the queue's data panicked");
        }
    }
}

fn write_until_closed(connection: &Connection, mut inbox: mpsc::Receiver<Job>) {
    while let Some(first) = inbox.blocking_recv() {
        write_group(connection, first, &mut inbox);
    }
}

fn write_group(connection: &Connection, first: Job, inbox: &mut mpsc::Receiver<Job>) {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        tracing::error!(error = chain(&error), "a write is lost: no transaction could be begun");
        let Done { answer, .. } = first(Err(error.into()));
        answer(Ok(()));
        return;
    }
    let mut answers = Vec::new();
    let mut next = Some(first);
    let mut lost = None;
    while let Some(job) = next {
        let Done { answer, failure } = job(Ok(connection));
        answers.push(answer);
        // After some errors (a full disk, an I/O error, no memory) SQLite rolls the whole
        // transaction back by itself ("Transaction", section "Response To Errors Within A
        // Transaction"). The jobs before are lost with it, and a savepoint of the next job would
        // begin and commit a transaction of its own, so the group ends here.
        if connection.is_autocommit() {
            lost = Some(failure.unwrap_or(WriteError::RolledBack));
            break;
        }
        next = if answers.len() < LARGEST_GROUP { inbox.try_recv().ok() } else { None };
    }
    let committed = match lost {
        Some(error) => Err(error),
        None => connection.execute_batch("COMMIT").map_err(WriteError::from),
    };
    if let Err(error) = &committed {
        tracing::error!(error = chain(error), writes = answers.len(), "a group of writes is lost");
        roll_back(connection);
    }
    for answer in answers {
        answer(committed.clone());
    }
}

/// Does a job so that its error undoes its own statements and no others.
fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let run = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(drop);
    run("SAVEPOINT job")?;
    let done = work(connection);
    if connection.is_autocommit() {
        return done;
    }
    let ended = match &done {
        Ok(_) => run("RELEASE job"),
        Err(_) => run("ROLLBACK TO job").and_then(|()| run("RELEASE job")),
    };
    if let Err(error) = ended {
        // The statements of this job can't be separated from those of the others any more, so
        // none of them may be committed.
        roll_back(connection);
        return done.and(Err(error));
    }
    done
}

/// Rolls the transaction back unless SQLite has done so.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(error = chain(&error), "the transaction could not be rolled back");
    }
}
