//! The journal's tables, as numbered migrations: one that was released is never edited, a change is
//! a new one.

use std::path::Path;

use rusqlite::{Connection, named_params};
use rusqlite_migration::{M, Migrations};

use super::JournalError;
use crate::language::Phrase;

const STEPS: &[M<'_>] = &[
    M::up(
        "CREATE TABLE runs (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         task_key TEXT NOT NULL,
         repository TEXT NOT NULL,
         issue_number INTEGER NOT NULL,
         title TEXT NOT NULL,
         message_id TEXT NOT NULL,
         attempt INTEGER NOT NULL,
         stage TEXT NOT NULL,
         started_at TEXT NOT NULL,
         ended_at TEXT,
         outcome TEXT,
         detail TEXT,
         branch TEXT,
         commit_id TEXT,
         checks TEXT NOT NULL DEFAULT '[]',
         pull_request_number INTEGER,
         pull_request_url TEXT
     ) STRICT;
     CREATE INDEX runs_by_task ON runs (task_key);
     CREATE INDEX runs_by_message ON runs (message_id);
     CREATE TABLE events (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         run_id INTEGER NOT NULL REFERENCES runs (id),
         at TEXT NOT NULL,
         stage TEXT NOT NULL,
         text TEXT NOT NULL
     ) STRICT;
     CREATE INDEX events_by_run ON events (run_id);",
    ),
    // What a worker must know to go on with the runs of one that died. Runs from before it have
    // nothing to go on with.
    M::up(
        "ALTER TABLE runs ADD COLUMN delivery TEXT;
         ALTER TABLE runs ADD COLUMN receipt_handle TEXT;
         ALTER TABLE runs ADD COLUMN lease_end TEXT;
         ALTER TABLE runs ADD COLUMN prepared TEXT;
         ALTER TABLE runs ADD COLUMN checked TEXT;
         ALTER TABLE runs ADD COLUMN disposition TEXT;
         ALTER TABLE runs ADD COLUMN draft INTEGER;
         ALTER TABLE runs ADD COLUMN released_at TEXT;
         UPDATE runs SET outcome = 'abandoned' WHERE outcome IS NULL;
         UPDATE runs SET ended_at = started_at WHERE ended_at IS NULL;
         UPDATE runs SET released_at = ended_at;
         CREATE INDEX unreleased_runs ON runs (id) WHERE released_at IS NULL;
         CREATE TABLE passes (
             run_id INTEGER NOT NULL REFERENCES runs (id),
             number INTEGER NOT NULL,
             commit_id TEXT NOT NULL,
             progress TEXT NOT NULL,
             at TEXT NOT NULL,
             PRIMARY KEY (run_id, number)
         ) STRICT;
         CREATE TABLE acts (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             run_id INTEGER NOT NULL REFERENCES runs (id),
             act TEXT NOT NULL,
             detail TEXT NOT NULL,
             intended_at TEXT NOT NULL,
             observed_at TEXT,
             observation TEXT
         ) STRICT;
         CREATE INDEX acts_by_run ON acts (run_id);",
    ),
    // What the checks printed can be megabytes, which a list of runs must not read: it gets a table
    // of its own. The failure is kept as data beside its words, and acts are called effects.
    M::up(
        "CREATE TABLE checkpoints (
             run_id INTEGER NOT NULL REFERENCES runs (id),
             name TEXT NOT NULL,
             value TEXT NOT NULL,
             PRIMARY KEY (run_id, name)
         ) STRICT;
         INSERT INTO checkpoints (run_id, name, value)
             SELECT id, 'prepared', prepared FROM runs WHERE prepared IS NOT NULL;
         INSERT INTO checkpoints (run_id, name, value)
             SELECT id, 'checked', checked FROM runs WHERE checked IS NOT NULL;
         ALTER TABLE runs DROP COLUMN prepared;
         ALTER TABLE runs DROP COLUMN checked;
         ALTER TABLE runs ADD COLUMN reason TEXT;
         ALTER TABLE acts RENAME TO effects;
         ALTER TABLE effects RENAME COLUMN act TO effect;
         ALTER TABLE effects RENAME COLUMN intended_at TO begun_at;
         ALTER TABLE effects RENAME COLUMN observed_at TO finished_at;
         ALTER TABLE effects RENAME COLUMN observation TO result;
         DROP INDEX acts_by_run;
         CREATE INDEX effects_by_run ON effects (run_id);
         CREATE TABLE program (
             id INTEGER PRIMARY KEY CHECK (id = 1),
             version TEXT NOT NULL
         ) STRICT;",
    ),
];

const MIGRATIONS: Migrations<'_> = Migrations::from_slice(STEPS);

/// The schema that this version of the program writes.
pub(super) const LATEST: usize = STEPS.len();

/// The version of this program.
pub(super) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Returns the schema of the journal at `path`: 0 for a file with nothing in it yet, and no later
/// than [`LATEST`].
///
/// # Errors
/// A newer version of the program wrote the journal.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<usize, JournalError> {
    let schema: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|source| JournalError::Open { path: path.to_path_buf(), source })?;
    if schema <= LATEST {
        return Ok(schema);
    }
    // Nothing is certain of a later schema: one without this table is still told of by its number.
    let version = connection.query_one("SELECT version FROM program", [], |row| {
        let version: String = row.get(0)?;
        Ok(Phrase::new(format!("version {version}"), format!("バージョン{version}")))
    });
    Err(JournalError::Newer {
        path: path.to_path_buf(),
        schema,
        wrote: version.unwrap_or_else(|_| Phrase::new("a later version", "より新しいバージョン")),
    })
}

/// Brings the journal at `path` up to date, and leaves this program's version in it.
///
/// # Errors
/// A newer version of the program wrote the journal, or the database can't be written.
pub(super) fn bring_up_to_date(
    connection: &mut Connection,
    path: &Path,
) -> Result<(), JournalError> {
    check(connection, path)?;
    MIGRATIONS
        .to_latest(connection)
        .map_err(|source| JournalError::Migrate { path: path.to_path_buf(), source })?;
    connection.execute(
        "INSERT INTO program (id, version) VALUES (1, :version)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version
         WHERE version <> excluded.version",
        named_params! { ":version": PROGRAM },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
