//! Messages and repositories that are not worked on: nothing happens to them, and they end in the
//! dead-letter queue.

use serde_json::json;

use crate::exit_codes::{CANCELLED, DEAD_LETTERED};
use crate::world::{FILES, World};

fn message(repository: &str, issue: u64) -> serde_json::Value {
    json!({
        "issue_number": issue, "repository": repository, "title": "Add a greeting", "body": "",
        "labels": ["ai-task"], "created_at": "2026-01-01T00:00:00Z",
    })
}

/// Three deliveries, each given back at once, and then the dead-letter queue.
async fn check_dead_lettered(world: &World, said: &str) {
    for _ in 0..3 {
        let ran = world.work().await;
        assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
    world.queue.poke().await;
    assert_eq!(world.queue.counts().await, (0, 0, 1));
    assert!(world.pull_requests().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_message_is_not_worked_on() {
    let world = World::new().await;
    let mut wrong = message("owner/repo", 1);
    wrong["issue_number"] = json!("one");
    world.queue.send(&wrong.to_string()).await;
    check_dead_lettered(&world, "field `issue_number` is the string").await;
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_on_the_list_is_left_alone() {
    let world = World::new().await;
    world.forge.repository("owner/other", "main", FILES);
    world.queue.send(&message("owner/other", 1).to_string()).await;
    check_dead_lettered(&world, "owner/other is not on the list").await;
    let heard = world
        .forge
        .hub
        .requests()
        .entries()
        .into_iter()
        .filter(|request| request.path.contains("owner/other"));
    assert_eq!(heard.count(), 0, "the forge was asked about it");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_commits_is_reported() {
    let world = World::without_repository().await;
    world.forge.empty_repository("owner/repo", "main");
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    let comments = world.comments(issue).await;
    assert!(
        comments[0].contains("has no commits") && comments[0].contains("push a first commit"),
        "{comments:?}"
    );
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_was_closed_or_unlabelled_is_not_worked_on() {
    let world = World::new().await;
    let closed = world.task("Add a greeting", "").await;
    world
        .forge
        .ask(
            reqwest::Method::PATCH,
            &format!("/repos/owner/repo/issues/{closed}"),
            json!({ "state": "closed" }),
        )
        .await;
    assert_eq!(world.work().await.code, Some(CANCELLED));
    assert!(world.comments(closed).await[0].contains("the issue was closed"));

    let unlabelled = world.task("Add a greeting", "").await;
    let label = format!("/repos/owner/repo/issues/{unlabelled}/labels/ai-task");
    world.forge.ask(reqwest::Method::DELETE, &label, serde_json::Value::Null).await;
    assert_eq!(world.work().await.code, Some(CANCELLED));
    assert!(world.comments(unlabelled).await[0].contains("`ai-task` was taken off"));

    assert!(world.pull_requests().await.is_empty());
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_to_a_workflow_is_refused_and_reported() {
    let mut world = World::new().await;
    world.agent("mkdir -p .github/workflows && echo 'on: push' > .github/workflows/x.yml");
    let issue = world.task("Add a workflow", "").await;
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    assert!(world.comments(issue).await[0].contains(".github/workflows/x.yml is protected"));
    assert_eq!(world.branches(), ["main"]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_token_or_a_list_says_what_is_missing() {
    let mut world = World::new().await;
    let ran = world.run_with(&["worker", "--once"], &[]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("set GITHUB_TOKEN"), "{ran:?}");
    world.set("repositories", json!([]));
    let ran = world.work().await;
    assert!(ran.stderr.contains("CODINGWORKER_REPOSITORIES"), "{ran:?}");
    world.finish();
}
