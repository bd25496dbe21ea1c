//! The rows, and the statements that read and write them. Each statement runs on the connection of
//! the thread that writes, within its transaction.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, named_params, params};
use serde::Serialize;

use crate::attributes::{QueueSettings, Texts};
use crate::clock::Time;
use crate::index::{Entry, Id};
use crate::message::{Attributes, Content};

/// A message that is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: Id,
    pub(crate) queue_id: i64,
    pub(crate) message_id: String,
    pub(crate) content: Content,
    pub(crate) entry: Entry,
}

/// What a receiver gets of a message besides its entry.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) message_id: String,
    pub(crate) content: Content,
    /// The ARN of the queue that the message was moved away from as a dead letter.
    pub(crate) source_arn: Option<String>,
}

/// A queue.
#[derive(Debug, Clone)]
pub(crate) struct QueueRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) created_at: Time,
    pub(crate) modified_at: Time,
    pub(crate) settings: QueueSettings,
    pub(crate) tags: Texts,
}

/// A move task as `ListMessageMoveTasks` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveRow {
    pub(crate) handle: String,
    pub(crate) source_arn: String,
    /// Nothing when each message goes to the queue that it came from.
    pub(crate) destination_arn: Option<String>,
    pub(crate) status: MoveStatus,
    pub(crate) per_second: Option<u32>,
    pub(crate) moved: u64,
    pub(crate) to_move: u64,
    pub(crate) started_at: Time,
    pub(crate) failure: Option<String>,
}

/// The state of a move task, by AWS's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum MoveStatus {
    Running,
    Completed,
    Cancelling,
    Cancelled,
    Failed,
}

impl MoveRow {
    /// The task with every ARN put through `rename`.
    pub(crate) fn with_arns(self, rename: impl Fn(&str) -> String) -> Self {
        Self {
            source_arn: rename(&self.source_arn),
            destination_arn: self.destination_arn.as_deref().map(rename),
            ..self
        }
    }

    /// Whether the task still moves messages.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.status, MoveStatus::Running | MoveStatus::Cancelling)
    }
}

impl Row {
    /// Stores the message.
    pub(crate) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { id, queue_id, message_id, content, entry } = self;
        let mut statement = connection.prepare_cached(
            "INSERT INTO messages (id, queue_id, message_id, body, attributes, system_attributes,
                 sent_at, visible_at, receive_count, first_received_at, received_at, receipt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        statement.execute(params![
            id,
            queue_id,
            message_id,
            content.body,
            to_json(&content.attributes)?,
            to_json(&content.all_system_attributes())?,
            entry.sent_at.millis(),
            entry.visible_at.millis(),
            entry.receive_count,
            entry.first_received_at.map(Time::millis),
            entry.received_at.map(Time::millis),
            entry.receipt,
        ])?;
        Ok(())
    }
}

/// Writes a receive, and reads what the receiver gets. Nothing when the message is not on the disk.
pub(crate) fn receive(
    connection: &Connection,
    id: Id,
    entry: &Entry,
) -> rusqlite::Result<Option<Received>> {
    let mut statement = connection.prepare_cached(
        "UPDATE messages SET visible_at = :visible_at, receive_count = :receive_count,
             first_received_at = :first_received_at, received_at = :received_at, receipt = :receipt
         WHERE id = :id RETURNING message_id, body, attributes, system_attributes, source_arn",
    )?;
    let parameters = named_params! {
        ":id": id,
        ":visible_at": entry.visible_at.millis(),
        ":receive_count": entry.receive_count,
        ":first_received_at": entry.first_received_at.map(Time::millis),
        ":received_at": entry.received_at.map(Time::millis),
        ":receipt": entry.receipt,
    };
    let received = statement.query_row(parameters, |row| {
        Ok(Received {
            message_id: row.get(0)?,
            content: Content {
                body: row.get(1)?,
                attributes: attributes(id, row, 2)?,
                system_attributes: attributes(id, row, 3)?,
                ..Content::default()
            },
            source_arn: row.get(4)?,
        })
    });
    received.optional()
}

/// Writes the end of a message's visibility timeout.
pub(crate) fn set_visible_at(
    connection: &Connection,
    id: Id,
    visible_at: Time,
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE messages SET visible_at = ?2 WHERE id = ?1")?;
    statement.execute(params![id, visible_at.millis()]).map(drop)
}

