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
    /// All runs of an issue, whatever the task, oldest first. GitHub does not tell names of
    /// repositories apart by case.
    Issue {
        repository: String,
        number: u64,
    },
    /// The runs that began at this time or later, oldest first.
    Since(Timestamp),
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
    let (rest, values): (_, Vec<Value>) = match selection {
        Selection::Run(run) => ("WHERE id = ?", vec![run.0.into()]),
        Selection::Attempts(task) => (
            "WHERE task_key = ? AND ended_at IS NOT NULL ORDER BY id",
            vec![task.as_str().to_owned().into()],
        ),
        Selection::Current => ("WHERE released_at IS NULL ORDER BY id", Vec::new()),
        Selection::Newest(most) => ("ORDER BY id DESC LIMIT ?", vec![(*most).into()]),
        Selection::Issue { repository, number } => (
            "WHERE repository = ? COLLATE NOCASE AND issue_number = ? ORDER BY id",
            vec![repository.clone().into(), number.cast_signed().into()],
        ),
        // The times are RFC 3339 in UTC, so their text sorts as they do, but for fractions.
        Selection::Since(then) => (
            "WHERE started_at >= ? ORDER BY id",
            vec![format!("{then:.0}").trim_end_matches('Z').to_owned().into()],
        ),
    };
    let query = format!("SELECT {} FROM runs {rest}", columns.join(", "));
    let mut statement = connection.prepare_cached(&query)?;
    statement.query_map(params_from_iter(values), record)?.collect()
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

/// The events of a run, oldest first.
pub(super) fn events(connection: &Connection, run: RunId) -> rusqlite::Result<Vec<Event>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, run_id, at, stage, text FROM events WHERE run_id = :run ORDER BY id",
    )?;
    let events = statement.query_map(named_params! { ":run": run.0 }, |row| {
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
