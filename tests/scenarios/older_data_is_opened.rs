//! A data directory that version 0.1.0 left is opened by this version, which goes on with it.
//!
//! `tests/data_directories/make.py` made the archives with that version. Their times are moved to
//! today, since the queue forgets a message after seven days.

use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;

use crate::world::up::Up;
use crate::world::{World, wait_until};

const RUNS: &str = "SELECT id, lease_end FROM runs WHERE released_at IS NULL";

struct Older {
    world: World,
    data: PathBuf,
}

impl Older {
    async fn unpack(archive: &str) -> Self {
        let mut world = World::without_repository().await;
        let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data_directories");
        let unpacked = Command::new("tar")
            .arg("xzf")
            .arg(archives.join(archive))
            .arg("-C")
            .arg(world.path())
            .status()
            .unwrap();
        assert!(unpacked.success());
        let calls = world.shared_dir().join("calls");
        world.agent(&format!(
            "echo called >> '{}'\n\
             test -e hello.txt && echo test > hello_test.txt \
             || echo 'from this version' > hello.txt",
            calls.display()
        ));
        world.set("queue", json!({ "retry_delays_seconds": [0] }));
        let data = world.path().join("up");
        Self { world, data }
    }

    fn journal(&self) -> Connection {
        Connection::open(self.data.join("worker/journal.sqlite3")).unwrap()
    }

    /// Moves the queue's times so that the message in flight was received a moment ago.
    fn move_queue_to_now(&self) {
        let queue = Connection::open(self.data.join("queue/queue.sqlite3")).unwrap();
        let received: i64 =
            queue.query_row("SELECT MAX(received_at) FROM messages", [], |row| row.get(0)).unwrap();
        let moved = Timestamp::now().as_millisecond() - received;
        let moved = queue.execute(
            "UPDATE messages SET sent_at = sent_at + ?1, visible_at = visible_at + ?1, \
             first_received_at = first_received_at + ?1, received_at = received_at + ?1",
            [moved],
        );
        assert_eq!(moved.unwrap(), 1);
    }

    fn end_visibility(&self) {
        let queue = Connection::open(self.data.join("queue/queue.sqlite3")).unwrap();
        let now = Timestamp::now().as_millisecond();
        queue.execute("UPDATE messages SET visible_at = ?1", [now]).unwrap();
    }

    /// The lease of the run that was cut off lasts for another hour.
    fn move_lease_to_now(&self) {
        let end = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let moved = self
            .journal()
            .execute("UPDATE runs SET lease_end = ?1 WHERE released_at IS NULL", [end.to_string()]);
        assert_eq!(moved.unwrap(), 1);
    }

    fn calls(&self) -> usize {
        let calls = std::fs::read_to_string(self.world.shared_dir().join("calls"));
        calls.unwrap_or_default().lines().count()
    }
}

/// What a branch's file holds.
async fn file(up: &Up, branch: &str, path: &str) -> String {
    let clone = tempfile::tempdir().unwrap();
    let cloned = Command::new("git")
        .args(["clone", "--quiet", "--branch", branch, &up.remote()])
        .arg(clone.path())
        .status()
        .unwrap();
    assert!(cloned.success());
    std::fs::read_to_string(clone.path().join(path)).unwrap()
}

/// The agent is called for the tests alone: what it made for 0.1.0 is in the run's checkpoint.
async fn check_gone_on(older: &Older, up: Up) {
    wait_for_run(&up, "wait in the tests").await;
    assert_eq!(file(&up, "codingworker/issue-3", "hello.txt").await, "hello\n");
    assert_eq!(file(&up, "codingworker/issue-3", "hello_test.txt").await, "test\n");
    assert_eq!(older.calls(), 1);
    up.wait_until_idle().await;
    up.stop().await;
}

/// Waits until a task's newest run is done.
async fn wait_for_run(up: &Up, title: &str) {
    wait_until("the run is done", async || {
        let status = up.status().await;
        let runs = status["runs"].as_array().unwrap();
        runs.iter().any(|run| run["title"] == title && run["outcome"] == "done")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_0_1_0_left_goes_on_under_its_lease() {
    let older = Older::unpack("0.1.0-midrun.tar.gz").await;
    older.move_queue_to_now();
    older.move_lease_to_now();
    let up = Up::start(&older.world, &older.data).await;
    check_gone_on(&older, up).await;
    let run: i64 =
        older.journal().query_row("SELECT MAX(id) FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!(run, 2, "it is the same run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_0_1_0_left_goes_on_after_its_lease() {
    let older = Older::unpack("0.1.0-midrun.tar.gz").await;
    older.move_queue_to_now();
    older.end_visibility();
    let up = Up::start(&older.world, &older.data).await;
    check_gone_on(&older, up).await;
    assert!(older.journal().prepare(RUNS).unwrap().query([]).unwrap().next().unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_runs_of_0_1_0_are_told_and_an_eleventh_is_done() {
    let older = Older::unpack("0.1.0-idle.tar.gz").await;
    let up = Up::start(&older.world, &older.data).await;
    let before = up.status().await;
    let outcomes: Vec<&str> = before["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["outcome"].as_str().unwrap())
        .collect();
    let failed = ["failed", "retrying", "retrying"];
    assert_eq!(
        outcomes,
        [&["done", "cancelled"][..], &failed, &failed, &["done", "done"]].concat()
    );

    up.run(&["submit", "--repository", "me/project", "--title", "Greet from this version"]).await;
    wait_for_run(&up, "Greet from this version").await;
    let newest = up.status().await["runs"][0]["issue_number"].as_u64().unwrap();
    let branch = format!("codingworker/issue-{newest}");
    assert_eq!(file(&up, &branch, "hello.txt").await, "from this version\n");
    up.wait_until_idle().await;
    up.stop().await;
}
