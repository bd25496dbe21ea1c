//! The deliveries that runs work on: what holds them, until when, and whether they were ended.
//!
//! A run is *decided* when what is to become of its delivery is known, *ended* when the issue was
//! told, and *released* when the queue was. A worker that died between two of these goes on from
//! the later one.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Journal, JournalError, Outcome, RunId, malformed, signed, stored, timestamp};
use crate::task::{Delivery, Task, TaskKey};

/// A run whose delivery was not given back to the queue: of this worker, or of the one before it.
#[derive(Debug, Clone)]
pub struct Unreleased {
    pub run: RunId,
    pub delivery: Delivery,
    pub lease_end: Timestamp,
    pub began: Timestamp,
    pub decided: Option<Decision>,
}

/// How a run ends, as it was decided before anybody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub outcome: Outcome,
    /// The failure in words, when there is one.
    pub detail: Option<String>,
    /// What becomes of the delivery, in its owner's words.
    disposition: String,
    /// The pull request that the failure left behind.
    pub draft: Option<u64>,
    /// Whether the issue was told.
    pub told: bool,
}

impl Decision {
    /// A decision that nobody was told of yet.
    ///
    /// # Errors
    /// The disposition is no JSON.
    pub fn new(
        outcome: Outcome,
        detail: Option<String>,
        disposition: &impl Serialize,
        draft: Option<u64>,
    ) -> Result<Self, JournalError> {
        Ok(Self { outcome, detail, disposition: stored(disposition)?, draft, told: false })
    }

    /// What becomes of the delivery; nothing when another version of the program wrote it in a way
    /// that is not understood.
    #[must_use]
    pub fn disposition<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.disposition).ok()
    }
}

