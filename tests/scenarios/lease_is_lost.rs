//! The right to work on a message ends while the work goes on.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::Child;

use crate::exit_codes::ABANDONED;
use crate::world::recorder::Recorder;
use crate::world::{TOKEN, World};

/// Long enough to be renewed on a busy machine, short enough to wait for, in seconds.
const LEASE: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_renewed_at_the_start_before_the_push_and_before_the_pull_request() {
    let mut world = World::new().await;
    let recorder = Recorder::before(&world.queue.url).await;
    world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        recorder.count("sqs:ChangeMessageVisibility"),
        3,
        "the run is shorter than a third of its lease"
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lease_is_lost_publishes_nothing_and_says_nothing() {
    let mut world = World::new().await;
    let recorder = Recorder::before(&world.queue.url).await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));

    let meanwhile = async {
        agent.wait_until_it_stops().await;
        recorder.lose_leases();
        agent.go_on();
        world.comments(issue).await
    };
    let (ran, before) = tokio::join!(world.work(), meanwhile);
    assert_eq!(ran.code, Some(ABANDONED), "{ran:?}");
    assert!(ran.stderr.contains("the lease on the message was lost"), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 0);
    assert!(
        world.branches().iter().all(|branch| !branch.starts_with("codingworker/")),
        "{:?}",
        world.branches()
    );
    let after = world.comments(issue).await;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert!(!after[0].contains("lost"), "{}", after[0]);
    assert_eq!(
        world.queue.counts().await,
        (0, 1, 0),
        "the message is whoever's who receives it next"
    );
}

fn start(world: &World, arguments: &[&str]) -> Child {
    let mut worker = world.command(arguments);
    worker.env("GITHUB_TOKEN", TOKEN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn tell(worker: &Child, signal: Signal) {
    let pid = worker.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Two signals, so that an open poll is not waited for.
async fn end(mut worker: Child) {
    tell(&worker, Signal::TERM);
    tell(&worker, Signal::INT);
    worker.wait().await.unwrap();
}

async fn is_done(world: &World, issue: u64) {
    let done = async {
        while world.labels(issue).await != ["ai-task-done", "keep me"]
            || world.queue.counts().await != (0, 0, 0)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("the task is not done");
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(world.comments(issue).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_suspended_beyond_its_lease_begins_a_new_delivery_where_it_was() {
    let mut world = World::new().await;
    world.queue.set_visibility_timeout(LEASE).await;
    let agent = world.held_agent(2);
    let issue = world.task("Add a greeting", "").await;
    let worker = start(&world, &["worker"]);
    agent.wait_until_it_stops().await;
    tell(&worker, Signal::STOP);
    world.queue.wait_until_visible(1).await;
    agent.go_on();
    tell(&worker, Signal::CONT);
    is_done(&world, issue).await;
    assert_eq!(agent.calls(), 3, "the pass that was committed is not done again");
    end(worker).await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_after_its_lease_takes_the_next_delivery() {
    let mut world = World::new().await;
    world.queue.set_visibility_timeout(LEASE).await;
    let agent = world.held_agent(2);
    let issue = world.task("Add a greeting", "").await;
    let mut worker = start(&world, &["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.kill().await.unwrap();
    world.queue.wait_until_visible(1).await;
    agent.go_on();
    let ran = world.work().await;
    assert!(ran.stderr.contains("its lease is over"), "{ran:?}");
    is_done(&world, issue).await;
    assert_eq!(agent.calls(), 3, "the pass that was committed is not done again");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_after_another_did_its_task_publishes_nothing() {
    let mut world = World::new().await;
    world.queue.set_visibility_timeout(LEASE).await;
    let agent = world.held_agent(2);
    let issue = world.task("Add a greeting", "").await;
    let mut worker = start(&world, &["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.kill().await.unwrap();
    world.queue.wait_until_visible(1).await;
    agent.go_on();

    let first = world.data_dir();
    world.set("data_dir", json!(world.path().join("another")));
    assert_eq!(world.work().await.code, Some(0));
    is_done(&world, issue).await;
    let requests = world.forge.hub.requests().entries().len();
    let tips = world.branches();

    let recorder = Recorder::before(&world.queue.url).await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    world.set("data_dir", json!(first));
    let late = start(&world, &["worker"]);
    recorder.wait_for("sqs:ReceiveMessage").await;
    end(late).await;
    assert_eq!(
        world.forge.hub.requests().entries().len(),
        requests,
        "nobody asked the forge for anything"
    );
    assert_eq!(world.branches(), tips);
    world.finish();
}

/// It wakes with the answer to a renewal that was right when it was sent, and goes on where the
/// push comes next.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_suspended_between_a_renewal_and_the_push_does_not_push() {
    let mut world = World::new().await;
    let recorder = Recorder::before(&world.queue.url).await;
    // Not renewed by the clock before the push, which would be another answer.
    world.queue.set_visibility_timeout(3 * LEASE).await;
    let agent = world.held_agent(2);
    world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    let mut worker = start(&world, &["worker", "--once"]);
    agent.wait_until_it_stops().await;
    recorder.hold_answers();
    agent.go_on();
    recorder.wait_until_held().await;
    tell(&worker, Signal::STOP);
    recorder.let_answers_go();
    world.queue.wait_until_visible(1).await;
    tell(&worker, Signal::CONT);
    assert_eq!(worker.wait().await.unwrap().code(), Some(ABANDONED));
    assert_eq!(world.branches(), ["main"]);
    world.finish();
}
