//! A machine sleeps, or is off, for longer than the lease of the task that its worker is at.
//!
//! The worker goes on under the same delivery, because SQS counts each one, unless another worker
//! has begun meanwhile. After the last delivery nobody else tells the issue what happened.

use localhub::{Answer, Fault, When};
use rustix::process::Signal;
use serde_json::json;

use crate::exit_codes::ABANDONED;
use crate::world::held_program::HeldProgram;
use crate::world::queue_proxy::QueueProxy;
use crate::world::running::Running;
use crate::world::{TASK_SCRIPT, World, wait_until};

/// Long enough to be renewed on a busy machine, short enough to wait for, in seconds.
const LEASE: u64 = 10;

/// A world whose leases are short, with a task.
async fn with_a_task() -> (World, u64) {
    let world = World::new().await;
    world.queue.set_visibility_timeout(LEASE).await;
    let issue = world.task("Add a greeting", "").await;
    (world, issue)
}

/// Fails unless the one pull request says that this delivery, and this one alone, led to it.
async fn check_attempt(world: &World, attempt: u32) {
    let pull_requests = world.pull_requests().await;
    assert_eq!(pull_requests.len(), 1, "{pull_requests:?}");
    let body = pull_requests[0]["body"].as_str().unwrap();
    assert!(body.contains(&format!("| attempt | {attempt} |")), "{body}");
}

