//! The content of messages: bodies, characters, sizes, attributes and their digests.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Refusal, Server, text};

const VALUE: Refusal = ("InvalidParameterValueException", "InvalidParameterValue", 400);
const CONTENTS: Refusal = ("InvalidMessageContents", "InvalidMessageContents", 400);
const UNSUPPORTED: Refusal =
    ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", 400);
const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_message_comes_back_as_it_was_sent_with_awss_digests() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let body = "漢字 \u{1F980} \t\r\n \"quotes\" \u{10ffff}";
    let request = json!({
        "QueueUrl": queue, "MessageBody": body,
        "MessageAttributes": {
            "timestamp": { "DataType": "Number", "StringValue": "1493147359900" },
        },
        "MessageSystemAttributes": {
            "AWSTraceHeader": { "DataType": "String", "StringValue": "Root=1-5759e988" },
        },
    });
    let sent = server.ok("SendMessage", request).await;
    assert_eq!(sent["MD5OfMessageAttributes"], "235c5c510d26fb653d073faed50ae77c");
    assert_eq!(text(&sent, "MD5OfMessageSystemAttributes").len(), 32);
    let received = server.receive(&queue, json!({})).await;
    let message = &received[0];
    assert_eq!(message["Body"], body);
    for (received, sent_as) in [("MessageId", "MessageId"), ("MD5OfBody", "MD5OfMessageBody")] {
        assert_eq!(message[received], sent[sent_as]);
    }
    assert_eq!(message["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
    assert_eq!(
        message["MessageAttributes"]["timestamp"],
        json!({ "DataType": "Number", "StringValue": "1493147359900" })
    );
    let system = &message["Attributes"];
    assert_eq!(system["SenderId"], "000000000000");
    assert_eq!(system["ApproximateReceiveCount"], "1");
    assert_eq!(system["AWSTraceHeader"], "Root=1-5759e988");
    assert_eq!(
        (
            text(system, "SentTimestamp").len(),
            text(system, "ApproximateFirstReceiveTimestamp").len()
        ),
        (13, 13)
    );
    assert!(system.get("DeadLetterQueueSourceArn").is_none());
}

#[tokio::test]
async fn a_receiver_gets_the_attributes_it_names() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({ "VisibilityTimeout": "0" })).await;
    let string = |value: &str| json!({ "DataType": "String.custom", "StringValue": value });
    let attributes = json!({
        "trace.id": string("1"), "trace.span": string("2"), "other": string("3"),
        "bytes": { "DataType": "Binary", "BinaryValue": "AAH/" },
    });
    let request = json!({ "QueueUrl": queue, "MessageBody": "x", "MessageAttributes": attributes });
    let sent = server.ok("SendMessage", request).await;
    for (wanted, expected) in [
        (json!([]), vec![]),
        (json!(["absent"]), vec![]),
        (json!(["other"]), vec!["other"]),
        (json!(["trace.*"]), vec!["trace.id", "trace.span"]),
        (json!(["bytes", "trace.id"]), vec!["bytes", "trace.id"]),
        (json!(["All"]), vec!["bytes", "other", "trace.id", "trace.span"]),
        (json!([".*"]), vec!["bytes", "other", "trace.id", "trace.span"]),
        (json!(["*"]), vec!["bytes", "other", "trace.id", "trace.span"]),
        (json!(["tra*"]), vec![]),
    ] {
        let received = server.receive(&queue, json!({ "MessageAttributeNames": wanted })).await;
        let message = &received[0];
        let names = message
            .get("MessageAttributes")
            .map(|all| all.as_object().unwrap().keys().cloned().collect());
        assert_eq!(names.unwrap_or_else(Vec::new), expected, "{wanted}");
        let digest = message.get("MD5OfMessageAttributes");
        assert_eq!(digest.is_some(), !expected.is_empty(), "{wanted}");
        // The digest is that of the attributes that are returned.
        assert_eq!(
            digest == Some(&sent["MD5OfMessageAttributes"]),
            expected.len() == 4,
            "{wanted}"
        );
    }
    let received = server.receive(&queue, json!({})).await;
    assert_eq!(
        received[0]["MessageAttributes"]["bytes"],
        json!({ "DataType": "Binary", "BinaryValue": "AAH/" })
    );
}

