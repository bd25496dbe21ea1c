//! Move tasks: they redrive the messages of a dead-letter queue (the SQS API Reference,
//! `StartMessageMoveTask`; the SQS Developer Guide, "Learn how to configure a dead-letter queue
//! redrive in Amazon SQS").
//!
//! A task runs in the background and moves one bounded batch at a time. The number of messages
//! that it has moved is written in the transaction that moves them. A task that a restart
//! interrupted has failed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use localhttp::chain;
use uuid::Uuid;

use super::{Place, Queues, State};
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::index::{Entry, Id};
use crate::store::{self, MoveRow, MoveStatus, Written};

/// The most messages a second that a caller may ask for.
const MOST_PER_SECOND: u32 = 500;
/// How many messages a batch has when the caller set no rate.
const BATCH: usize = 256;
/// A batch of a task with a rate has as many messages as the rate says, so the next one follows
/// after a second. The end of a task that could not be written is written again after a second.
const PAUSE: Duration = Duration::from_secs(1);
const MOST_LISTED: usize = 10;
/// Why a task fails that should return messages to their queues, when a message was sent to the
/// dead-letter queue directly, or its queue is gone.
const NO_SOURCE: &str = "CouldNotDetermineMessageSource";

/// A batch of a move task that is held in the dead-letter queue, and its write that is pending.
struct Moving {
    source: Place,
    /// All queues by number: the write says only the number of the queue that a message went to.
    places: BTreeMap<i64, Place>,
    /// Each message as it was, and as it will be in its new queue.
    messages: Vec<(Id, Entry, Entry)>,
    /// Returns the queue that each message went to; nothing for one that stays because its queue
    /// is not known.
    written: Written<Vec<Option<i64>>>,
}

