//! Reading all rows when the data is opened. A row that is damaged is an error that names it.

use std::collections::HashSet;
use std::error::Error as StdError;

use rusqlite::Connection;
use rusqlite::types::FromSql;
use serde::de::DeserializeOwned;

use super::rows::{MoveRow, MoveStatus, QueueRow};
use crate::attributes::{QueueSettings, Texts};
use crate::clock::Time;
use crate::index::{Entry, Id};
use crate::message::Attributes;

/// What a broker keeps in memory.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) queues: Vec<QueueRow>,
    /// The queue of each message, its number and its entry.
    pub(crate) messages: Vec<(i64, Id, Entry)>,
    pub(crate) move_tasks: Vec<MoveRow>,
    /// How many messages have the number of a queue that does not exist.
    pub(crate) orphans: usize,
}

/// Why the rows can't be loaded.
pub(super) enum LoadError {
    Sql(rusqlite::Error),
    Damaged {
        table: &'static str,
        row: String,
        column: String,
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// A row that is being read, and how an error names it.
#[derive(Clone, Copy)]
struct Stored<'a> {
    row: &'a rusqlite::Row<'a>,
    table: &'static str,
    /// The column that tells the row from the others.
    key: &'static str,
}

impl Stored<'_> {
    fn get<T: FromSql>(self, column: usize) -> Result<T, LoadError> {
        self.row.get(column).map_err(|error| self.damaged(column, error))
    }

    fn time(self, column: usize) -> Result<Time, LoadError> {
        self.get(column).map(Time::from_millis)
    }

    fn optional_time(self, column: usize) -> Result<Option<Time>, LoadError> {
        Ok(self.get::<Option<i64>>(column)?.map(Time::from_millis))
    }

    fn count(self, column: usize) -> Result<u64, LoadError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|error| self.damaged(column, error))
    }

    fn json<T: DeserializeOwned>(self, column: usize) -> Result<T, LoadError> {
        let text = self.row.get_ref(column)?.as_str();
        let text = text.map_err(|error| self.damaged(column, error))?;
        serde_json::from_str(text).map_err(|error| self.damaged(column, error))
    }

    /// Checks attributes of a message without keeping them: a receiver reads them again. Most
    /// messages have none, and there may be a million of them.
    fn check_attributes(self, column: usize) -> Result<(), LoadError> {
        match self.row.get_ref(column)?.as_str() {
            Ok("{}") => Ok(()),
            _ => self.json::<Attributes>(column).map(drop),
        }
    }

    fn damaged(
        self,
        column: usize,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> LoadError {
        let key = match self.row.get::<_, rusqlite::types::Value>(self.key) {
            Ok(rusqlite::types::Value::Text(text)) => format!("{text:?}"),
            Ok(rusqlite::types::Value::Integer(number)) => number.to_string(),
            Ok(other) => format!("{other:?}"),
            Err(_) => "that can't be read".to_owned(),
        };
        let name = self
            .row
            .as_ref()
            .column_name(column)
            .map_or_else(|_| column.to_string(), str::to_owned);
        LoadError::Damaged {
            table: self.table,
            row: format!("{} {key}", self.key),
            column: name,
            source: source.into(),
        }
    }
}

/// Reads all rows of a query.
fn read_all<T>(
    connection: &Connection,
    table: &'static str,
    key: &'static str,
    sql: &str,
    read: impl Fn(Stored<'_>) -> Result<T, LoadError>,
) -> Result<Vec<T>, LoadError> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(Stored { row, table, key })?);
    }
    Ok(all)
}

/// Reads what a broker keeps in memory, and checks what it leaves on the disk.
///
/// # Errors
/// SQLite can't read a table, or a row can't have been written by this program.
pub(super) fn load(connection: &Connection) -> Result<Loaded, LoadError> {
    let queues = read_all(
        connection,
        "queues",
        "name",
        "SELECT id, name, created_at, modified_at, settings, tags FROM queues",
        |row| {
            let settings: Texts = row.json(4)?;
            Ok(QueueRow {
                id: row.get(0)?,
                name: row.get(1)?,
                created_at: row.time(2)?,
                modified_at: row.time(3)?,
                // Settings that break AWS's rules were not written by this program either.
                settings: QueueSettings::parse(&settings).map_err(|error| row.damaged(4, error))?,
                tags: row.json(5)?,
            })
        },
    )?;
    let messages = read_all(
        connection,
        "messages",
        "id",
        "SELECT queue_id, id, sent_at, visible_at, receive_count, first_received_at,
             received_at, receipt, attributes, system_attributes
         FROM messages",
        |row| {
            let entry = Entry {
                sent_at: row.time(2)?,
                visible_at: row.time(3)?,
                receive_count: row.get(4)?,
                first_received_at: row.optional_time(5)?,
                received_at: row.optional_time(6)?,
                receipt: row.get(7)?,
            };
            row.check_attributes(8)?;
            row.check_attributes(9)?;
            Ok((row.get(0)?, row.get(1)?, entry))
        },
    )?;
    let move_tasks = read_all(
        connection,
        "move_tasks",
        "handle",
        "SELECT handle, source_arn, destination_arn, status, per_second, moved, to_move,
             started_at, failure
         FROM move_tasks",
        |row| {
            let status: String = row.get(3)?;
            Ok(MoveRow {
                handle: row.get(0)?,
                source_arn: row.get(1)?,
                destination_arn: row.get(2)?,
                status: status.parse::<MoveStatus>().map_err(|error| row.damaged(3, error))?,
                per_second: row.get(4)?,
                moved: row.count(5)?,
                to_move: row.count(6)?,
                started_at: row.time(7)?,
                failure: row.get(8)?,
            })
        },
    )?;
    let known: HashSet<i64> = queues.iter().map(|queue| queue.id).collect();
    let orphans = messages.iter().filter(|(queue_id, ..)| !known.contains(queue_id)).count();
    Ok(Loaded { queues, messages, move_tasks, orphans })
}
