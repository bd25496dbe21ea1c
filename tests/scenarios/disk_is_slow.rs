//! The disk under the journal and the workspace stops for a while: the worker waits for it and
//! keeps the lease on its message meanwhile.

use serde_json::json;

use crate::world::queue_proxy::QueueProxy;
use crate::world::running::Running;
use crate::world::small_disk::{Standstill, on_a_disk_that_stops, seen_by};
use crate::world::{TOKEN, World};

/// In seconds. The worker renews the lease after a third of it.
const LEASE: u64 = 6;

/// More renewals than happen within one lease.
const RENEWALS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_renewed_while_nothing_can_be_written() {
    let mut world = World::new().await;
    let queue = QueueProxy::before(&world.queue.url).await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": queue.url }));
    world.set("worker", json!({ "free_space_mib": 1 }));
    world.queue.set_visibility_timeout(LEASE).await;
    let worker = world.command(&["worker"]);
    let Some(mut worker) = on_a_disk_that_stops(&worker, &world.data_dir()) else { return };
    worker.env("GITHUB_TOKEN", TOKEN);
    let worker = Running::start(worker);
    agent.wait_until_it_stops().await;
    let standstill = Standstill::of(&seen_by(worker.id(), &world.data_dir()));
    agent.go_on();
    let renewed = queue.count("sqs:ChangeMessageVisibility");
    queue.wait_for("sqs:ChangeMessageVisibility", renewed + RENEWALS).await;
    assert_eq!(world.queue.counts().await, (0, 1, 0), "the lease was kept");
    assert_eq!(world.pull_requests().await.len(), 0, "the disk did not stop");
    drop(standstill);
    world.wait_until_done(issue).await;
    assert_eq!(agent.calls(), 2, "one call for each pass: no work was repeated");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
    worker.stop_at_once().await;
}
