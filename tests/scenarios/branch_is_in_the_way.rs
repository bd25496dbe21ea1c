//! A branch of the repository keeps the task's own branch from being made. The task fails before
//! the agent is called, and says what to change.

use serde_json::json;

use crate::exit_codes::DEAD_LETTERED;
use crate::world::World;
use crate::world::forge::run_git;

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_git_can_not_have_beside_the_tasks_is_named_before_the_work() {
    for other in ["codingworker", "codingworker/issue-1/wip"] {
        let mut world = World::new().await;
        let agent = world.held_agent(0);
        let bare = world.forge.hub.repository_path("owner/repo").unwrap();
        run_git(&bare, &["branch", other, "main"]);
        let issue = world.task("Add a greeting", "").await;
        let ran = world.work().await;
        assert_eq!(ran.code, Some(DEAD_LETTERED), "it is not retried: {ran:?}");
        assert_eq!(agent.calls(), 0, "the agent worked for nothing");
        let comment = world.status_comment(issue).await;
        for part in [&format!("`{other}`"), "`codingworker/issue-1`", "`publish.branch_prefix`"] {
            assert!(comment.contains(part), "{part}: {comment}");
        }
        for _ in 0..2 {
            assert_eq!(world.work().await.code, Some(DEAD_LETTERED), "it was told already");
        }
        world.queue.poke().await;
        world.leaves_in_dead_letters(1, "the branch was in the way");

        // The way out that the comment names.
        world.set("publish", json!({ "branch_prefix": "agent/issue-" }));
        let second = world.task("Add another", "").await;
        let ran = world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        world.check_done(second).await;
    }
}

/// Branches that only begin alike do no harm.
#[tokio::test(flavor = "multi_thread")]
async fn a_branch_of_a_similar_name_is_no_hindrance() {
    let world = World::new().await;
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    for other in ["codingworker-old", "codingworker/issue-10/wip", "codingworker/issue"] {
        run_git(&bare, &["branch", other, "main"]);
    }
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    world.check_done(issue).await;
}
