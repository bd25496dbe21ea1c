//! Messages through a queue: send, delete, change visibility, purge.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::receipt::Receipt;
use super::{Place, Queue, Queues};
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::index::{Entry, Id};
use crate::message::{self, Content};
use crate::store::{self, Row, Slot, Written};

/// SQS hides no message for longer than this after its receive, however often the timeout is
/// extended (the SQS Developer Guide, "Amazon SQS visibility timeout").
const LONGEST_VISIBILITY: Duration = Duration::from_secs(43_200);

/// A message of a batch that is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct BatchEntry {
    pub(crate) content: Content,
    /// The queue's own delay when absent.
    pub(crate) delay: Option<Duration>,
}

/// What a sender is told.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) message_id: String,
    pub(crate) md5_of_body: String,
    pub(crate) md5_of_attributes: Option<String>,
    pub(crate) md5_of_system_attributes: Option<String>,
}

/// A message that is held, as it was before, and its write that is pending.
struct Pending {
    place: Place,
    id: Id,
    before: Entry,
    written: Written<()>,
}

impl Queues {
    /// Sends messages together. Each is refused by itself; those that are not refused are stored
    /// together.
    ///
    /// Nothing here looks for duplicates: a client that sends again because it did not hear the
    /// answer has sent two messages, as with a standard queue of AWS (the SQS Developer Guide,
    /// "Amazon SQS at-least-once delivery").
    pub(crate) async fn send(
        &self,
        name: &str,
        batch: Vec<BatchEntry>,
        now: Time,
    ) -> Result<Vec<Result<Sent, Error>>, Error> {
        let (place, largest, delay) = {
            let state = self.state();
            let queue = state.queue(name)?;
            let settings = &queue.row.settings;
            (queue.place(), settings.maximum_message_size(), settings.delay())
        };
        let mut answers = Vec::new();
        let mut rows = Vec::new();
        for BatchEntry { content, delay: own } in batch {
            if let Err(refused) = content.check(largest) {
                answers.push(Err(refused));
                continue;
            }
            let message_id = Uuid::new_v4().to_string();
            answers.push(Ok(Sent {
                message_id: message_id.clone(),
                md5_of_body: message::md5_of_body(&content.body),
                md5_of_attributes: message::md5_of_attributes(&content.attributes),
                md5_of_system_attributes: message::md5_of_attributes(&content.system_attributes),
            }));
            rows.push(Row {
                id: self.next_id(),
                queue_id: place.id,
                message_id,
                content,
                entry: Entry::sent(now, now.plus(own.unwrap_or(delay))),
            });
        }
        let entries: Vec<(Id, Entry)> = rows.iter().map(|row| (row.id, row.entry)).collect();
        let slot = self.0.store.reserve().await?;
        let written = {
            // Under the lock, so that nothing is written to a queue after its deletion.
            let state = self.state();
            if state.queue(name)?.row.id != place.id {
                return Err(Error::no_queue());
            }
            slot.write(move |connection| rows.iter().try_for_each(|row| row.insert(connection)))
        };
        written.outcome().await?;
        self.state().add(&place, entries, now);
        Ok(answers)
    }

