//! A server with a region and an account of its own, and without SQS's cooldowns.

use std::time::Duration;

use localsqs::Options;
use serde_json::{Value, json};

use crate::server::{Server, arn, bodies, eventually};

const REGION: &str = "eu-west-1";
const ACCOUNT: &str = "123456789012";

fn elsewhere() -> Options {
    Options { region: REGION.to_owned(), account: ACCOUNT.to_owned(), ..Options::default() }
}

fn arn_elsewhere(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

fn policy(dead_letters: &str) -> String {
    json!({ "deadLetterTargetArn": dead_letters, "maxReceiveCount": 1 }).to_string()
}

fn allow(source: &str) -> String {
    json!({ "redrivePermission": "byQueue", "sourceQueueArns": [source] }).to_string()
}

#[tokio::test]
async fn arns_and_urls_have_the_region_and_the_account_of_the_server() {
    let server = Server::start_with(elsewhere()).await;
    let dead = server.queue("dlq", json!({})).await;
    assert_eq!(dead, format!("{}/{ACCOUNT}/dlq", server.endpoint));
    assert_eq!(server.attribute(&dead, "QueueArn").await, arn_elsewhere("dlq"));
    let redrive = policy(&arn_elsewhere("dlq"));
    let queue = server.queue("q", json!({ "RedrivePolicy": redrive })).await;
    assert_eq!(server.attribute(&queue, "RedrivePolicy").await, redrive);
    let foreign =
        json!({ "QueueName": "other", "Attributes": { "RedrivePolicy": policy(&arn("dlq")) } });
    let value = ("InvalidParameterValueException", "InvalidParameterValue", 400);
    server.refused("CreateQueue", foreign, value).await;
    server.send(&queue, "x").await;
    let received = server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
    assert_eq!(received[0]["Attributes"]["SenderId"], ACCOUNT);
    assert!(server.receive(&queue, json!({})).await.is_empty());
    let died = server.receive(&dead, json!({ "VisibilityTimeout": 0 })).await;
    assert_eq!(died[0]["Attributes"]["DeadLetterQueueSourceArn"], arn_elsewhere("q"));
    redrive_all(&server, &arn_elsewhere("dlq")).await;
    assert_eq!(bodies(&server.receive(&queue, json!({})).await), ["x"]);
}

/// Moves the dead letters back to the queues that they came from.
async fn redrive_all(server: &Server, source: &str) -> Value {
    server.ok("StartMessageMoveTask", json!({ "SourceArn": source })).await;
    eventually("the task ends", async || {
        let tasks = server.ok("ListMessageMoveTasks", json!({ "SourceArn": source })).await;
        (tasks["Results"][0]["Status"] == "COMPLETED").then(|| tasks["Results"][0].clone())
    })
    .await
}

/// Makes the ARN that a queue has in some place from its name.
type ArnOf = fn(&str) -> String;

/// What was made with one region and account is found with another, and the way back.
#[tokio::test]
async fn a_data_directory_belongs_to_no_region_and_no_account() {
    let mut server = Server::start().await;
    server.queue("dlq", json!({ "RedriveAllowPolicy": allow(&arn("q")) })).await;
    let queue = server.queue("q", json!({ "RedrivePolicy": policy(&arn("dlq")) })).await;
    for body in ["first", "second", "third"] {
        server.send(&queue, body).await;
    }
    let places: [(Options, ArnOf); 2] = [(elsewhere(), arn_elsewhere), (Options::default(), arn)];
    for (options, here) in places {
        // The messages die in one place, and are found dead in the next.
        let queue = queue_of(&server, "q").await;
        server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
        assert!(server.receive(&queue, json!({})).await.is_empty());
        server = server.restart_with(options).await;
        let (queue, dead) = (queue_of(&server, "q").await, queue_of(&server, "dlq").await);
        assert_eq!(server.attribute(&queue, "QueueArn").await, here("q"));
        assert_eq!(server.attribute(&queue, "RedrivePolicy").await, policy(&here("dlq")));
        assert_eq!(server.attribute(&dead, "RedriveAllowPolicy").await, allow(&here("q")));
        // Making the queues as they are is no difference.
        server.queue("q", json!({ "RedrivePolicy": policy(&here("dlq")) })).await;
        let sources = server.ok("ListDeadLetterSourceQueues", json!({ "QueueUrl": dead })).await;
        assert_eq!(sources["queueUrls"], json!([queue]));
        let died = server.receive(&dead, json!({ "VisibilityTimeout": 0 })).await;
        assert_eq!(died.len(), 3);
        assert_eq!(died[0]["Attributes"]["DeadLetterQueueSourceArn"], here("q"));
        let task = redrive_all(&server, &here("dlq")).await;
        assert_eq!(task["SourceArn"], here("dlq"));
        assert_eq!(task["ApproximateNumberOfMessagesMoved"], 3);
        assert_eq!(server.counts(&queue).await, (3, 0, 0));
    }
}

async fn queue_of(server: &Server, name: &str) -> String {
    let answer = server.ok("GetQueueUrl", json!({ "QueueName": name })).await;
    answer["QueueUrl"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_move_tasks_of_a_data_directory_are_listed_under_its_new_arns() {
    let server = Server::start().await;
    server.queue_with_dead_letters("q", 1).await;
    let to = json!({ "SourceArn": arn("q-dlq"), "DestinationArn": arn("q") });
    server.ok("StartMessageMoveTask", to).await;
    let server = server.restart_with(elsewhere()).await;
    let listed =
        server.ok("ListMessageMoveTasks", json!({ "SourceArn": arn_elsewhere("q-dlq") })).await;
    assert_eq!(listed["Results"][0]["SourceArn"], arn_elsewhere("q-dlq"));
    assert_eq!(listed["Results"][0]["DestinationArn"], arn_elsewhere("q"));
}

#[tokio::test]
async fn without_cooldowns_a_queue_is_purged_and_made_again_at_once() {
    let options = Options { cooldown: Duration::ZERO, ..Options::default() };
    let server = Server::start_with(options).await;
    for _ in 0..3 {
        let queue = server.queue("q", json!({})).await;
        for _ in 0..2 {
            server.send(&queue, "x").await;
            server.ok("PurgeQueue", json!({ "QueueUrl": queue })).await;
            assert_eq!(server.counts(&queue).await, (0, 0, 0));
        }
        server.ok("DeleteQueue", json!({ "QueueUrl": queue })).await;
    }
}
