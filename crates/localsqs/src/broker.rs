//! The queues: what is in memory, what is on the disk, and who waits for whom.
//!
//! Memory is changed under one short lock that nobody holds while waiting for the disk. A change
//! to a message goes in three steps:
//!
//! 1. Reserve a place in the store's queue of writes. This waits when the disk is behind.
//! 2. Under the lock, hold the message in memory and hand the write in. The order of the lock is
//!    therefore the order of the writes.
//! 3. When the write is committed, put the message into memory as it is now; when it failed, as
//!    it was. Only then is the caller answered.
//!
//! Memory therefore always says what the disk says, apart from messages that are held at this
//! moment, and those nobody touches. This module knows nothing of the wire.

mod catalog;
mod home;
mod messages;
mod moves;
mod receipt;
mod receiving;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use localhttp::chain;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Time;
use crate::error::{Code, Error};
use crate::index::{Entry, Id, Index};
use crate::store::{self, MoveRow, OpenError, QueueRow, Store, WriteError};

use self::home::Home;

pub use self::catalog::Difference;
pub(crate) use self::messages::{BatchEntry, Sent};
pub(crate) use self::receiving::{Delivered, ReceiveRequest};

/// How many requests that change something are carried out at once. Such a request goes on when
/// its client has gone away, so the number of connections does not limit them: clients that give
/// up and try again while the disk is stuck would fill the memory. The server has as many
/// connections, so one request for each of them still finds a place.
const MOST_UNDER_WAY: usize = 512;

/// Whose queues these are, and who may reach them.
#[derive(Debug, Clone)]
pub struct Options {
    /// The region in ARNs and signatures.
    pub region: String,
    /// The account in ARNs and queue URLs: 12 digits.
    pub account: String,
    /// How soon after a purge the next one is refused, and after a deletion a queue of the same
    /// name. SQS has 60 seconds (the SQS API Reference, `PurgeQueue` and `CreateQueue`).
    pub cooldown: Duration,
    /// The keys with which every request must be signed. Without them only this machine may use
    /// the queues.
    pub credentials: Option<KeyPair>,
}

/// The keys with which requests are signed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The public half, which a request names.
    pub access_key_id: String,
    /// The secret half, which signs.
    pub secret_access_key: String,
}

impl fmt::Debug for KeyPair {
    /// Without the secret, so that it reaches no log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPair")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            cooldown: Duration::from_secs(60),
            credentials: None,
        }
    }
}

/// All queues of a data directory. Clones are the same queues.
///
/// The futures of operations that write must run to their end, because their last step brings
/// memory up to date: see `run_detached`. The future of a receive may be
/// dropped at any time.
#[derive(Clone)]
pub struct Queues(Arc<Shared>);

struct Shared {
    options: Options,
    home: Home,
    state: Mutex<State>,
    /// Held by whoever changes which queues there are or what their attributes are, from the
    /// checks until the change is on the disk. `state` can't be held that long.
    catalog: tokio::sync::Mutex<()>,
    closing: CancellationToken,
    under_way: TaskTracker,
    /// One permit for each of [`MOST_UNDER_WAY`].
    places: Arc<Semaphore>,
    store: Store,
    next_id: AtomicI64,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<String, Queue>,
    /// Queues whose deletion is being written, by number. No request finds them any more, but
    /// writes that were handed in before still end here, because a deletion may fail.
    deleting: HashMap<i64, Queue>,
    move_tasks: Vec<MoveRow>,
    /// When queues were deleted in the last minute, by name. A restart forgets it.
    deleted: HashMap<String, Time>,
}

struct Queue {
    row: QueueRow,
    index: Index,
    /// The messages that a purge is deleting. They are put back when it fails.
    purging: Option<Index>,
    purged_at: Option<Time>,
    /// Messages that were kept for the whole retention period and are still on the disk. Nobody
    /// finds them any more.
    expired: Vec<Id>,
    /// Notified whenever a message may have become receivable, a hold on a message has ended, or
    /// the queue is deleted.
    changed: Arc<Notify>,
}

/// The name and the number of a queue. Both, since a queue that is deleted and made again has the
/// same name.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    id: i64,
}

impl Queues {
    /// Opens the queues below `directory`, which is made when it is not there.
    ///
    /// # Errors
    /// [`OpenError`] says why the data can't be opened, and what to do about it.
    pub fn open(directory: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_at(directory, options, Time::now())
    }

