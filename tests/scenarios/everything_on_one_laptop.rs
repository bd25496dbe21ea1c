//! `codingworker up`: queue, forge and worker in one program, and their data survives it.

use crate::world::up::Up;
use crate::world::{FILES, World, run_git, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_done_and_is_still_there_after_a_restart() {
    let world = World::new().await;
    let data = world.path().join("up");
    let up = Up::start(&world, &data).await;

    let tree = world.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    FILES.iter().for_each(|(path, text)| std::fs::write(tree.join(path), text).unwrap());
    run_git(&tree, &["init", "--quiet", "--initial-branch=main"]);
    run_git(&tree, &["add", "--all"]);
    run_git(&tree, &["commit", "--quiet", "--message", "first"]);
    run_git(&tree, &["push", "--quiet", &up.remote(), "main"]);

    up.run(&["submit", "--repository", "me/project", "--title", "Add a greeting"]).await;
    wait_until("the pull request is open", async || !up.pull_requests().await.is_empty()).await;
    up.wait_until_idle().await;
    up.stop().await;

    let up = Up::start(&world, &data).await;
    let pulls = up.pull_requests().await;
    assert_eq!((pulls.len(), pulls[0]["title"].as_str()), (1, Some("Add a greeting")));
    up.stop().await;
}
