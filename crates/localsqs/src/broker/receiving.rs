//! Receiving messages, with long polls and dead letters (the SQS API Reference, `ReceiveMessage`;
//! the SQS Developer Guide, "Amazon SQS short and long polling" and "Using dead-letter queues in
//! Amazon SQS").

use std::sync::Arc;
use std::time::Duration;

use super::receipt::Receipt;
use super::{Place, Queues};
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::index::{Entry, Id};
use crate::message::Content;
use crate::store::{self, Received, Written};

/// SQS has at most this many messages in flight in a standard queue (the SQS Developer Guide,
/// "Amazon SQS message quotas").
const MOST_IN_FLIGHT: usize = 120_000;

/// The shortest sleep of a receive that waits. A timeout that ends within the current millisecond
/// would otherwise make it look again and again until the millisecond is over.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// What a receiver asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveRequest {
    /// The most messages to return.
    pub(crate) most: usize,
    /// How long they are hidden from others. The queue's own visibility timeout when absent.
    pub(crate) visibility: Option<Duration>,
    /// How long to wait for the first message. The queue's own wait when absent.
    pub(crate) wait: Option<Duration>,
}

/// A message as it is delivered.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    pub(crate) content: Content,
    pub(crate) entry: Entry,
    /// The ARN of the queue that the message was moved away from as a dead letter.
    pub(crate) source_arn: Option<String>,
}

/// What a look for messages finds.
pub(super) enum Look {
    Taken(Taken),
    /// As many messages are in flight as may be.
    Full,
    Nothing,
}

/// Messages that a receive holds, and its write that is pending.
pub(super) struct Taken {
    place: Place,
    received: Vec<Receiving>,
    dead: Vec<(Id, Entry)>,
    /// The queue that the dead letters go to.
    dead_letter_queue: Option<Place>,
    /// Returns the contents in the order of `received`; nothing for a message that is not on the
    /// disk.
    written: Written<Vec<Option<Received>>>,
}

/// A message that is being received, as it was and as it will be.
#[derive(Debug, Clone)]
struct Receiving {
    id: Id,
    before: Entry,
    after: Entry,
}

impl Queues {
    /// Receives messages, and waits for the first one as long as the request says. The future may
    /// be dropped at any time: a receiver that has gone away takes nothing.
    pub(crate) async fn receive(
        &self,
        name: &str,
        request: ReceiveRequest,
    ) -> Result<Vec<Delivered>, Error> {
        let (changed, wait) = {
            let state = self.state();
            let queue = state.queue(name)?;
            let wait = request.wait.unwrap_or_else(|| queue.row.settings.receive_wait());
            (Arc::clone(&queue.changed), wait)
        };
        let deadline = Time::now().plus(wait);
        loop {
            // Made before the look: a message that arrives after the look wakes this receive.
            let notified = changed.notified();
            // Reserved before the look, since what was taken must be delivered without waiting.
            let place = self.reserve_place().await?;
            let now = Time::now();
            let ReceiveRequest { most, visibility, .. } = request;
            let (look, next_due) = self.take(name, most, visibility, now).await?;
            let delivered = match look {
                // In a task of its own: memory has to hear how the write went, even when the
                // receiver goes away meanwhile.
                Look::Taken(taken) => {
                    self.run_in_place(place, self.clone().deliver(taken, now)).await?
                }
                // AWS tells a short poll about the limit; a long poll just finds nothing (the SQS
                // Developer Guide, "Amazon SQS message quotas").
                Look::Full if wait.is_zero() => {
                    let message = format!(
                        "Too many messages in flight: at most {MOST_IN_FLIGHT} are allowed."
                    );
                    return Err(Error::new(Code::OverLimit, message));
                }
                Look::Full | Look::Nothing => {
                    drop(place);
                    Vec::new()
                }
            };
            if !delivered.is_empty() || now >= deadline || self.0.closing.is_cancelled() {
                return Ok(delivered);
            }
            let wake = next_due.map_or(deadline, |due| due.min(deadline));
            tokio::select! {
                () = notified => {}
                () = self.0.closing.cancelled() => {}
                () = tokio::time::sleep(now.until(wake).max(SHORTEST_SLEEP)) => {}
            }
        }
    }

