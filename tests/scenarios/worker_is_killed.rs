//! The worker is killed from outside, at every request it makes: before it is done, and after it is
//! done and before the worker knows. The next worker brings the task to the same end that it would
//! have had.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use serde_json::json;
use tokio::process::Child;

use crate::world::crossing::{Crossing, Side};
use crate::world::{FILES, TOKEN, World};

/// How often at most a worker is started again until the queue is empty.
const LIVES: usize = 5;

/// A task and the one end it may have.
#[derive(Debug, Clone, Copy)]
enum Story {
    /// One pull request.
    Done,
    /// The repository's own settings can't be used: told on the issue, and to the dead-letter
    /// queue.
    Failed,
    /// The issue is closed: told, and the message deleted.
    Cancelled,
}

struct Stage {
    world: World,
    crossing: Crossing,
    issue: u64,
}

impl Story {
    async fn stage(self) -> Stage {
        let mut world = World::without_repository().await;
        let unusable = [("README.md", ""), (".codingworker.toml", "[checks\n")];
        world.forge.repository(
            "owner/repo",
            "main",
            if matches!(self, Self::Failed) { &unusable } else { FILES },
        );
        let issue = world.task("Add a greeting", "").await;
        if matches!(self, Self::Cancelled) {
            let path = format!("/repos/owner/repo/issues/{issue}");
            world.forge.ask(reqwest::Method::PATCH, &path, json!({ "state": "closed" })).await;
        }
        let crossing = Crossing::before(&world.queue.url, &world.forge.url).await;
        world.set("queue", json!({ "endpoint_url": crossing.queue_url }));
        world
            .set("github", json!({ "api_url": crossing.forge_url, "git_url": crossing.forge_url }));
        Stage { world, crossing, issue }
    }

    /// How often the message is received when nothing goes wrong: a failure has it received until
    /// it is moved away.
    fn deliveries(self) -> usize {
        match self {
            Self::Done | Self::Cancelled => 1,
            Self::Failed => 3,
        }
    }

    async fn judge(self, stage: Stage, at: &str) {
        let Stage { world, issue, .. } = stage;
        let comments = world.comments(issue).await;
        assert_eq!(comments.len(), 1, "{at}: {comments:?}");
        let (pulls, labels) = (world.pull_requests().await, world.labels(issue).await);
        let branches: Vec<_> =
            world.branches().into_iter().filter(|branch| branch != "main").collect();
        match self {
            Self::Done => {
                assert_eq!(pulls.len(), 1, "{at}");
                assert_eq!(pulls[0]["draft"], false, "{at}");
                assert_eq!(labels, ["ai-task-done", "keep me"], "{at}");
                assert_eq!(branches, ["codingworker/issue-1"], "{at}");
                assert_eq!(
                    world.file(&branches[0], "hello.txt").as_deref(),
                    Some("hello\n"),
                    "{at}"
                );
                assert_eq!(
                    world.file(&branches[0], "hello_test.txt").as_deref(),
                    Some("test\n"),
                    "{at}"
                );
                assert_eq!(
                    tip(&world),
                    last_pass(&world),
                    "{at}: what was committed is what was pushed"
                );
            }
            Self::Failed => {
                assert!(comments[0].contains("can't be used"), "{at}: {comments:?}");
                assert_eq!(labels, ["ai-task-failed", "keep me"], "{at}");
                assert_eq!(world.queue.counts().await, (0, 0, 1), "{at}");
            }
            Self::Cancelled => assert!(comments[0].contains("was closed"), "{at}: {comments:?}"),
        }
        if !matches!(self, Self::Done) {
            assert_eq!((pulls.len(), branches.len()), (0, 0), "{at}");
        }
        let left = std::fs::read_dir(world.data_dir().join("processes")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["worker"], "{at}: a program is still noted as running");
        world.finish();
    }
}

