//! Errors as AWS writes them: code, status, namespace, and the older protocol's name beside.

use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn an_error_has_its_namespace_and_the_older_name() {
    let server = Server::start().await;
    let answer = server.refused("GetQueueUrl", json!({ "QueueName": "none" }), "QueueDoesNotExist", 400).await;
    assert_eq!(answer.body["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
    assert_eq!(answer.headers["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.0");
    assert!(answer.headers.contains_key("x-amzn-requestid"));
}

#[tokio::test]
async fn what_is_not_supported_gets_awss_error_and_never_a_500() {
    let server = Server::start().await;
    server.refused("CreateQueue", json!({ "QueueName": "q.fifo" }), "UnsupportedOperation", 400).await;
    let fifo = json!({ "QueueName": "q", "Attributes": { "FifoQueue": "true" } });
    server.refused("CreateQueue", fifo, "InvalidAttributeName", 400).await;
    server.refused("DanceQueue", json!({}), "InvalidAction", 400).await;
    server.refused("SendMessage", json!({}), "MissingParameter", 400).await;
    server.refused("SendMessage", json!([1]), "SerializationException", 400).await;
    for name in ["", "with space", "with/slash", &"x".repeat(81)] {
        server.refused("CreateQueue", json!({ "QueueName": name }), "InvalidParameterValue", 400).await;
    }
}

#[tokio::test]
async fn a_batch_that_can_not_be_is_refused_whole() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let entry = |id: &str| json!({ "Id": id, "MessageBody": "m" });
    let batch = |entries: Vec<serde_json::Value>| json!({ "QueueUrl": queue, "Entries": entries });
    for (entries, code) in [
        (vec![], "EmptyBatchRequest"),
        (vec![entry("a"), entry("a")], "BatchEntryIdsNotDistinct"),
        (vec![entry("a b")], "InvalidBatchEntryId"),
        ((0..11).map(|id| entry(&id.to_string())).collect(), "TooManyEntriesInBatchRequest"),
    ] {
        server.refused("SendMessageBatch", batch(entries), code, 400).await;
    }
    let half = "x".repeat(600 << 10);
    let large = vec![json!({ "Id": "a", "MessageBody": half }), json!({ "Id": "b", "MessageBody": half })];
    server.refused("SendMessageBatch", batch(large), "BatchRequestTooLong", 400).await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
}

#[tokio::test]
async fn parameters_keep_to_their_range() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for (action, more) in [
        ("ReceiveMessage", json!({ "MaxNumberOfMessages": 0 })),
        ("ReceiveMessage", json!({ "MaxNumberOfMessages": 11 })),
        ("ReceiveMessage", json!({ "WaitTimeSeconds": 21 })),
        ("ReceiveMessage", json!({ "VisibilityTimeout": 43_201 })),
        ("SendMessage", json!({ "MessageBody": "m", "DelaySeconds": 901 })),
        ("SendMessage", json!({ "MessageBody": "m", "DelaySeconds": -1 })),
    ] {
        let mut request = json!({ "QueueUrl": queue });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.refused(action, request, "InvalidParameterValue", 400).await;
    }
    let unknown = json!({ "QueueUrl": queue, "AttributeNames": ["Nonsense"] });
    server.refused("GetQueueAttributes", unknown, "InvalidAttributeName", 400).await;
}

#[tokio::test]
async fn a_queue_that_is_there_with_other_attributes_is_not_made_again() {
    let server = Server::start().await;
    let url = server.queue("q", json!({ "VisibilityTimeout": "60" })).await;
    assert_eq!(server.queue("q", json!({ "VisibilityTimeout": "60" })).await, url);
    assert_eq!(server.queue("q", json!({})).await, url);
    let other = json!({ "QueueName": "q", "Attributes": { "VisibilityTimeout": "61" } });
    server.refused("CreateQueue", other, "QueueNameExists", 400).await;
}

#[tokio::test]
async fn a_web_page_is_refused() {
    let server = Server::start().await;
    let request = reqwest::Client::new().post(&server.url).header("x-amz-target", "AmazonSQS.ListQueues").body("{}");
    let answer = request.header("origin", "https://page.example").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 403);
}