    /// Deletes a message. As on AWS it is a success, too, when the message is gone, and when it was
    /// received again since and therefore stays (the SQS API Reference, `DeleteMessage`).
    pub(crate) async fn delete(&self, name: &str, handle: &str, now: Time) -> Result<(), Error> {
        let hold = |queue: &mut Queue, receipt: Receipt, slot: Slot<'_>| {
            let id = receipt.id;
            let current = queue.index.entry(id).is_some_and(|entry| receipt.is_of(entry));
            let before = if current { queue.index.hold(id) } else { None };
            let queue_id = receipt.queue_id;
            Ok(before.map(|before| Pending {
                place: queue.place(),
                id,
                before,
                written: slot.write(move |connection| store::delete(connection, queue_id, &[id])),
            }))
        };
        match self.on_message(name, handle, hold).await? {
            Some(pending) => self.settle_pending(pending, None, now).await,
            None => Ok(()),
        }
    }

    /// Gives a message in flight another visibility timeout, counted from `now`.
    ///
    /// As on AWS it is a success, too, and changes nothing, when the message is not in flight any
    /// more or was received again since. So the answer does not tell a receiver whether the message
    /// is still its own. Only a message that is gone is an error.
    ///
    /// The message becomes visible when the change is on the disk. Until then nobody receives it,
    /// even when the timeout is zero: a receive that ran ahead of a change that failed would have
    /// taken a message that is still in flight.
    pub(crate) async fn change_visibility(
        &self,
        name: &str,
        handle: &str,
        visibility: Duration,
        now: Time,
    ) -> Result<(), Error> {
        let until = now.plus(visibility);
        let hold = |queue: &mut Queue, receipt: Receipt, slot: Slot<'_>| {
            let id = receipt.id;
            let entry = *queue.index.entry(id).ok_or_else(|| {
                Error::value(format!(
                    "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does \
                     not exist or is not available for visibility timeout change."
                ))
            })?;
            if !receipt.is_of(&entry) {
                return Ok(None);
            }
            if entry.received_at.is_some_and(|received| until > received.plus(LONGEST_VISIBILITY)) {
                return Err(Error::value(format!(
                    "Value {} for parameter VisibilityTimeout is invalid. Reason: Total \
                     VisibilityTimeout for the message is beyond the limit [43200 seconds].",
                    visibility.as_secs()
                )));
            }
            let write = move |connection: &_| store::set_visible_at(connection, id, until);
            Ok(queue.index.hold_in_flight(id, now).map(|before| Pending {
                place: queue.place(),
                id,
                before,
                written: slot.write(write),
            }))
        };
        match self.on_message(name, handle, hold).await? {
            Some(pending) => {
                let after = Entry { visible_at: until, ..pending.before };
                self.settle_pending(pending, Some(after), now).await
            }
            None => Ok(()),
        }
    }

    /// Deletes all messages of a queue, also those that are in flight or delayed.
    pub(crate) async fn purge(&self, name: &str, now: Time) -> Result<(), Error> {
        let slot = self.0.store.reserve().await?;
        let (place, written) = {
            let cooldown = self.0.options.cooldown;
            let mut state = self.state();
            let queue = state.queue_mut(name)?;
            if queue.purging.is_some()
                || queue.purged_at.is_some_and(|purged| now < purged.plus(cooldown))
            {
                let message =
                    format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
                return Err(Error::new(Code::PurgeQueueInProgress, message));
            }
            let purged = std::mem::take(&mut queue.index);
            let ids = purged.ids();
            queue.purging = Some(purged);
            let place = queue.place();
            let id = place.id;
            (place, slot.write(move |connection| store::delete(connection, id, &ids)))
        };
        let outcome = written.outcome().await;
        if let Some(queue) = self.state().queue_at(&place) {
            match (&outcome, queue.purging.take()) {
                (Ok(()), _) => queue.purged_at = Some(now),
                (Err(_), Some(purged)) => queue.index.absorb(purged, now),
                (Err(_), None) => {}
            }
            queue.changed.notify_waiters();
        }
        Ok(outcome?)
    }

    /// Calls `act` with the message that a handle means, once no write about it is pending.
    ///
    /// A worker may delete a message while its last renewal of the visibility timeout is still
    /// being written, and both must succeed.
    async fn on_message<T>(
        &self,
        name: &str,
        handle: &str,
        act: impl FnOnce(&mut Queue, Receipt, Slot<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let slot = self.0.store.reserve().await?;
            let settled = {
                let mut state = self.state();
                let queue = state.queue_mut(name)?;
                let receipt = Receipt::decode(handle, queue.row.id)?;
                if !queue.is_pending(receipt.id) {
                    return act(queue, receipt, slot);
                }
                // Made under the lock, so that the end of the hold can't come before it.
                Arc::clone(&queue.changed).notified_owned()
            };
            drop(slot);
            settled.await;
        }
    }

    /// Waits for a write about a message, which then is what `after` says; as before if it failed.
    async fn settle_pending(
        &self,
        pending: Pending,
        after: Option<Entry>,
        now: Time,
    ) -> Result<(), Error> {
        let Pending { place, id, before, written } = pending;
        let outcome = written.outcome().await;
        let settled = if outcome.is_ok() { after } else { Some(before) };
        self.state().settle(&place, [(id, settled)], now);
        Ok(outcome?)
    }
}
