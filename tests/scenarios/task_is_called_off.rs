//! The user calls a task off while the agent works on it.

use serde_json::{Value, json};

use crate::exit_codes::CANCELLED;
use crate::world::{World, wait_until};

/// Calls a task off while the agent works, and returns the world with the issue's number.
async fn call_off(method: reqwest::Method, path: &str, body: Value) -> (World, u64) {
    let mut world = World::new().await;
    world.set("github", json!({ "watch_seconds": 1 }));
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let meanwhile = async {
        agent.wait_until_it_stops().await;
        assert!(!agent.living().is_empty(), "the agent can't be seen, so its end can't either");
        world.forge.ask(method, &format!("/repos/owner/repo/issues/{issue}{path}"), body).await;
    };
    let (ran, ()) = tokio::join!(world.work(), meanwhile);
    assert_eq!(ran.code, Some(CANCELLED), "{ran:?}");
    wait_until("its programs are dead", async || agent.living().is_empty()).await;
    assert_eq!(world.pull_requests().await.len(), 0);
    assert_eq!(world.queue.counts().await, (0, 0, 0), "the message is deleted");
    (world, issue)
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_issue_ends_the_run() {
    let (world, issue) = call_off(reqwest::Method::PATCH, "", json!({ "state": "closed" })).await;
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("The issue was closed"), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_the_label_off_ends_the_run() {
    let (world, issue) = call_off(reqwest::Method::DELETE, "/labels/ai-task", Value::Null).await;
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("The label `ai-task` was taken off"), "{comment}");
    assert_eq!(world.labels(issue).await, ["keep me"]);
}

/// SQS may deliver a message twice, and the other worker takes the label off when it is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_well_when_another_worker_has_done_its_task() {
    let mut world = World::new().await;
    world.set("github", json!({ "watch_seconds": 1 }));
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let message = world.queue.take().await.unwrap();
    for _ in 0..2 {
        world.queue.send(message["Body"].as_str().unwrap()).await;
    }
    let mut first = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    world.set("data_dir", json!(world.path().join("another")));
    assert_eq!(world.work().await.code, Some(0));
    let status = first.ended().await;
    assert!(status.success(), "{status}: {}", first.printed());
    wait_until("its programs are dead", async || agent.living().is_empty()).await;
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
    assert_eq!(world.queue.counts().await, (0, 0, 0));
}