/// Starts a second worker on the queue, which has begun when this returns: its agent is held.
async fn second_worker(world: &mut World) -> (Running, HeldProgram) {
    let agent = HeldProgram::new(world, "second", 1, TASK_SCRIPT);
    world.agent(&format!(". '{}'", agent.file("script").display()));
    world.set("data_dir", json!(world.path().join("second")));
    world.set("worker", json!({ "name": "second" }));
    let worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    (worker, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_under_the_delivery_that_it_had_before_the_sleep() {
    let (mut world, issue) = with_a_task().await;
    let agent = world.held_agent(2);
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.signal(Signal::STOP);
    world.queue.wait_until_visible(1).await;
    worker.signal(Signal::CONT);
    worker.line_with("slept for longer than the lease").await;
    agent.go_on();
    assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.printed());
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    check_attempt(&world, 1).await;
    world.check_done(issue).await;
    assert_eq!(agent.calls(), 2, "the call that was on its way is not made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_after_the_end_of_its_lease_goes_on_under_the_same_delivery() {
    let (mut world, issue) = with_a_task().await;
    let agent = world.held_agent(2);
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.kill().await;
    world.queue.wait_until_visible(1).await;
    agent.go_on();
    let ran = world.work().await;
    assert!(ran.stderr.contains("the lease of a run had ended"), "{ran:?}");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    check_attempt(&world, 1).await;
    world.check_done(issue).await;
    assert_eq!(agent.calls(), 3, "the pass that was committed is not done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_after_another_has_begun_leaves_the_task_to_it() {
    let (mut world, issue) = with_a_task().await;
    let agent = world.held_agent(2);
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.signal(Signal::STOP);
    world.queue.wait_until_visible(1).await;
    let (mut second, second_agent) = second_worker(&mut world).await;

    worker.signal(Signal::CONT);
    worker.line_with("slept for longer than the lease").await;
    agent.go_on();
    assert_eq!(worker.ended().await.code(), Some(ABANDONED), "{}", worker.printed());
    assert_eq!(world.branches(), ["main"]);
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("attempt 2") && comment.contains("`second`"), "{comment}");

    second_agent.go_on();
    assert_eq!(second.ended().await.code(), Some(0), "{}", second.printed());
    check_attempt(&world, 2).await;
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_starts_after_another_has_begun_leaves_the_task_to_it() {
    let (mut world, issue) = with_a_task().await;
    let agent = world.held_agent(2);
    let first = world.settings.clone();
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.kill().await;
    agent.go_on();
    world.queue.wait_until_visible(1).await;
    let (mut second, second_agent) = second_worker(&mut world).await;

    let late = world.command_with(&first, &["worker", "--once"]);
    let mut late = Running::start(with_token(late));
    assert_eq!(late.ended().await.code(), Some(ABANDONED), "{}", late.printed());
    assert_eq!(world.branches(), ["main"]);

    second_agent.go_on();
    assert_eq!(second.ended().await.code(), Some(0), "{}", second.printed());
    check_attempt(&world, 2).await;
    world.check_done(issue).await;
}

fn with_token(mut command: tokio::process::Command) -> tokio::process::Command {
    command.env("GITHUB_TOKEN", crate::world::TOKEN);
    command
}

/// The worker wakes up with the answer to a renewal, which was right when the queue sent it, and
/// pushes next.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_slept_between_a_renewal_and_the_push_does_not_push_beside_another() {
    let (mut world, issue) = with_a_task().await;
    let proxy = QueueProxy::before(&world.queue.url).await;
    let agent = world.held_agent(2);
    let direct = world.settings["queue"].clone();
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    proxy.hold_answers();
    agent.go_on();
    loop {
        proxy.wait_until_held().await;
        if world.status_comment(issue).await.contains("Opening the pull request") {
            break;
        }
        // The clock has renewed the lease before the push did.
        proxy.release_held();
    }
    worker.signal(Signal::STOP);
    proxy.release_answers();
    world.queue.wait_until_visible(1).await;
    world.settings.insert("queue".to_owned(), direct);
    let (mut second, second_agent) = second_worker(&mut world).await;

    worker.signal(Signal::CONT);
    assert_eq!(worker.ended().await.code(), Some(ABANDONED), "{}", worker.printed());
    assert_eq!(world.branches(), ["main"]);

    second_agent.go_on();
    assert_eq!(second.ended().await.code(), Some(0), "{}", second.printed());
    check_attempt(&world, 2).await;
    world.check_done(issue).await;
}

/// Uses up all deliveries of the one message but the last.
async fn use_up_deliveries(world: &World) {
    for _ in 0..2 {
        assert!(world.queue.receive(0).await.is_some());
    }
}

/// Fails unless the issue says that the last delivery was cut off, and that nothing is lost.
async fn check_used_up(world: &World, issue: u64) {
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("SQS delivers this task 3 times at most"), "{comment}");
    assert!(comment.contains("is kept on that machine"), "{comment}");
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issue_is_told_that_the_last_delivery_was_cut_off_and_a_redrive_goes_on() {
    let (mut world, issue) = with_a_task().await;
    use_up_deliveries(&world).await;
    let agent = world.held_agent(2);
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.kill().await;
    world.queue.wait_until_visible(1).await;
    // Another worker polls, so that SQS moves the message.
    world.queue.poke().await;
    assert_eq!(world.queue.counts().await, (0, 0, 1));
    agent.go_on();
    let ran = world.work().await;
    assert!(ran.stderr.contains("giving up a run whose lease is over"), "{ran:?}");
    check_used_up(&world, issue).await;

    assert_eq!(world.queue.redrive().await, 1);
    world.queue.wait_until_visible(1).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    check_attempt(&world, 1).await;
    world.check_done(issue).await;
    assert_eq!(agent.calls(), 3, "the pass that was committed is not done again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issue_is_told_when_the_last_lease_is_lost_under_a_running_worker() {
    let (mut world, issue) = with_a_task().await;
    let proxy = QueueProxy::before(&world.queue.url).await;
    use_up_deliveries(&world).await;
    let agent = world.held_agent(1);
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    proxy.lose_leases();
    assert_eq!(worker.ended().await.code(), Some(ABANDONED), "{}", worker.printed());
    check_used_up(&world, issue).await;
    world.leaves_messages(1, "SQS moves it when somebody receives next");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_forge_only_delays_what_the_issue_is_told_of_the_last_delivery() {
    let (mut world, issue) = with_a_task().await;
    world.set("github", json!({ "watch_seconds": 1 }));
    use_up_deliveries(&world).await;
    let agent = world.held_agent(2);
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.kill().await;
    world.queue.wait_until_visible(1).await;
    world.queue.poke().await;
    let faults = world.forge.hub.faults().clone();
    faults.inject_everywhere(When::Always, Fault::Answer(Answer::status(502)));
    let mut worker = world.start(&["worker"]);
    worker.line_with("could not tell the issue how a run ended: it tries again").await;
    faults.clear();
    let told = async || world.labels(issue).await == ["ai-task-failed", "keep me"];
    wait_until("the issue is told", told).await;
    worker.stop_at_once().await;
    check_used_up(&world, issue).await;
    world.leaves_in_dead_letters(1, "nobody redrove it");
}

/// An operator redrove the message meanwhile, and another worker did the task.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_late_says_nothing_about_a_task_that_is_done() {
    let (mut world, issue) = with_a_task().await;
    use_up_deliveries(&world).await;
    let agent = world.held_agent(2);
    let first = world.settings.clone();
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.kill().await;
    agent.go_on();
    world.queue.wait_until_visible(1).await;
    world.queue.poke().await;
    assert_eq!(world.queue.redrive().await, 1);
    world.queue.wait_until_visible(1).await;
    let (mut second, second_agent) = second_worker(&mut world).await;
    second_agent.go_on();
    assert_eq!(second.ended().await.code(), Some(0), "{}", second.printed());
    world.check_done(issue).await;

    let late = world.command_with(&first, &["worker", "--once"]);
    let mut late = Running::start(with_token(late));
    late.line_with("giving up a run whose lease is over").await;
    late.ended().await;
    world.check_done(issue).await;
    check_attempt(&world, 1).await;
}
