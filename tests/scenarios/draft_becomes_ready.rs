//! A task whose checks failed to the last leaves a draft. Once a later run's checks pass, the pull
//! request is ready for review.

use reqwest::Method;
use serde_json::json;

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::{TASK_SCRIPT, World};

const BREAK: &str = "echo x >> broken";

/// A task that failed in all of its deliveries, and left a draft.
async fn draft(world: &mut World) -> u64 {
    world.agent(BREAK);
    let issue = world.task("Add a greeting", "").await;
    fail_to_the_last(world).await;
    world.queue.poke().await;
    let pulls = world.pull_requests().await;
    assert_eq!((pulls.len(), &pulls[0]["draft"]), (1, &json!(true)));
    assert!(world.comments(issue).await[0].contains("#2"), "the issue is told of the draft");
    issue
}

async fn fail_to_the_last(world: &World) {
    for expected in [RETRIED, RETRIED, DEAD_LETTERED] {
        let ran = world.work().await;
        assert_eq!(ran.code, Some(expected), "{ran:?}");
    }
}

async fn label_again(world: &World, issue: u64) {
    let path = format!("/repos/owner/repo/issues/{issue}/labels");
    world.forge.ask(Method::POST, &path, json!({ "labels": ["ai-task"] })).await;
    let again = world.run(&["submit", "--issue", &format!("owner/repo#{issue}")]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
}

async fn check_ready(world: &World, issue: u64) {
    let pulls = world.pull_requests().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    assert_eq!(pulls[0]["draft"], false, "{pulls:?}");
    assert!(pulls[0]["body"].as_str().unwrap().contains(&format!("Closes #{issue}")), "{pulls:?}");
    let comments = world.comments(issue).await;
    assert_eq!(comments.len(), 1, "{comments:?}");
    assert!(comments[0].contains("#2 is ready for review"), "{comments:?}");
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_is_labelled_again_makes_its_draft_ready() {
    let mut world = World::new().await;
    let issue = draft(&mut world).await;
    world.agent(TASK_SCRIPT);
    label_again(&world, issue).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    check_ready(&world, issue).await;
    world.leaves_in_dead_letters(1, "the message that the draft was made for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_redriven_makes_its_draft_ready() {
    let mut world = World::new().await;
    let issue = draft(&mut world).await;
    world.agent(TASK_SCRIPT);
    assert_eq!(world.queue.redrive().await, 1);
    world.queue.wait_until_visible(1).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    check_ready(&world, issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_whose_checks_fail_again_stays_a_draft() {
    let mut world = World::new().await;
    let issue = draft(&mut world).await;
    label_again(&world, issue).await;
    fail_to_the_last(&world).await;
    let pulls = world.pull_requests().await;
    assert_eq!((pulls.len(), &pulls[0]["draft"]), (1, &json!(true)));
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.queue.poke().await;
    assert_eq!(world.queue.counts().await, (0, 0, 2));
    assert!(world.status_comment(issue).await.contains("#2"));
    world.leaves_in_dead_letters(2, "each label made a task that failed for good");
}
