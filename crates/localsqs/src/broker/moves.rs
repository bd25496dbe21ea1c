//! Move tasks: redriving the messages of a dead-letter queue (the SQS API Reference,
//! `StartMessageMoveTask`).
//!
//! Runs in the background, a bounded batch at a time; a task that a restart interrupted is told as
//! failed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{Queues, State};
use crate::attributes::Read;
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::index::{Entry, Id};
use crate::store::{self, MoveRow, Written};

const RUNNING: &str = "RUNNING";
const COMPLETED: &str = "COMPLETED";
const CANCELLING: &str = "CANCELLING";
const CANCELLED: &str = "CANCELLED";
const FAILED: &str = "FAILED";

/// The most messages a second that a caller may ask for.
const MOST_PER_SECOND: u32 = 500;
/// How many are moved in a turn when nobody asked for a pace.
const BATCH: usize = 256;
const MOST_LISTED: usize = 10;
/// Why a task fails that is to bring home a message which was sent to the dead-letter queue itself,
/// or whose queue is gone.
const NO_SOURCE: &str = "CouldNotDetermineMessageSource";

impl Queues {
    /// Starts to move what a dead-letter queue holds, to one queue or to where each message came
    /// from.
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
        let (task, written) = {
            let mut state = self.state();
            let source = self.queue_of(&state, source_arn)?;
            if self.sources_of(&state, source_arn).is_empty() {
                return Err(Error::value(
                    "Source queue must be configured as a Dead Letter Queue.",
                ));
            }
            if let Some(destination) = destination_arn {
                self.queue_of(&state, destination)?;
            }
            if state
                .move_tasks
                .iter()
                .any(|task| task.source_arn == source_arn && task.is_under_way())
            {
                return Err(Error::new(
                    Code::UnsupportedOperation,
                    "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
                ));
            }
            let queue = state.queue_mut(&source)?;
            self.expire_in(queue, now);
            let to_move = queue.index.counts(now).0;
            let handle = format!(r#"{{"taskId":"{}","sourceArn":"{source_arn}"}}"#, Uuid::new_v4());
            let task = MoveRow {
                handle: URL_SAFE_NO_PAD.encode(handle),
                source_arn: source_arn.to_owned(),
                destination_arn: destination_arn.map(str::to_owned),
                status: RUNNING.to_owned(),
                per_second,
                moved: 0,
                to_move: to_move as u64,
                started_at: now,
                failure: None,
            };
            state.move_tasks.push(task.clone());
            (
                task.clone(),
                self.0.store.write(move |connection| store::save_move_task(connection, &task)),
            )
        };
        if let Err(error) = written.await {
            self.state().move_tasks.retain(|other| other.handle != task.handle);
            return Err(error.into());
        }
        self.0.under_way.spawn(self.clone().move_all(task.handle.clone()));
        Ok(task.handle)
    }

    /// The tasks of a source, newest first.
    pub(crate) fn list_moves(&self, source_arn: &str, most: i64) -> Result<Vec<MoveRow>, Error> {
        let Ok(most @ 1..=MOST_LISTED) = usize::try_from(most) else {
            return Err(Error::value(format!(
                "MaxResults must be an integer between 1 and {MOST_LISTED}."
            )));
        };
        let state = self.state();
        self.queue_of(&state, source_arn)?;
        let tasks = state.move_tasks.iter().rev().filter(|task| task.source_arn == source_arn);
        Ok(tasks.take(most).cloned().collect())
    }

    /// Stops a task; returns how many messages it had moved.
    pub(crate) fn cancel_move(&self, handle: &str) -> Result<u64, Error> {
        let mut state = self.state();
        let task = state.move_tasks.iter_mut().find(|task| task.handle == handle);
        let task =
            task.ok_or_else(|| Error::new(Code::ResourceNotFound, "Task does not exist."))?;
        if task.status != RUNNING {
            return Err(Error::new(
                Code::UnsupportedOperation,
                "Only active tasks can be cancelled.",
            ));
        }
        CANCELLING.clone_into(&mut task.status);
        Ok(task.moved)
    }

    /// Tells the tasks that a restart interrupted as failed.
    pub(super) fn fail_interrupted(state: &mut State) {
        for task in state.move_tasks.iter_mut().filter(|task| task.is_under_way()) {
            FAILED.clone_into(&mut task.status);
            task.failure = Some("the server was restarted".to_owned());
        }
    }

