//! The runs and events as the journal's readers get them.
//!
//! Columns are named one by one, so that nothing large is read by accident, and so that a journal
//! of an older schema can be read as it is.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, named_params, params_from_iter};

use super::{
    Event, Journal, JournalError, Outcome, RunId, RunRecord, Stage, malformed, schema, timestamp,
};
use crate::task::TaskKey;

/// A column of `runs`: its name, the schema that it came with, and what stands for it in an older
/// one. That is what the migration makes of the older runs, so a run reads the same before and
/// after it.
type Column = (&'static str, usize, &'static str);

const COLUMNS: &[Column] = &[
    ("id", 1, ""),
    ("task_key", 1, ""),
    ("repository", 1, ""),
    ("issue_number", 1, ""),
    ("title", 1, ""),
    ("attempt", 1, ""),
    ("stage", 1, ""),
    ("started_at", 1, ""),
    ("ended_at", 1, ""),
    ("outcome", 1, ""),
    ("detail", 1, ""),
    ("branch", 1, ""),
    ("commit_id", 1, ""),
    ("checks", 1, ""),
    ("pull_request_number", 1, ""),
    ("pull_request_url", 1, ""),
    ("lease_end", 2, "NULL"),
    ("released_at", 2, "COALESCE(ended_at, started_at)"),
    ("reason", 3, "NULL"),
];

/// Which runs are asked for, and in which order.
#[derive(Debug)]
pub(super) enum Selection {
    Run(RunId),
    /// The ended runs of a task, oldest first.
    Attempts(TaskKey),
    /// The runs whose message is the worker's, oldest first.
    Current,
    /// So many of the newest, newest first.
    Newest(u32),
}

impl Journal {
    /// One run; nothing when there is none of this number.
    ///
    /// # Errors
    /// The database can't be read; so for every function here.
    pub async fn run(&self, run: RunId) -> Result<Option<RunRecord>, JournalError> {
        Ok(self.runs(Selection::Run(run)).await?.pop())
    }

    /// What earlier runs of a task ended with, oldest first: what was tried.
    pub async fn attempts(&self, task: &TaskKey) -> Result<Vec<RunRecord>, JournalError> {
        self.runs(Selection::Attempts(task.clone())).await
    }

    async fn runs(&self, selection: Selection) -> Result<Vec<RunRecord>, JournalError> {
        self.database
            .run(move |connection| Ok(select(connection, schema::LATEST, &selection)?))
            .await
    }

    /// The events after `sequence`, oldest first, 1000 at the most.
    pub async fn events_after(&self, sequence: i64) -> Result<Vec<Event>, JournalError> {
        self.database.run(move |connection| Ok(events_after(connection, sequence)?)).await
    }

    /// The number of the newest event, 0 when there is none.
    pub async fn last_sequence(&self) -> Result<i64, JournalError> {
        let query = "SELECT COALESCE(MAX(id), 0) FROM events";
        let work = move |connection: &mut Connection| {
            Ok(connection.query_one(query, [], |row| row.get(0))?)
        };
        self.database.run(work).await
    }
}

/// Reads runs of a journal that has this schema.
pub(super) fn select(
    connection: &Connection,
    schema: usize,
    selection: &Selection,
) -> rusqlite::Result<Vec<RunRecord>> {
    let columns: Vec<_> = COLUMNS
        .iter()
        .map(
            |&(name, since, before)| {
                if schema < since { format!("{before} AS {name}") } else { name.to_owned() }
            },
        )
        .collect();
    let (rest, value): (_, Option<Value>) = match selection {
        Selection::Run(run) => ("WHERE id = ?", Some(run.0.into())),
        Selection::Attempts(task) => (
            "WHERE task_key = ? AND ended_at IS NOT NULL ORDER BY id",
            Some(task.as_str().to_owned().into()),
        ),
        Selection::Current => ("WHERE released_at IS NULL ORDER BY id", None),
        Selection::Newest(most) => ("ORDER BY id DESC LIMIT ?", Some((*most).into())),
    };
    let query = format!("SELECT {} FROM runs {rest}", columns.join(", "));
    let mut statement = connection.prepare_cached(&query)?;
    statement.query_map(params_from_iter(value), record)?.collect()
}

fn record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let outcome: Option<String> = row.get("outcome")?;
    Ok(RunRecord {
        run: RunId(row.get("id")?),
        task_key: row.get("task_key")?,
        repository: row.get("repository")?,
        issue_number: row.get::<_, i64>("issue_number")?.unsigned_abs(),
        title: row.get("title")?,
        attempt: row.get("attempt")?,
        stage: stage(row)?,
        started_at: timestamp(row, "started_at")?,
        ended_at: optional_timestamp(row, "ended_at")?,
        outcome: outcome.as_deref().and_then(Outcome::from_name),
        detail: row.get("detail")?,
        reason: row
            .get::<_, Option<String>>("reason")?
            .map(|text| serde_json::from_str(&text).map_err(|_| malformed(row, "reason")))
            .transpose()?,
        branch: row.get("branch")?,
        commit: row.get("commit_id")?,
        checks: serde_json::from_str(&row.get::<_, String>("checks")?)
            .map_err(|_| malformed(row, "checks"))?,
        pull_request_number: row
            .get::<_, Option<i64>>("pull_request_number")?
            .map(i64::unsigned_abs),
        pull_request_url: row.get("pull_request_url")?,
        lease_end: match row.get::<_, Option<String>>("released_at")? {
            None => optional_timestamp(row, "lease_end")?,
            Some(_released) => None,
        },
    })
}

fn events_after(connection: &Connection, sequence: i64) -> rusqlite::Result<Vec<Event>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, run_id, at, stage, text FROM events
         WHERE id > :sequence ORDER BY id LIMIT 1000",
    )?;
    let events = statement.query_map(named_params! { ":sequence": sequence }, |row| {
        Ok(Event {
            sequence: row.get("id")?,
            run: RunId(row.get("run_id")?),
            at: timestamp(row, "at")?,
            stage: stage(row)?,
            text: row.get("text")?,
        })
    })?;
    events.collect()
}

fn stage(row: &Row<'_>) -> rusqlite::Result<Stage> {
    let name: String = row.get("stage")?;
    Stage::from_name(&name).ok_or_else(|| malformed(row, "stage"))
}

fn optional_timestamp(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<String>>(column)?
        .map(|text| text.parse().map_err(|_| malformed(row, column)))
        .transpose()
}
