//! Queues: making, finding, describing, tagging, purging and deleting them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::{Refusal, Server, arn, text};

const VALUE: Refusal = ("InvalidParameterValueException", "InvalidParameterValue", 400);
const EXISTS: Refusal = ("QueueNameExists", "QueueAlreadyExists", 400);
const DELETED: Refusal =
    ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently", 400);
const PURGED: Refusal =
    ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", 403);

fn names(answer: &Value, list: &str) -> Vec<String> {
    let urls = answer[list].as_array().cloned().unwrap_or_default();
    urls.iter().map(|url| url.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn making_a_queue_again_succeeds_unless_an_attribute_differs() {
    let server = Server::start().await;
    let first = server.queue("q", json!({ "VisibilityTimeout": "60" })).await;
    for same in [
        json!({}),
        json!({ "VisibilityTimeout": "60" }),
        json!({ "DelaySeconds": "0", "Policy": "" }),
    ] {
        assert_eq!(server.queue("q", same).await, first);
    }
    let other = json!({ "QueueName": "q", "Attributes": { "VisibilityTimeout": "61" } });
    let message = server.refused("CreateQueue", other, EXISTS).await;
    assert!(message.contains("VisibilityTimeout"), "{message}");
}

#[tokio::test]
async fn many_callers_may_make_the_same_queue_at_once() {
    let server = Server::start().await;
    let makes = (0..20).map(|_| server.call("CreateQueue", json!({ "QueueName": "q" })));
    for answer in join_all(makes).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(names(&server.ok("ListQueues", json!({})).await, "QueueUrls"), ["q"]);
}

#[tokio::test]
async fn queue_urls_have_the_host_that_the_caller_used() {
    let server = Server::start().await;
    let port = server.endpoint.rsplit(':').next().unwrap();
    server.queue("q", json!({})).await;
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        for (action, key) in
            [("CreateQueue", "QueueUrl"), ("GetQueueUrl", "QueueUrl"), ("ListQueues", "QueueUrls")]
        {
            let request = reqwest::Client::new().post(&server.endpoint).header("host", &host);
            let request = request.header("x-amz-target", format!("AmazonSQS.{action}"));
            let answer: Value =
                request.body(r#"{"QueueName":"q"}"#).send().await.unwrap().json().await.unwrap();
            let url = if answer[key].is_array() { &answer[key][0] } else { &answer[key] };
            assert_eq!(url, &json!(format!("http://{host}/000000000000/q")), "{action}");
        }
    }
}

#[tokio::test]
async fn attributes_are_returned_as_aws_returns_them() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let all = server
        .ok("GetQueueAttributes", json!({ "QueueUrl": queue, "AttributeNames": ["All"] }))
        .await;
    let created = text(&all["Attributes"], "CreatedTimestamp");
    assert_eq!(created.len(), 10, "seconds");
    assert_eq!(
        all["Attributes"],
        json!({
            "ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesDelayed": "0",
            "ApproximateNumberOfMessagesNotVisible": "0", "CreatedTimestamp": created,
            "DelaySeconds": "0", "LastModifiedTimestamp": created,
            "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600",
            "QueueArn": arn("q"), "ReceiveMessageWaitTimeSeconds": "0",
            "SqsManagedSseEnabled": "true", "VisibilityTimeout": "30",
        })
    );
    let some = json!({ "QueueUrl": queue, "AttributeNames": ["DelaySeconds", "Policy"] });
    assert_eq!(
        server.ok("GetQueueAttributes", some).await,
        json!({ "Attributes": { "DelaySeconds": "0" } })
    );
    assert_eq!(server.ok("GetQueueAttributes", json!({ "QueueUrl": queue })).await, json!({}));
}

#[tokio::test]
async fn attributes_that_terraform_sets_are_returned_and_removed_by_an_empty_value() {
    let server = Server::start().await;
    server.queue("dlq", json!({})).await;
    let queue = server.queue("q", json!({})).await;
    let policy =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage"}]}"#;
    let redrive = format!(r#"{{ "deadLetterTargetArn": "{}", "maxReceiveCount": 3 }}"#, arn("dlq"));
    let attributes = json!({
        "Policy": policy, "RedrivePolicy": redrive, "SqsManagedSseEnabled": "false",
        "RedriveAllowPolicy": r#"{"redrivePermission": "denyAll"}"#,
        "MessageRetentionPeriod": "1209600",
    });
    server.ok("SetQueueAttributes", json!({ "QueueUrl": queue, "Attributes": attributes })).await;
    assert_eq!(server.attribute(&queue, "Policy").await, policy);
    assert_eq!(server.attribute(&queue, "RedrivePolicy").await, redrive.replace(' ', ""));
    assert_eq!(
        server.attribute(&queue, "RedriveAllowPolicy").await,
        r#"{"redrivePermission":"denyAll"}"#
    );
    assert_eq!(server.attribute(&queue, "SqsManagedSseEnabled").await, "false");
    assert_eq!(server.attribute(&queue, "MessageRetentionPeriod").await, "1209600");
    let key = json!({ "KmsMasterKeyId": "alias/aws/sqs" });
    server.ok("SetQueueAttributes", json!({ "QueueUrl": queue, "Attributes": key })).await;
    assert_eq!(server.attribute(&queue, "SqsManagedSseEnabled").await, "false");
    assert_eq!(server.attribute(&queue, "KmsDataKeyReusePeriodSeconds").await, "300");
    let managed = json!({
        "SqsManagedSseEnabled": "true", "Policy": "", "RedrivePolicy": "", "RedriveAllowPolicy": "",
    });
    server.ok("SetQueueAttributes", json!({ "QueueUrl": queue, "Attributes": managed })).await;
    let all = server
        .ok("GetQueueAttributes", json!({ "QueueUrl": queue, "AttributeNames": ["All"] }))
        .await;
    for gone in [
        "Policy",
        "RedrivePolicy",
        "RedriveAllowPolicy",
        "KmsMasterKeyId",
        "KmsDataKeyReusePeriodSeconds",
    ] {
        assert!(all["Attributes"].get(gone).is_none(), "{gone}: {all}");
    }
}

#[tokio::test]
async fn lists_come_in_pages_that_miss_nothing() {
    let server = Server::start().await;
    server.queue("dlq", json!({})).await;
    let policy = json!({ "deadLetterTargetArn": arn("dlq"), "maxReceiveCount": 1 }).to_string();
    let expected: Vec<String> = (0..7).map(|number| format!("work-{number}")).collect();
    for name in &expected {
        server.queue(name, json!({ "RedrivePolicy": policy })).await;
    }
    let dlq = format!("{}/000000000000/dlq", server.endpoint);
    for (action, list, of) in [
        ("ListQueues", "QueueUrls", json!({ "QueueNamePrefix": "work-" })),
        ("ListDeadLetterSourceQueues", "queueUrls", json!({ "QueueUrl": dlq })),
    ] {
        let whole = server.ok(action, of.clone()).await;
        assert_eq!(names(&whole, list), expected, "{action}");
        assert!(whole.get("NextToken").is_none(), "without MaxResults there are no pages");
        let (mut seen, mut token) = (Vec::new(), Value::Null);
        for expected in [3, 3, 1] {
            let mut request = of.clone();
            request["MaxResults"] = 3.into();
            if token.is_string() {
                request["NextToken"] = token;
            }
            let page = server.ok(action, request).await;
            assert_eq!(names(&page, list).len(), expected, "{action}");
            seen.extend(names(&page, list));
            token = page.get("NextToken").cloned().unwrap_or_default();
        }
        assert_eq!((seen, token), (expected.clone(), Value::Null), "{action}");
    }
    assert_eq!(server.ok("ListQueues", json!({ "QueueNamePrefix": "none" })).await, json!({}));
    let none = json!({ "QueueUrl": format!("{}/000000000000/work-0", server.endpoint) });
    assert_eq!(server.ok("ListDeadLetterSourceQueues", none).await, json!({ "queueUrls": [] }));
}

#[tokio::test]
async fn tags_are_added_overwritten_and_removed() {
    let server = Server::start().await;
    let made = json!({ "QueueName": "q", "tags": { "team": "a", "cost": "1" } });
    let queue = server.ok("CreateQueue", made).await["QueueUrl"].clone();
    server.ok("TagQueue", json!({ "QueueUrl": queue, "Tags": { "team": "b", "新": "値" } })).await;
    let tags = server.ok("ListQueueTags", json!({ "QueueUrl": queue })).await;
    assert_eq!(tags, json!({ "Tags": { "team": "b", "cost": "1", "新": "値" } }));
    server
        .ok("UntagQueue", json!({ "QueueUrl": queue, "TagKeys": ["team", "cost", "新", "absent"] }))
        .await;
    assert_eq!(server.ok("ListQueueTags", json!({ "QueueUrl": queue })).await, json!({}));
    let many: serde_json::Map<String, Value> =
        (0..51).map(|number| (number.to_string(), "x".into())).collect();
    for bad in [
        json!({ "aws:x": "y" }),
        json!({ "": "y" }),
        json!({ "x": "y".repeat(257) }),
        Value::Object(many),
    ] {
        server.refused("TagQueue", json!({ "QueueUrl": queue, "Tags": bad }), VALUE).await;
    }
}

#[tokio::test]
async fn a_purge_deletes_every_message_and_the_next_one_has_to_wait() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for body in ["ready", "in flight"] {
        server.send(&queue, body).await;
    }
    server
        .ok(
            "SendMessage",
            json!({ "QueueUrl": queue, "MessageBody": "delayed", "DelaySeconds": 900 }),
        )
        .await;
    let received = server.receive(&queue, json!({ "MaxNumberOfMessages": 1 })).await;
    assert_eq!(server.counts(&queue).await, (1, 1, 1));
    assert_eq!(server.ok("PurgeQueue", json!({ "QueueUrl": queue })).await, json!({}));
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
    let handle = json!({ "QueueUrl": queue, "ReceiptHandle": received[0]["ReceiptHandle"] });
    server.ok("DeleteMessage", handle).await;
    server.refused("PurgeQueue", json!({ "QueueUrl": queue }), PURGED).await;
    server.send(&queue, "after").await;
    assert_eq!(server.counts(&queue).await, (1, 0, 0));
}

#[tokio::test]
async fn a_deleted_queue_is_gone_with_its_messages_and_its_name_is_blocked() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "x").await;
    server.ok("DeleteQueue", json!({ "QueueUrl": queue })).await;
    assert_eq!(server.ok("ListQueues", json!({})).await, json!({}));
    server.refused("CreateQueue", json!({ "QueueName": "q" }), DELETED).await;
    let server = server.restart().await;
    let queue = server.queue("q", json!({})).await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
}
