//! Messages through a queue: send, receive, delete, change visibility.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{Queue, Queues, State};
use crate::attributes::Read;
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::index::{Entry, Id};
use crate::message::{self, Attributes, Content};
use crate::store::{self, Received, Row, Written};

/// SQS holds at most this many messages in flight in a standard queue (the SQS Developer Guide,
/// "Message quotas").
const MOST_IN_FLIGHT: usize = 120_000;
/// And no lease for longer than this after the receive ("Amazon SQS visibility timeout").
const LONGEST_VISIBILITY: Duration = Duration::from_secs(43_200);

/// A message of a batch to be sent.
#[derive(Debug, Clone)]
pub(crate) struct BatchEntry {
    pub content: Content,
    pub delay: Option<Duration>,
}

/// What a sender is told.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub message_id: String,
    pub md5_of_body: String,
    pub md5_of_attributes: Option<String>,
    pub md5_of_system_attributes: Option<String>,
}

/// What a receiver asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveRequest {
    pub most: usize,
    /// The queue's own when absent.
    pub visibility: Option<Duration>,
    pub wait: Option<Duration>,
}

/// A message as it is delivered.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub message_id: String,
    pub receipt_handle: String,
    pub content: Content,
    pub entry: Entry,
    /// The queue whose dead letter this is.
    pub source_arn: Option<String>,
}

/// Says which receive of which message it is; a later receive makes it stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Receipt {
    queue_id: i64,
    id: Id,
    number: i64,
}

/// What a receive reserved in memory, and its write that is under way.
pub(super) struct Taken {
    queue_id: i64,
    received: Vec<(Id, Entry, Entry)>,
    /// What was received too often, and the queue it goes to.
    dead: Vec<(Id, Entry)>,
    target: Option<Place>,
    /// Gives the contents in the order of what was received; one that is gone from the disk has
    /// none.
    written: Written<Vec<Option<Received>>>,
}

/// What comes of a look for messages.
pub(super) enum Taking {
    Taken(Taken),
    /// As many are in flight as may be.
    Full,
}

/// Name and number of a queue.
type Place = (String, i64);

impl Queues {
    /// Sends messages together; each is refused or stored by itself.
    pub(crate) async fn send(
        &self,
        name: &str,
        batch: Vec<BatchEntry>,
        now: Time,
    ) -> Result<Vec<Result<Sent, Error>>, Error> {
        let (queue_id, largest, delay) = {
            let state = self.state();
            let queue = state.queue(name)?;
            let largest = usize::try_from(queue.row.settings.number("MaximumMessageSize"))
                .unwrap_or(message::LARGEST);
            (queue.row.id, largest, queue.row.settings.seconds("DelaySeconds"))
        };
        let mut answers = Vec::new();
        let mut rows = Vec::new();
        for BatchEntry { content, delay: own } in batch {
            if let Err(refused) = content.check(largest) {
                answers.push(Err(refused));
                continue;
            }
            let visible_at = now.plus(own.unwrap_or(delay));
            let entry = Entry::sent(now, visible_at);
            let message_id = Uuid::new_v4().to_string();
            answers.push(Ok(Sent {
                message_id: message_id.clone(),
                md5_of_body: message::md5_of_body(&content.body),
                md5_of_attributes: message::md5_of_attributes(&content.attributes),
                md5_of_system_attributes: message::md5_of_attributes(&content.system_attributes),
            }));
            rows.push(Row {
                id: self.next_id(),
                queue_id,
                message_id,
                content,
                entry,
                source_arn: None,
            });
        }
        let entries: Vec<(Id, Entry)> = rows.iter().map(|row| (row.id, row.entry)).collect();
        let written = {
            // Under the lock, so that nothing is written to a queue after its deletion.
            let state = self.state();
            if state.queue(name)?.row.id != queue_id {
                return Err(Error::no_queue());
            }
            self.0
                .store
                .write(move |connection| rows.iter().try_for_each(|row| row.insert(connection)))
        };
        written.await?;
        self.admit(name, queue_id, &entries, now);
        Ok(answers)
    }

