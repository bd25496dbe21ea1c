//! The journal's tables, as numbered migrations: one that was released is never edited, a change is a new one.

use rusqlite_migration::{M, Migrations};

const STEPS: &[M<'_>] = &[M::up(
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
)];

pub(super) const MIGRATIONS: Migrations<'_> = Migrations::from_slice(STEPS);
