//! What a message carries, and what its handle is good for.

use serde_json::{Value, json};

use crate::server::{Server, handle};

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let attributes = json!({
        "a.text": { "DataType": "String", "StringValue": "漢字" },
        "b": { "DataType": "Binary", "BinaryValue": "AAEC" },
        "n": { "DataType": "Number.int", "StringValue": "7" },
    });
    let body = "line\n\u{10000} \"quoted\" \\ \t";
    let sent = server
        .call("SendMessage", json!({ "QueueUrl": queue, "MessageBody": body, "MessageAttributes": attributes }))
        .await;
    let messages = server.receive(&queue, json!({})).await;
    let message = &messages[0];
    assert_eq!(message["Body"], body);
    assert_eq!(message["MessageAttributes"], attributes);
    assert_eq!(message["MessageId"], sent["MessageId"]);
    assert_eq!(message["MD5OfBody"], sent["MD5OfMessageBody"]);
    assert_eq!(message["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
    assert_eq!(message["Attributes"]["ApproximateReceiveCount"], "1");
    assert!(message["Attributes"]["SentTimestamp"].as_str().unwrap().parse::<i64>().unwrap() > 1_700_000_000_000);
}

#[tokio::test]
async fn only_the_attributes_that_were_asked_for_come() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({ "VisibilityTimeout": "0" })).await;
    let attribute = json!({ "DataType": "String", "StringValue": "x" });
    let attributes = json!({ "one": attribute, "two.a": attribute, "two.b": attribute });
    server.call("SendMessage", json!({ "QueueUrl": queue, "MessageBody": "m", "MessageAttributes": attributes })).await;
    for (asked, expected) in
        [(json!([]), vec![]), (json!(["one"]), vec!["one"]), (json!(["two.*"]), vec!["two.a", "two.b"])]
    {
        let request = json!({ "MessageAttributeNames": asked, "MessageSystemAttributeNames": ["SentTimestamp"] });
        let message = &server.receive(&queue, request).await[0];
        let came: Vec<_> =
            message["MessageAttributes"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
        assert_eq!(came, expected);
        assert_eq!(message["MD5OfMessageAttributes"].is_string(), !expected.is_empty());
        assert_eq!(message["Attributes"].as_object().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_mebibyte_fits_and_one_byte_more_does_not() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let body = "x".repeat(1 << 20);
    server.send(&queue, &body).await;
    assert_eq!(server.receive(&queue, json!({})).await[0]["Body"].as_str().unwrap().len(), 1 << 20);
    let over = json!({ "QueueUrl": queue, "MessageBody": format!("{body}x") });
    server.refused("SendMessage", over, "InvalidParameterValue", 400).await;
}

#[tokio::test]
async fn a_stale_handle_deletes_nothing_and_says_nothing() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({ "VisibilityTimeout": "0" })).await;
    server.send(&queue, "m").await;
    let first = server.receive(&queue, json!({})).await;
    let second = server.receive(&queue, json!({ "VisibilityTimeout": 60 })).await;
    server.call("DeleteMessage", json!({ "QueueUrl": queue, "ReceiptHandle": handle(&first[0]) })).await;
    assert_eq!(server.counts(&queue).await, (0, 1, 0), "the later receive holds it");
    let stale = json!({ "QueueUrl": queue, "ReceiptHandle": handle(&first[0]), "VisibilityTimeout": 0 });
    server.refused("ChangeMessageVisibility", stale, "InvalidParameterValue", 400).await;
    let delete = json!({ "QueueUrl": queue, "ReceiptHandle": handle(&second[0]) });
    server.call("DeleteMessage", delete.clone()).await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
    server.call("DeleteMessage", delete).await;
}

#[tokio::test]
async fn a_handle_outlives_its_visibility_as_long_as_nobody_else_received() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({ "VisibilityTimeout": "0" })).await;
    server.send(&queue, "m").await;
    let message = server.receive(&queue, json!({})).await;
    let request = json!({ "QueueUrl": queue, "ReceiptHandle": handle(&message[0]), "VisibilityTimeout": 5 });
    server.refused("ChangeMessageVisibility", request, "MessageNotInflight", 400).await;
    server.call("DeleteMessage", json!({ "QueueUrl": queue, "ReceiptHandle": handle(&message[0]) })).await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
}

#[tokio::test]
async fn no_lease_is_longer_than_twelve_hours_from_the_receive() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "m").await;
    let message = server.receive(&queue, json!({ "VisibilityTimeout": 43_200 })).await;
    let change =
        |seconds: u64| json!({ "QueueUrl": queue, "ReceiptHandle": handle(&message[0]), "VisibilityTimeout": seconds });
    server.call("ChangeMessageVisibility", change(43_000)).await;
    server.refused("ChangeMessageVisibility", change(43_201), "InvalidParameterValue", 400).await;
}

#[tokio::test]
async fn a_batch_tells_each_entry_apart() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let entries = json!([
        { "Id": "good", "MessageBody": "m" },
        { "Id": "bad", "MessageBody": "\u{fffe}" },
        { "Id": "late", "MessageBody": "later", "DelaySeconds": 900 },
    ]);
    let answer = server.call("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": entries })).await;
    let ids =
        |key: &str| answer[key].as_array().unwrap().iter().map(|entry| entry["Id"].clone()).collect::<Vec<Value>>();
    assert_eq!((ids("Successful"), ids("Failed")), (vec![json!("good"), json!("late")], vec![json!("bad")]));
    assert_eq!(answer["Failed"][0]["Code"], "InvalidMessageContents");
    assert_eq!(answer["Failed"][0]["SenderFault"], true);
    assert_eq!(server.counts(&queue).await, (1, 0, 1));

    let message = server.receive(&queue, json!({})).await;
    let entries =
        json!([{ "Id": "a", "ReceiptHandle": handle(&message[0]) }, { "Id": "b", "ReceiptHandle": "nonsense" }]);
    let answer = server.call("DeleteMessageBatch", json!({ "QueueUrl": queue, "Entries": entries })).await;
    assert_eq!(
        (&answer["Successful"][0]["Id"], &answer["Failed"][0]["Code"]),
        (&json!("a"), &json!("ReceiptHandleIsInvalid"))
    );
}