    fn open_at(directory: &Path, options: Options, now: Time) -> Result<Self, OpenError> {
        let (store, loaded) = Store::open(directory)?;
        let home = Home::new(&options);
        let rows = loaded.queues.into_iter().map(|row| home.shown_queue(row));
        let mut by_id: BTreeMap<i64, Queue> = rows.map(|row| (row.id, Queue::new(row))).collect();
        let mut newest = 0;
        for (queue_id, id, entry) in loaded.messages {
            newest = newest.max(id);
            // A message of no queue stays on the disk; the store has logged it.
            if let Some(queue) = by_id.get_mut(&queue_id) {
                queue.index.insert(id, entry, now);
            }
        }
        let queues = by_id.into_values().map(|queue| (queue.row.name.clone(), queue)).collect();
        let move_tasks = loaded.move_tasks.into_iter().map(|task| home.shown_task(task)).collect();
        let mut state = State { queues, move_tasks, ..State::default() };
        state.fail_interrupted_moves();
        Ok(Self(Arc::new(Shared {
            options,
            home,
            state: Mutex::new(state),
            catalog: tokio::sync::Mutex::new(()),
            closing: CancellationToken::new(),
            under_way: TaskTracker::new(),
            places: Arc::new(Semaphore::new(MOST_UNDER_WAY)),
            store,
            next_id: AtomicI64::new(newest + 1),
        })))
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// The ARN that a queue of this name has here.
    #[must_use]
    pub fn arn(&self, name: &str) -> String {
        self.0.home.arn(name)
    }

    /// The name in an ARN of this server; nothing for any other ARN.
    fn name_of<'a>(&self, arn: &'a str) -> Option<&'a str> {
        self.0.home.name_of(arn)
    }

    /// Deletes from every queue the messages that were kept for the whole retention period. Each
    /// operation on a queue does so too; the server calls this for queues that nobody uses.
    pub(crate) fn expire(&self, now: Time) {
        self.state().queues.values_mut().for_each(|queue| self.expire_in(queue, now));
    }

    /// Takes messages that were kept for the whole retention period out of memory at once, and
    /// deletes them from the disk in the background. While the store has no room for the write, or
    /// when it fails, the next look at the queue tries again.
    fn expire_in(&self, queue: &mut Queue, now: Time) {
        let oldest = now.minus(queue.row.settings.retention());
        queue.expired.extend(queue.index.take_older_than(oldest));
        if queue.expired.is_empty() {
            return;
        }
        let Some(slot) = self.0.store.try_reserve() else { return };
        let ids = std::mem::take(&mut queue.expired);
        let deleted = ids.clone();
        let place = queue.place();
        let id = place.id;
        let written = slot.write(move |connection| store::delete(connection, id, &deleted));
        // Not a strong reference: the queues may be dropped, and the data left to the next
        // program, before this task has run.
        let shared = Arc::downgrade(&self.0);
        self.0.under_way.spawn(async move {
            let Err(error) = written.outcome().await else { return };
            tracing::warn!(
                queue = place.name,
                error = chain(&error),
                "messages at the end of their retention period could not be deleted yet"
            );
            if let Some(shared) = shared.upgrade()
                && let Some(queue) = Self(shared).state().queue_at(&place)
            {
                queue.expired.extend(ids);
            }
        });
    }

    /// Runs work to its end even when whoever waits for it goes away. At most
    /// [`MOST_UNDER_WAY`] such works run at once; more of them wait and have not begun.
    ///
    /// # Errors
    /// Those of the work, and a failure when it panics.
    pub(crate) async fn run_detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.reserve_place().await?;
        self.run_in_place(place, work).await
    }

    /// Waits until one more work may run.
    async fn reserve_place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let place = Arc::clone(&self.0.places).acquire_owned().await;
        place.map_err(|closed| Error::new(Code::InternalFailure, closed.to_string()))
    }

    async fn run_in_place<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self.0.under_way.spawn(async move {
            let done = work.await;
            drop(place);
            done
        });
        task.await.unwrap_or_else(|died| Err(Error::new(Code::InternalFailure, died.to_string())))
    }

    /// Lets waiting receives end with what there is, and move tasks stop.
    pub(crate) fn close(&self) {
        self.0.closing.cancel();
        self.0.under_way.close();
    }

    /// Waits until nothing is under way any more, after [`close`](Self::close) was called.
    pub(crate) async fn closed(&self) {
        self.0.under_way.wait().await;
    }

    /// A panic while the lock is held leaves at most a message that stays held, so a poisoned lock
    /// is used on: a server that answers nobody would be worse.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self) -> i64 {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

impl State {
    fn queue(&self, name: &str) -> Result<&Queue, Error> {
        self.queues.get(name).ok_or_else(Error::no_queue)
    }

    fn queue_mut(&mut self, name: &str) -> Result<&mut Queue, Error> {
        self.queues.get_mut(name).ok_or_else(Error::no_queue)
    }

    /// The queue to which a write belongs that was handed in earlier, also while the deletion of
    /// the queue is being written. Nothing once it is deleted: its messages are deleted too.
    fn queue_at(&mut self, place: &Place) -> Option<&mut Queue> {
        if self.queues.get(&place.name).is_some_and(|queue| queue.row.id == place.id) {
            self.queues.get_mut(&place.name)
        } else {
            self.deleting.get_mut(&place.id)
        }
    }

    /// Adds messages that are on the disk to a queue, and wakes whoever waits for them.
    fn add(&mut self, place: &Place, messages: impl IntoIterator<Item = (Id, Entry)>, now: Time) {
        let Some(queue) = self.queue_at(place) else { return };
        messages.into_iter().for_each(|(id, entry)| queue.index.insert(id, entry, now));
        queue.changed.notify_waiters();
    }

    /// Ends the hold on messages of a queue: each is what its outcome says, or gone from the
    /// queue when that is nothing.
    fn settle(
        &mut self,
        place: &Place,
        outcomes: impl IntoIterator<Item = (Id, Option<Entry>)>,
        now: Time,
    ) {
        let Some(queue) = self.queue_at(place) else { return };
        for (id, outcome) in outcomes {
            // A purge may have taken the message along. Whether it stays deleted is not known
            // yet, so the outcome is kept there.
            if !queue.index.settle(id, outcome, now)
                && let Some(purging) = &mut queue.purging
            {
                purging.settle(id, outcome, now);
            }
        }
        queue.changed.notify_waiters();
    }
}

impl Queue {
    fn new(row: QueueRow) -> Self {
        Self {
            row,
            index: Index::default(),
            purging: None,
            purged_at: None,
            expired: Vec::new(),
            changed: Arc::new(Notify::new()),
        }
    }

    fn place(&self) -> Place {
        Place { name: self.row.name.clone(), id: self.row.id }
    }

    /// Whether a write about a message is pending.
    fn is_pending(&self, id: Id) -> bool {
        self.index.is_held(id)
            || self.purging.as_ref().is_some_and(|purging| purging.entry(id).is_some())
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        Self::new(Code::InternalFailure, chain(&error))
    }
}

#[cfg(test)]
mod tests;
