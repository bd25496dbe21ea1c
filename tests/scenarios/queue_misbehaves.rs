//! The queue hands out what nobody sent, or does not answer at all.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::world::recorder::Recorder;
use crate::world::{TOKEN, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_arrives_damaged_is_given_back_and_not_worked_on() {
    let mut world = World::new().await;
    let recorder = Recorder::before(&world.queue.url).await;
    let issue = world.task("Add a greeting", "Say hello.").await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    recorder.damage("Say hello.", "Say farewell.");
    let ran = world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("arrived damaged"), "{ran:?}");
    assert_eq!(world.queue.counts().await, (1, 0, 0), "the message is there again");
    assert_eq!(world.comments(issue).await, Vec::<String>::new());

    recorder.damage("Say hello.", "Say hello.");
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_nobody_answers_is_given_up_and_the_next_one_works() {
    let mut world = World::new().await;
    let recorder = Recorder::before(&world.queue.url).await;
    let queue = world.settings["queue"].clone();
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    let mut worker = world.command(&["worker"]);
    let worker = worker
        .env("GITHUB_TOKEN", TOKEN)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    recorder.wait_for("sqs:ReceiveMessage").await;
    recorder.hold_answers();
    let given_up = async {
        let file = world.data_dir().join("health.json");
        while !std::fs::read_to_string(&file)
            .is_ok_and(|health| health.contains("did not answer within 30 s"))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), given_up).await.expect("it waits for ever");
    recorder.let_answers_go();
    world.settings["queue"] = queue;
    let issue = world.task("Add a greeting", "").await;
    let done = async {
        while world.labels(issue).await != ["ai-task-done", "keep me"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("the task is not done");
    drop(worker);
}
