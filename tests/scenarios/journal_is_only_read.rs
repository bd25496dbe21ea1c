//! `status`, `logs` and `dlq` look at a journal without changing it, whichever version wrote it.

use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::exit_codes::{ERROR, OK};
use crate::world::World;

/// A world whose data directory is the one that version 0.1.0 left after ten runs.
async fn left_by_0_1_0() -> (World, PathBuf) {
    let mut world = World::new().await;
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data_directories/0.1.0-idle.tar.gz");
    let unpacked = world.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let done = Command::new("tar").args(["-xzf", archive, "-C"]).arg(&unpacked).status().unwrap();
    assert!(done.success());
    let data_dir = unpacked.join("up/worker");
    world.set("data_dir", json!(data_dir));
    (world, data_dir)
}

fn schema(data_dir: &Path) -> i64 {
    let journal = Connection::open(data_dir.join("journal.sqlite3")).unwrap();
    journal.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_left_is_shown_and_not_brought_up_to_date() {
    let (world, data_dir) = left_by_0_1_0().await;
    let before = schema(&data_dir);
    let status = world.run(&["status", "--json"]).await;
    assert_eq!(status.code, Some(OK), "{status:?}");
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["runs"].as_array().unwrap().len(), 10, "{status}");
    assert_eq!(status["current"], json!([]));
    let logs = world.run(&["logs", "1"]).await;
    assert_eq!(logs.code, Some(OK), "{logs:?}");
    assert_eq!(world.run(&["dlq", "list"]).await.code, Some(OK));
    assert_eq!(schema(&data_dir), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_worker_ran_nothing_is_made() {
    let world = World::new().await;
    let status = world.run(&["status"]).await;
    assert_eq!(status.code, Some(OK), "{status:?}");
    assert!(status.stdout.contains("runs      none yet"), "{status:?}");
    let logs = world.run(&["logs", "1"]).await;
    assert_eq!(logs.code, Some(ERROR), "{logs:?}");
    assert!(logs.stderr.contains("there is no run 1"), "{logs:?}");
    assert_eq!(world.run(&["dlq", "list"]).await.code, Some(OK));
    assert!(!world.data_dir().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_version_wrote_is_refused_with_what_to_do() {
    let (world, data_dir) = left_by_0_1_0().await;
    let journal = Connection::open(data_dir.join("journal.sqlite3")).unwrap();
    let newer = "PRAGMA user_version = 99; CREATE TABLE program (version TEXT);
        INSERT INTO program VALUES ('7.1.0');";
    journal.execute_batch(newer).unwrap();
    drop(journal);
    for arguments in [&["status"][..], &["logs", "1"], &["worker", "--once"]] {
        let refused = world.run(arguments).await;
        assert_eq!(refused.code, Some(ERROR), "{refused:?}");
        assert!(refused.stderr.contains("install version 7.1.0"), "{refused:?}");
    }
    assert_eq!(schema(&data_dir), 99);
}
