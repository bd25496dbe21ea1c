//! Messages and repositories that the worker does not work on: it leaves them alone, and the
//! messages end in the dead-letter queue.

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
async fn check_dead_lettered(world: &World, reason: &str) {
    for _ in 0..3 {
        let ran = world.work().await;
        assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
        assert!(ran.stderr.contains(reason), "{ran:?}");
    }
    world.queue.poke().await;
    assert_eq!(world.queue.counts().await, (0, 0, 1));
    world.leaves_in_dead_letters(1, "the worker refuses it in all of its deliveries");
    assert!(world.pull_requests().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_message_is_not_worked_on() {
    let world = World::new().await;
    let mut wrong = message("owner/repo", 1);
    wrong["issue_number"] = json!("one");
    world.queue.send(&wrong.to_string()).await;
    check_dead_lettered(&world, "field `issue_number` is the string").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_not_on_the_list_is_left_alone() {
    let world = World::new().await;
    world.forge.repository("owner/other", "main", FILES);
    world.queue.send(&message("owner/other", 1).to_string()).await;
    check_dead_lettered(&world, "owner/other is not on the list").await;
    let requests = world.forge.hub.requests().entries().into_iter();
    let about_it = requests.filter(|request| request.path.contains("owner/other"));
    assert_eq!(about_it.count(), 0, "the forge was asked about it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_commits_is_reported() {
    let world = World::without_repository().await;
    world.forge.empty_repository("owner/repo", "main");
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    let comment = world.status_comment(issue).await;
    assert!(
        comment.contains("has no commits") && comment.contains("Push a first commit"),
        "{comment}"
    );
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
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
    assert!(world.status_comment(closed).await.contains("The issue was closed"));

    let unlabelled = world.task("Add a greeting", "").await;
    let label = format!("/repos/owner/repo/issues/{unlabelled}/labels/ai-task");
    world.forge.ask(reqwest::Method::DELETE, &label, serde_json::Value::Null).await;
    assert_eq!(world.work().await.code, Some(CANCELLED));
    assert!(world.status_comment(unlabelled).await.contains("`ai-task` was taken off"));

    assert!(world.pull_requests().await.is_empty());
    assert_eq!(world.queue.counts().await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_to_a_workflow_is_refused_and_reported() {
    let mut world = World::new().await;
    world.agent("mkdir -p .github/workflows && echo 'on: push' > .github/workflows/x.yml");
    let issue = world.task("Add a workflow", "").await;
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("`.github/workflows/x.yml` is protected"), "{comment}");
    assert_eq!(world.branches(), ["main"]);
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_token_or_a_list_of_repositories_tells_what_is_missing() {
    let mut world = World::new().await;
    let ran = world.run_with(&["worker", "--once"], &[]).await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("set GITHUB_TOKEN"), "{ran:?}");
    world.set("repositories", json!([]));
    let ran = world.work().await;
    assert!(ran.stderr.contains("CODINGWORKER_REPOSITORIES"), "{ran:?}");
}
