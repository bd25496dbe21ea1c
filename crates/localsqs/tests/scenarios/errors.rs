//! Every error, by the name, the status and the header by which AWS's SDKs recognize it.

use serde_json::{Value, json};

use crate::server::{Refusal, Server, arn};

const MISSING: Refusal = ("MissingRequiredParameterException", "MissingParameter", 400);
const VALUE: Refusal = ("InvalidParameterValueException", "InvalidParameterValue", 400);
const NO_QUEUE: Refusal = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", 400);
const NO_ATTRIBUTE: Refusal = ("InvalidAttributeName", "InvalidAttributeName", 400);
const BAD_ATTRIBUTE: Refusal = ("InvalidAttributeValue", "InvalidAttributeValue", 400);
const BAD_HANDLE: Refusal = ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404);
const UNSUPPORTED: Refusal =
    ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", 400);
const NO_RESOURCE: Refusal = ("ResourceNotFoundException", "ResourceNotFoundException", 404);

#[tokio::test]
async fn an_error_has_the_namespace_the_message_and_the_query_protocols_name() {
    let server = Server::start().await;
    let url = format!("{}/000000000000/nowhere", server.endpoint);
    let answer = server.call("SendMessage", json!({ "QueueUrl": url, "MessageBody": "x" })).await;
    assert_eq!(answer.body["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
    assert_eq!(answer.body["message"], "The specified queue does not exist.");
    assert_eq!(
        answer.headers["x-amzn-query-error"],
        "AWS.SimpleQueueService.NonExistentQueue;Sender"
    );
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.0");
    assert!(answer.headers.contains_key("x-amzn-requestid"));
}

#[tokio::test]
async fn an_error_that_every_service_of_aws_has_is_not_in_the_namespace_of_sqs() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for (action, request, name) in [
        ("SendMessage", json!({ "QueueUrl": queue }), "MissingRequiredParameterException"),
        ("ListQueues", json!({ "MaxResults": 0 }), "InvalidParameterValueException"),
        ("ForgetQueue", json!({}), "UnknownOperationException"),
    ] {
        let answer = server.call(action, request).await;
        assert_eq!(answer.body["__type"], format!("com.amazon.coral.service#{name}"));
    }
}

#[tokio::test]
async fn every_action_on_a_queue_that_does_not_exist_says_so() {
    let server = Server::start().await;
    let url = format!("{}/000000000000/nowhere", server.endpoint);
    let entry =
        json!([{ "Id": "a", "MessageBody": "x", "ReceiptHandle": "x", "VisibilityTimeout": 1 }]);
    for action in [
        "DeleteQueue",
        "PurgeQueue",
        "GetQueueAttributes",
        "SetQueueAttributes",
        "ListDeadLetterSourceQueues",
        "ListQueueTags",
        "TagQueue",
        "UntagQueue",
        "SendMessage",
        "SendMessageBatch",
        "ReceiveMessage",
        "DeleteMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
    ] {
        let request = json!({
            "QueueUrl": url, "Attributes": {}, "Tags": { "a": "b" }, "TagKeys": ["a"],
            "MessageBody": "x", "ReceiptHandle": "x", "VisibilityTimeout": 1, "Entries": entry,
        });
        server.refused(action, request, NO_QUEUE).await;
    }
    server.refused("GetQueueUrl", json!({ "QueueName": "nowhere" }), NO_QUEUE).await;
    server
        .refused(
            "PurgeQueue",
            json!({ "QueueUrl": "http://x/" }),
            ("InvalidAddress", "InvalidAddress", 404),
        )
        .await;
}

#[tokio::test]
async fn a_missing_parameter_is_named() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for (action, request, parameter) in [
        ("SendMessage", json!({ "QueueUrl": queue }), "MessageBody"),
        ("SendMessage", json!({ "QueueUrl": queue, "MessageBody": "" }), "MessageBody"),
        ("SetQueueAttributes", json!({ "QueueUrl": queue }), "Attributes"),
        ("TagQueue", json!({ "QueueUrl": queue }), "Tags"),
        ("UntagQueue", json!({ "QueueUrl": queue }), "TagKeys"),
        ("DeleteMessage", json!({ "QueueUrl": queue }), "ReceiptHandle"),
        (
            "ChangeMessageVisibility",
            json!({ "QueueUrl": queue, "ReceiptHandle": "x" }),
            "VisibilityTimeout",
        ),
        ("SendMessageBatch", json!({ "QueueUrl": queue }), "Entries"),
        ("StartMessageMoveTask", json!({}), "SourceArn"),
        ("ListMessageMoveTasks", json!({}), "SourceArn"),
        ("CancelMessageMoveTask", json!({}), "TaskHandle"),
    ] {
        let message = server.refused(action, request, MISSING).await;
        assert_eq!(
            message,
            format!("The request must contain the parameter {parameter}."),
            "{action}"
        );
    }
    for queue in [json!({}), json!({ "QueueUrl": "" }), json!({ "QueueUrl": null })] {
        server.refused("ReceiveMessage", queue, NO_QUEUE).await;
    }
    for action in ["CreateQueue", "GetQueueUrl"] {
        let message = server.refused(action, json!({}), VALUE).await;
        assert!(message.contains("QueueName"), "{action}: {message}");
    }
}

