//! The journal's tables, as numbered migrations: one that was released is never edited, a change is
//! a new one.

use rusqlite_migration::{M, Migrations};

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
];

pub(super) const MIGRATIONS: Migrations<'_> = Migrations::from_slice(STEPS);

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::super::{FILE_NAME, Journal, Outcome, RunId};
    use super::*;

    #[tokio::test]
    async fn a_journal_of_the_first_version_is_brought_up_to_date_and_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut old = Connection::open(directory.path().join(FILE_NAME)).unwrap();
        MIGRATIONS.to_version(&mut old, 1).unwrap();
        old.execute_batch(
            "INSERT INTO runs (task_key, repository, issue_number, title, message_id, attempt, stage, started_at, ended_at, outcome, checks)
             VALUES ('o/r#7@t', 'o/r', 7, 'done', 'm-1', 1, 'settle', '2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z', 'done', '[]'),
                    ('o/r#8@t', 'o/r', 8, 'died', 'm-2', 2, 'check', '2026-01-02T00:00:00Z', NULL, NULL, '[]');
             INSERT INTO events (run_id, at, stage, text) VALUES (1, '2026-01-01T00:00:00Z', 'admit', 'begun');",
        )
        .unwrap();
        drop(old);

        let journal = Journal::open(directory.path()).await.unwrap();
        let done = journal.run(RunId::new(1)).await.unwrap().unwrap();
        let died = journal.run(RunId::new(2)).await.unwrap().unwrap();
        assert_eq!((done.outcome, done.title.as_str()), (Some(Outcome::Done), "done"));
        assert_eq!(
            (died.outcome, died.ended_at),
            (Some(Outcome::Abandoned), Some(died.started_at))
        );
        assert_eq!(journal.events_after(0).await.unwrap().len(), 1);
        assert!(
            journal.unreleased().await.unwrap().is_empty(),
            "nothing is known of how to go on with it"
        );
    }

    #[test]
    fn every_step_is_sound() {
        MIGRATIONS.validate().unwrap();
    }
}
