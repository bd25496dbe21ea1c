//! A signal reaches the worker while its long poll is open.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::world::World;
use crate::world::recorder::Recorder;

/// Starts a worker on an empty queue, and returns when its poll is open.
async fn polling(world: &mut World) -> (tokio::process::Child, Recorder) {
    let recorder = Recorder::before(&world.queue.url).await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    let mut worker = world.command(&["worker"]);
    let worker = worker.env("GITHUB_TOKEN", "a-token").stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    recorder.wait_for("sqs:ReceiveMessage").await;
    (worker, recorder)
}

fn tell(worker: &tokio::process::Child, signal: Signal) {
    let pid = worker.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits until the worker says that it waits for the poll.
async fn hear_that_it_finishes_the_poll(worker: &mut tokio::process::Child) {
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines();
    let heard = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("finishing the open poll") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), heard).await.expect("it says nothing"), "it ended");
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
    hear_that_it_finishes_the_poll(&mut worker).await;
    recorder.let_answers_go();
    let status = tokio::time::timeout(Duration::from_secs(30), worker.wait()).await.unwrap().unwrap();
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
    hear_that_it_finishes_the_poll(&mut worker).await;
    tell(&worker, Signal::INT);
    let status = tokio::time::timeout(Duration::from_secs(5), worker.wait()).await.expect("it still waits").unwrap();
    assert!(status.success(), "{status}");
}
