//! The queue hands out a message that nobody sent, or does not answer at all.

use serde_json::json;

use crate::world::queue_proxy::QueueProxy;
use crate::world::{World, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_arrives_damaged_is_given_back_and_not_worked_on() {
    let mut world = World::new().await;
    let proxy = QueueProxy::before(&world.queue.url).await;
    let issue = world.task("Add a greeting", "Say hello.").await;
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    proxy.damage("Say hello.", "Say farewell.");
    let ran = world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("arrived damaged"), "{ran:?}");
    assert_eq!(world.queue.counts().await, (1, 0, 0), "the message is there again");
    assert_eq!(world.comments(issue).await, Vec::<String>::new());

    proxy.damage("Say hello.", "Say hello.");
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_not_answered_is_given_up_and_the_next_one_works() {
    let mut world = World::new().await;
    let proxy = QueueProxy::before(&world.queue.url).await;
    let queue = world.settings["queue"].clone();
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    let worker = world.start(&["worker"]);
    proxy.wait_for("sqs:ReceiveMessage", 1).await;
    proxy.hold_answers();
    let health = world.data_dir().join("health.json");
    wait_until("the worker gives the poll up", async || {
        std::fs::read_to_string(&health)
            .is_ok_and(|health| health.contains("did not answer within 30 s"))
    })
    .await;
    proxy.release_answers();
    world.settings["queue"] = queue;
    let issue = world.task("Add a greeting", "").await;
    world.wait_until_done(issue).await;
    world.check_done(issue).await;
    worker.stop_at_once().await;
}