#[tokio::test]
async fn numbers_out_of_their_range_are_refused() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for (action, field, values) in [
        ("ReceiveMessage", "MaxNumberOfMessages", [-1, 0, 11]),
        ("ReceiveMessage", "WaitTimeSeconds", [-1, 21, 100]),
        ("ReceiveMessage", "VisibilityTimeout", [-1, 43_201, 99_999]),
        ("SendMessage", "DelaySeconds", [-1, 901, 5_000]),
        ("ListQueues", "MaxResults", [-1, 0, 1_001]),
        ("ListDeadLetterSourceQueues", "MaxResults", [-1, 0, 1_001]),
        ("ChangeMessageVisibility", "VisibilityTimeout", [-1, 43_201, 99_999]),
        ("StartMessageMoveTask", "MaxNumberOfMessagesPerSecond", [-1, 0, 501]),
        ("ListMessageMoveTasks", "MaxResults", [-1, 0, 11]),
    ] {
        for value in values {
            let mut request = json!({
                "QueueUrl": queue, "MessageBody": "x", "ReceiptHandle": "x", "SourceArn": arn("q"),
            });
            request[field] = value.into();
            server.refused(action, request, VALUE).await;
        }
    }
    server.refused("ListQueues", json!({ "NextToken": "\u{1}" }), VALUE).await;
}

#[tokio::test]
async fn an_unknown_action_and_a_body_that_cannot_be_read_are_the_callers_fault() {
    let server = Server::start().await;
    let unknown = ("UnknownOperationException", "InvalidAction", 400);
    server.refused("ForgetQueue", json!({}), unknown).await;
    let elsewhere = server.post("DynamoDB_20120810.ListTables", "{}".to_owned()).await;
    assert_eq!(elsewhere.error(), unknown);
    for body in ["{", "[]", "null", r#""x""#, "\u{0}", r#"{"QueueName": 7}"#] {
        let answer = server.post("AmazonSQS.CreateQueue", body.to_owned()).await;
        assert_eq!(answer.error(), ("SerializationException", "MalformedInput", 400), "{body}");
    }
}

#[tokio::test]
async fn names_of_fifo_queues_and_invalid_names_are_refused() {
    let server = Server::start().await;
    server.refused("CreateQueue", json!({ "QueueName": "orders.fifo" }), UNSUPPORTED).await;
    let fifo = json!({ "QueueName": "orders.fifo", "Attributes": { "FifoQueue": "true" } });
    server.refused("CreateQueue", fifo, UNSUPPORTED).await;
    server.refused("GetQueueUrl", json!({ "QueueName": "orders.fifo" }), NO_QUEUE).await;
    for name in ["", "a b", "a.b", "漢字", &"x".repeat(81)] {
        server.refused("CreateQueue", json!({ "QueueName": name }), VALUE).await;
    }
    server.queue(&"x".repeat(80), json!({})).await;
}

