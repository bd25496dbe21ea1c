//! Dead-letter queues: which messages move there, what they carry, and which queues may use one.

use serde_json::json;

use crate::server::{Refusal, Server, arn, bodies};

const VALUE: Refusal = ("InvalidParameterValueException", "InvalidParameterValue", 400);

#[tokio::test]
async fn a_message_that_was_received_too_often_is_found_in_the_dead_letter_queue() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 3).await;
    let sent = server.send(&queue, "x").await;
    for count in ["1", "2", "3"] {
        let received = server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
        assert_eq!(received[0]["Attributes"]["ApproximateReceiveCount"], count);
        assert!(received[0]["Attributes"].get("DeadLetterQueueSourceArn").is_none());
    }
    assert_eq!(
        server.counts(&dead).await,
        (0, 0, 0),
        "it moves at the receive that is one too many"
    );
    assert!(server.receive(&queue, json!({})).await.is_empty());
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
    let died = server.receive(&dead, json!({})).await;
    assert_eq!(died[0]["MessageId"], sent["MessageId"]);
    assert_eq!(died[0]["Attributes"]["DeadLetterQueueSourceArn"], arn("q"));
}

#[tokio::test]
async fn a_receive_that_meets_dead_letters_returns_another_message() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    for body in ["poison", "more poison"] {
        server.send(&queue, body).await;
    }
    server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
    server.send(&queue, "good").await;
    let received = server.receive(&queue, json!({ "MaxNumberOfMessages": 1 })).await;
    assert_eq!(bodies(&received), ["good"]);
    assert_eq!(
        bodies(&server.receive(&dead, json!({ "WaitTimeSeconds": 20 })).await),
        ["poison", "more poison"]
    );
}

#[tokio::test]
async fn a_dead_letter_wakes_a_receive_that_waits_at_the_dead_letter_queue() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    server.send(&queue, "x").await;
    server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
    let dying = async {
        server.counts(&dead).await;
        server.receive(&queue, json!({})).await
    };
    let (died, nothing) =
        tokio::join!(server.receive(&dead, json!({ "WaitTimeSeconds": 20 })), dying);
    assert_eq!(bodies(&died), ["x"]);
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn an_old_receipt_handle_does_not_delete_a_dead_letter() {
    let server = Server::start().await;
    let (queue, dead) = server.queue_with_dead_letters("q", 1).await;
    server.send(&queue, "x").await;
    let received = server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
    server.receive(&queue, json!({})).await;
    let handle = &received[0]["ReceiptHandle"];
    server.ok("DeleteMessage", json!({ "QueueUrl": queue, "ReceiptHandle": handle })).await;
    assert_eq!(server.counts(&dead).await, (1, 0, 0));
}

#[tokio::test]
async fn a_redrive_policy_needs_a_dead_letter_queue_that_exists_and_allows_it() {
    let server = Server::start().await;
    let policy = |target: &str| {
        json!({ "deadLetterTargetArn": arn(target), "maxReceiveCount": 1 }).to_string()
    };
    let make = |name: &str, target: &str| {
        let attributes = json!({ "RedrivePolicy": policy(target) });
        json!({ "QueueName": name, "Attributes": attributes })
    };
    let by_queue =
        json!({ "redrivePermission": "byQueue", "sourceQueueArns": [arn("friend")] }).to_string();
    server
        .queue("closed", json!({ "RedriveAllowPolicy": r#"{"redrivePermission":"denyAll"}"# }))
        .await;
    server.queue("choosy", json!({ "RedriveAllowPolicy": by_queue })).await;
    server
        .queue("open", json!({ "RedriveAllowPolicy": r#"{"redrivePermission":"allowAll"}"# }))
        .await;
    for (name, target) in [("q", "nowhere"), ("q", "closed"), ("q", "choosy"), ("q", "q")] {
        server.refused("CreateQueue", make(name, target), VALUE).await;
    }
    server.ok("CreateQueue", make("friend", "choosy")).await;
    let queue = server.ok("CreateQueue", make("q", "open")).await["QueueUrl"].clone();
    for target in ["closed", "nowhere"] {
        let set = json!({ "QueueUrl": queue, "Attributes": { "RedrivePolicy": policy(target) } });
        server.refused("SetQueueAttributes", set, VALUE).await;
    }
}

#[tokio::test]
async fn the_number_of_receives_may_be_given_as_text_and_comes_back_as_a_number() {
    let server = Server::start().await;
    server.queue("dlq", json!({})).await;
    let given = json!({ "maxReceiveCount": "5", "deadLetterTargetArn": arn("dlq") }).to_string();
    let queue = server.queue("q", json!({ "RedrivePolicy": given })).await;
    let returned = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":5}}"#, arn("dlq"));
    assert_eq!(server.attribute(&queue, "RedrivePolicy").await, returned);
    let number = json!({ "deadLetterTargetArn": arn("dlq"), "maxReceiveCount": 5 }).to_string();
    for same in [given, number] {
        assert_eq!(server.queue("q", json!({ "RedrivePolicy": same })).await, queue);
    }
    let server = server.restart().await;
    let queue = server.queue("q", json!({})).await;
    assert_eq!(server.attribute(&queue, "RedrivePolicy").await, returned);
}

#[tokio::test]
async fn a_queue_may_be_its_own_dead_letter_queue_and_goes_on_delivering() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let policy = json!({ "deadLetterTargetArn": arn("q"), "maxReceiveCount": 1 }).to_string();
    let set = json!({ "QueueUrl": queue, "Attributes": { "RedrivePolicy": policy } });
    server.ok("SetQueueAttributes", set).await;
    assert_eq!(server.attribute(&queue, "RedrivePolicy").await, policy);
    let sources = server.ok("ListDeadLetterSourceQueues", json!({ "QueueUrl": queue })).await;
    assert_eq!(sources["queueUrls"], json!([queue]));
    server.send(&queue, "x").await;
    for count in ["1", "2", "3"] {
        let received = server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
        assert_eq!(bodies(&received), ["x"]);
        assert_eq!(received[0]["Attributes"]["ApproximateReceiveCount"], count);
    }
    assert_eq!(server.counts(&queue).await, (1, 0, 0));
}