#[tokio::test]
async fn system_attributes_can_be_asked_for_by_the_new_and_by_the_old_parameter() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({ "VisibilityTimeout": "0" })).await;
    server.send(&queue, "x").await;
    for (field, wanted, expected) in [
        ("MessageSystemAttributeNames", json!(["SentTimestamp"]), vec!["SentTimestamp"]),
        (
            "AttributeNames",
            json!(["SenderId", "ApproximateReceiveCount"]),
            vec!["ApproximateReceiveCount", "SenderId"],
        ),
        ("AttributeNames", json!([]), vec![]),
    ] {
        let mut request = json!({ "MessageSystemAttributeNames": [] });
        request[field] = wanted;
        let received = server.receive(&queue, request).await;
        let names = received[0]
            .get("Attributes")
            .map(|all| all.as_object().unwrap().keys().cloned().collect());
        assert_eq!(names.unwrap_or_else(Vec::new), expected, "{field}");
    }
}

#[tokio::test]
async fn a_group_comes_back_as_a_system_attribute_and_has_visible_characters() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    let longest = "~".repeat(128);
    for group in ["tenant-a", r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~09azAZ"##, &longest] {
        let request = json!({ "QueueUrl": queue, "MessageBody": "x", "MessageGroupId": group });
        let sent = server.ok("SendMessage", request).await;
        assert!(sent.get("MD5OfMessageSystemAttributes").is_none(), "the sender set none: {sent}");
        let received = server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
        assert_eq!(received[0]["Attributes"]["MessageGroupId"], group);
        assert!(server.receive(&queue, json!({})).await.is_empty());
        let died = server.receive(&dead, json!({})).await;
        assert_eq!(died[0]["Attributes"]["MessageGroupId"], group, "a dead letter keeps its group");
    }
    for group in ["", "a b", "漢字", "\u{7f}", &"x".repeat(129)] {
        let request = json!({ "QueueUrl": queue, "MessageBody": "x", "MessageGroupId": group });
        let message = server.refused("SendMessage", request, VALUE).await;
        assert!(message.contains("MessageGroupId"), "{message}");
    }
    let entries = json!([
        { "Id": "good", "MessageBody": "x", "MessageGroupId": "g" },
        { "Id": "bad", "MessageBody": "x", "MessageGroupId": "a b" },
        { "Id": "none", "MessageBody": "x" },
    ]);
    let sent =
        server.ok("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": entries })).await;
    assert_eq!(sent["Failed"][0]["Id"], "bad", "{sent}");
    assert_eq!(sent["Failed"][0]["Code"], "InvalidParameterValue");
    let server = server.restart().await;
    let queue = server.queue("q", json!({})).await;
    let received = server.receive(&queue, json!({})).await;
    assert_eq!(received[0]["Attributes"]["MessageGroupId"], "g");
    assert!(received[1]["Attributes"].get("MessageGroupId").is_none());
    let smuggled = json!({ "MessageGroupId": { "DataType": "String", "StringValue": "g" } });
    let request =
        json!({ "QueueUrl": queue, "MessageBody": "x", "MessageSystemAttributes": smuggled });
    server.refused("SendMessage", request, VALUE).await;
}

#[tokio::test]
async fn the_trace_of_the_request_is_that_of_its_messages_unless_they_have_their_own() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let own = json!({ "AWSTraceHeader": { "DataType": "String", "StringValue": "Root=own" } });
    let entries = json!([
        { "Id": "a", "MessageBody": "a" },
        { "Id": "b", "MessageBody": "b", "MessageSystemAttributes": own },
    ]);
    for (action, request) in [
        ("SendMessage", json!({ "QueueUrl": queue, "MessageBody": "alone" })),
        ("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": entries })),
    ] {
        let request = server.request(Method::POST, action).body(request.to_string());
        let request = request.header("X-Amzn-Trace-Id", "Root=1-5759e988;Sampled=1");
        let sent = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        // A client that computes the digest of what it set expects none.
        assert!(sent.body.get("MD5OfMessageSystemAttributes").is_none(), "{sent:?}");
    }
    let received = server.receive(&queue, json!({})).await;
    let traces: Vec<_> =
        received.iter().map(|message| text(&message["Attributes"], "AWSTraceHeader")).collect();
    assert_eq!(traces, ["Root=1-5759e988;Sampled=1", "Root=1-5759e988;Sampled=1", "Root=own"]);
    server.send(&queue, "without").await;
    let received = server.receive(&queue, json!({})).await;
    assert!(received[0]["Attributes"].get("AWSTraceHeader").is_none());
}