    /// Receives up to `most` messages, waiting for the first.
    pub(crate) async fn receive(
        &self,
        name: &str,
        request: ReceiveRequest,
    ) -> Result<Vec<Delivered>, Error> {
        let (changed, wait) = {
            let state = self.state();
            let queue = state.queue(name)?;
            let wait = request
                .wait
                .unwrap_or_else(|| queue.row.settings.seconds("ReceiveMessageWaitTimeSeconds"));
            (Arc::clone(&queue.changed), wait)
        };
        let deadline = Time::now().plus(wait);
        loop {
            let notified = changed.notified();
            tokio::pin!(notified);
            // Listens from here on: a message that is sent after the look below wakes it.
            notified.as_mut().enable();
            let now = Time::now();
            let ReceiveRequest { most, visibility, .. } = request;
            let (taken, next_due) = self.take(name, most, visibility, now)?;
            let delivered = match taken {
                // Apart from this future: memory has to hear how the write went even when the
                // receiver has gone away.
                Some(Taking::Taken(taken)) => {
                    self.see_through(self.clone().deliver(name.to_owned(), taken, now)).await?
                }
                // Whoever waits is not told (the SQS API Reference, `ReceiveMessage`).
                Some(Taking::Full) if wait.is_zero() => {
                    let message = format!(
                        "Too many messages in flight: at most {MOST_IN_FLIGHT} are allowed."
                    );
                    return Err(Error::new(Code::OverLimit, message));
                }
                Some(Taking::Full) | None => Vec::new(),
            };
            if !delivered.is_empty() || now >= deadline || self.0.closing.is_cancelled() {
                return Ok(delivered);
            }
            let wake = next_due.map_or(deadline, |due| due.min(deadline));
            tokio::select! {
                () = notified => {}
                () = self.0.closing.cancelled() => {}
                () = tokio::time::sleep(now.until(wake).max(Duration::from_millis(1))) => {}
            }
        }
    }

    /// Reserves in memory what a receive gets, finds what was received too often, and hands all of
    /// it in to be written. Also says when the next message becomes due.
    pub(super) fn take(
        &self,
        name: &str,
        most: usize,
        visibility: Option<Duration>,
        now: Time,
    ) -> Result<(Option<Taking>, Option<Time>), Error> {
        let mut state = self.state();
        let redrive = self.redrive_target(&state, name)?;
        let source = self.arn(name);
        let queue = state.queue_mut(name)?;
        self.expire_in(queue, now);
        let until =
            now.plus(visibility.unwrap_or_else(|| queue.row.settings.seconds("VisibilityTimeout")));
        let room = MOST_IN_FLIGHT.saturating_sub(queue.index.counts(now).1);
        if room == 0 {
            return Ok((Some(Taking::Full), queue.index.next_due()));
        }
        let too_often = redrive.as_ref().map_or(u32::MAX, |(_, most)| *most);
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        while received.len() < most.min(room) {
            let Some(id) = queue.index.first_ready(now) else { break };
            let Some(before) = queue.index.remove(id) else { break };
            if before.receive_count >= too_often {
                dead.push((id, before));
            } else {
                received.push((id, before, before.received(until, now, Receipt::number())));
            }
        }
        // Only now, since one without any visibility is ready again at once.
        received.iter().for_each(|(id, _, after)| queue.index.insert(*id, *after, now));
        let next_due = queue.index.next_due();
        if received.is_empty() && dead.is_empty() {
            return Ok((None, next_due));
        }
        let target = redrive.map(|(target, _)| target);
        let dead_letter_id = target.as_ref().map(|(_, id)| *id).unwrap_or_default();
        let (write_received, write_dead) = (received.clone(), dead.clone());
        let written = self.0.store.write(move |connection| {
            for (id, entry) in &write_dead {
                store::change_queue(connection, *id, dead_letter_id, entry, Some(&source), None)?;
            }
            write_received
                .iter()
                .map(|(id, _, after)| store::receive(connection, *id, after))
                .collect()
        });
        let taken =
            Taken { queue_id: queue.row.id, received, dead, target, written: Box::pin(written) };
        Ok((Some(Taking::Taken(taken)), next_due))
    }

    /// Waits for the write of what was taken, and gives it out; what could not be written is put
    /// back.
    pub(super) async fn deliver(
        self,
        name: String,
        taken: Taken,
        now: Time,
    ) -> Result<Vec<Delivered>, Error> {
        let Taken { queue_id, received, dead, target, written } = taken;
        let contents = match written.await {
            Ok(contents) => contents,
            Err(error) => {
                let received = received.iter().map(|(id, before, _)| (*id, *before));
                self.admit(&name, queue_id, &received.chain(dead).collect::<Vec<_>>(), now);
                return Err(error.into());
            }
        };
        if let Some((target, id)) = target.filter(|_| !dead.is_empty()) {
            self.admit(&target, id, &dead, now);
        }
        let delivered =
            received.into_iter().zip(contents).filter_map(|((id, _, entry), content)| {
                let Received { message_id, content, source_arn } = content?;
                let receipt_handle = Receipt { queue_id, id, number: entry.receipt }.encode();
                Some(Delivered { message_id, receipt_handle, content, entry, source_arn })
            });
        Ok(delivered.collect())
    }

