//! The worker is killed from outside, at every request it makes: before the request takes effect,
//! and after it and before the worker gets the answer. The next worker brings the task to the same
//! end that it would have had.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use serde_json::json;
use tokio::process::Child;

use crate::world::wire_recorder::{Side, WireRecorder};
use crate::world::{FILES, TOKEN, World, run_git};

/// How often at most a worker is started again until the queue is empty.
const STARTS: usize = 5;

/// A task, by the one end that it may have.
#[derive(Debug, Clone, Copy)]
enum Case {
    /// One pull request.
    Done,
    /// The repository's own settings can't be used: the issue is told, and the message ends in the
    /// dead-letter queue.
    Failed,
    /// The issue is closed: the issue is told, and the message deleted.
    Cancelled,
}

/// A world with one task, in which everything that the worker sends is recorded.
struct Fixture {
    world: World,
    recorder: WireRecorder,
    issue: u64,
}

impl Case {
    async fn fixture(self) -> Fixture {
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
        let recorder = WireRecorder::before(&world.queue.url, &world.forge.url).await;
        world.set("queue", json!({ "endpoint_url": recorder.queue_url }));
        world
            .set("github", json!({ "api_url": recorder.forge_url, "git_url": recorder.forge_url }));
        Fixture { world, recorder, issue }
    }

    /// How often the message is received when nothing goes wrong. The message of a failed task is
    /// received until SQS moves it to the dead-letter queue.
    fn deliveries(self) -> usize {
        match self {
            Self::Done | Self::Cancelled => 1,
            Self::Failed => 3,
        }
    }

    async fn check_end(self, fixture: Fixture, at: &str) {
        let Fixture { world, issue, .. } = fixture;
        println!("{at}");
        let comment = world.status_comment(issue).await;
        let (pulls, labels) = (world.pull_requests().await, world.labels(issue).await);
        let branches: Vec<_> =
            world.branches().into_iter().filter(|branch| branch != "main").collect();
        match self {
            Self::Done => {
                assert_eq!(pulls.len(), 1, "{at}");
                assert_eq!(pulls[0]["draft"], false, "{at}");
                assert_eq!(labels, ["ai-task-done", "keep me"], "{at}");
                assert_eq!(branches, ["codingworker/issue-1"], "{at}");
                for (file, text) in [("hello.txt", "hello\n"), ("hello_test.txt", "test\n")] {
                    assert_eq!(world.file(&branches[0], file).as_deref(), Some(text), "{at}");
                }
                let (pushed, committed) = (tip(&world), last_pass(&world));
                assert_eq!(pushed, committed, "{at}: the worker pushes what it committed");
                assert!(comment.contains("Done: #"), "{at}: {comment}");
            }
            Self::Failed => {
                assert!(comment.contains("can't be used"), "{at}: {comment}");
                assert_eq!(labels, ["ai-task-failed", "keep me"], "{at}");
                assert_eq!(world.queue.counts().await, (0, 0, 1), "{at}");
                world.leaves_in_dead_letters(1, "the task failed in all of its deliveries");
            }
            Self::Cancelled => assert!(comment.contains("was closed"), "{at}: {comment}"),
        }
        if !matches!(self, Self::Done) {
            assert_eq!((pulls.len(), branches.len()), (0, 0), "{at}");
        }
    }
}