#[tokio::test]
async fn a_mebibyte_is_accepted_and_a_byte_more_is_refused() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, &"x".repeat(MIB)).await;
    let sent = server
        .ok("SendMessage", json!({ "QueueUrl": queue, "MessageBody": "é".repeat(MIB / 2) }))
        .await;
    assert_eq!(text(&sent, "MD5OfMessageBody").len(), 32);
    for body in ["x".repeat(MIB + 1), "é".repeat(MIB / 2 + 1), "x".repeat(9 * MIB)] {
        server
            .refused("SendMessage", json!({ "QueueUrl": queue, "MessageBody": body }), VALUE)
            .await;
    }
    let attributes = json!({ "a": { "DataType": "String", "StringValue": "b" } });
    let of_size = |body: usize| {
        let body = "x".repeat(body);
        json!({ "QueueUrl": queue, "MessageBody": body, "MessageAttributes": attributes })
    };
    server.refused("SendMessage", of_size(MIB - 7), VALUE).await;
    server.ok("SendMessage", of_size(MIB - 8)).await;
    let received = server.receive(&queue, json!({})).await;
    assert_eq!(
        received.iter().map(|message| text(message, "Body").len()).collect::<Vec<_>>(),
        [MIB, MIB, MIB - 8]
    );
    let small = server.queue("small", json!({ "MaximumMessageSize": "1024" })).await;
    server.send(&small, &"x".repeat(1024)).await;
    server
        .refused(
            "SendMessage",
            json!({ "QueueUrl": small, "MessageBody": "x".repeat(1025) }),
            VALUE,
        )
        .await;
}

#[tokio::test]
async fn the_largest_message_may_come_with_every_character_escaped() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let body = format!(r#"{{"QueueUrl":"{queue}","MessageBody":"{}"}}"#, r"\u0041".repeat(MIB));
    let answer = server.post("AmazonSQS.SendMessage", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn characters_that_xml_does_not_allow_are_refused() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for bad in ["\0", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        server
            .refused("SendMessage", json!({ "QueueUrl": queue, "MessageBody": bad }), CONTENTS)
            .await;
    }
    for good in [
        "\t",
        "\n",
        "\r",
        " ",
        "\u{7f}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{10000}",
        "\u{10ffff}",
    ] {
        server.send(&queue, good).await;
    }
}

#[tokio::test]
async fn invalid_message_attributes_are_refused() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let send = |field: &str, attributes: Value| {
        let mut request = json!({ "QueueUrl": queue, "MessageBody": "x" });
        request[field] = attributes;
        request
    };
    let good = json!({ "DataType": "String", "StringValue": "x" });
    let eleven: serde_json::Map<String, Value> =
        (0..11).map(|n| (format!("a{n}"), good.clone())).collect();
    for bad in [
        Value::Object(eleven),
        json!({ "AWS.x": good }),
        json!({ "a b": good }),
        json!({ "a": { "DataType": "String" } }),
        json!({ "a": { "DataType": "String", "StringValue": "" } }),
        json!({ "a": { "DataType": "String", "StringValue": "\u{1}" } }),
        json!({ "a": { "DataType": "Number", "StringValue": "one" } }),
        json!({ "a": { "DataType": "Binary", "BinaryValue": "not base64!" } }),
        json!({ "a": { "DataType": "Binary", "StringValue": "x" } }),
        json!({ "a": { "DataType": "Text", "StringValue": "x" } }),
    ] {
        server.refused("SendMessage", send("MessageAttributes", bad), VALUE).await;
    }
    server
        .refused("SendMessage", send("MessageSystemAttributes", json!({ "Other": good })), VALUE)
        .await;
    for list in ["StringListValues", "BinaryListValues"] {
        let listed = json!({ "a": { "DataType": "String", "StringValue": "x", list: ["eA=="] } });
        server.refused("SendMessage", send("MessageAttributes", listed), UNSUPPORTED).await;
        let empty = json!({ "a": { "DataType": "String", "StringValue": "x", list: [] } });
        server.ok("SendMessage", send("MessageAttributes", empty)).await;
    }
    server.refused("SendMessage", send("MessageDeduplicationId", json!("x")), VALUE).await;
}