    /// Deletes a message; one that was received again meanwhile stays, and one that is gone is
    /// fine.
    pub(crate) async fn delete(&self, name: &str, handle: &str, now: Time) -> Result<(), Error> {
        let (receipt, entry, deleted) = {
            let mut state = self.state();
            let queue = state.queue_mut(name)?;
            let receipt = Receipt::decode(handle, queue.row.id)?;
            let current = queue.index.entry(receipt.id).is_some_and(|entry| receipt.is_of(entry));
            let removed = if current { queue.index.remove(receipt.id) } else { None };
            let Some(entry) = removed else { return Ok(()) };
            let id = receipt.id;
            (receipt, entry, self.0.store.write(move |connection| store::delete(connection, &[id])))
        };
        if let Err(error) = deleted.await {
            self.admit(name, receipt.queue_id, &[(receipt.id, entry)], now);
            return Err(error.into());
        }
        Ok(())
    }

    /// Gives a message in flight another visibility timeout from now on.
    pub(crate) async fn change_visibility(
        &self,
        name: &str,
        handle: &str,
        visibility: Duration,
        now: Time,
    ) -> Result<(), Error> {
        let written = {
            let mut state = self.state();
            let queue = state.queue_mut(name)?;
            let receipt = Receipt::decode(handle, queue.row.id)?;
            let gone = || {
                Error::value(format!(
                    "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change."
                ))
            };
            let entry = *queue.index.entry(receipt.id).ok_or_else(gone)?;
            if !receipt.is_of(&entry) {
                return Err(gone());
            }
            let until = now.plus(visibility);
            if entry.received_at.is_some_and(|received| until > received.plus(LONGEST_VISIBILITY)) {
                return Err(Error::value(format!(
                    "Value {} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].",
                    visibility.as_secs()
                )));
            }
            if queue.index.change_visibility(receipt.id, until, now).is_none() {
                return Err(Error::new(
                    Code::MessageNotInflight,
                    "The specified message isn't in flight.",
                ));
            }
            queue.changed.notify_waiters();
            let id = receipt.id;
            self.0.store.write(move |connection| store::set_visible_at(connection, id, until))
        };
        Ok(written.await?)
    }

    /// Makes messages that are on the disk receivable, and wakes whoever waits for them.
    pub(super) fn admit(&self, name: &str, queue_id: i64, entries: &[(Id, Entry)], now: Time) {
        let mut state = self.state();
        // Deleted meanwhile, and the messages with it.
        let Some(queue) = state.queues.get_mut(name).filter(|queue| queue.row.id == queue_id)
        else {
            return;
        };
        entries.iter().for_each(|(id, entry)| queue.index.insert(*id, *entry, now));
        queue.changed.notify_waiters();
    }

    /// Where messages go that were received too often, and how often is too often.
    fn redrive_target(&self, state: &State, name: &str) -> Result<Option<(Place, u32)>, Error> {
        let Some(redrive) = state.queue(name)?.row.settings.redrive() else { return Ok(None) };
        let target =
            self.name_of(&redrive.target_arn).and_then(|target| state.queues.get_key_value(target));
        Ok(target
            .map(|(target, queue)| ((target.clone(), queue.row.id), redrive.max_receive_count)))
    }
}

impl Queue {
    /// Takes out what is older than the queue keeps messages.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Id> {
        let retention = self.row.settings.seconds("MessageRetentionPeriod");
        let oldest = Time::from_millis(
            now.millis().saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX)),
        );
        let expired = self.index.older_than(oldest);
        for id in &expired {
            self.index.remove(*id);
        }
        expired
    }
}

impl Receipt {
    /// A number that no other receive has.
    fn number() -> i64 {
        let (random, _) = Uuid::new_v4().as_u64_pair();
        i64::try_from(random >> 1).unwrap_or(i64::MAX)
    }

    /// Whether the receive is the last that there was of the message.
    fn is_of(self, entry: &Entry) -> bool {
        entry.receive_count > 0 && entry.receipt == self.number
    }

    fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}:{}", self.queue_id, self.id, self.number))
    }

    fn decode(handle: &str, queue_id: i64) -> Result<Self, Error> {
        let parse = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?;
            let mut parts = text.split(':');
            let receipt = Self {
                queue_id: parts.next()?.parse().ok()?,
                id: parts.next()?.parse().ok()?,
                number: parts.next()?.parse().ok()?,
            };
            (receipt.queue_id == queue_id && parts.next().is_none()).then_some(receipt)
        };
        parse().ok_or_else(|| {
            Error::new(
                Code::ReceiptHandleIsInvalid,
                format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
            )
        })
    }
}

/// Attributes by name, for a receiver that asked for some.
pub(crate) fn selected<'a>(
    attributes: &'a Attributes,
    wanted: &[String],
) -> BTreeMap<&'a String, &'a message::Attribute> {
    let asked = |name: &str| {
        wanted.iter().any(|pattern| match pattern.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => pattern == "All" || pattern == ".*" || pattern == name,
        })
    };
    attributes.iter().filter(|(name, _)| asked(name)).collect()
}
