//! The queue hands out what nobody sent.

use serde_json::json;

use crate::world::World;
use crate::world::recorder::Recorder;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_arrives_damaged_is_given_back_and_not_worked_on() {
    let mut world = World::new().await;
    let recorder = Recorder::before(&world.queue.url).await;
    let issue = world.task("Add a greeting", "Say hello.").await;
    world.set("queue", json!({ "endpoint_url": recorder.url }));
    recorder.damage("Say hello.", "Say farewell.");
    let ran = world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("arrived damaged"), "{ran:?}");
    assert_eq!(world.queue.counts().await, (1, 0, 0), "the message is there again");
    assert_eq!(world.comments(issue).await, Vec::<String>::new());

    recorder.damage("Say hello.", "Say hello.");
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.finish();
}
