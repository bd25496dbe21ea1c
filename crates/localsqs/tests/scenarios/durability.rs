//! A server that starts on the directory of another one has exactly what that one acknowledged.

use localsqs::{OpenError, Options, Queues};
use serde_json::{Value, json};

use crate::server::{Server, arn, bodies, eventually, text};

fn handle(queue: &str, message: &Value) -> Value {
    json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] })
}

#[tokio::test]
async fn messages_queues_attributes_and_tags_survive() {
    let server = Server::start().await;
    let visibility = json!({ "VisibilityTimeout": "77" });
    let made = json!({ "QueueName": "q", "Attributes": visibility, "tags": { "a": "b" } });
    let queue = text(&server.ok("CreateQueue", made).await, "QueueUrl").to_owned();
    let attributes = json!({ "a": { "DataType": "Binary", "BinaryValue": "AAH/" } });
    let request =
        json!({ "QueueUrl": queue, "MessageBody": "漢字", "MessageAttributes": attributes });
    let sent = server.ok("SendMessage", request).await;
    server
        .ok(
            "SendMessage",
            json!({ "QueueUrl": queue, "MessageBody": "later", "DelaySeconds": 900 }),
        )
        .await;
    let created = server.attribute(&queue, "CreatedTimestamp").await;
    let server = server.restart().await;
    assert_eq!(server.attribute(&queue, "VisibilityTimeout").await, "77");
    assert_eq!(server.attribute(&queue, "CreatedTimestamp").await, created);
    assert_eq!(
        server.ok("ListQueueTags", json!({ "QueueUrl": queue })).await,
        json!({ "Tags": { "a": "b" } })
    );
    assert_eq!(server.counts(&queue).await, (1, 0, 1));
    let received = server.receive(&queue, json!({})).await;
    assert_eq!(bodies(&received), ["漢字"]);
    assert_eq!(received[0]["MessageId"], sent["MessageId"]);
    assert_eq!(received[0]["MessageAttributes"], attributes);
    assert_eq!(received[0]["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
}

#[tokio::test]
async fn deletions_receive_counts_visibility_and_receipt_handles_survive() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for body in ["deleted", "held", "given back"] {
        server.send(&queue, body).await;
    }
    let first = server.receive(&queue, json!({ "VisibilityTimeout": 900 })).await;
    server.ok("DeleteMessage", handle(&queue, &first[0])).await;
    let mut give_back = handle(&queue, &first[2]);
    give_back["VisibilityTimeout"] = 0.into();
    server.ok("ChangeMessageVisibility", give_back).await;
    let server = server.restart().await;
    assert_eq!(server.counts(&queue).await, (1, 1, 0));
    let again = server.receive(&queue, json!({})).await;
    assert_eq!(bodies(&again), ["given back"]);
    assert_eq!(again[0]["Attributes"]["ApproximateReceiveCount"], "2");
    let first_received =
        |message: &Value| message["Attributes"]["ApproximateFirstReceiveTimestamp"].clone();
    assert_eq!(first_received(&again[0]), first_received(&first[2]));
    server.ok("DeleteMessage", handle(&queue, &first[2])).await;
    assert_eq!(server.counts(&queue).await, (0, 2, 0), "an old handle is as old as it was");
    for message in [&first[1], &again[0]] {
        server.ok("DeleteMessage", handle(&queue, message)).await;
    }
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
    let server = server.restart().await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
}

#[tokio::test]
async fn a_handle_from_before_a_restart_never_fits_a_message_from_after_it() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "before").await;
    let before = server.receive(&queue, json!({})).await;
    server.ok("DeleteMessage", handle(&queue, &before[0])).await;
    let server = server.restart().await;
    server.send(&queue, "after").await;
    server.receive(&queue, json!({})).await;
    server.ok("DeleteMessage", handle(&queue, &before[0])).await;
    assert_eq!(server.counts(&queue).await, (0, 1, 0));
}

#[tokio::test]
async fn dead_letters_and_purges_survive() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    server.send(&queue, "x").await;
    server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
    server.receive(&queue, json!({})).await;
    let purged = server.queue("purged", json!({})).await;
    server.send(&purged, "x").await;
    server.ok("PurgeQueue", json!({ "QueueUrl": purged })).await;
    let server = server.restart().await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
    assert_eq!(server.counts(&purged).await, (0, 0, 0));
    let died = server.receive(&dead, json!({})).await;
    assert_eq!(died[0]["Attributes"]["DeadLetterQueueSourceArn"], arn("q"));
}

