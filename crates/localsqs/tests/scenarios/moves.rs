//! Move tasks: they return dead letters to their queues, or move them to another one.

use serde_json::{Value, json};

use crate::server::{Refusal, Server, arn, bodies, eventually, text};

const UNSUPPORTED: Refusal =
    ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", 400);

/// Sends messages to a queue with a `maxReceiveCount` of one, and receives until they are in the
/// dead-letter queue.
async fn make_dead_letters(server: &Server, queue: &str, bodies: &[&str]) {
    for body in bodies {
        server.send(queue, body).await;
    }
    server.receive(queue, json!({ "VisibilityTimeout": 0 })).await;
    assert!(server.receive(queue, json!({})).await.is_empty());
}

async fn ended(server: &Server, source: &str) -> Value {
    eventually("the task ends", async || {
        let tasks = server.ok("ListMessageMoveTasks", json!({ "SourceArn": source })).await;
        let task = tasks["Results"][0].clone();
        (!matches!(text(&task, "Status"), "RUNNING" | "CANCELLING")).then_some(task)
    })
    .await
}

#[tokio::test]
async fn dead_letters_return_to_the_queues_they_came_from_as_new_messages() {
    let server = Server::start().await;
    let dead = server.queue("dead", json!({})).await;
    let policy = json!({ "deadLetterTargetArn": arn("dead"), "maxReceiveCount": 1 }).to_string();
    let first = server.queue("first", json!({ "RedrivePolicy": policy })).await;
    let second = server.queue("second", json!({ "RedrivePolicy": policy })).await;
    make_dead_letters(&server, &first, &["one"]).await;
    make_dead_letters(&server, &second, &["two", "three"]).await;
    let before = server.receive(&dead, json!({ "VisibilityTimeout": 0 })).await;
    assert_eq!(before.len(), 3);
    let started = server.ok("StartMessageMoveTask", json!({ "SourceArn": arn("dead") })).await;
    assert!(started["TaskHandle"].is_string());
    let task = ended(&server, &arn("dead")).await;
    assert_eq!(task["Status"], "COMPLETED", "{task}");
    assert_eq!(
        (&task["ApproximateNumberOfMessagesMoved"], &task["ApproximateNumberOfMessagesToMove"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(task["SourceArn"], arn("dead"));
    assert!(task.get("TaskHandle").is_none() && task.get("DestinationArn").is_none(), "{task}");
    assert_eq!(bodies(&server.receive(&first, json!({})).await), ["one"]);
    let home = server.receive(&second, json!({})).await;
    assert_eq!(bodies(&home), ["two", "three"]);
    assert_eq!(home[0]["Attributes"]["ApproximateReceiveCount"], "1");
    assert!(home[0]["Attributes"].get("DeadLetterQueueSourceArn").is_none());
    assert!(before.iter().all(|before| before["MessageId"] != home[0]["MessageId"]));
    assert_eq!(server.counts(&dead).await, (0, 0, 0));
}

#[tokio::test]
async fn dead_letters_move_to_the_destination_that_the_task_names() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    let elsewhere = server.queue("elsewhere", json!({})).await;
    make_dead_letters(&server, &queue, &["died"]).await;
    server.send(&dead, "was never elsewhere").await;
    let move_there = json!({ "SourceArn": arn("q-dlq"), "DestinationArn": arn("elsewhere") });
    server.ok("StartMessageMoveTask", move_there).await;
    let task = ended(&server, &arn("q-dlq")).await;
    assert_eq!(
        (text(&task, "Status"), text(&task, "DestinationArn")),
        ("COMPLETED", arn("elsewhere").as_str())
    );
    assert_eq!(
        bodies(&server.receive(&elsewhere, json!({})).await),
        ["died", "was never elsewhere"]
    );
}

#[tokio::test]
async fn a_message_whose_source_is_not_known_stays_and_fails_the_task() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    make_dead_letters(&server, &queue, &["died"]).await;
    server.send(&dead, "sent here").await;
    server.ok("StartMessageMoveTask", json!({ "SourceArn": arn("q-dlq") })).await;
    let task = ended(&server, &arn("q-dlq")).await;
    assert_eq!(
        (text(&task, "Status"), text(&task, "FailureReason")),
        ("FAILED", "CouldNotDetermineMessageSource")
    );
    assert_eq!(task["ApproximateNumberOfMessagesMoved"], 1);
    assert_eq!(bodies(&server.receive(&queue, json!({})).await), ["died"]);
    assert_eq!(bodies(&server.receive(&dead, json!({})).await), ["sent here"]);
}

#[tokio::test]
async fn a_task_with_a_rate_can_be_cancelled_and_is_the_only_one_of_its_source() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    make_dead_letters(&server, &queue, &["1", "2", "3", "4", "5"]).await;
    let with_a_rate = json!({ "SourceArn": arn("q-dlq"), "MaxNumberOfMessagesPerSecond": 1 });
    let started = server.ok("StartMessageMoveTask", with_a_rate.clone()).await;
    server.refused("StartMessageMoveTask", with_a_rate, UNSUPPORTED).await;
    let running = server.ok("ListMessageMoveTasks", json!({ "SourceArn": arn("q-dlq") })).await;
    let running = &running["Results"][0];
    assert_eq!(
        (text(running, "Status"), &running["TaskHandle"]),
        ("RUNNING", &started["TaskHandle"])
    );
    assert_eq!(running["MaxNumberOfMessagesPerSecond"], 1);
    let cancel = json!({ "TaskHandle": started["TaskHandle"] });
    let cancelled = server.ok("CancelMessageMoveTask", cancel.clone()).await;
    assert!(cancelled["ApproximateNumberOfMessagesMoved"].as_u64().unwrap() < 5);
    let task = ended(&server, &arn("q-dlq")).await;
    assert_eq!(task["Status"], "CANCELLED");
    let moved = task["ApproximateNumberOfMessagesMoved"].as_u64().unwrap();
    assert_eq!((server.counts(&queue).await.0, server.counts(&dead).await.0), (moved, 5 - moved));
    assert!(moved < 5, "one a second");
    server.refused("CancelMessageMoveTask", cancel, UNSUPPORTED).await;
    let again = json!({ "SourceArn": arn("q-dlq"), "MaxNumberOfMessagesPerSecond": 500 });
    server.ok("StartMessageMoveTask", again).await;
    assert_eq!(ended(&server, &arn("q-dlq")).await["Status"], "COMPLETED");
    let both = server
        .ok("ListMessageMoveTasks", json!({ "SourceArn": arn("q-dlq"), "MaxResults": 10 }))
        .await;
    let states: Vec<&str> =
        both["Results"].as_array().unwrap().iter().map(|task| text(task, "Status")).collect();
    assert_eq!(states, ["COMPLETED", "CANCELLED"], "the newest first");
}

#[tokio::test]
async fn a_task_of_many_batches_moves_all() {
    let server = Server::start().await;
    let (_, dead) = server.queue_with_dead_letters("q", 1).await;
    let elsewhere = server.queue("elsewhere", json!({})).await;
    for _ in 0..60 {
        let entries: Vec<Value> =
            (0..10).map(|n| json!({ "Id": n.to_string(), "MessageBody": "x" })).collect();
        server.ok("SendMessageBatch", json!({ "QueueUrl": dead, "Entries": entries })).await;
    }
    let move_there = json!({ "SourceArn": arn("q-dlq"), "DestinationArn": arn("elsewhere") });
    server.ok("StartMessageMoveTask", move_there).await;
    assert_eq!(ended(&server, &arn("q-dlq")).await["ApproximateNumberOfMessagesMoved"], 600);
    assert_eq!((server.counts(&dead).await.0, server.counts(&elsewhere).await.0), (0, 600));
}
