//! The queues themselves: what is in memory, what is on the disk, and who waits for whom.
//!
//! Memory is changed under one short lock that is never held across a write. What a caller is told
//! happened has been committed by the store; what was reserved in memory for a write that failed is
//! put back. Knows nothing of the wire.

mod messages;
mod moves;
mod naming;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attributes::{self, Read, Settings};
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::index::Index;
use crate::store::{self, MoveRow, OpenError, QueueRow, Store, WriteError};

use self::naming::{check_name, check_tags};

pub(crate) use self::messages::{BatchEntry, Delivered, ReceiveRequest, Sent, selected};

/// How soon after a purge the next is refused, and after a deletion a queue of the same name (the
/// SQS API Reference, `PurgeQueue` and `CreateQueue`).
const PAUSE: Duration = Duration::from_secs(60);

/// Whose queues these are, and who may reach them.
#[derive(Debug, Clone)]
pub struct Options {
    pub region: String,
    pub account: String,
    /// What every request must be signed with. Without it the queues are for this machine alone.
    pub credentials: Option<KeyPair>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            credentials: None,
        }
    }
}

/// All queues of a data directory. Clones are the same queues.
///
/// What was handed in to be written is done even when its future is dropped, but memory then misses
/// the outcome: see futures through, save that of a receive, which may be dropped.
#[derive(Clone)]
pub struct Queues(Arc<Shared>);

struct Shared {
    options: Options,
    state: Mutex<State>,
    /// Held by whoever changes which queues there are, and what they are like.
    catalog: tokio::sync::Mutex<()>,
    closing: CancellationToken,
    under_way: TaskTracker,
    store: Store,
    next_id: AtomicI64,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<String, Queue>,
    move_tasks: Vec<MoveRow>,
    deleted: HashMap<String, Time>,
}

struct Queue {
    row: QueueRow,
    index: Index,
    /// Told whenever a message may have become receivable, or the queue is gone.
    changed: Arc<Notify>,
    purged_at: Option<Time>,
}

impl Queues {
    /// Opens the queues below `directory`, making it when it is not there.
    ///
    /// # Errors
    /// The directory can't be made, or what is in it can't be read.
    pub fn open(directory: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_at(directory, options, Time::now())
    }