#[tokio::test]
async fn a_move_task_that_a_restart_interrupted_has_failed_and_lost_nothing() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    for _ in 0..3 {
        server.send(&dead, "x").await;
    }
    let with_a_rate = json!({
        "SourceArn": arn("q-dlq"), "DestinationArn": arn("q"), "MaxNumberOfMessagesPerSecond": 1,
    });
    server.ok("StartMessageMoveTask", with_a_rate).await;
    let server = server.restart().await;
    let tasks = server.ok("ListMessageMoveTasks", json!({ "SourceArn": arn("q-dlq") })).await;
    assert_eq!(tasks["Results"][0]["Status"], "FAILED");
    assert_eq!(server.counts(&queue).await.0 + server.counts(&dead).await.0, 3);
}

#[tokio::test]
async fn a_send_whose_caller_went_away_is_whole_or_not_there() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let body = json!({ "QueueUrl": queue, "MessageBody": "x" }).to_string();
    for micros in (0..4_000).step_by(100) {
        let request = reqwest::Client::new()
            .post(&server.endpoint)
            .header("x-amz-target", "AmazonSQS.SendMessage");
        let sending = request.body(body.clone()).send();
        // The caller goes away before, during or after the write.
        drop(tokio::time::timeout(std::time::Duration::from_micros(micros), sending).await);
    }
    // The sends that are under way have ended when the number of messages stays the same.
    let mut last = None;
    eventually("the sends end", async || {
        let ready = server.counts(&queue).await.0;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        (last.replace(ready) == Some(ready)).then_some(())
    })
    .await;
    let received_before = last.unwrap();
    let server = server.restart().await;
    assert_eq!(
        server.counts(&queue).await.0,
        received_before,
        "a message on the disk could be received"
    );
}

#[tokio::test]
async fn only_one_program_at_a_time_opens_a_directory() {
    let server = Server::start().await;
    let second = Queues::open(server.directory(), Options::default());
    let error = second.err().expect("the first has it");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    let directory = server.stop().await;
    Queues::open(directory.path(), Options::default()).expect("the first has left it");
}

#[tokio::test]
async fn damaged_data_is_refused_with_the_row_that_is_damaged() {
    let server = Server::start().await;
    let (queue, _) = server.queue_with_dead_letters("q", 3).await;
    let attributes = json!({ "a": { "DataType": "String", "StringValue": "b" } });
    let message = json!({ "QueueUrl": queue, "MessageBody": "x", "MessageAttributes": attributes });
    server.ok("SendMessage", message).await;
    server.ok("StartMessageMoveTask", json!({ "SourceArn": arn("q-dlq") })).await;
    let directory = server.stop().await;
    let path = directory.path().join("queue.sqlite3");
    Queues::open(directory.path(), Options::default()).expect("nothing is damaged yet");
    let no_target = r#"json_set(settings, '$.RedrivePolicy', '{"maxReceiveCount":3}')"#;
    let no_number = "json_set(settings, '$.VisibilityTimeout', 'soon')";
    for (damage, table, row, column) in [
        (r#"queues SET settings = '{"RedrivePolicy"' WHERE name = 'q'"#, "queues", "q", "settings"),
        (&format!("queues SET settings = {no_target} WHERE name = 'q'"), "queues", "q", "settings"),
        (&format!("queues SET settings = {no_number} WHERE name = 'q'"), "queues", "q", "settings"),
        ("queues SET tags = '[]' WHERE name = 'q'", "queues", "q", "tags"),
        (r#"messages SET attributes = '{"a":'"#, "messages", "id 1", "attributes"),
        ("messages SET system_attributes = 'x'", "messages", "id 1", "system_attributes"),
        ("messages SET receive_count = -1", "messages", "id 1", "receive_count"),
        ("move_tasks SET status = 'LOST'", "move_tasks", "handle", "status"),
        ("move_tasks SET moved = -1", "move_tasks", "handle", "moved"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let damaged = copy.path().join("queue.sqlite3");
        std::fs::copy(&path, &damaged).unwrap();
        let connection = rusqlite::Connection::open(&damaged).unwrap();
        assert_eq!(connection.execute(&format!("UPDATE {damage}"), []).unwrap(), 1, "{damage}");
        drop(connection);
        let opened = Queues::open(copy.path(), Options::default());
        let error = opened.err().unwrap_or_else(|| panic!("it is opened in spite of {damage}"));
        let told = error.to_string();
        for part in [damaged.to_str().unwrap(), table, row, column, "sqlite3"] {
            assert!(told.contains(part), "{damage}: {part} is not in: {told}");
        }
        assert!(std::error::Error::source(&error).is_some(), "{damage}: it says why");
    }
}
