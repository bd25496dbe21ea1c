//! A forge that refuses, limits, breaks or hangs: the task is put off or reported, and never lost
//! or done twice.

use localhub::{Answer, Fault, When};

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::World;

const ISSUE: &str = "/repos/{owner}/{repo}/issues/{number}";
const PULLS: &str = "/repos/{owner}/{repo}/pulls";

/// One delivery under the fault ends like this; once the fault is over, the next makes the one pull
/// request.
async fn check_put_off(world: World, said: &str) {
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert!(ran.stderr.contains(said), "{said:?} is not in {ran:?}");
    assert_eq!(world.queue.counts().await, (1, 0, 0), "the message is there again");
    world.forge.hub.faults().clear();
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(world.comments(issue).await.len(), 1);
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    world.finish();
}

async fn world_with(method: &str, route: &str, when: When, fault: Fault) -> World {
    let world = World::new().await;
    world.forge.hub.faults().inject(method, route, when, fault);
    world
}

/// The first look at an issue is `submit`'s, in the same process as the scenario's own; the
/// worker's begin after it.
const AFTER_SUBMIT: When = When::From { first: 2, count: 1_000 };

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_told() {
    let fault = Fault::Answer(Answer::status(401).message("Bad credentials"));
    check_put_off(
        world_with("GET", ISSUE, AFTER_SUBMIT, fault).await,
        "set GITHUB_TOKEN to one that is valid",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn githubs_limit_is_obeyed() {
    let fault = Fault::Answer(
        Answer::status(403).message("API rate limit exceeded").header("retry-after", "77"),
    );
    let world = world_with("GET", ISSUE, AFTER_SUBMIT, fault).await;
    world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert!(
        ran.stderr.contains("it asks to wait 77 s") && ran.stderr.contains("RetryAfter(77s)"),
        "{ran:?}"
    );
    assert_eq!(world.queue.counts().await, (0, 1, 0), "the message rests");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_is_waited_out() {
    let fault = Fault::Answer(Answer::status(500));
    check_put_off(world_with("GET", ISSUE, AFTER_SUBMIT, fault).await, "GitHub answered 500").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_hangs_is_not_waited_for_for_ever() {
    check_put_off(
        world_with("GET", ISSUE, AFTER_SUBMIT, Fault::Hang).await,
        "did not answer in time",
    )
    .await;
}

/// A minute passes here: what git itself allows a server that sends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_git_server_that_hangs_is_not_waited_for_for_ever() {
    check_put_off(
        world_with("GET", "/{owner}/{repo}.git/info/refs", When::Always, Fault::Hang).await,
        "can't be reached",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_refused_for_a_moment_is_repeated() {
    let route = "/{owner}/{repo}.git/git-receive-pack";
    let fault = Fault::Answer(Answer::status(503));
    check_put_off(world_with("POST", route, When::Always, fault).await, "can't be reached").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_is_gone_is_left_to_the_dead_letter_queue() {
    let fault = Fault::Answer(Answer::status(404).message("Not Found"));
    let world = world_with("GET", ISSUE, AFTER_SUBMIT, fault).await;
    world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    assert!(ran.stderr.contains("GitHub has nothing at"), "{ran:?}");
    assert!(world.pull_requests().await.is_empty());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_refused_for_good_is_reported() {
    let fault = Fault::Answer(Answer::status(422).message("Validation Failed"));
    let world = world_with("POST", PULLS, When::Always, fault).await;
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    assert!(world.comments(issue).await[0].contains("Validation Failed"));
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.finish();
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
        assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
        world.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_can_not_be_written_stops_nothing_on_the_way() {
    let comments = "/repos/{owner}/{repo}/issues/{number}/comments";
    let world =
        world_with("POST", comments, When::Nth(1), Fault::Answer(Answer::status(500))).await;
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.comments(issue).await.len(), 1);
    world.finish();
}
