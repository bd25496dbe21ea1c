use std::path::PathBuf;

use rusqlite::types::Value;
use serde_json::json;

use super::*;
use crate::errors;
use crate::journal::{FILE_NAME, Journal, JournalReader, Kept, Outcome, RunId, RunRecord};

/// A data directory with a journal of the first schema: one run is done, and one was cut off.
fn first_schema() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut old = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    MIGRATIONS.to_version(&mut old, 1).unwrap();
    old.execute_batch(
        "INSERT INTO runs (task_key, repository, issue_number, title, message_id, attempt, stage,
             started_at, ended_at, outcome, checks)
         VALUES
             ('o/r#7@t', 'o/r', 7, 'done', 'm-1', 1, 'settle',
                 '2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z', 'done', '[]'),
             ('o/r#8@t', 'o/r', 8, 'died', 'm-2', 2, 'check',
                 '2026-01-02T00:00:00Z', NULL, NULL, '[]');
         INSERT INTO events (run_id, at, stage, text)
         VALUES (1, '2026-01-01T00:00:00Z', 'admit', 'begun');",
    )
    .unwrap();
    directory
}

/// A data directory that version 0.1.0 left, which wrote the second schema.
struct Released {
    _unpacked: tempfile::TempDir,
    data_dir: PathBuf,
}

impl Released {
    fn unpack(archive: &str) -> Self {
        let unpacked = tempfile::tempdir().unwrap();
        let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data_directories");
        #[expect(clippy::disallowed_methods, reason = "a test unpacks its own fixture")]
        let done = std::process::Command::new("tar")
            .args(["-x", "-z", "-f"])
            .arg(archives.join(archive))
            .arg("-C")
            .arg(unpacked.path())
            .status()
            .unwrap();
        assert!(done.success());
        let data_dir = unpacked.path().join("up/worker");
        Self { _unpacked: unpacked, data_dir }
    }

    fn connect(&self) -> Connection {
        Connection::open(self.data_dir.join(FILE_NAME)).unwrap()
    }
}

type Rows = Vec<Vec<Value>>;

fn rows(connection: &Connection, query: &str) -> Rows {
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|index| row.get(index)).collect());
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The runs as JSON, newest first.
async fn read(data_dir: &Path) -> serde_json::Value {
    let reader = JournalReader::open(data_dir).await.unwrap().unwrap();
    json!([reader.newest(100).await.unwrap(), reader.current().await.unwrap()])
}

#[tokio::test]
async fn a_journal_of_the_first_schema_is_brought_up_to_date_and_loses_nothing() {
    let directory = first_schema();
    let journal = Journal::open(directory.path()).await.unwrap();
    let done = journal.run(RunId::new(1)).await.unwrap().unwrap();
    let died = journal.run(RunId::new(2)).await.unwrap().unwrap();
    assert_eq!((done.outcome, done.title.as_str()), (Some(Outcome::Done), "done"));
    assert_eq!((died.outcome, died.ended_at), (Some(Outcome::Abandoned), Some(died.started_at)));
    let reader = JournalReader::open(directory.path()).await.unwrap().unwrap();
    let ids = [RunId::new(1), RunId::new(2)];
    let mut events = 0;
    for id in ids {
        events += reader.events(id).await.unwrap().len();
    }
    assert_eq!(events, 1);
    assert!(
        journal.unreleased().await.unwrap().is_empty(),
        "nothing is known of how to go on with it"
    );
}

#[tokio::test]
async fn a_journal_that_version_0_1_0_left_is_brought_up_to_date_and_loses_nothing() {
    const RUNS: &str = "SELECT id, task_key, repository, issue_number, title, message_id, attempt,
        stage, started_at, ended_at, outcome, detail, branch, commit_id, checks,
        pull_request_number, pull_request_url, delivery, receipt_handle, lease_end, disposition,
        draft, released_at FROM runs ORDER BY id";
    const PASSES: &str = "SELECT * FROM passes ORDER BY run_id, number";
    const EVENTS: &str = "SELECT * FROM events ORDER BY id";
    for archive in ["0.1.0-idle.tar.gz", "0.1.0-midrun.tar.gz"] {
        let released = Released::unpack(archive);
        let old = released.connect();
        let tables = [RUNS, PASSES, EVENTS];
        let before = tables.map(|query| rows(&old, query));
        let blobs = rows(
            &old,
            "SELECT id, 'prepared', prepared FROM runs WHERE prepared IS NOT NULL
             UNION ALL SELECT id, 'checked', checked FROM runs WHERE checked IS NOT NULL
             ORDER BY 1, 2",
        );
        let acts = rows(&old, "SELECT * FROM acts ORDER BY id");
        assert!(!blobs.is_empty() && !acts.is_empty(), "the fixture shows nothing");
        drop(old);

        drop(Journal::open(&released.data_dir).await.unwrap());

        let new = released.connect();
        assert_eq!(tables.map(|query| rows(&new, query)), before, "{archive}");
        let checkpoints = "SELECT run_id, name, value FROM checkpoints ORDER BY 1, 2";
        assert_eq!(rows(&new, checkpoints), blobs, "{archive}");
        let effects = "SELECT id, run_id, effect, detail, begun_at, finished_at, result
            FROM effects ORDER BY id";
        assert_eq!(rows(&new, effects), acts, "{archive}");
    }
}

