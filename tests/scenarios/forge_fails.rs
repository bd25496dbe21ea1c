//! A forge that refuses, limits, breaks or hangs: the task is repeated or reported, and never lost
//! or done twice.

use localhub::{Answer, Fault, When};
use serde_json::json;

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::World;

const ISSUE: &str = "/repos/{owner}/{repo}/issues/{number}";
const PULLS: &str = "/repos/{owner}/{repo}/pulls";

/// One delivery under the fault fails with this message; once the fault is over, the next delivery
/// makes the one pull request.
async fn check_repeated(world: World, message: &str) {
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert!(ran.stderr.contains(message), "{message:?} is not in {ran:?}");
    assert_eq!(world.queue.counts().await, (1, 0, 0), "the message is there again");
    world.forge.hub.faults().clear();
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
}

async fn world_with(method: &str, route: &str, when: When, fault: Fault) -> World {
    let world = World::new().await;
    world.forge.hub.faults().inject(method, route, when, fault);
    world
}

/// The first request for an issue is `submit`'s; the worker's follow.
const AFTER_SUBMIT: When = When::From { first: 2, count: 1_000 };

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_forge_refuses_is_told() {
    let fault = Fault::Answer(Answer::status(401).message("Bad credentials"));
    check_repeated(
        world_with("GET", ISSUE, AFTER_SUBMIT, fault).await,
        "set GITHUB_TOKEN to one that is valid",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_waits_as_long_as_githubs_rate_limit_asks() {
    let limited = Fault::Answer(
        Answer::status(403).message("API rate limit exceeded").header("retry-after", "4"),
    );
    let world = world_with("GET", ISSUE, When::Nth(2), limited).await;
    let issue = world.task("Add a greeting", "").await;
    let began = std::time::Instant::now();
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "the message is kept: {ran:?}");
    assert!(began.elapsed().as_secs() >= 3, "the worker did not wait: {ran:?}");
    assert!(ran.stderr.contains("GitHub's rate limit is used up"), "{ran:?}");
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_repeated_after_a_server_error() {
    let fault = Fault::Answer(Answer::status(500));
    let world = world_with("GET", ISSUE, AFTER_SUBMIT, fault).await;
    check_repeated(world, "GitHub answered 500").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_does_not_wait_forever_for_a_forge_that_hangs() {
    let mut world = world_with("GET", ISSUE, AFTER_SUBMIT, Fault::Hang).await;
    world.set("github", json!({ "timeout_seconds": 3 }));
    check_repeated(world, "did not answer in time").await;
}

/// It takes a minute, which is what git itself allows a server that sends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_worker_does_not_wait_forever_for_a_git_server_that_hangs() {
    check_repeated(
        world_with("GET", "/{owner}/{repo}.git/info/refs", When::Always, Fault::Hang).await,
        "can't be reached",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_push_is_refused_for_a_moment_is_repeated() {
    let route = "/{owner}/{repo}.git/git-receive-pack";
    let fault = Fault::Answer(Answer::status(503));
    let world = world_with("POST", route, When::Always, fault).await;
    check_repeated(world, "can't be reached").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_issue_is_gone_is_left_to_the_dead_letter_queue() {
    let fault = Fault::Answer(Answer::status(404).message("Not Found"));
    let world = world_with("GET", ISSUE, AFTER_SUBMIT, fault).await;
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    assert!(ran.stderr.contains("GitHub has nothing at"), "{ran:?}");
    assert!(world.pull_requests().await.is_empty());
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("GitHub has nothing at"), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_refused_for_good_is_reported() {
    let fault = Fault::Answer(Answer::status(422).message("Validation Failed"));
    let world = world_with("POST", PULLS, When::Always, fault).await;
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("Validation Failed"), "{comment}");
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_whose_answer_was_lost_is_found_and_not_opened_again() {
    for fault in [Fault::DropAfterEffect, Fault::AnswerAfterEffect(Answer::status(502))] {
        let world = world_with("POST", PULLS, When::Nth(1), fault).await;
        let issue = world.task("Add a greeting", "").await;
        let ran = world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(world.pull_requests().await.len(), 1);
        assert_eq!(world.forge.hub.requests().count("POST", PULLS), 1, "the request was sent once");
        world.check_done(issue).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_when_its_first_comment_can_not_be_written() {
    let comments = "/repos/{owner}/{repo}/issues/{number}/comments";
    let world =
        world_with("POST", comments, When::Nth(1), Fault::Answer(Answer::status(500))).await;
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world.check_done(issue).await;
}
