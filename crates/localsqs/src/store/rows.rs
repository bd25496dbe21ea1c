//! The rows, and the statements that read and write them. Each is done on the writer's connection,
//! within its transaction.

use rusqlite::{Connection, OptionalExtension, named_params, params};

use crate::attributes::Settings;
use crate::clock::Time;
use crate::index::{Entry, Id};
use crate::message::Content;

/// A message to be stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: Id,
    pub(crate) queue_id: i64,
    pub(crate) message_id: String,
    pub(crate) content: Content,
    pub(crate) entry: Entry,
    pub(crate) source_arn: Option<String>,
}

/// What a receiver gets of a message besides its entry.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) message_id: String,
    pub(crate) content: Content,
    pub(crate) source_arn: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct QueueRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) created_at: Time,
    pub(crate) modified_at: Time,
    pub(crate) settings: Settings,
    pub(crate) tags: Settings,
}

/// A move task as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveRow {
    pub(crate) handle: String,
    pub(crate) source_arn: String,
    pub(crate) destination_arn: Option<String>,
    pub(crate) status: String,
    pub(crate) per_second: Option<u32>,
    pub(crate) moved: u64,
    pub(crate) to_move: u64,
    pub(crate) started_at: Time,
    pub(crate) failure: Option<String>,
}

/// What a broker keeps in memory.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) queues: Vec<QueueRow>,
    /// The queue, the message's number, and its entry.
    pub(crate) messages: Vec<(i64, Id, Entry)>,
    pub(crate) move_tasks: Vec<MoveRow>,
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Loaded> {
    let mut statement = connection
        .prepare("SELECT id, name, created_at, modified_at, settings, tags FROM queues")?;
    let queues = statement.query_map([], |row| {
        Ok(QueueRow {
            id: row.get(0)?,
            name: row.get(1)?,
            created_at: Time::from_millis(row.get(2)?),
            modified_at: Time::from_millis(row.get(3)?),
            settings: from_json(&row.get::<_, String>(4)?),
            tags: from_json(&row.get::<_, String>(5)?),
        })
    })?;
    let queues = queues.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare(
        "SELECT queue_id, id, sent_at, visible_at, receive_count, first_received_at, received_at, receipt FROM messages",
    )?;
    let messages = statement.query_map([], |row| {
        let entry = Entry {
            sent_at: Time::from_millis(row.get(2)?),
            visible_at: Time::from_millis(row.get(3)?),
            receive_count: row.get(4)?,
            first_received_at: row.get::<_, Option<i64>>(5)?.map(Time::from_millis),
            received_at: row.get::<_, Option<i64>>(6)?.map(Time::from_millis),
            receipt: row.get(7)?,
        };
        Ok((row.get(0)?, row.get(1)?, entry))
    })?;
    let messages = messages.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare("SELECT * FROM move_tasks")?;
    let move_tasks = statement.query_map([], |row| {
        Ok(MoveRow {
            handle: row.get("handle")?,
            source_arn: row.get("source_arn")?,
            destination_arn: row.get("destination_arn")?,
            status: row.get("status")?,
            per_second: row.get("per_second")?,
            moved: row.get::<_, i64>("moved")?.unsigned_abs(),
            to_move: row.get::<_, i64>("to_move")?.unsigned_abs(),
            started_at: Time::from_millis(row.get("started_at")?),
            failure: row.get("failure")?,
        })
    })?;
    let move_tasks = move_tasks.collect::<Result<_, _>>()?;
    Ok(Loaded { queues, messages, move_tasks })
}

impl Row {
    pub(crate) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { id, queue_id, message_id, content, entry, source_arn } = self;
        let mut statement = connection.prepare_cached(
            "INSERT INTO messages (id, queue_id, message_id, body, attributes, system_attributes, sent_at, visible_at,
                 receive_count, first_received_at, received_at, receipt, source_arn)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        statement.execute(params![
            id,
            queue_id,
            message_id,
            content.body,
            to_json(&content.attributes),
            to_json(&content.system_attributes),
            entry.sent_at.millis(),
            entry.visible_at.millis(),
            entry.receive_count,
            entry.first_received_at.map(Time::millis),
            entry.received_at.map(Time::millis),
            entry.receipt,
            source_arn,
        ])?;
        Ok(())
    }
}

/// Writes a receive, and reads what the receiver gets.
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
                attributes: from_json(&row.get::<_, String>(2)?),
                system_attributes: from_json(&row.get::<_, String>(3)?),
            },
            source_arn: row.get(4)?,
        })
    });
    received.optional()
}

pub(crate) fn set_visible_at(
    connection: &Connection,
    id: Id,
    visible_at: Time,
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE messages SET visible_at = ?2 WHERE id = ?1")?;
    statement.execute(params![id, visible_at.millis()]).map(drop)
}

pub(crate) fn delete(connection: &Connection, ids: &[Id]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?;
    ids.iter().try_for_each(|id| statement.execute([id]).map(drop))
}

/// Puts a message into another queue; one that is redriven by hand is a new message there.
pub(crate) fn change_queue(
    connection: &Connection,
    id: Id,
    queue_id: i64,
    entry: &Entry,
    source_arn: Option<&str>,
    new_message_id: Option<&str>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE messages SET queue_id = ?2, sent_at = ?3, visible_at = ?4, receive_count = ?5, first_received_at = ?6,
             received_at = ?7, receipt = ?8, source_arn = ?9, message_id = COALESCE(?10, message_id) WHERE id = ?1",
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

/// The queue whose dead letter a message is.
pub(crate) fn source_of(connection: &Connection, id: Id) -> rusqlite::Result<Option<String>> {
    let mut statement =
        connection.prepare_cached("SELECT source_arn FROM messages WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?.flatten())
}

pub(crate) fn insert_queue(connection: &Connection, queue: &QueueRow) -> rusqlite::Result<i64> {
    connection.execute(
        "INSERT INTO queues (name, created_at, modified_at, settings, tags) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            queue.name,
            queue.created_at.millis(),
            queue.modified_at.millis(),
            to_json(&queue.settings),
            to_json(&queue.tags)
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

pub(crate) fn update_queue(connection: &Connection, queue: &QueueRow) -> rusqlite::Result<()> {
    let parameters = params![
        queue.id,
        queue.modified_at.millis(),
        to_json(&queue.settings),
        to_json(&queue.tags)
    ];
    connection
        .execute(
            "UPDATE queues SET modified_at = ?2, settings = ?3, tags = ?4 WHERE id = ?1",
            parameters,
        )
        .map(drop)
}

pub(crate) fn delete_queue(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM messages WHERE queue_id = ?1", [id])?;
    connection.execute("DELETE FROM queues WHERE id = ?1", [id]).map(drop)
}

pub(crate) fn save_move_task(connection: &Connection, task: &MoveRow) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO move_tasks
             (handle, source_arn, destination_arn, status, per_second, moved, to_move, started_at, failure)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let parameters = params![
        task.handle,
        task.source_arn,
        task.destination_arn,
        task.status,
        task.per_second,
        i64::try_from(task.moved).unwrap_or(i64::MAX),
        i64::try_from(task.to_move).unwrap_or(i64::MAX),
        task.started_at.millis(),
        task.failure,
    ];
    statement.execute(parameters).map(drop)
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

fn from_json<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}