    async fn move_all(self, handle: String) {
        loop {
            let ended = match self.move_some(&handle).await {
                Ok(true) => None,
                Ok(false) => Some((COMPLETED, None)),
                Err(error) => Some((FAILED, Some(error.message))),
            };
            let (row, pace) = {
                let mut state = self.state();
                let Some(task) = state.move_tasks.iter_mut().find(|task| task.handle == handle)
                else {
                    return;
                };
                if task.status == CANCELLING {
                    CANCELLED.clone_into(&mut task.status);
                } else if let Some((status, failure)) = ended {
                    status.clone_into(&mut task.status);
                    task.failure = failure;
                }
                (task.clone(), task.per_second)
            };
            let over = !row.is_under_way();
            if let Err(error) =
                self.0.store.write(move |connection| store::save_move_task(connection, &row)).await
            {
                tracing::error!(%error, "a move task's progress could not be written");
            }
            if over {
                return;
            }
            if pace.is_some() {
                tokio::select! {
                    () = self.0.closing.cancelled() => {}
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
            // The next start tells the task as failed.
            if self.0.closing.is_cancelled() {
                return;
            }
        }
    }

    /// Moves a batch; whether there is more.
    async fn move_some(&self, handle: &str) -> Result<bool, Error> {
        let now = Time::now();
        let Some(Moving { source, source_id, places, messages, written }) =
            self.take_to_move(handle, now)?
        else {
            return Ok(false);
        };
        let put_back: Vec<_> = messages.iter().map(|(id, before, _)| (*id, *before)).collect();
        let went = match written.await {
            Ok(went) => went,
            Err(error) => {
                self.admit(&source, source_id, &put_back, now);
                return Err(error.into());
            }
        };
        let mut moved = 0;
        let mut lost = false;
        for ((id, before, after), destination) in messages.into_iter().zip(went) {
            match destination.and_then(|destination| places.get_key_value(&destination)) {
                Some((destination, name)) => {
                    self.admit(name, *destination, &[(id, after)], now);
                    moved += 1;
                }
                None => {
                    self.admit(&source, source_id, &[(id, before)], now);
                    lost = true;
                }
            }
        }
        let mut state = self.state();
        let task = state
            .move_tasks
            .iter_mut()
            .find(|task| task.handle == handle)
            .ok_or_else(Error::no_queue)?;
        task.moved += moved;
        if lost {
            return Err(Error::new(Code::UnsupportedOperation, NO_SOURCE));
        }
        Ok(task.moved < task.to_move)
    }

    /// Takes a batch out of the source in memory, and hands its move in to be written; nothing when
    /// the task is over.
    ///
    /// A task moves as many as there were at its start: what it moved may well die again, and come
    /// back.
    fn take_to_move(&self, handle: &str, now: Time) -> Result<Option<Moving>, Error> {
        let mut state = self.state();
        let task =
            state.move_tasks.iter().find(|task| task.handle == handle && task.status == RUNNING);
        let Some(task) = task.cloned() else { return Ok(None) };
        let source = self.queue_of(&state, &task.source_arn)?;
        let destination =
            task.destination_arn.as_ref().map(|arn| self.queue_of(&state, arn)).transpose()?;
        let destination =
            destination.map(|name| state.queue(&name).map(|queue| queue.row.id)).transpose()?;
        let places: BTreeMap<i64, String> =
            state.queues.values().map(|queue| (queue.row.id, queue.row.name.clone())).collect();
        let left = usize::try_from(task.to_move.saturating_sub(task.moved)).unwrap_or(usize::MAX);
        let most =
            task.per_second.and_then(|rate| usize::try_from(rate).ok()).unwrap_or(BATCH).min(left);
        let queue = state.queue_mut(&source)?;
        self.expire_in(queue, now);
        let mut messages: Vec<(Id, Entry, Entry)> = Vec::new();
        while messages.len() < most {
            let Some(id) = queue.index.first_ready(now) else { break };
            let Some(before) = queue.index.remove(id) else { break };
            // A redriven message is a new one: it counts from nothing (the SQS Developer Guide,
            // "Dead-letter queue redrive").
            messages.push((id, before, Entry::sent(now, now)));
        }
        if messages.is_empty() {
            return Ok(None);
        }
        let moves = messages.clone();
        let homes: HashMap<String, i64> =
            places.iter().map(|(id, name)| (self.arn(name), *id)).collect();
        let written = self.0.store.write(move |connection| {
            let move_one = |(id, _, after): &(Id, Entry, Entry)| {
                let destination = match destination {
                    Some(destination) => Some(destination),
                    None => {
                        store::source_of(connection, *id)?.and_then(|arn| homes.get(&arn).copied())
                    }
                };
                if let Some(destination) = destination {
                    let message_id = Uuid::new_v4().to_string();
                    store::change_queue(
                        connection,
                        *id,
                        destination,
                        after,
                        None,
                        Some(&message_id),
                    )?;
                }
                Ok(destination)
            };
            moves.iter().map(move_one).collect()
        });
        Ok(Some(Moving {
            source_id: queue.row.id,
            source,
            places,
            messages,
            written: Box::pin(written),
        }))
    }

    fn queue_of(&self, state: &State, arn: &str) -> Result<String, Error> {
        let missing = || {
            Error::new(
                Code::ResourceNotFound,
                format!("The resource that you specified for the ARN {arn} doesn't exist."),
            )
        };
        let name = self.name_of(arn).ok_or_else(missing)?;
        state.queues.get_key_value(name).map(|(name, _)| name.clone()).ok_or_else(missing)
    }

    fn sources_of(&self, state: &State, arn: &str) -> Vec<String> {
        let of = |queue: &&super::Queue| {
            queue.row.settings.redrive().is_some_and(|redrive| redrive.target_arn == arn)
        };
        state.queues.values().filter(of).map(|queue| queue.row.name.clone()).collect()
    }
}

/// A batch that was taken out of a dead-letter queue, each message as it was and as it will be, and
/// its write that is under way.
struct Moving {
    source: String,
    source_id: i64,
    /// The names of the queues, by their numbers.
    places: BTreeMap<i64, String>,
    messages: Vec<(Id, Entry, Entry)>,
    /// Where each went; one that has no home stays.
    written: Written<Vec<Option<i64>>>,
}

impl MoveRow {
    pub(crate) fn is_under_way(&self) -> bool {
        self.status == RUNNING || self.status == CANCELLING
    }
}