#[tokio::test]
async fn a_run_that_version_0_1_0_was_killed_in_can_be_gone_on_with() {
    let released = Released::unpack("0.1.0-midrun.tar.gz");
    let journal = Journal::open(&released.data_dir).await.unwrap();
    let [left] = &journal.unreleased().await.unwrap()[..] else { panic!("one run was cut off") };
    assert!(left.decided.is_none());
    let prepared = journal.prepared::<serde_json::Value>(left.run).await.unwrap();
    assert!(matches!(prepared, Kept::Value(_)), "{prepared:?}");
    let progress = journal.last_pass::<serde_json::Value>(left.run).await.unwrap();
    assert!(matches!(progress, Kept::Value(_)), "{progress:?}");
    assert_eq!(journal.checked::<serde_json::Value>(left.run).await.unwrap(), Kept::None);
}

#[tokio::test]
async fn an_older_journal_is_read_as_it_is_and_reads_the_same_when_it_is_up_to_date() {
    let (first, idle) = (first_schema(), Released::unpack("0.1.0-idle.tar.gz"));
    let midrun = Released::unpack("0.1.0-midrun.tar.gz");
    for (data_dir, schema) in [(first.path(), 1), (&*idle.data_dir, 2), (&*midrun.data_dir, 2)] {
        let version = || {
            let connection = Connection::open(data_dir.join(FILE_NAME)).unwrap();
            connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap()
        };
        let before = read(data_dir).await;
        assert_eq!(version(), schema, "reading changed {}", data_dir.display());
        drop(Journal::open(data_dir).await.unwrap());
        assert_ne!(version(), schema);
        let mut after = read(data_dir).await;
        if schema == 1 {
            // The migration says of a run that was cut off how it ended.
            for key in ["outcome", "ended_at"] {
                after[0][0][key] = before[0][0][key].clone();
            }
        }
        assert_eq!(after, before, "{}", data_dir.display());
    }
}

#[tokio::test]
async fn reading_where_no_worker_ever_ran_finds_nothing_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    assert!(JournalReader::open(&data_dir).await.unwrap().is_none());
    assert!(!data_dir.exists());
    Connection::open(directory.path().join(FILE_NAME)).unwrap();
    let began = JournalReader::open(directory.path()).await.unwrap();
    assert!(began.is_none(), "a worker has begun to make it");
}

#[tokio::test]
async fn a_journal_of_a_newer_version_is_refused_with_what_to_do_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    drop(Journal::open(directory.path()).await.unwrap());
    let path = directory.path().join(FILE_NAME);
    let newer = Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 99; UPDATE program SET version = '7.1.0'").unwrap();
    let refused = async |said: &str| {
        for error in [
            Journal::open(directory.path()).await.map(drop).unwrap_err(),
            JournalReader::open(directory.path()).await.map(drop).unwrap_err(),
        ] {
            let error = errors::chain(&error);
            assert!(error.contains(&path.display().to_string()), "{error}");
            assert!(error.contains(&format!("install {said}")), "{error}");
            assert!(error.contains(&format!("this version {PROGRAM}")), "{error}");
        }
    };
    refused("version 7.1.0").await;
    assert_eq!(rows(&newer, "SELECT version FROM program"), [[Value::Text("7.1.0".to_owned())]]);
    newer.execute_batch("DROP TABLE program").unwrap();
    refused("a later version").await;
}

#[tokio::test]
async fn the_journal_says_which_version_wrote_it_last() {
    let directory = tempfile::tempdir().unwrap();
    drop(Journal::open(directory.path()).await.unwrap());
    let connection = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    connection.execute_batch("UPDATE program SET version = '0.0.1'").unwrap();
    drop(Journal::open(directory.path()).await.unwrap());
    assert_eq!(
        rows(&connection, "SELECT version FROM program"),
        [[Value::Text(PROGRAM.to_owned())]]
    );
}

/// A list of runs is asked for by every `status`.
#[tokio::test]
async fn a_list_of_runs_names_its_columns() {
    let directory = first_schema();
    let journal = Journal::open(directory.path()).await.unwrap();
    let large = "x".repeat(1 << 20);
    journal.keep_checked(RunId::new(2), &large).await.unwrap();
    let runs: Vec<RunRecord> =
        JournalReader::open(directory.path()).await.unwrap().unwrap().newest(1).await.unwrap();
    assert!(serde_json::to_string(&runs).unwrap().len() < 1_000);
    let connection = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    let widest = "SELECT MAX(LENGTH(checks) + LENGTH(COALESCE(reason, ''))) FROM runs";
    assert_eq!(rows(&connection, widest), [[Value::Integer(2)]]);
}

#[test]
fn every_step_is_sound() {
    MIGRATIONS.validate().unwrap();
}