impl Stage {
    fn worker(&self) -> Child {
        let mut worker = self.world.command(&["worker", "--once"]);
        worker
            .env("GITHUB_TOKEN", TOKEN)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Starts workers, one after the other, until the queue has nothing more for them.
    async fn bring_to_an_end(&self, at: &str) {
        for _ in 0..LIVES {
            let ran = self.world.work().await;
            if self.crossing.receipts().len() >= 3 {
                self.world.queue.poke().await;
            }
            let (visible, in_flight, _) = self.world.queue.counts().await;
            if (visible, in_flight) == (0, 0) {
                return;
            }
            assert!(ran.code.is_some(), "{at}: {ran:?}");
        }
        panic!("{at}: the message does not come to an end: {:?}", self.world.queue.counts().await);
    }
}

/// Plays a story with the worker killed at one request.
async fn killed_at(story: Story, number: usize, side: Side) {
    let stage = story.stage().await;
    stage.crossing.stop_at(number, side);
    let mut worker = stage.worker();
    tokio::select! {
        () = stage.crossing.wait_until_stopped() => {}
        status = worker.wait() => panic!("the worker ended before request {number}: {status:?}"),
    }
    worker.kill().await.unwrap();
    let request = stage.crossing.requests().last().unwrap().clone();
    let at = format!("{story:?}, killed {side:?} {number}: {request}");
    let pushed = tip(&stage.world);
    stage.crossing.open();
    let mut deliveries = story.deliveries();
    if request == "sqs:ReceiveMessage" && side == Side::After {
        // What SQS handed out and nobody read is hidden for its visibility timeout.
        stage.world.queue.change_visibility(stage.crossing.receipts().last().unwrap(), 0).await;
        deliveries = (deliveries + 1).min(3);
    }
    stage.bring_to_an_end(&at).await;
    assert_eq!(stage.crossing.receipts().len(), deliveries, "{at}: a restart costs no delivery");
    if pushed.is_some() {
        assert_eq!(tip(&stage.world), pushed, "{at}: the same commit");
    }
    story.judge(stage, &at).await;
}

fn tip(world: &World) -> Option<String> {
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let tips = crate::world::run_git(
        &bare,
        &["for-each-ref", "--format=%(objectname)", "refs/heads/codingworker/"],
    );
    tips.lines().next().map(str::to_owned)
}

fn last_pass(world: &World) -> Option<String> {
    let journal = Connection::open(world.data_dir().join("journal.sqlite3")).unwrap();
    let query = "SELECT commit_id FROM passes ORDER BY run_id DESC, number DESC LIMIT 1";
    journal.query_row(query, [], |row| row.get(0)).ok()
}

/// Plays a story with the worker killed at each request of it, on both sides; this is one part of
/// several that run beside each other.
async fn killed_everywhere(story: Story, part: usize, parts: usize) {
    let undisturbed = story.stage().await;
    undisturbed.bring_to_an_end("undisturbed").await;
    let requests = undisturbed.crossing.requests();
    assert_eq!(undisturbed.crossing.receipts().len(), story.deliveries());
    story.judge(undisturbed, "undisturbed").await;
    // The first worker's requests only: what a story has more belongs to workers that find
    // everything settled.
    let of_one_life = 1 + requests
        .iter()
        .skip(1)
        .position(|name| name == "sqs:GetQueueUrl")
        .unwrap_or(requests.len() - 1);
    let played = AtomicUsize::new(0);
    for number in (1..=of_one_life).filter(|number| number % parts == part) {
        for side in [Side::Before, Side::After] {
            killed_at(story, number, side).await;
            played.fetch_add(1, Ordering::Relaxed);
        }
    }
    println!(
        "{story:?}: killed at {} points of {}",
        played.load(Ordering::Relaxed),
        of_one_life * 2
    );
}

macro_rules! parts {
    ($($name:ident: $story:expr, $part:literal of $parts:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            killed_everywhere($story, $part, $parts).await;
        }
    )*};
}

parts! {
    a_worker_killed_anywhere_still_makes_one_pull_request_0: Story::Done, 0 of 4;
    a_worker_killed_anywhere_still_makes_one_pull_request_1: Story::Done, 1 of 4;
    a_worker_killed_anywhere_still_makes_one_pull_request_2: Story::Done, 2 of 4;
    a_worker_killed_anywhere_still_makes_one_pull_request_3: Story::Done, 3 of 4;
    a_worker_killed_anywhere_still_reports_a_failure_once: Story::Failed, 0 of 1;
    a_worker_killed_anywhere_still_cancels: Story::Cancelled, 0 of 1;
}