impl Journal {
    /// Records that a delivery of `task` is being worked on, under a lease until `lease_end`. What
    /// an `earlier` run of it made is the new one's, with the time it began at, which is returned.
    ///
    /// # Errors
    /// The database can't be written; so for every function here.
    pub fn begin(
        &self,
        task: &Task,
        delivery: &Delivery,
        lease_end: Timestamp,
        earlier: Option<RunId>,
        now: Timestamp,
    ) -> Result<(RunId, Timestamp), JournalError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute(
            "INSERT INTO runs (task_key, repository, issue_number, title, message_id, attempt, stage, started_at, delivery, receipt_handle, lease_end)
             VALUES (:task_key, :repository, :issue_number, :title, :message_id, :attempt, 'admit', :now, :delivery, :receipt_handle, :lease_end)",
            named_params! {
                ":task_key": task.key().as_str(),
                ":repository": task.repository.to_string(),
                ":issue_number": signed(task.issue_number.value()),
                ":title": task.title,
                ":message_id": delivery.message_id,
                ":attempt": delivery.receive_count,
                ":now": now.to_string(),
                ":delivery": stored(delivery)?,
                ":receipt_handle": delivery.receipt_handle,
                ":lease_end": lease_end.to_string(),
            },
        )?;
        let run = RunId(transaction.last_insert_rowid());
        if let Some(earlier) = earlier {
            inherit(&transaction, run, earlier)?;
        }
        let query = "SELECT started_at FROM runs WHERE id = :run";
        let began = transaction.query_row(query, named_params! { ":run": run.0 }, |row| {
            timestamp(row, "started_at")
        })?;
        transaction.commit()?;
        Ok((run, began))
    }

    /// Records that the lease of a delivery was renewed.
    pub fn renewed(&self, receipt_handle: &str, lease_end: Timestamp) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET lease_end = :lease_end WHERE receipt_handle = :receipt_handle AND released_at IS NULL",
            named_params! { ":lease_end": lease_end.to_string(), ":receipt_handle": receipt_handle },
        )?;
        Ok(())
    }

    /// Records how a run ends, before anybody is told.
    pub fn decide(&self, run: RunId, decision: &Decision) -> Result<(), JournalError> {
        let Decision { outcome, detail, disposition, draft, told: _ } = decision;
        self.connection().execute(
            "UPDATE runs SET outcome = :outcome, detail = :detail, disposition = :disposition, draft = :draft WHERE id = :run",
            named_params! {
                ":outcome": outcome.name(),
                ":detail": detail,
                ":disposition": disposition,
                ":draft": draft.map(signed),
                ":run": run.0,
            },
        )?;
        Ok(())
    }

    /// Records that a run is over: it was decided, and the issue knows.
    pub fn end(&self, run: RunId, now: Timestamp) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET ended_at = :now WHERE id = :run",
            named_params! { ":now": now.to_string(), ":run": run.0 },
        )?;
        Ok(())
    }

    /// Records that the queue was told what becomes of a run's delivery, or that the delivery is
    /// not ours any more.
    pub fn release(&self, run: RunId, now: Timestamp) -> Result<(), JournalError> {
        self.connection().execute(
            "UPDATE runs SET released_at = :now WHERE id = :run",
            named_params! { ":now": now.to_string(), ":run": run.0 },
        )?;
        Ok(())
    }

    /// The runs whose delivery was not given back, oldest first.
    pub fn unreleased(&self) -> Result<Vec<Unreleased>, JournalError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT id, delivery, lease_end, started_at, outcome, detail, disposition, draft, ended_at
             FROM runs WHERE released_at IS NULL ORDER BY id",
        )?;
        let runs = statement.query_map([], |row| {
            Ok(Unreleased {
                run: RunId(row.get("id")?),
                delivery: json(row, "delivery")?,
                lease_end: timestamp(row, "lease_end")?,
                began: timestamp(row, "started_at")?,
                decided: decision(row)?,
            })
        })?;
        Ok(runs.collect::<Result<_, _>>()?)
    }

    /// How the last ended run of this very message ended; a redriven message has another id and so
    /// begins anew.
    pub fn last_outcome(&self, message_id: &str) -> Result<Option<Outcome>, JournalError> {
        let name: Option<String> = self
            .connection()
            .query_row(
                "SELECT outcome FROM runs WHERE message_id = :message_id AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 1",
                named_params! { ":message_id": message_id },
                |row| row.get(0),
            )
            .optional()?;
        Ok(name.as_deref().and_then(Outcome::from_name))
    }

    /// The newest run of a task, when it was broken off: its lease was lost, and with it the right
    /// to go on.
    pub fn broken_off(&self, task: &TaskKey) -> Result<Option<RunId>, JournalError> {
        let newest: Option<(i64, Option<String>)> = self
            .connection()
            .query_row(
                "SELECT id, outcome FROM runs WHERE task_key = :task_key AND released_at IS NOT NULL ORDER BY id DESC LIMIT 1",
                named_params! { ":task_key": task.as_str() },
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let broken =
            newest.filter(|(_, outcome)| outcome.as_deref() == Some(Outcome::Abandoned.name()));
        Ok(broken.map(|(run, _)| RunId(run)))
    }
}

fn inherit(connection: &Connection, run: RunId, earlier: RunId) -> rusqlite::Result<()> {
    let runs = named_params! { ":run": run.0, ":earlier": earlier.0 };
    connection.execute(
        "UPDATE runs SET (started_at, prepared, checked) =
             (SELECT started_at, prepared, checked FROM runs WHERE id = :earlier) WHERE id = :run",
        runs,
    )?;
    connection.execute(
        "INSERT INTO passes (run_id, number, commit_id, progress, at)
         SELECT :run, number, commit_id, progress, at FROM passes WHERE run_id = :earlier",
        runs,
    )?;
    Ok(())
}

fn decision(row: &Row<'_>) -> rusqlite::Result<Option<Decision>> {
    let Some(disposition) = row.get("disposition")? else { return Ok(None) };
    let outcome: String = row.get("outcome")?;
    Ok(Some(Decision {
        outcome: Outcome::from_name(&outcome).ok_or_else(|| malformed(row, "outcome"))?,
        detail: row.get("detail")?,
        disposition,
        draft: row.get::<_, Option<i64>>("draft")?.map(i64::unsigned_abs),
        told: row.get::<_, Option<String>>("ended_at")?.is_some(),
    }))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|_| malformed(row, column))
}
