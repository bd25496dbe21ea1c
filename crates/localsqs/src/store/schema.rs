//! The tables, as numbered migrations. A migration that was released is never edited: data that an
//! older version left has already gone through it.

use rusqlite_migration::{M, Migrations};

const STEPS: &[M<'_>] = &[M::up(
    "CREATE TABLE queues (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         name TEXT NOT NULL UNIQUE,
         created_at INTEGER NOT NULL,
         modified_at INTEGER NOT NULL,
         settings TEXT NOT NULL,
         tags TEXT NOT NULL
     ) STRICT;
     CREATE TABLE messages (
         id INTEGER PRIMARY KEY,
         queue_id INTEGER NOT NULL,
         message_id TEXT NOT NULL,
         body TEXT NOT NULL,
         attributes TEXT NOT NULL,
         system_attributes TEXT NOT NULL,
         sent_at INTEGER NOT NULL,
         visible_at INTEGER NOT NULL,
         receive_count INTEGER NOT NULL,
         first_received_at INTEGER,
         received_at INTEGER,
         receipt INTEGER NOT NULL,
         source_arn TEXT
     ) STRICT;
     CREATE TABLE move_tasks (
         handle TEXT PRIMARY KEY,
         source_arn TEXT NOT NULL,
         destination_arn TEXT,
         status TEXT NOT NULL,
         per_second INTEGER,
         moved INTEGER NOT NULL,
         to_move INTEGER NOT NULL,
         started_at INTEGER NOT NULL,
         failure TEXT
     ) STRICT;",
)];

/// The number of the tables' schema that this version writes.
pub(super) const LATEST: usize = STEPS.len();

/// All migrations, from an empty file to the tables of this version.
pub(super) const MIGRATIONS: Migrations<'_> = Migrations::from_slice(STEPS);