impl Queues {
    /// Starts to move the messages of a dead-letter queue, either to one queue or each to the
    /// queue that it came from. Returns the handle of the task.
    pub(crate) async fn start_move(
        &self,
        source_arn: &str,
        destination_arn: Option<&str>,
        per_second: Option<i64>,
        now: Time,
    ) -> Result<String, Error> {
        let per_second = match per_second.map(u32::try_from) {
            None => None,
            Some(Ok(rate @ 1..=MOST_PER_SECOND)) => Some(rate),
            Some(_) => {
                return Err(Error::value(format!(
                    "MaxNumberOfMessagesPerSecond is 1 to {MOST_PER_SECOND}."
                )));
            }
        };
        if destination_arn == Some(source_arn) {
            return Err(Error::value(
                "Source queue arn and destination queue arn cannot be the same.",
            ));
        }
        let slot = self.0.store.reserve().await?;
        let (handle, written) = {
            let mut state = self.state();
            let source = self.place_of(&state, source_arn)?;
            if state.dead_letter_sources_of(source_arn).is_empty() {
                return Err(Error::value(
                    "Source queue must be configured as a Dead Letter Queue.",
                ));
            }
            if let Some(destination) = destination_arn {
                self.place_of(&state, destination)?;
            }
            if state
                .move_tasks
                .iter()
                .any(|task| task.source_arn == source_arn && task.is_under_way())
            {
                return Err(Error::new(
                    Code::UnsupportedOperation,
                    "There is already a task running. Only one active task is allowed for a \
                     source queue arn at a given time.",
                ));
            }
            let queue = state.queue_mut(&source.name)?;
            self.expire_in(queue, now);
            let to_move = queue.index.counts(now).0;
            let handle = format!(r#"{{"taskId":"{}","sourceArn":"{source_arn}"}}"#, Uuid::new_v4());
            let task = MoveRow {
                handle: URL_SAFE_NO_PAD.encode(handle),
                source_arn: source_arn.to_owned(),
                destination_arn: destination_arn.map(str::to_owned),
                status: MoveStatus::Running,
                per_second,
                moved: 0,
                to_move: to_move as u64,
                started_at: now,
                failure: None,
            };
            let handle = task.handle.clone();
            // In memory at once, so that no second task of the same source starts meanwhile.
            state.move_tasks.push(task.clone());
            let task = self.0.home.stored_task(task);
            (handle, slot.write(move |connection| store::save_move_task(connection, &task)))
        };
        if let Err(error) = written.outcome().await {
            self.state().move_tasks.retain(|task| task.handle != handle);
            return Err(error.into());
        }
        self.0.under_way.spawn(self.clone().move_all(handle.clone()));
        Ok(handle)
    }

    /// The tasks of a source, newest first.
    pub(crate) fn list_moves(&self, source_arn: &str, most: i64) -> Result<Vec<MoveRow>, Error> {
        let Ok(most @ 1..=MOST_LISTED) = usize::try_from(most) else {
            return Err(Error::value(format!(
                "MaxResults must be an integer between 1 and {MOST_LISTED}."
            )));
        };
        let state = self.state();
        self.place_of(&state, source_arn)?;
        let tasks = state.move_tasks.iter().rev().filter(|task| task.source_arn == source_arn);
        Ok(tasks.take(most).cloned().collect())
    }

    /// Stops a task. Returns how many messages it had moved; a batch that is under way is moved
    /// too. Nothing is written: after a restart the task has failed either way.
    pub(crate) fn cancel_move(&self, handle: &str) -> Result<u64, Error> {
        let mut state = self.state();
        let task = state.move_task_mut(handle);
        let task =
            task.ok_or_else(|| Error::new(Code::ResourceNotFound, "Task does not exist."))?;
        if task.status != MoveStatus::Running {
            return Err(Error::new(
                Code::UnsupportedOperation,
                "Only active tasks can be cancelled.",
            ));
        }
        task.status = MoveStatus::Cancelling;
        Ok(task.moved)
    }

    async fn move_all(self, handle: String) {
        loop {
            let moved = self.move_batch(&handle).await;
            let Some(task) = self.state().move_task_mut(&handle).cloned() else { return };
            let ended = match moved {
                _ if task.status == MoveStatus::Cancelling => Some((MoveStatus::Cancelled, None)),
                Ok(true) => None,
                Ok(false) => Some((MoveStatus::Completed, None)),
                Err(error) => Some((MoveStatus::Failed, Some(error.message))),
            };
            if let Some((status, failure)) = ended {
                return self.end_move(MoveRow { status, failure, ..task }).await;
            }
            if task.per_second.is_some() {
                self.pause().await;
            }
            // The next start finds the task under way, and shows it as failed.
            if self.0.closing.is_cancelled() {
                return;
            }
        }
    }

    /// Writes the end of a task, and shows it once it is on the disk. While it can't be written
    /// the task is under way, as the disk says.
    async fn end_move(&self, ended: MoveRow) {
        loop {
            let row = self.0.home.stored_task(ended.clone());
            let write =
                self.0.store.write(move |connection| store::save_move_task(connection, &row));
            let Err(error) = write.await else { break };
            tracing::error!(error = chain(&error), "the end of a move task can't be written yet");
            self.pause().await;
            if self.0.closing.is_cancelled() {
                return;
            }
        }
        if let Some(task) = self.state().move_task_mut(&ended.handle) {
            *task = ended;
        }
    }

    /// Waits for a while, or until the server closes.
    async fn pause(&self) {
        tokio::select! {
            () = self.0.closing.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }

    /// Moves one batch. Returns whether there is more to move.
    async fn move_batch(&self, handle: &str) -> Result<bool, Error> {
        let now = Time::now();
        let Some(moving) = self.take_to_move(handle, now).await? else { return Ok(false) };
        let Moving { source, places, messages, written } = moving;
        let outcome = written.outcome().await;
        let mut state = self.state();
        let went = match outcome {
            Ok(went) => went,
            Err(error) => {
                let before = messages.iter().map(|(id, before, _)| (*id, Some(*before)));
                state.settle(&source, before, now);
                return Err(error.into());
            }
        };
        let mut moved = 0;
        let mut lost = false;
        for ((id, before, after), destination) in messages.into_iter().zip(went) {
            match destination.and_then(|destination| places.get(&destination)) {
                Some(destination) => {
                    state.settle(&source, [(id, None)], now);
                    state.add(destination, [(id, after)], now);
                    moved += 1;
                }
                None => {
                    state.settle(&source, [(id, Some(before))], now);
                    lost = true;
                }
            }
        }
        let task = state.move_task_mut(handle).ok_or_else(Error::no_queue)?;
        task.moved += moved;
        if lost {
            return Err(Error::new(Code::UnsupportedOperation, NO_SOURCE));
        }
        Ok(task.moved < task.to_move)
    }

    /// Holds a batch in the source, and hands its move in to be written. Nothing when the task is
    /// over.
    ///
    /// A task moves as many messages as were there at its start. A message that it moved may be
    /// received too often again and come back, so a task that went on until the source is empty
    /// might never end.
    async fn take_to_move(&self, handle: &str, now: Time) -> Result<Option<Moving>, Error> {
        let slot = self.0.store.reserve().await?;
        let mut state = self.state();
        let task = state.move_task_mut(handle);
        let Some(task) = task.filter(|task| task.status == MoveStatus::Running).cloned() else {
            return Ok(None);
        };
        let source = self.place_of(&state, &task.source_arn)?;
        let destination =
            task.destination_arn.as_ref().map(|arn| self.place_of(&state, arn)).transpose()?;
        let destination = destination.map(|place| place.id);
        let places: BTreeMap<i64, Place> =
            state.queues.values().map(|queue| (queue.row.id, queue.place())).collect();
        let left = usize::try_from(task.to_move.saturating_sub(task.moved)).unwrap_or(usize::MAX);
        let most =
            task.per_second.and_then(|rate| usize::try_from(rate).ok()).unwrap_or(BATCH).min(left);
        let queue = state.queue_mut(&source.name)?;
        self.expire_in(queue, now);
        let mut messages: Vec<(Id, Entry, Entry)> = Vec::new();
        while messages.len() < most {
            let Some(id) = queue.index.first_ready(now) else { break };
            let Some(before) = queue.index.hold(id) else { break };
            // A redriven message is a new one: its retention and its receive count begin anew.
            messages.push((id, before, Entry::sent(now, now)));
        }
        if messages.is_empty() {
            return Ok(None);
        }
        let moves = messages.clone();
        let on_disk = |name: &str| self.0.home.stored(&self.arn(name));
        let homes: HashMap<String, i64> =
            places.values().map(|place| (on_disk(&place.name), place.id)).collect();
        let handle = task.handle;
        let written = slot.write(move |connection| {
            let move_one = |(id, _, after): &(Id, Entry, Entry)| {
                let destination = match destination {
                    Some(destination) => Some(destination),
                    None => {
                        store::source_of(connection, *id)?.and_then(|arn| homes.get(&arn).copied())
                    }
                };
                if let Some(destination) = destination {
                    let message_id = Uuid::new_v4().to_string();
                    let message_id = Some(message_id.as_str());
                    store::change_queue(connection, *id, destination, after, None, message_id)?;
                }
                Ok(destination)
            };
            let went: Vec<Option<i64>> =
                moves.iter().map(move_one).collect::<rusqlite::Result<_>>()?;
            let moved = went.iter().flatten().count() as u64;
            store::add_moved(connection, &handle, moved)?;
            Ok(went)
        });
        Ok(Some(Moving { source, places, messages, written }))
    }

    /// The queue with an ARN.
    fn place_of(&self, state: &State, arn: &str) -> Result<Place, Error> {
        let queue = self.name_of(arn).and_then(|name| state.queues.get(name));
        queue.map(super::Queue::place).ok_or_else(|| {
            Error::new(
                Code::ResourceNotFound,
                format!("The resource that you specified for the ARN {arn} doesn't exist."),
            )
        })
    }
}

impl State {
    fn move_task_mut(&mut self, handle: &str) -> Option<&mut MoveRow> {
        self.move_tasks.iter_mut().find(|task| task.handle == handle)
    }

    /// Shows the tasks that a restart interrupted as failed. What they had moved stays moved.
    pub(super) fn fail_interrupted_moves(&mut self) {
        for task in self.move_tasks.iter_mut().filter(|task| task.is_under_way()) {
            task.status = MoveStatus::Failed;
            task.failure = Some("the server was restarted".to_owned());
        }
    }
}
