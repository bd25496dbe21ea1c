//! Move tasks: redriving the messages of a dead-letter queue (the SQS API Reference, `StartMessageMoveTask`).
//!
//! Runs in the background, a bounded batch at a time; a task that a restart interrupted is told as failed.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{Queues, State};
use crate::attributes::Read;
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::index::{Entry, Id};
use crate::store::{self, MoveRow};

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

impl Queues {
    /// Starts to move what a dead-letter queue holds, to one queue or to where each message came from.
    pub(crate) async fn start_move(
        &self,
        source_arn: &str,
        destination_arn: Option<&str>,
        per_second: Option<u32>,
        now: Time,
    ) -> Result<String, Error> {
        if per_second.is_some_and(|rate| !(1..=MOST_PER_SECOND).contains(&rate)) {
            return Err(Error::value(format!("MaxNumberOfMessagesPerSecond is 1 to {MOST_PER_SECOND}.")));
        }
        let (task, written) = {
            let mut state = self.state();
            let source = self.queue_of(&state, source_arn)?;
            if self.sources_of(&state, source_arn).is_empty() {
                return Err(Error::value("Source queue must be configured as a Dead Letter Queue."));
            }
            if let Some(destination) = destination_arn {
                self.queue_of(&state, destination)?;
            }
            if state.move_tasks.iter().any(|task| task.source_arn == source_arn && task.is_under_way()) {
                return Err(Error::new(
                    Code::UnsupportedOperation,
                    "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
                ));
            }
            let to_move = state.queue_mut(&source)?.index.counts(now).0;
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
            (task.clone(), self.0.store.write(move |connection| store::save_move_task(connection, &task)))
        };
        written.await?;
        tokio::spawn(self.clone().move_all(task.handle.clone()));
        Ok(task.handle)
    }

    /// The tasks of a source, newest first.
    pub(crate) fn list_moves(&self, source_arn: &str, most: usize) -> Result<Vec<MoveRow>, Error> {
        let state = self.state();
        self.queue_of(&state, source_arn)?;
        let tasks = state.move_tasks.iter().rev().filter(|task| task.source_arn == source_arn);
        Ok(tasks.take(most.min(MOST_LISTED)).cloned().collect())
    }

    /// Stops a task; returns how many messages it had moved.
    pub(crate) fn cancel_move(&self, handle: &str) -> Result<u64, Error> {
        let mut state = self.state();
        let task = state.move_tasks.iter_mut().find(|task| task.handle == handle);
        let task = task.ok_or_else(|| Error::new(Code::ResourceNotFound, "Task does not exist."))?;
        if task.status != RUNNING {
            return Err(Error::new(Code::UnsupportedOperation, "Only active tasks can be cancelled."));
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
                Err(error) => Some((FAILED, Some(error.to_string()))),
            };
            let (row, pace) = {
                let mut state = self.state();
                let Some(task) = state.move_tasks.iter_mut().find(|task| task.handle == handle) else { return };
                if task.status == CANCELLING {
                    CANCELLED.clone_into(&mut task.status);
                } else if let Some((status, failure)) = ended {
                    status.clone_into(&mut task.status);
                    task.failure = failure;
                }
                (task.clone(), task.per_second)
            };
            let over = !row.is_under_way();
            if let Err(error) = self.0.store.write(move |connection| store::save_move_task(connection, &row)).await {
                tracing::error!(%error, "a move task's progress could not be written");
            }
            if over {
                return;
            }
            if pace.is_some() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// Moves a batch; whether there is more.
    async fn move_some(&self, handle: &str) -> Result<bool, Error> {
        let now = Time::now();
        let (moved, written) = {
            let mut state = self.state();
            let task = state.move_tasks.iter().find(|task| task.handle == handle && task.status == RUNNING);
            let Some(task) = task.cloned() else { return Ok(false) };
            let source = self.queue_of(&state, &task.source_arn)?;
            let destination = match &task.destination_arn {
                Some(arn) => self.queue_of(&state, arn)?,
                None => self.sources_of(&state, &task.source_arn).into_iter().next().ok_or_else(Error::no_queue)?,
            };
            let destination_id = state.queue(&destination)?.row.id;
            let most = task.per_second.map_or(BATCH, |rate| usize::try_from(rate).unwrap_or(BATCH));
            let index = &mut state.queue_mut(&source)?.index;
            let mut moved: Vec<(Id, Entry, Entry)> = Vec::new();
            while moved.len() < most {
                let Some(id) = index.first_ready(now) else { break };
                let Some(before) = index.remove(id) else { break };
                // A redriven message is a new one: it counts from nothing (the SQS Developer Guide, "Dead-letter queue redrive").
                let after = Entry {
                    sent_at: now,
                    visible_at: now,
                    receive_count: 0,
                    first_received_at: None,
                    received_at: None,
                };
                moved.push((id, before, after));
            }
            let rows: Vec<_> = moved.iter().map(|(id, _, after)| (*id, *after, Uuid::new_v4().to_string())).collect();
            let written = self.0.store.write(move |connection| {
                rows.iter().try_for_each(|(id, entry, message_id)| {
                    store::change_queue(connection, *id, destination_id, entry, None, Some(message_id))
                })
            });
            (Moved { source, destination, messages: moved }, written)
        };
        if let Err(error) = written.await {
            let back: Vec<_> = moved.messages.iter().map(|(id, before, _)| (*id, *before)).collect();
            self.admit(&moved.source, &back);
            return Err(error.into());
        }
        let entries: Vec<_> = moved.messages.iter().map(|(id, _, after)| (*id, *after)).collect();
        self.admit(&moved.destination, &entries);
        let mut state = self.state();
        if let Some(task) = state.move_tasks.iter_mut().find(|task| task.handle == handle) {
            task.moved += entries.len() as u64;
        }
        Ok(!entries.is_empty())
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
        let of = |queue: &&super::Queue| queue.row.settings.redrive().is_some_and(|redrive| redrive.target_arn == arn);
        state.queues.values().filter(of).map(|queue| queue.row.name.clone()).collect()
    }
}

struct Moved {
    source: String,
    destination: String,
    messages: Vec<(Id, Entry, Entry)>,
}

impl MoveRow {
    pub(crate) fn is_under_way(&self) -> bool {
        self.status == RUNNING || self.status == CANCELLING
    }
}
