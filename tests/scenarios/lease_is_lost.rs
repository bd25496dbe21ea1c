//! A worker loses the lease of its message while it works on the task.

use serde_json::json;

use crate::exit_codes::ABANDONED;
use crate::world::World;
use crate::world::queue_proxy::QueueProxy;

/// Long enough to be renewed on a busy machine, short enough to wait for, in seconds.
const LEASE: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_renewed_at_the_start_before_the_push_and_before_the_pull_request() {
    let mut world = World::new().await;
    let proxy = QueueProxy::before(&world.queue.url).await;
    // No run is so long that the clock renews the lease, which happens after a third of it.
    world.queue.set_visibility_timeout(1200).await;
    let issue = world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(proxy.count("sqs:ChangeMessageVisibility"), 3);
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lease_is_lost_publishes_nothing_and_tells_nothing() {
    let mut world = World::new().await;
    let proxy = QueueProxy::before(&world.queue.url).await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": proxy.url }));

    let meanwhile = async {
        agent.wait_until_it_stops().await;
        proxy.lose_leases();
        agent.go_on();
        world.comments(issue).await
    };
    let (ran, before) = tokio::join!(world.work(), meanwhile);
    assert_eq!(ran.code, Some(ABANDONED), "{ran:?}");
    assert!(ran.stderr.contains("the lease on the message was lost"), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 0);
    assert!(
        world.branches().iter().all(|branch| !branch.starts_with("codingworker/")),
        "{:?}",
        world.branches()
    );
    let after = world.comments(issue).await;
    assert_eq!((before.len(), after.len()), (1, 1));
    assert!(!after[0].contains("lost"), "{}", after[0]);
    assert_eq!(
        world.queue.counts().await,
        (0, 1, 0),
        "the message belongs to whoever receives it next"
    );
    world.leaves_messages(1, "another worker may have its lease");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_started_again_after_another_did_its_task_publishes_nothing() {
    let mut world = World::new().await;
    world.queue.set_visibility_timeout(LEASE).await;
    let agent = world.held_agent(2);
    let issue = world.task("Add a greeting", "").await;
    let mut worker = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    worker.kill().await;
    world.queue.wait_until_visible(1).await;
    agent.go_on();

    let first = world.data_dir();
    world.set("data_dir", json!(world.path().join("another")));
    assert_eq!(world.work().await.code, Some(0));
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
    // Before each receive a worker asks whether the forge can be asked, for no repository.
    let hub = world.forge.hub.clone();
    let asked = || {
        let requests = hub.requests().entries();
        requests.iter().filter(|request| request.path != "/rate_limit").count()
    };
    let requests = asked();
    let branches = world.branches();

    let proxy = QueueProxy::before(&world.queue.url).await;
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    world.set("data_dir", json!(first));
    let late = world.start(&["worker"]);
    proxy.wait_for("sqs:ReceiveMessage", 1).await;
    late.stop_at_once().await;
    assert_eq!(asked(), requests, "the worker asked the forge for something");
    assert_eq!(world.branches(), branches);
}
