//! Dead-letter queues: how messages get there, whose they may be, and how they come back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Server, handle};

const DLQ: &str = "arn:aws:sqs:us-east-1:000000000000:dlq";
const MAIN: &str = "arn:aws:sqs:us-east-1:000000000000:main";

fn redrive(count: u32) -> Value {
    json!({ "VisibilityTimeout": "0", "RedrivePolicy": json!({ "deadLetterTargetArn": DLQ, "maxReceiveCount": count }).to_string() })
}

/// A main queue and its dead-letter queue, with one message dead.
async fn with_dead_letter(server: &Server) -> (String, String) {
    let dlq = server.queue("dlq", json!({})).await;
    let main = server.queue("main", redrive(2)).await;
    server.send(&main, "m").await;
    for count in ["1", "2"] {
        assert_eq!(server.receive(&main, json!({})).await[0]["Attributes"]["ApproximateReceiveCount"], count);
    }
    assert!(server.receive(&main, json!({})).await.is_empty());
    (main, dlq)
}

#[tokio::test]
async fn what_was_received_too_often_is_moved() {
    let server = Server::start().await;
    let (main, dlq) = with_dead_letter(&server).await;
    assert_eq!((server.counts(&main).await, server.counts(&dlq).await), ((0, 0, 0), (1, 0, 0)));
    let dead = server.receive(&dlq, json!({})).await;
    assert_eq!(dead[0]["Attributes"]["DeadLetterQueueSourceArn"], MAIN);
    let sources = server.call("ListDeadLetterSourceQueues", json!({ "QueueUrl": dlq })).await;
    assert_eq!(sources["queueUrls"], json!([main]));
}

#[tokio::test]
async fn a_dead_letter_queue_chooses_its_sources() {
    let server = Server::start().await;
    let allow = json!({ "redrivePermission": "byQueue", "sourceQueueArns": [MAIN] }).to_string();
    let dlq = server.queue("dlq", json!({ "RedriveAllowPolicy": allow })).await;
    server.queue("main", redrive(3)).await;
    let other = json!({ "QueueName": "other", "Attributes": redrive(3) });
    server.refused("CreateQueue", other, "InvalidParameterValue", 400).await;
    let shown =
        server.call("GetQueueAttributes", json!({ "QueueUrl": dlq, "AttributeNames": ["RedriveAllowPolicy"] })).await;
    assert_eq!(shown["Attributes"]["RedriveAllowPolicy"], allow);
    let nowhere = json!({ "RedrivePolicy": json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:none", "maxReceiveCount": 1 }).to_string() });
    server
        .refused("CreateQueue", json!({ "QueueName": "lost", "Attributes": nowhere }), "InvalidParameterValue", 400)
        .await;
}

#[tokio::test]
async fn a_move_task_brings_dead_letters_back_as_new_messages() {
    let server = Server::start().await;
    let (main, dlq) = with_dead_letter(&server).await;
    let id = server.receive(&dlq, json!({ "VisibilityTimeout": 0 })).await[0]["MessageId"].clone();
    let started = server.call("StartMessageMoveTask", json!({ "SourceArn": DLQ })).await;
    let until = Instant::now() + Duration::from_secs(10);
    let task = loop {
        let tasks = server.call("ListMessageMoveTasks", json!({ "SourceArn": DLQ })).await;
        let task = tasks["Results"][0].clone();
        if task["Status"] == "COMPLETED" {
            break task;
        }
        assert!(Instant::now() < until, "{task}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((&task["ApproximateNumberOfMessagesMoved"], &task["SourceArn"]), (&json!(1), &json!(DLQ)));
    let message = &server.receive(&main, json!({})).await[0];
    assert_eq!(message["Attributes"]["ApproximateReceiveCount"], "1");
    assert_ne!(message["MessageId"], id);
    let over = json!({ "TaskHandle": started["TaskHandle"] });
    server.refused("CancelMessageMoveTask", over, "UnsupportedOperation", 400).await;
    server.refused("StartMessageMoveTask", json!({ "SourceArn": MAIN }), "InvalidParameterValue", 400).await;
    let unknown = json!({ "SourceArn": format!("{DLQ}-none") });
    server.refused("StartMessageMoveTask", unknown, "ResourceNotFoundException", 404).await;
}

#[tokio::test]
async fn a_paced_move_task_can_be_cancelled() {
    let server = Server::start().await;
    let dlq = server.queue("dlq", json!({})).await;
    server.queue("main", redrive(2)).await;
    for number in 0..5 {
        server.send(&dlq, &number.to_string()).await;
    }
    let request = json!({ "SourceArn": DLQ, "DestinationArn": MAIN, "MaxNumberOfMessagesPerSecond": 1 });
    let handle = server.call("StartMessageMoveTask", request.clone()).await["TaskHandle"].clone();
    server.refused("StartMessageMoveTask", request, "UnsupportedOperation", 400).await;
    server.call("CancelMessageMoveTask", json!({ "TaskHandle": handle })).await;
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let tasks = server.call("ListMessageMoveTasks", json!({ "SourceArn": DLQ })).await;
        if tasks["Results"][0]["Status"] == "CANCELLED" {
            break;
        }
        assert!(Instant::now() < until, "{tasks}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(server.counts(&dlq).await.0 >= 3, "most stayed");
}

#[tokio::test]
async fn purge_tags_and_pages() {
    let server = Server::start().await;
    let queue = server.queue("q1", json!({})).await;
    server.queue("q2", json!({})).await;
    server.queue("other", json!({})).await;
    let page = server.call("ListQueues", json!({ "QueueNamePrefix": "q", "MaxResults": 1 })).await;
    assert_eq!(page["QueueUrls"], json!([queue]));
    let rest = json!({ "QueueNamePrefix": "q", "MaxResults": 1, "NextToken": page["NextToken"] });
    let rest = server.call("ListQueues", rest).await;
    assert!(rest["QueueUrls"][0].as_str().unwrap().ends_with("/q2") && rest["NextToken"].is_null());

    server.call("TagQueue", json!({ "QueueUrl": queue, "Tags": { "a": "1", "b": "2" } })).await;
    server.call("UntagQueue", json!({ "QueueUrl": queue, "TagKeys": ["a"] })).await;
    assert_eq!(server.call("ListQueueTags", json!({ "QueueUrl": queue })).await["Tags"], json!({ "b": "2" }));

    server.send(&queue, "m").await;
    let held = server.receive(&queue, json!({})).await;
    server.send(&queue, "n").await;
    server.call("PurgeQueue", json!({ "QueueUrl": queue })).await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
    server.call("DeleteMessage", json!({ "QueueUrl": queue, "ReceiptHandle": handle(&held[0]) })).await;
    server.refused("PurgeQueue", json!({ "QueueUrl": queue }), "PurgeQueueInProgress", 403).await;
    server.call("DeleteQueue", json!({ "QueueUrl": queue })).await;
    server.refused("GetQueueUrl", json!({ "QueueName": "q1" }), "QueueDoesNotExist", 400).await;
}
