//! The user changes their mind while the agent works.

use std::time::Duration;

use serde_json::{Value, json};

use crate::exit_codes::CANCELLED;
use crate::world::{TOKEN, World};

/// Calls a task off while the agent works, and returns the world with the issue's number.
async fn call_off(method: reqwest::Method, path: &str, body: Value) -> (World, u64) {
    let mut world = World::new().await;
    world.set("github", json!({ "watch_seconds": 1 }));
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let meanwhile = async {
        agent.wait_until_it_stops().await;
        assert!(!agent.living().is_empty(), "it is not seen, so its end is not either");
        world.forge.ask(method, &format!("/repos/owner/repo/issues/{issue}{path}"), body).await;
    };
    let (ran, ()) = tokio::join!(world.work(), meanwhile);
    assert_eq!(ran.code, Some(CANCELLED), "{ran:?}");
    assert_eq!(agent.living(), Vec::<String>::new());
    assert_eq!(world.pull_requests().await.len(), 0);
    assert_eq!(world.queue.counts().await, (0, 0, 0), "the message is deleted");
    (world, issue)
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_issue_ends_the_run() {
    let (world, issue) = call_off(reqwest::Method::PATCH, "", json!({ "state": "closed" })).await;
    let comments = world.comments(issue).await;
    assert_eq!(comments.len(), 1);
    assert!(comments[0].contains("the issue was closed"), "{}", comments[0]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_the_label_off_ends_the_run() {
    let (world, issue) = call_off(reqwest::Method::DELETE, "/labels/ai-task", Value::Null).await;
    let comments = world.comments(issue).await;
    assert!(comments[0].contains("the label `ai-task` was taken off"), "{}", comments[0]);
    assert_eq!(world.labels(issue).await, ["keep me"]);
    world.finish();
}

/// SQS may deliver a message twice, and the other worker takes the label off when it is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_another_worker_ended_is_done() {
    let mut world = World::new().await;
    world.set("github", json!({ "watch_seconds": 1 }));
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let message = world.queue.take().await.unwrap();
    for _ in 0..2 {
        world.queue.send(message["Body"].as_str().unwrap()).await;
    }
    let first = world.command(&["worker", "--once"]).env("GITHUB_TOKEN", TOKEN).output();
    let first = tokio::spawn(first);
    agent.wait_until_it_stops().await;
    world.set("data_dir", json!(world.path().join("another")));
    assert_eq!(world.work().await.code, Some(0));
    let first =
        tokio::time::timeout(Duration::from_secs(60), first).await.unwrap().unwrap().unwrap();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(agent.living(), Vec::<String>::new());
    assert_eq!(world.pull_requests().await.len(), 1);
    let comments = world.comments(issue).await;
    assert_eq!((comments.len(), comments[0].contains("Done")), (1, true), "{comments:?}");
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    world.finish();
}
