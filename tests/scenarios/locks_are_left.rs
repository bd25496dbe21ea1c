//! A git that was killed with its worker leaves its locks in the worker's repository.

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_worker_removes_the_locks_of_a_killed_git_and_works() {
    let mut world = World::new().await;
    let first = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    let cache = world.data_dir().join("repositories/owner/repo.git");
    let locks =
        ["config.lock", "packed-refs.lock", "shallow.lock", "refs/fetched/default.lock", "gc.pid"];
    for lock in locks {
        std::fs::write(cache.join(lock), "").unwrap();
    }
    // So that the next fetch has something to write.
    world.forge.commit("owner/repo", "main", "later.txt");
    world.agent("test -e bye.txt && echo test > bye_test.txt || echo bye > bye.txt");
    let second = world.task("Add a farewell", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("left a lock"), "{ran:?}");
    for lock in locks {
        assert!(!cache.join(lock).exists(), "{lock}");
    }
    for issue in [first, second] {
        world.check_done(issue).await;
    }
}
