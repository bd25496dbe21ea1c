//! A signal reaches the worker while its long poll is open, or while it works on a task.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::world::held_program::HeldProgram;
use crate::world::queue_proxy::QueueProxy;
use crate::world::running::Running;
use crate::world::{World, wait_until};

/// Starts a worker on an empty queue, and returns when its poll is open.
async fn polling(world: &mut World) -> (Running, QueueProxy) {
    let proxy = QueueProxy::before(&world.queue.url).await;
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    let worker = world.start(&["worker"]);
    proxy.wait_for("sqs:ReceiveMessage", 1).await;
    (worker, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_open_poll_still_brings_is_given_back() {
    let mut world = World::new().await;
    let (mut worker, proxy) = polling(&mut world).await;
    proxy.hold_answers();
    world.queue.send("what SQS handed out as the signal came").await;
    proxy.wait_until_held().await;
    worker.signal(Signal::TERM);
    worker.line_with("finishing the open poll").await;
    proxy.release_answers();
    let status = worker.ended().await;
    assert!(status.success(), "{status}: {}", worker.printed());
    assert_eq!(world.queue.counts().await, (1, 0, 0), "the message is hidden");
    assert_eq!(proxy.count("sqs:ChangeMessageVisibility"), 1);
    world.leaves_messages(1, "the worker gives it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_second_signal_the_worker_does_not_wait_for_the_poll() {
    let mut world = World::new().await;
    let (mut worker, proxy) = polling(&mut world).await;
    proxy.hold_answers();
    world.queue.send("never read").await;
    proxy.wait_until_held().await;
    worker.signal(Signal::INT);
    worker.line_with("finishing the open poll").await;
    let second = Instant::now();
    worker.signal(Signal::INT);
    let status = worker.ended().await;
    assert!(status.success(), "{status}: {}", worker.printed());
    // The poll is never answered, and the worker would give it up after 30 seconds.
    assert!(second.elapsed() < Duration::from_secs(20), "{:?}", second.elapsed());
    world.leaves_messages(1, "nobody reads it, and SQS hides it");
}

/// Starts a worker, tells it to stop while its agent is held, and returns once the worker says that
/// it is stopping.
async fn stopping_at_work(world: &World, agent: &HeldProgram, drain_seconds: &str) -> Running {
    let mut worker = world.start(&["worker", "--drain-seconds", drain_seconds]);
    agent.wait_until_it_stops().await;
    worker.signal(Signal::TERM);
    worker.line_with("stopping").await;
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_within_the_limit_is_waited_for() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let mut worker = stopping_at_work(&world, &agent, "600").await;
    agent.go_on();
    let status = worker.ended().await;
    assert!(status.success(), "{status}: {}", worker.printed());
    world.check_done(issue).await;
    assert_eq!(world.queue.counts().await, (0, 0, 0));
}

/// The limit ends the wait the first time, and a second signal does the second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_does_not_end_in_time_is_suspended_and_goes_on_at_the_next_start() {
    for (limit, signals) in [("0", 1), ("600", 2)] {
        let mut world = World::new().await;
        let agent = world.held_agent(2);
        let issue = world.task("Add a greeting", "").await;
        let mut worker = stopping_at_work(&world, &agent, limit).await;
        if signals > 1 {
            worker.signal(Signal::INT);
        }
        let status = worker.ended().await;
        assert!(status.success(), "{status}: {}", worker.printed());
        wait_until("its programs are dead", async || agent.living().is_empty()).await;
        assert_eq!(world.queue.counts().await, (0, 1, 0), "the message is still this worker's");
        assert_eq!(world.pull_requests().await.len(), 0);

        agent.go_on();
        let ran = world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(agent.calls(), 3, "the first pass was not done again");
        let comment = world.status_comment(issue).await;
        assert!(comment.contains("#2"), "attempt 1 went on: {comment}");
        world.check_done(issue).await;
    }
}
