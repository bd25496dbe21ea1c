//! What a request may look like: its method, and members that are null.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, bodies};

#[tokio::test]
async fn an_action_comes_with_post_and_with_no_other_method() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let send = json!({ "QueueUrl": queue, "MessageBody": "x" });
    for method in
        [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH]
    {
        let request = server.request(method.clone(), "SendMessage").body(send.to_string());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "POST", "{method}");
        if method != Method::HEAD {
            let answer = Answer::of(response).await;
            let refusal = ("UnknownOperationException", "InvalidAction", 405);
            assert_eq!(answer.error(), refusal, "{method}");
        }
    }
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
}

#[tokio::test]
async fn a_member_that_is_null_is_as_if_it_were_absent() {
    let server = Server::start().await;
    let made = json!({
        "QueueName": "q", "tags": null, "Attributes": { "VisibilityTimeout": "60", "Policy": null },
    });
    let queue = server.ok("CreateQueue", made).await["QueueUrl"].clone();
    let queue = queue.as_str().unwrap();
    assert_eq!(server.attribute(queue, "VisibilityTimeout").await, "60");
    let attributes = json!({
        "kept": { "DataType": "String", "StringValue": "v", "BinaryValue": null,
                  "StringListValues": null, "BinaryListValues": null },
        "absent": null,
    });
    let nothing = json!({
        "DelaySeconds": null, "MessageAttributes": null, "MessageSystemAttributes": null,
        "MessageDeduplicationId": null, "MessageGroupId": null,
    });
    let with = |mut request: Value, more: &Value| {
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    server
        .ok("SendMessage", with(json!({ "QueueUrl": queue, "MessageBody": "a" }), &nothing))
        .await;
    let entry = with(json!({ "Id": "1", "MessageBody": "b" }), &nothing);
    let entry = with(entry, &json!({ "MessageAttributes": attributes }));
    server.ok("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": [entry] })).await;
    let nothing = json!({
        "VisibilityTimeout": null, "WaitTimeSeconds": null, "ReceiveRequestAttemptId": null,
    });
    let received = server.receive(queue, nothing).await;
    assert_eq!(bodies(&received), ["a", "b"]);
    assert!(received[0].get("MessageAttributes").is_none());
    assert_eq!(
        received[1]["MessageAttributes"],
        json!({ "kept": { "DataType": "String", "StringValue": "v" } })
    );
    for (action, request) in [
        ("ListQueues", json!({ "QueueNamePrefix": null, "MaxResults": null, "NextToken": null })),
        ("GetQueueAttributes", json!({ "QueueUrl": queue, "AttributeNames": null })),
        ("ListDeadLetterSourceQueues", json!({ "QueueUrl": queue, "MaxResults": null })),
        (
            "ReceiveMessage",
            json!({
                "QueueUrl": queue, "AttributeNames": null, "MessageAttributeNames": null,
                "MessageSystemAttributeNames": null, "MaxNumberOfMessages": null,
            }),
        ),
    ] {
        server.ok(action, request).await;
    }
    for (action, request) in [
        ("SendMessage", json!({ "QueueUrl": queue, "MessageBody": null })),
        ("TagQueue", json!({ "QueueUrl": queue, "Tags": null })),
        ("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": null })),
    ] {
        let missing = ("MissingRequiredParameterException", "MissingParameter", 400);
        server.refused(action, request, missing).await;
    }
}
