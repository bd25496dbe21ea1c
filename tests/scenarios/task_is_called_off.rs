//! The user calls a task off while the agent works on it.

use localhub::{Answer, Fault, When};
use serde_json::{Value, json};

use crate::exit_codes::{CANCELLED, DEAD_LETTERED};
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

/// The worker has nowhere to say it, so its log and `why` do.
async fn check_told_as_deleted(world: &mut World, log: &str) {
    assert!(log.contains("was deleted at GitHub"), "{log}");
    assert!(!log.contains("may not see it"), "{log}");
    let sentences =
        [("en", "Open a new issue if the task is still wanted."), ("ja", "は削除されました。")];
    for (language, sentence) in sentences {
        world.set("language", json!(language));
        let why = world.run(&["why", "owner/repo#1"]).await;
        assert!(why.stdout.contains(sentence), "{why:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_of_an_issue_that_was_deleted_is_dropped_at_its_first_delivery() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    world.forge.hub.delete_issue("owner/repo", issue).unwrap();
    let ran = world.work().await;
    assert_eq!(ran.code, Some(CANCELLED), "{ran:?}");
    assert_eq!(world.queue.counts().await, (0, 0, 0), "the message is deleted");
    let submit = world.run(&["submit", "--issue", "owner/repo#1"]).await;
    assert!(submit.stderr.contains("was deleted at GitHub"), "{submit:?}");
    check_told_as_deleted(&mut world, &ran.stderr).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_issue_ends_the_run() {
    let mut world = World::new().await;
    world.set("github", json!({ "watch_seconds": 1 }));
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let meanwhile = async {
        agent.wait_until_it_stops().await;
        world.forge.hub.delete_issue("owner/repo", issue).unwrap();
    };
    let (ran, ()) = tokio::join!(world.work(), meanwhile);
    assert_eq!(ran.code, Some(CANCELLED), "{ran:?}");
    wait_until("its programs are dead", async || agent.living().is_empty()).await;
    assert_eq!(world.pull_requests().await.len(), 0);
    assert_eq!(world.queue.counts().await, (0, 0, 0), "the message is deleted");
    check_told_as_deleted(&mut world, &ran.stderr).await;
}

/// GitHub answers 410 for every issue of such a repository. An operator can switch them on again.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_whose_issues_are_switched_off_is_told_and_not_retried() {
    let world = World::new().await;
    world.task("Add a greeting", "").await;
    let message = "Issues are disabled for this repo";
    let answer = Fault::Answer(Answer::status(410).message(message));
    let route = "/repos/{owner}/{repo}/issues/{number}";
    world.forge.hub.faults().inject("GET", route, When::Always, answer);
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    assert!(ran.stderr.contains("issues are switched off"), "{ran:?}");
    world.leaves_messages(1, "it waits for the dead-letter queue");
    world.leaves_comments_unread("the scenario is about the log");
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