    fn open_at(directory: &Path, options: Options, now: Time) -> Result<Self, OpenError> {
        let (store, loaded) = Store::open(directory)?;
        let mut by_id: BTreeMap<i64, Queue> =
            loaded.queues.into_iter().map(|row| (row.id, Queue::new(row))).collect();
        let mut newest = 0;
        for (queue_id, id, entry) in loaded.messages {
            newest = newest.max(id);
            if let Some(queue) = by_id.get_mut(&queue_id) {
                queue.index.insert(id, entry, now);
            }
        }
        let queues = by_id.into_values().map(|queue| (queue.row.name.clone(), queue)).collect();
        let mut state = State { queues, move_tasks: loaded.move_tasks, deleted: HashMap::new() };
        Self::fail_interrupted(&mut state);
        let next_id = AtomicI64::new(newest + 1);
        let catalog = tokio::sync::Mutex::new(());
        let closing = CancellationToken::new();
        let under_way = TaskTracker::new();
        Ok(Self(Arc::new(Shared {
            options,
            state: Mutex::new(state),
            catalog,
            closing,
            under_way,
            store,
            next_id,
        })))
    }

    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The ARN of a queue of this name.
    #[must_use]
    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{name}", self.0.options.region, self.0.options.account)
    }

    /// Makes a queue; one that is there with the same attributes is fine.
    ///
    /// # Errors
    /// The name or an attribute can't be, or the queue is there with other attributes.
    pub async fn create(&self, name: &str, settings: &Settings) -> Result<(), Error> {
        self.create_queue(name, settings, &Settings::new(), Time::now()).await
    }

    pub(crate) async fn create_queue(
        &self,
        name: &str,
        settings: &Settings,
        tags: &Settings,
        now: Time,
    ) -> Result<(), Error> {
        check_name(name)?;
        let settings = attributes::check(settings)?;
        check_tags(tags)?;
        let _catalog = self.0.catalog.lock().await;
        {
            let mut state = self.state();
            if let Some(there) = state.queues.get(name) {
                return there.check_same(&settings);
            }
            state.deleted.retain(|_, deleted_at| now < deleted_at.plus(PAUSE));
            if state.deleted.contains_key(name) {
                return Err(Error::new(
                    Code::QueueDeletedRecently,
                    "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
                ));
            }
            self.check_redrive(&state, name, &settings)?;
        }
        let mut row = QueueRow {
            id: 0,
            name: name.to_owned(),
            created_at: now,
            modified_at: now,
            settings,
            tags: tags.clone(),
        };
        let stored = row.clone();
        row.id =
            self.0.store.write(move |connection| store::insert_queue(connection, &stored)).await?;
        self.state().queues.insert(name.to_owned(), Queue::new(row));
        Ok(())
    }

    /// The names with this beginning, in their order.
    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        let state = self.state();
        state.queues.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    pub(crate) fn exists(&self, name: &str) -> Result<(), Error> {
        self.state().queue(name).map(drop)
    }

    pub(crate) async fn delete_queue(&self, name: &str, now: Time) -> Result<(), Error> {
        let _catalog = self.0.catalog.lock().await;
        let (queue, written) = {
            let mut state = self.state();
            let queue = state.queues.remove(name).ok_or_else(Error::no_queue)?;
            let id = queue.row.id;
            (queue, self.0.store.write(move |connection| store::delete_queue(connection, id)))
        };
        queue.changed.notify_waiters();
        let written = written.await;
        let mut state = self.state();
        match written {
            Ok(()) => drop(state.deleted.insert(name.to_owned(), now)),
            Err(_) => drop(state.queues.insert(name.to_owned(), queue)),
        }
        Ok(written?)
    }

    /// Every attribute, as AWS shows them.
    pub(crate) fn attributes(&self, name: &str, now: Time) -> Result<Settings, Error> {
        let mut state = self.state();
        let queue = state.queue_mut(name)?;
        self.expire_in(queue, now);
        let mut shown = attributes::shown(&queue.row.settings);
        let (ready, in_flight, delayed) = queue.index.counts(now);
        shown.insert("ApproximateNumberOfMessages".to_owned(), ready.to_string());
        shown.insert("ApproximateNumberOfMessagesNotVisible".to_owned(), in_flight.to_string());
        shown.insert("ApproximateNumberOfMessagesDelayed".to_owned(), delayed.to_string());
        shown.insert(
            "CreatedTimestamp".to_owned(),
            (queue.row.created_at.millis() / 1000).to_string(),
        );
        shown.insert(
            "LastModifiedTimestamp".to_owned(),
            (queue.row.modified_at.millis() / 1000).to_string(),
        );
        shown.insert("QueueArn".to_owned(), self.arn(name));
        Ok(shown)
    }

    pub(crate) async fn set_attributes(
        &self,
        name: &str,
        settings: &Settings,
        now: Time,
    ) -> Result<(), Error> {
        let settings = attributes::check(settings)?;
        let _catalog = self.0.catalog.lock().await;
        let row = {
            let state = self.state();
            let row = state.queue(name)?.row.clone();
            self.check_redrive(&state, name, &settings)?;
            QueueRow {
                settings: attributes::changed(row.settings, settings),
                modified_at: now,
                ..row
            }
        };
        self.update(name, row).await
    }

    pub(crate) fn tags(&self, name: &str) -> Result<Settings, Error> {
        Ok(self.state().queue(name)?.row.tags.clone())
    }

    /// Adds and takes off tags.
    pub(crate) async fn tag(
        &self,
        name: &str,
        add: &Settings,
        remove: &[String],
    ) -> Result<(), Error> {
        let _catalog = self.0.catalog.lock().await;
        let mut row = self.state().queue(name)?.row.clone();
        row.tags.extend(add.clone());
        row.tags.retain(|key, _| !remove.contains(key));
        check_tags(&row.tags)?;
        self.update(name, row).await
    }

    /// Writes what a queue is like from now on; the caller holds the catalog.
    async fn update(&self, name: &str, row: QueueRow) -> Result<(), Error> {
        let written = row.clone();
        self.0.store.write(move |connection| store::update_queue(connection, &written)).await?;
        let mut state = self.state();
        let queue = state.queue_mut(name)?;
        queue.row = row;
        queue.changed.notify_waiters();
        Ok(())
    }

    pub(crate) async fn purge(&self, name: &str, now: Time) -> Result<(), Error> {
        let (queue_id, purged, written) = {
            let mut state = self.state();
            let queue = state.queue_mut(name)?;
            if queue.purged_at.is_some_and(|purged| now < purged.plus(PAUSE)) {
                let message =
                    format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
                return Err(Error::new(Code::PurgeQueueInProgress, message));
            }
            queue.purged_at = Some(now);
            let purged = std::mem::take(&mut queue.index);
            let ids = purged.ids();
            (
                queue.row.id,
                purged,
                self.0.store.write(move |connection| store::delete(connection, &ids)),
            )
        };
        if let Err(error) = written.await {
            let entries: Vec<_> = purged.entries().collect();
            self.admit(name, queue_id, &entries, now);
            return Err(error.into());
        }
        Ok(())
    }

    /// Takes out of every queue what it has kept for its time. The server does so now and then, for
    /// queues that nobody asks.
    pub(crate) fn expire(&self, now: Time) {
        self.state().queues.values_mut().for_each(|queue| self.expire_in(queue, now));
    }

    /// Takes out of a queue what it has kept for its time. Nobody waits for the write: what it
    /// misses is taken out after the next start.
    fn expire_in(&self, queue: &mut Queue, now: Time) {
        let expired = queue.expire(now);
        if !expired.is_empty() {
            drop(self.0.store.write(move |connection| store::delete(connection, &expired)));
        }
    }

    /// Runs work to its end even when whoever waits for it goes away.
    pub(crate) async fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.0.under_way.spawn(work).await;
        done.unwrap_or_else(|died| Err(Error::new(Code::InternalFailure, died.to_string())))
    }

    /// Lets waiting receives end with what there is, and move tasks stop.
    pub(crate) fn close(&self) {
        self.0.closing.cancel();
        self.0.under_way.close();
    }

    /// Waits until nothing is under way any more, once [`close`](Self::close) was called.
    pub(crate) async fn closed(&self) {
        self.0.under_way.wait().await;
    }

    /// The queues whose dead-letter queue this is.
    pub(crate) fn dead_letter_sources(&self, name: &str) -> Result<Vec<String>, Error> {
        let state = self.state();
        state.queue(name)?;
        let arn = self.arn(name);
        let sources = state.queues.values().filter(|queue| {
            queue.row.settings.redrive().is_some_and(|redrive| redrive.target_arn == arn)
        });
        Ok(sources.map(|queue| queue.row.name.clone()).collect())
    }

    /// A redrive policy names a queue that is there and lets this one redrive to it.
    fn check_redrive(&self, state: &State, name: &str, settings: &Settings) -> Result<(), Error> {
        let Some(redrive) = settings.redrive() else { return Ok(()) };
        let refuse = |reason: &str| {
            let policy = settings.get("RedrivePolicy").map(String::as_str).unwrap_or_default();
            Err(Error::value(format!(
                "Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}"
            )))
        };
        if redrive.target_arn == self.arn(name) {
            return refuse("A queue can't be its own dead letter target.");
        }
        let Some(target) =
            self.name_of(&redrive.target_arn).and_then(|target| state.queues.get(target))
        else {
            return refuse("Dead letter target does not exist.");
        };
        if !target.row.settings.allows_redrive_from(&self.arn(name)) {
            return refuse(
                "The dead letter target's RedriveAllowPolicy does not allow this queue.",
            );
        }
        Ok(())
    }

    /// The name in one of our own ARNs.
    fn name_of<'a>(&self, arn: &'a str) -> Option<&'a str> {
        arn.strip_prefix(self.arn("").as_str())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self) -> i64 {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

impl Queue {
    fn new(row: QueueRow) -> Self {
        Self { row, index: Index::default(), changed: Arc::new(Notify::new()), purged_at: None }
    }

    /// Whether a queue that is to be made is this one.
    fn check_same(&self, settings: &Settings) -> Result<(), Error> {
        let there = attributes::shown(&self.row.settings);
        let differs = |(name, value): &(&String, &String)| {
            there.get(*name).map_or("", String::as_str) != value.as_str()
        };
        settings.iter().find(differs).map_or(Ok(()), |(name, _)| {
            let message =
                format!("A queue already exists with the same name and a different value for attribute {name}");
            Err(Error::new(Code::QueueNameExists, message))
        })
    }
}

impl State {
    fn queue(&self, name: &str) -> Result<&Queue, Error> {
        self.queues.get(name).ok_or_else(Error::no_queue)
    }

    fn queue_mut(&mut self, name: &str) -> Result<&mut Queue, Error> {
        self.queues.get_mut(name).ok_or_else(Error::no_queue)
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        Self::new(Code::InternalFailure, error.to_string())
    }
}

#[cfg(test)]
mod tests;