/// Deletes messages of a queue. One that is not there is no error: a purge may come after the
/// write that moved a message to the dead-letter queue, and that message must stay.
pub(crate) fn delete(connection: &Connection, queue_id: i64, ids: &[Id]) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("DELETE FROM messages WHERE id = ?1 AND queue_id = ?2")?;
    ids.iter().try_for_each(|id| statement.execute([*id, queue_id]).map(drop))
}

/// Moves a message to another queue. A message that a move task redrives is a new one there, with
/// a new message ID; a dead letter keeps its own.
pub(crate) fn change_queue(
    connection: &Connection,
    id: Id,
    queue_id: i64,
    entry: &Entry,
    source_arn: Option<&str>,
    new_message_id: Option<&str>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE messages SET queue_id = ?2, sent_at = ?3, visible_at = ?4, receive_count = ?5,
             first_received_at = ?6, received_at = ?7, receipt = ?8, source_arn = ?9,
             message_id = COALESCE(?10, message_id)
         WHERE id = ?1",
    )?;
    let parameters = params![
        id,
        queue_id,
        entry.sent_at.millis(),
        entry.visible_at.millis(),
        entry.receive_count,
        entry.first_received_at.map(Time::millis),
        entry.received_at.map(Time::millis),
        entry.receipt,
        source_arn,
        new_message_id,
    ];
    statement.execute(parameters).map(drop)
}

/// The ARN of the queue that a dead letter was moved away from.
pub(crate) fn source_of(connection: &Connection, id: Id) -> rusqlite::Result<Option<String>> {
    let mut statement =
        connection.prepare_cached("SELECT source_arn FROM messages WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?.flatten())
}

/// Stores a new queue, and returns its number.
pub(crate) fn insert_queue(connection: &Connection, queue: &QueueRow) -> rusqlite::Result<i64> {
    connection.execute(
        "INSERT INTO queues (name, created_at, modified_at, settings, tags)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            queue.name,
            queue.created_at.millis(),
            queue.modified_at.millis(),
            to_json(queue.settings.texts())?,
            to_json(&queue.tags)?
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Writes what may change about a queue.
pub(crate) fn update_queue(connection: &Connection, queue: &QueueRow) -> rusqlite::Result<()> {
    let parameters = params![
        queue.id,
        queue.modified_at.millis(),
        to_json(queue.settings.texts())?,
        to_json(&queue.tags)?
    ];
    connection
        .execute(
            "UPDATE queues SET modified_at = ?2, settings = ?3, tags = ?4 WHERE id = ?1",
            parameters,
        )
        .map(drop)
}

/// Deletes a queue with its messages.
pub(crate) fn delete_queue(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM messages WHERE queue_id = ?1", [id])?;
    connection.execute("DELETE FROM queues WHERE id = ?1", [id]).map(drop)
}

/// Writes a move task, be it new or not.
pub(crate) fn save_move_task(connection: &Connection, task: &MoveRow) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO move_tasks (handle, source_arn, destination_arn, status,
             per_second, moved, to_move, started_at, failure)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let parameters = params![
        task.handle,
        task.source_arn,
        task.destination_arn,
        task.status.to_string(),
        task.per_second,
        i64::try_from(task.moved).unwrap_or(i64::MAX),
        i64::try_from(task.to_move).unwrap_or(i64::MAX),
        task.started_at.millis(),
        task.failure,
    ];
    statement.execute(parameters).map(drop)
}

/// Adds to the number of messages that a move task has moved.
pub(crate) fn add_moved(connection: &Connection, handle: &str, more: u64) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE move_tasks SET moved = moved + ?2 WHERE handle = ?1")?;
    statement.execute(params![handle, i64::try_from(more).unwrap_or(i64::MAX)]).map(drop)
}

fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The attributes of a message that is being received. They could be read when the data was
/// opened, so this fails only when the file was damaged since.
fn attributes(id: Id, row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Attributes> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|source| {
        let damaged = DamagedAttributes { id, source };
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(damaged))
    })
}

#[derive(Debug, thiserror::Error)]
#[error("the attributes of the message with id {id} in table messages are damaged")]
struct DamagedAttributes {
    id: Id,
    source: serde_json::Error,
}
