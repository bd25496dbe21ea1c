//! Red work never gets where somebody may merge it: not onto a pull request that is ready, and not
//! into one where there are no drafts.

use localhub::{Answer, Fault, When};
use reqwest::Method;
use serde_json::json;

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::World;

const BREAK: &str = "echo x >> broken";

const PULLS: &str = "/repos/{owner}/{repo}/pulls";

async fn fail_to_the_last(world: &World) {
    for expected in [RETRIED, RETRIED, DEAD_LETTERED] {
        let ran = world.work().await;
        assert_eq!(ran.code, Some(expected), "{ran:?}");
    }
    world.queue.poke().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_rework_leaves_a_ready_pull_request_as_it_is() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    let ready = world.pull_requests().await;
    let head = world.head("codingworker/issue-1");

    world.agent(BREAK);
    let labels = format!("/repos/owner/repo/issues/{issue}/labels");
    world.forge.ask(Method::POST, &labels, json!({ "labels": ["ai-task"] })).await;
    world.submit(issue).await;
    fail_to_the_last(&world).await;

    let after = world.pull_requests().await;
    assert_eq!(after.len(), 1, "{after:?}");
    for key in ["draft", "title", "body", "state"] {
        assert_eq!(after[0][key], ready[0][key], "{key}");
    }
    assert_eq!(world.head("codingworker/issue-1"), head, "the green commit was replaced");
    assert!(world.file("codingworker/issue-1-failed", "broken").is_some(), "the work is lost");
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("`codingworker/issue-1-failed`"), "{comment}");
    assert!(!comment.contains("draft"), "{comment}");
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.leaves_in_dead_letters(1, "its checks are red");
}

/// Private repositories of GitHub's free plan have no drafts.
#[tokio::test(flavor = "multi_thread")]
async fn without_drafts_the_comment_names_the_branch_and_the_red_checks() {
    let mut world = World::new().await;
    world.agent(BREAK);
    let message = "Draft pull requests are not supported in this repository.";
    let refused = Fault::Answer(Answer::status(422).message(message));
    world.forge.hub.faults().inject("POST", PULLS, When::Always, refused);
    let issue = world.task("Add a greeting", "").await;
    fail_to_the_last(&world).await;
    assert_eq!(world.pull_requests().await.len(), 0);
    assert!(world.file("codingworker/issue-1", "broken").is_some(), "the work is lost");
    let comment = world.status_comment(issue).await;
    for part in ["`codingworker/issue-1`", "`sh check.sh`"] {
        assert!(comment.contains(part), "{part}: {comment}");
    }
    assert!(!comment.contains("can't do what it was asked"), "{comment}");
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.leaves_in_dead_letters(1, "its checks are red");
}
