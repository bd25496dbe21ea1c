//! A signal reaches the worker while its long poll is open, or while it works.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::world::program::Program;
use crate::world::recorder::Recorder;
use crate::world::{TOKEN, World};

/// Starts a worker on an empty queue, and returns when its poll is open.
async fn polling(world: &mut World) -> (tokio::process::Child, Recorder) {
    let recorder = Recorder::before(&world.queue.url).await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    let mut worker = world.command(&["worker"]);
    let worker = worker
        .env("GITHUB_TOKEN", "a-token")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    recorder.wait_for("sqs:ReceiveMessage").await;
    (worker, recorder)
}

fn tell(worker: &tokio::process::Child, signal: Signal) {
    let pid = worker.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits until the worker says this.
async fn hear(worker: &mut tokio::process::Child, what: &str) {
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines();
    let heard = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(what) {
                return true;
            }
        }
        false
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(30), heard).await.expect("it says nothing"),
        "it ended"
    );
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_open_poll_still_brings_is_given_back() {
    let mut world = World::new().await;
    let (mut worker, recorder) = polling(&mut world).await;
    recorder.hold_answers();
    world.queue.send("what SQS handed out as the signal came").await;
    recorder.wait_until_held().await;
    tell(&worker, Signal::TERM);
    hear(&mut worker, "finishing the open poll").await;
    recorder.let_answers_go();
    let status =
        tokio::time::timeout(Duration::from_secs(30), worker.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(world.queue.counts().await, (1, 0, 0), "the message is hidden");
    assert!(recorder.actions().contains(&"sqs:ChangeMessageVisibility".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_the_poll() {
    let mut world = World::new().await;
    let (mut worker, recorder) = polling(&mut world).await;
    recorder.hold_answers();
    world.queue.send("never read").await;
    recorder.wait_until_held().await;
    tell(&worker, Signal::INT);
    hear(&mut worker, "finishing the open poll").await;
    tell(&worker, Signal::INT);
    let status = tokio::time::timeout(Duration::from_secs(5), worker.wait())
        .await
        .expect("it still waits")
        .unwrap();
    assert!(status.success(), "{status}");
}

const LONG: Duration = Duration::from_secs(60);

/// Starts a worker, tells it to stop while its agent is held, and returns once it has heard.
async fn told_while_working(
    world: &World,
    agent: &Program,
    arguments: &[&str],
) -> tokio::process::Child {
    let mut worker = world.command(arguments);
    let mut worker = worker.env("GITHUB_TOKEN", TOKEN).stderr(Stdio::piped()).spawn().unwrap();
    agent.wait_until_it_stops().await;
    tell(&worker, Signal::TERM);
    hear(&mut worker, "stopping").await;
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_worked_on_may_end_within_the_limit() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let mut worker = told_while_working(&world, &agent, &["worker", "--drain-seconds", "60"]).await;
    agent.go_on();
    let status = tokio::time::timeout(LONG, worker.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    world.finish();
}

/// Suspended by the limit, and by a second signal.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_suspended_and_goes_on_at_the_next_start() {
    for (limit, signals) in [("0", 1), ("600", 2)] {
        let mut world = World::new().await;
        let agent = world.held_agent(2);
        let issue = world.task("Add a greeting", "").await;
        let mut worker =
            told_while_working(&world, &agent, &["worker", "--drain-seconds", limit]).await;
        if signals > 1 {
            tell(&worker, Signal::INT);
        }
        let status =
            tokio::time::timeout(LONG, worker.wait()).await.expect("it still waits").unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(agent.living(), Vec::<String>::new(), "its programs were killed");
        assert_eq!(world.queue.counts().await, (0, 1, 0), "the message is still this worker's");
        assert_eq!(world.pull_requests().await.len(), 0);

        agent.go_on();
        let ran = world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(agent.calls(), 3, "the first pass was not done again");
        assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
        assert!(world.comments(issue).await[0].contains("#2"), "attempt 1 went on");
        world.finish();
    }
}
