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
    /// The run.
    pub run: RunId,
    /// The delivery that it works on.
    pub delivery: Delivery,
    /// Until when the delivery is hidden from others, as far as the journal knows.
    pub lease_end: Timestamp,
    /// When work on the task began.
    pub began: Timestamp,
    /// How the run ends, when that is decided.
    pub decided: Option<Decision>,
}

/// How a run ends, as it was decided before anybody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What the run comes to.
    pub outcome: Outcome,
    /// The failure in words, when there is one.
    pub detail: Option<String>,
    /// The same failure as data, in its owner's JSON.
    reason: Option<String>,
    /// What becomes of the delivery, in its owner's JSON.
    disposition: String,
    /// The pull request that the failure left behind.
    pub draft: Option<u64>,
    /// Whether the issue was told.
    pub told: bool,
}

impl Decision {
    /// A decision without a failure, of which nobody was told yet.
    ///
    /// # Errors
    /// The disposition is no JSON.
    pub fn new(outcome: Outcome, disposition: &impl Serialize) -> Result<Self, JournalError> {
        let disposition = stored(disposition)?;
        Ok(Self { outcome, detail: None, reason: None, disposition, draft: None, told: false })
    }

    /// The decision with the failure in words.
    #[must_use]
    pub fn with_detail(self, detail: String) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// The decision with the failure as data, from which its words can be made in any language.
    ///
    /// # Errors
    /// The reason is no JSON.
    pub fn with_reason(self, reason: &impl Serialize) -> Result<Self, JournalError> {
        Ok(Self { reason: Some(stored(reason)?), ..self })
    }

    /// The decision with the draft pull request that the failure left behind, if it left one.
    #[must_use]
    pub fn with_draft(self, draft: Option<u64>) -> Self {
        Self { draft, ..self }
    }

