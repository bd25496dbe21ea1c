//! The forge has changed since the worker was there: a pull request was closed or merged, a branch
//! has other commits, the base branch has moved on.

use reqwest::Method;
use serde_json::{Value, json};

use crate::exit_codes::{CANCELLED, DEAD_LETTERED, OK, RETRIED};
use crate::world::{World, run_git};

async fn label_again(world: &World, issue: u64) {
    let labels = json!({ "labels": ["ai-task"] });
    world
        .forge
        .ask(Method::POST, &format!("/repos/owner/repo/issues/{issue}/labels"), labels)
        .await;
    world.submit(issue).await;
}

async fn close(world: &World, number: &Value) {
    let path = format!("/repos/owner/repo/pulls/{number}");
    world.forge.ask(Method::PATCH, &path, json!({ "state": "closed" })).await;
}

fn heads(pulls: &[Value]) -> Vec<&str> {
    let mut heads: Vec<_> =
        pulls.iter().map(|pull| pull["head"]["ref"].as_str().unwrap()).collect();
    heads.sort_unstable();
    heads
}

/// Adds a commit to a branch as a person would, and returns its id.
fn push_as_a_person(world: &World, branch: &str, amend: bool) -> String {
    let clone = tempfile::tempdir().unwrap();
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    run_git(clone.path(), &["clone", "--quiet", "--branch", branch, bare.to_str().unwrap(), "."]);
    std::fs::write(clone.path().join("mine.txt"), "by hand\n").unwrap();
    run_git(clone.path(), &["add", "mine.txt"]);
    let how: &[&str] = if amend { &["--amend", "--no-edit"] } else { &["--message", "by hand"] };
    run_git(clone.path(), &[&["commit", "--quiet"], how].concat());
    run_git(clone.path(), &["push", "--quiet", "--force", "origin", branch]);
    run_git(clone.path(), &["rev-parse", "HEAD"]).trim().to_owned()
}

fn tip(world: &World, branch: &str) -> String {
    run_git(&world.forge.hub.repository_path("owner/repo").unwrap(), &["rev-parse", branch])
        .trim()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_pull_request_is_open_the_new_task_goes_on_its_branch() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    world.agent("echo bye > bye.txt");
    label_again(&world, issue).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert_eq!(heads(&pulls), ["codingworker/issue-1"]);
    assert_eq!(world.file("codingworker/issue-1", "bye.txt").as_deref(), Some("bye\n"));
    assert_eq!(world.file("codingworker/issue-1", "hello.txt"), None);
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_pull_request_was_closed_or_merged_the_new_task_gets_a_new_branch() {
    for merged in [false, true] {
        let mut world = World::new().await;
        let issue = world.task("Add a greeting", "").await;
        assert_eq!(world.work().await.code, Some(0));
        let number = world.pull_requests().await[0]["number"].clone();
        if merged {
            world
                .forge
                .ask(Method::PUT, &format!("/repos/owner/repo/pulls/{number}/merge"), json!({}))
                .await;
            let path = format!("/repos/owner/repo/issues/{issue}");
            world.forge.ask(Method::PATCH, &path, json!({ "state": "open" })).await;
        } else {
            close(&world, &number).await;
        }
        world.agent("echo bye > bye.txt");
        label_again(&world, issue).await;
        let ran = world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let pulls = world.pull_requests().await;
        assert_eq!(heads(&pulls), ["codingworker/issue-1", "codingworker/issue-1-2"]);
        world.check_done(issue).await;
    }
}

/// A message that SQS delivers again after its task was done, as at-least-once delivery allows.
async fn delivered_again(close_it: bool) -> (World, u64) {
    let world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    let message = world.queue.take().await.unwrap();
    let body = message["Body"].as_str().unwrap();
    world.queue.send(body).await;
    assert_eq!(world.work().await.code, Some(0));
    let number = world.pull_requests().await[0]["number"].clone();
    if close_it {
        close(&world, &number).await;
    }
    world.queue.send(body).await;
    let expected = if close_it { CANCELLED } else { OK };
    assert_eq!(world.work().await.code, Some(expected));
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    (world, issue)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_done_is_not_done_again() {
    let (world, issue) = delivered_again(false).await;
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_pull_request_a_person_closed_is_not_done_again_and_that_is_told() {
    let (world, issue) = delivered_again(true).await;
    assert_eq!(world.pull_requests().await[0]["state"], "closed");
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("of this task was closed"), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_commits_on_the_branch_are_left_alone_and_that_is_told() {
    for amend in [false, true] {
        let mut world = World::new().await;
        let issue = world.task("Add a greeting", "").await;
        assert_eq!(world.work().await.code, Some(0));
        let by_hand = push_as_a_person(&world, "codingworker/issue-1", amend);
        world.agent("echo bye > bye.txt");
        label_again(&world, issue).await;
        assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
        assert_eq!(tip(&world, "codingworker/issue-1"), by_hand);
        let comment = world.status_comment(issue).await;
        assert!(comment.contains("holds commits that this worker did not make"), "{comment}");
        world.leaves_messages(1, "it is on its way to the dead-letter queue");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_another_worker_left_is_taken_over() {
    use localhub::{Answer, Fault, When};

    let mut world = World::new().await;
    let pulls = "/repos/{owner}/{repo}/pulls";
    world.forge.hub.faults().inject(
        "POST",
        pulls,
        When::Nth(1),
        Fault::Answer(Answer::status(403)),
    );
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(RETRIED));
    let left = tip(&world, "codingworker/issue-1");
    world.set("data_dir", json!(world.path().join("another")));
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_ne!(left, "");
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pull_request_tells_that_the_base_branch_has_moved_on() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let meanwhile = async {
        agent.wait_until_it_stops().await;
        push_as_a_person(&world, "main", false);
        agent.go_on();
    };
    let (ran, ()) = tokio::join!(world.work(), meanwhile);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert!(
        pulls[0]["body"].as_str().unwrap().contains("The base branch has moved on"),
        "{}",
        pulls[0]["body"]
    );
    world.check_done(issue).await;
}