impl Fixture {
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
        for _ in 0..STARTS {
            let ran = self.world.work().await;
            if self.recorder.receipts().len() >= 3 {
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

/// Runs a case with the worker killed at one request.
async fn check_killed_at(case: Case, number: usize, side: Side) {
    let fixture = case.fixture().await;
    fixture.recorder.hold_back(number, side);
    let mut worker = fixture.worker();
    tokio::select! {
        () = fixture.recorder.wait_until_held() => {}
        status = worker.wait() => panic!("the worker ended before request {number}: {status:?}"),
    }
    worker.kill().await.unwrap();
    let request = fixture.recorder.requests().last().unwrap().clone();
    let at = format!("{case:?}, killed {side:?} {number}: {request}");
    let pushed = tip(&fixture.world);
    fixture.recorder.let_pass();
    let mut deliveries = case.deliveries();
    if request == "sqs:ReceiveMessage" && side == Side::After {
        // SQS hides a message that it handed out for the visibility timeout, and nobody read it.
        let receipt = fixture.recorder.receipts().pop().unwrap();
        fixture.world.queue.change_visibility(&receipt, 0).await;
        deliveries = (deliveries + 1).min(3);
    }
    fixture.bring_to_an_end(&at).await;
    let received = fixture.recorder.receipts().len();
    assert_eq!(received, deliveries, "{at}: a restart costs no delivery");
    if pushed.is_some() {
        assert_eq!(tip(&fixture.world), pushed, "{at}: the commit is the same");
    }
    case.check_end(fixture, &at).await;
}

fn tip(world: &World) -> Option<String> {
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let tips =
        run_git(&bare, &["for-each-ref", "--format=%(objectname)", "refs/heads/codingworker/"]);
    tips.lines().next().map(str::to_owned)
}

fn last_pass(world: &World) -> Option<String> {
    let journal = Connection::open(world.data_dir().join("journal.sqlite3")).unwrap();
    let query = "SELECT commit_id FROM passes ORDER BY run_id DESC, number DESC LIMIT 1";
    journal.query_row(query, [], |row| row.get(0)).ok()
}

/// Runs a case with the worker killed at each of its requests, on both sides. This is one part of
/// several that run beside each other.
async fn check_killed_everywhere(case: Case, part: usize, parts: usize) {
    let undisturbed = case.fixture().await;
    undisturbed.bring_to_an_end("undisturbed").await;
    let requests = undisturbed.recorder.requests();
    assert_eq!(undisturbed.recorder.receipts().len(), case.deliveries());
    case.check_end(undisturbed, "undisturbed").await;
    // Only the requests of the first worker: the later ones find everything settled.
    let of_first_worker = 1 + requests
        .iter()
        .skip(1)
        .position(|name| name == "sqs:GetQueueUrl")
        .unwrap_or(requests.len() - 1);
    let killed = AtomicUsize::new(0);
    for number in (1..=of_first_worker).filter(|number| number % parts == part) {
        for side in [Side::Before, Side::After] {
            check_killed_at(case, number, side).await;
            killed.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (killed, points) = (killed.load(Ordering::Relaxed), of_first_worker * 2);
    println!("{case:?}: killed at {killed} points of {points}");
}

macro_rules! parts {
    ($($name:ident: $case:expr, $part:literal of $parts:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            check_killed_everywhere($case, $part, $parts).await;
        }
    )*};
}

parts! {
    a_worker_killed_anywhere_still_makes_one_pull_request_part_1_of_8: Case::Done, 0 of 8;
    a_worker_killed_anywhere_still_makes_one_pull_request_part_2_of_8: Case::Done, 1 of 8;
    a_worker_killed_anywhere_still_makes_one_pull_request_part_3_of_8: Case::Done, 2 of 8;
    a_worker_killed_anywhere_still_makes_one_pull_request_part_4_of_8: Case::Done, 3 of 8;
    a_worker_killed_anywhere_still_makes_one_pull_request_part_5_of_8: Case::Done, 4 of 8;
    a_worker_killed_anywhere_still_makes_one_pull_request_part_6_of_8: Case::Done, 5 of 8;
    a_worker_killed_anywhere_still_makes_one_pull_request_part_7_of_8: Case::Done, 6 of 8;
    a_worker_killed_anywhere_still_makes_one_pull_request_part_8_of_8: Case::Done, 7 of 8;
    a_worker_killed_anywhere_still_reports_a_failure_once_part_1_of_4: Case::Failed, 0 of 4;
    a_worker_killed_anywhere_still_reports_a_failure_once_part_2_of_4: Case::Failed, 1 of 4;
    a_worker_killed_anywhere_still_reports_a_failure_once_part_3_of_4: Case::Failed, 2 of 4;
    a_worker_killed_anywhere_still_reports_a_failure_once_part_4_of_4: Case::Failed, 3 of 4;
    a_worker_killed_anywhere_still_cancels_part_1_of_2: Case::Cancelled, 0 of 2;
    a_worker_killed_anywhere_still_cancels_part_2_of_2: Case::Cancelled, 1 of 2;
}
