//! The right to work on a message ends while the work goes on.

use std::time::Duration;

use serde_json::json;

use crate::world::World;
use crate::world::recorder::Recorder;

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_renewed_before_the_push_and_before_the_pull_request() {
    let mut world = World::new().await;
    let recorder = Recorder::before(&world.queue.url).await;
    world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(recorder.count("sqs:ChangeMessageVisibility"), 2, "the run is shorter than a third of its lease");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lease_is_lost_publishes_nothing_and_says_nothing() {
    let mut world = World::new().await;
    let recorder = Recorder::before(&world.queue.url).await;
    let signs = tempfile::tempdir().unwrap();
    let (begun, go) = (signs.path().join("begun"), signs.path().join("go"));
    world.agent(&format!(
        "touch '{}'; until [ -e '{}' ]; do sleep 0.02; done; test -e hello.txt && echo x > hello_test.txt || echo x > hello.txt",
        begun.display(),
        go.display()
    ));
    let issue = world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));

    let meanwhile = async {
        let seen = async {
            while !begun.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), seen).await.expect("the agent is not called");
        recorder.lose_leases();
        std::fs::write(&go, "").unwrap();
        world.comments(issue).await
    };
    let (ran, before) = tokio::join!(world.work(), meanwhile);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("the lease on the message was lost"), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 0);
    assert!(world.branches().iter().all(|branch| !branch.starts_with("codingworker/")), "{:?}", world.branches());
    let after = world.comments(issue).await;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert!(!after[0].contains("lost"), "{}", after[0]);
    assert_eq!(world.queue.counts().await, (0, 1, 0), "the message is whoever's who receives it next");
}