    /// The failure as data; nothing when there is none, or when another version of the program
    /// wrote it in a way that is not understood.
    #[must_use]
    pub fn reason<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.reason.as_deref()?).ok()
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
    pub async fn begin(
        &self,
        task: &Task,
        delivery: &Delivery,
        lease_end: Timestamp,
        earlier: Option<RunId>,
        now: Timestamp,
    ) -> Result<(RunId, Timestamp), JournalError> {
        let (task, delivery) = (task.clone(), delivery.clone());
        let work = move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let run = insert(&transaction, &task, &delivery, lease_end, now)?;
            if let Some(earlier) = earlier {
                inherit(&transaction, run, earlier)?;
            }
            let query = "SELECT started_at FROM runs WHERE id = :run";
            let began = transaction.query_row(query, named_params! { ":run": run.0 }, |row| {
                timestamp(row, "started_at")
            })?;
            transaction.commit()?;
            Ok((run, began))
        };
        self.database.run(work).await
    }

    /// Records that the lease of a delivery was renewed. Returns at once: the journal's thread
    /// writes it as soon as it can, and tells a failure in the log. A renewal that the thread has
    /// not come to is replaced by a newer one of the same delivery.
    pub fn record_renewal(&self, delivery: &Delivery, lease_end: Timestamp) {
        if self.renewals.add(delivery, lease_end) {
            self.database.wake();
        }
    }

    /// Records how a run ends, before anybody is told.
    pub async fn decide(&self, run: RunId, decision: &Decision) -> Result<(), JournalError> {
        let Decision { outcome, detail, reason, disposition, draft, told: _ } = decision.clone();
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE runs SET outcome = :outcome, detail = :detail, reason = :reason,
                     disposition = :disposition, draft = :draft
                 WHERE id = :run",
                named_params! {
                    ":outcome": outcome.name(),
                    ":detail": detail,
                    ":reason": reason,
                    ":disposition": disposition,
                    ":draft": draft.map(signed),
                    ":run": run.0,
                },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// Records that a run is over: it was decided, and the issue knows.
    pub async fn end(&self, run: RunId, now: Timestamp) -> Result<(), JournalError> {
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE runs SET ended_at = :now WHERE id = :run",
                named_params! { ":now": now.to_string(), ":run": run.0 },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// Records that the queue was told what becomes of a run's delivery, or that the delivery is
    /// not ours any more.
    pub async fn release(&self, run: RunId, now: Timestamp) -> Result<(), JournalError> {
        let work = move |connection: &mut Connection| {
            connection.execute(
                "UPDATE runs SET released_at = :now WHERE id = :run",
                named_params! { ":now": now.to_string(), ":run": run.0 },
            )?;
            Ok(())
        };
        self.database.run(work).await
    }

    /// The runs whose delivery was not given back, oldest first.
    pub async fn unreleased(&self) -> Result<Vec<Unreleased>, JournalError> {
        self.database.run(|connection| Ok(unreleased(connection)?)).await
    }

    /// How the last ended run of this very message ended; a redriven message has another id and so
    /// begins anew.
    pub async fn last_outcome(&self, message_id: &str) -> Result<Option<Outcome>, JournalError> {
        let message_id = message_id.to_owned();
        let work = move |connection: &mut Connection| {
            let name: Option<String> = connection
                .query_row(
                    "SELECT outcome FROM runs
                     WHERE message_id = :message_id AND ended_at IS NOT NULL
                     ORDER BY id DESC LIMIT 1",
                    named_params! { ":message_id": message_id },
                    |row| row.get(0),
                )
                .optional()?;
            Ok(name.as_deref().and_then(Outcome::from_name))
        };
        self.database.run(work).await
    }

    /// The newest run of a task, when it was broken off: its lease was lost, and with it the right
    /// to go on.
    pub async fn broken_off(&self, task: &TaskKey) -> Result<Option<RunId>, JournalError> {
        let task = task.as_str().to_owned();
        let work = move |connection: &mut Connection| {
            let newest: Option<(i64, Option<String>)> = connection
                .query_row(
                    "SELECT id, outcome FROM runs
                     WHERE task_key = :task_key AND released_at IS NOT NULL
                     ORDER BY id DESC LIMIT 1",
                    named_params! { ":task_key": task },
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let broken =
                newest.filter(|(_, outcome)| outcome.as_deref() == Some(Outcome::Abandoned.name()));
            Ok(broken.map(|(run, _)| RunId(run)))
        };
        self.database.run(work).await
    }
}

fn insert(
    connection: &Connection,
    task: &Task,
    delivery: &Delivery,
    lease_end: Timestamp,
    now: Timestamp,
) -> Result<RunId, JournalError> {
    connection.execute(
        "INSERT INTO runs (task_key, repository, issue_number, title, message_id, attempt, stage,
             started_at, delivery, receipt_handle, lease_end)
         VALUES (:task_key, :repository, :issue_number, :title, :message_id, :attempt, 'admit',
             :now, :delivery, :receipt_handle, :lease_end)",
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
    Ok(RunId(connection.last_insert_rowid()))
}

fn unreleased(connection: &Connection) -> rusqlite::Result<Vec<Unreleased>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, delivery, lease_end, started_at, outcome, detail, reason, disposition, draft,
             ended_at
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
    runs.collect()
}

fn inherit(connection: &Connection, run: RunId, earlier: RunId) -> rusqlite::Result<()> {
    let runs = named_params! { ":run": run.0, ":earlier": earlier.0 };
    connection.execute(
        "UPDATE runs SET started_at = (SELECT started_at FROM runs WHERE id = :earlier)
         WHERE id = :run",
        runs,
    )?;
    connection.execute(
        "INSERT INTO checkpoints (run_id, name, value)
         SELECT :run, name, value FROM checkpoints WHERE run_id = :earlier",
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
        reason: row.get("reason")?,
        disposition,
        draft: row.get::<_, Option<i64>>("draft")?.map(i64::unsigned_abs),
        told: row.get::<_, Option<String>>("ended_at")?.is_some(),
    }))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|_| malformed(row, column))
}