#[tokio::test]
async fn unknown_attributes_and_invalid_values_are_refused() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let unknown = json!({ "QueueUrl": queue, "AttributeNames": ["Colour"] });
    server.refused("GetQueueAttributes", unknown, NO_ATTRIBUTE).await;
    for (name, value, refusal) in [
        ("Colour", "red", NO_ATTRIBUTE),
        ("QueueArn", "x", NO_ATTRIBUTE),
        ("FifoQueue", "true", NO_ATTRIBUTE),
        ("VisibilityTimeout", "43201", BAD_ATTRIBUTE),
        ("MessageRetentionPeriod", "59", BAD_ATTRIBUTE),
        ("MaximumMessageSize", "1023", BAD_ATTRIBUTE),
        ("DelaySeconds", "901", BAD_ATTRIBUTE),
        ("ReceiveMessageWaitTimeSeconds", "-1", BAD_ATTRIBUTE),
        ("Policy", "not JSON", BAD_ATTRIBUTE),
        ("SqsManagedSseEnabled", "yes", BAD_ATTRIBUTE),
        ("RedrivePolicy", "{}", VALUE),
        ("RedriveAllowPolicy", r#"{"redrivePermission":"some"}"#, VALUE),
    ] {
        let attributes = json!({ name: value });
        let set = json!({ "QueueUrl": queue, "Attributes": attributes });
        server.refused("SetQueueAttributes", set, refusal).await;
        server
            .refused(
                "CreateQueue",
                json!({ "QueueName": "other", "Attributes": attributes }),
                refusal,
            )
            .await;
    }
    let both = json!({ "KmsMasterKeyId": "alias/aws/sqs", "SqsManagedSseEnabled": "true" });
    server
        .refused(
            "SetQueueAttributes",
            json!({ "QueueUrl": queue, "Attributes": both }),
            BAD_ATTRIBUTE,
        )
        .await;
}

#[tokio::test]
async fn a_receipt_handle_that_was_never_given_out_is_invalid() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "x").await;
    let other = server.queue("other", json!({})).await;
    let received = server.receive(&queue, json!({})).await;
    for (url, handle) in [
        (&queue, json!("nonsense")),
        (&queue, json!("")),
        (&other, received[0]["ReceiptHandle"].clone()),
    ] {
        let request = |more: Value| {
            let mut request = json!({ "QueueUrl": url, "ReceiptHandle": handle });
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            request
        };
        server.refused("DeleteMessage", request(json!({})), BAD_HANDLE).await;
        server
            .refused(
                "ChangeMessageVisibility",
                request(json!({ "VisibilityTimeout": 1 })),
                BAD_HANDLE,
            )
            .await;
    }
}

#[tokio::test]
async fn move_tasks_say_what_is_wrong_with_them() {
    let server = Server::start().await;
    let (_, _) = server.queue_with_dead_letters("q", 1).await;
    server
        .refused("StartMessageMoveTask", json!({ "SourceArn": arn("nowhere") }), NO_RESOURCE)
        .await;
    server.refused("StartMessageMoveTask", json!({ "SourceArn": "nonsense" }), NO_RESOURCE).await;
    server
        .refused("ListMessageMoveTasks", json!({ "SourceArn": arn("nowhere") }), NO_RESOURCE)
        .await;
    server.refused("CancelMessageMoveTask", json!({ "TaskHandle": "nonsense" }), NO_RESOURCE).await;
    let to_nowhere = json!({ "SourceArn": arn("q-dlq"), "DestinationArn": arn("nowhere") });
    server.refused("StartMessageMoveTask", to_nowhere, NO_RESOURCE).await;
    server.refused("StartMessageMoveTask", json!({ "SourceArn": arn("q") }), VALUE).await;
    let to_itself = json!({ "SourceArn": arn("q-dlq"), "DestinationArn": arn("q-dlq") });
    server.refused("StartMessageMoveTask", to_itself, VALUE).await;
}