    /// Holds what a receive gets and what was received too often, and hands the write of both in.
    /// Also says when the next message becomes due.
    ///
    /// SQS moves a message to the dead-letter queue at the receive after the last one that
    /// `maxReceiveCount` allows, and delivers another message in its place.
    pub(super) async fn take(
        &self,
        name: &str,
        most: usize,
        visibility: Option<Duration>,
        now: Time,
    ) -> Result<(Look, Option<Time>), Error> {
        let slot = self.0.store.reserve().await?;
        let mut state = self.state();
        let dead_letters = self.dead_letters_of(&state, name)?;
        let source = self.0.home.stored(&self.arn(name));
        let queue = state.queue_mut(name)?;
        self.expire_in(queue, now);
        let until = now.plus(visibility.unwrap_or(queue.row.settings.visibility_timeout()));
        let room = MOST_IN_FLIGHT.saturating_sub(queue.index.counts(now).1);
        if room == 0 {
            return Ok((Look::Full, queue.index.next_due()));
        }
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        while received.len() < most.min(room) {
            let Some(id) = queue.index.first_ready(now) else { break };
            let Some(before) = queue.index.hold(id) else { break };
            match &dead_letters {
                Some((_, most)) if before.receive_count >= *most => dead.push((id, before)),
                Some(_) | None => {
                    let after = before.received(until, now, Receipt::draw_number());
                    received.push(Receiving { id, before, after });
                }
            }
        }
        let next_due = queue.index.next_due();
        if received.is_empty() && dead.is_empty() {
            return Ok((Look::Nothing, next_due));
        }
        let dead_letter_queue = dead_letters.map(|(place, _)| place);
        let (write_received, write_dead) = (received.clone(), dead.clone());
        let target = dead_letter_queue.as_ref().map(|place| place.id);
        let written = slot.write(move |connection| {
            if let Some(target) = target {
                for (id, entry) in &write_dead {
                    store::change_queue(connection, *id, target, entry, Some(&source), None)?;
                }
            }
            let received = write_received.iter();
            received.map(|message| store::receive(connection, message.id, &message.after)).collect()
        });
        let taken = Taken { place: queue.place(), received, dead, dead_letter_queue, written };
        Ok((Look::Taken(taken), next_due))
    }

    /// Waits for the write of what was taken, and delivers it. When the write failed, the messages
    /// are as they were.
    pub(super) async fn deliver(self, taken: Taken, now: Time) -> Result<Vec<Delivered>, Error> {
        let Taken { place, received, dead, dead_letter_queue, written } = taken;
        let outcome = written.outcome().await;
        let mut state = self.state();
        let contents = match outcome {
            Ok(contents) => contents,
            Err(error) => {
                let received = received.iter().map(|message| (message.id, message.before));
                let before = received.chain(dead).map(|(id, before)| (id, Some(before)));
                state.settle(&place, before, now);
                return Err(error.into());
            }
        };
        let after = received
            .iter()
            .zip(&contents)
            .map(|(message, content)| (message.id, content.is_some().then_some(message.after)));
        let gone = dead.iter().map(|(id, _)| (*id, None));
        state.settle(&place, after.chain(gone), now);
        if let Some(target) = dead_letter_queue.filter(|_| !dead.is_empty()) {
            // Time in the dead-letter queue counts from the first send, so the entry is the same
            // (the SQS Developer Guide, "Using dead-letter queues in Amazon SQS").
            state.add(&target, dead, now);
        }
        drop(state);
        let delivered = received.into_iter().zip(contents).filter_map(|(message, content)| {
            let Received { message_id, content, source_arn } = content?;
            let Receiving { id, after: entry, .. } = message;
            let receipt = Receipt { queue_id: place.id, id, number: entry.receipt };
            let receipt_handle = receipt.encode();
            let source_arn = source_arn.map(|arn| self.0.home.shown(&arn));
            Some(Delivered { message_id, receipt_handle, content, entry, source_arn })
        });
        Ok(delivered.collect())
    }
}
