//! Batches: which requests are refused as a whole, and which entries fail while the others succeed.

use serde_json::{Value, json};

use crate::server::{Refusal, Server, bodies, text};

const EMPTY: Refusal = ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", 400);
const TOO_MANY: Refusal =
    ("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", 400);
const NOT_DISTINCT: Refusal =
    ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400);
const BAD_ID: Refusal = ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", 400);
const TOO_LONG: Refusal =
    ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", 400);

fn entries(ids: &[&str]) -> Vec<Value> {
    let entry = |id: &&str| {
        let (body, handle) = (*id, "x");
        json!({
            "Id": id, "MessageBody": body, "ReceiptHandle": handle, "VisibilityTimeout": 1,
        })
    };
    ids.iter().map(entry).collect()
}

fn ids(answer: &Value, list: &str) -> Vec<String> {
    let entries = answer[list].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| text(entry, "Id").to_owned()).collect()
}

#[tokio::test]
async fn a_batch_that_is_wrong_as_a_whole_does_nothing() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let eleven: Vec<String> = (0..11).map(|number| number.to_string()).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    let long = "x".repeat(81);
    for action in ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"] {
        for (ids, refusal) in [
            (&[][..], EMPTY),
            (&eleven, TOO_MANY),
            (&["a", "b", "a"], NOT_DISTINCT),
            (&["a", "b c"], BAD_ID),
            (&[""], BAD_ID),
            (&[&long], BAD_ID),
        ] {
            server
                .refused(action, json!({ "QueueUrl": queue, "Entries": entries(ids) }), refusal)
                .await;
        }
    }
    let half = "x".repeat(600 * 1024);
    let too_long = json!([{ "Id": "a", "MessageBody": half }, { "Id": "b", "MessageBody": half }]);
    server
        .refused("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": too_long }), TOO_LONG)
        .await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
}

#[tokio::test]
async fn entries_of_a_send_fail_by_themselves() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let entries = json!([
        { "Id": "good", "MessageBody": "first" },
        { "Id": "character", "MessageBody": "\u{1}" },
        { "Id": "delay", "MessageBody": "x", "DelaySeconds": 901 },
        { "Id": "empty", "MessageBody": "" },
        { "Id": "also-good", "MessageBody": "second", "DelaySeconds": 0 },
    ]);
    let answer =
        server.ok("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": entries })).await;
    assert_eq!(ids(&answer, "Successful"), ["good", "also-good"]);
    assert_eq!(answer["Successful"][0]["MD5OfMessageBody"], "8b04d5e3775d298e78455efc5ca404d5");
    let failed = answer["Failed"].as_array().unwrap();
    let code = |id: &str| {
        failed.iter().find(|entry| entry["Id"] == id).map(|entry| text(entry, "Code").to_owned())
    };
    assert_eq!(code("character").as_deref(), Some("InvalidMessageContents"));
    assert_eq!(code("delay").as_deref(), Some("InvalidParameterValue"));
    assert_eq!(code("empty").as_deref(), Some("MissingParameter"));
    assert!(
        failed.iter().all(|entry| entry["SenderFault"] == true && entry["Message"].is_string())
    );
    assert_eq!(bodies(&server.receive(&queue, json!({})).await), ["first", "second"]);
}

#[tokio::test]
async fn a_list_that_would_be_empty_is_left_out() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let answer = server
        .ok("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": entries(&["a"]) }))
        .await;
    assert!(answer.get("Failed").is_none(), "{answer}");
    let answer = server
        .ok("DeleteMessageBatch", json!({ "QueueUrl": queue, "Entries": entries(&["a"]) }))
        .await;
    assert!(answer.get("Successful").is_none(), "{answer}");
    assert_eq!(answer["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn entries_of_a_delete_and_of_a_change_fail_by_themselves() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for body in ["a", "b"] {
        server.send(&queue, body).await;
    }
    let received = server.receive(&queue, json!({})).await;
    let handle = |position: usize| received[position]["ReceiptHandle"].clone();
    let changes = json!([
        { "Id": "good", "ReceiptHandle": handle(0), "VisibilityTimeout": 0 },
        { "Id": "beyond", "ReceiptHandle": handle(1), "VisibilityTimeout": 43_201 },
        { "Id": "nobody", "ReceiptHandle": "x", "VisibilityTimeout": 1 },
        { "Id": "without", "ReceiptHandle": handle(1) },
    ]);
    let answer = server
        .ok("ChangeMessageVisibilityBatch", json!({ "QueueUrl": queue, "Entries": changes }))
        .await;
    assert_eq!(ids(&answer, "Successful"), ["good"]);
    assert_eq!(ids(&answer, "Failed"), ["beyond", "nobody", "without"]);
    assert_eq!(server.counts(&queue).await, (1, 1, 0));
    let deletes = json!([
        { "Id": "one", "ReceiptHandle": handle(0) },
        { "Id": "nobody", "ReceiptHandle": "x" },
        { "Id": "two", "ReceiptHandle": handle(1) },
    ]);
    let answer =
        server.ok("DeleteMessageBatch", json!({ "QueueUrl": queue, "Entries": deletes })).await;
    assert_eq!(ids(&answer, "Successful"), ["one", "two"]);
    assert_eq!(ids(&answer, "Failed"), ["nobody"]);
    assert_eq!(
        server.counts(&queue).await,
        (0, 0, 0),
        "a handle is good until its message is received again"
    );
}
