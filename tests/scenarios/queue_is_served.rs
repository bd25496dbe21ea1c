//! `codingworker queue serve` as a program of its own, used by the product's own client with AWS's
//! own signatures.

use serde_json::{Value, json};

use crate::world::World;
use crate::world::running::Running;

const KEYS: [(&str, &str); 2] = [
    ("CODINGWORKER_QUEUE_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("CODINGWORKER_QUEUE_SECRET_ACCESS_KEY", "the right secret"),
];

/// Starts the queue with these variables, and returns it with its address.
async fn serve(world: &World, variables: &[(&str, &str)]) -> (Running, String) {
    let data = world.path().join("served");
    let arguments = ["queue", "serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let mut command = world.command(&arguments);
    command.envs(variables.iter().copied());
    let mut queue = Running::start(command);
    let line = queue.line_with("queue codingworker-tasks at ").await;
    (queue, line.strip_prefix("queue codingworker-tasks at ").unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_served_queues_have_the_same_settings_as_those_that_terraform_makes() {
    let world = World::new().await;
    let (mut queue, url) = serve(&world, &[]).await;
    let main = "arn:aws:sqs:us-east-1:000000000000:codingworker-tasks";
    let redrive = format!(r#"{{"deadLetterTargetArn":"{main}-dlq","maxReceiveCount":3}}"#);
    let allow = format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{main}"]}}"#);
    for (name, attribute, value) in [
        ("codingworker-tasks", "VisibilityTimeout", "10800"),
        ("codingworker-tasks", "MessageRetentionPeriod", "604800"),
        ("codingworker-tasks", "ReceiveMessageWaitTimeSeconds", "20"),
        ("codingworker-tasks", "SqsManagedSseEnabled", "true"),
        ("codingworker-tasks", "RedrivePolicy", &redrive),
        ("codingworker-tasks-dlq", "MessageRetentionPeriod", "1209600"),
        ("codingworker-tasks-dlq", "SqsManagedSseEnabled", "true"),
        ("codingworker-tasks-dlq", "RedriveAllowPolicy", &allow),
    ] {
        assert_eq!(attribute_of(&url, name, attribute).await, value, "{name} {attribute}");
    }
    queue.kill().await;
}

async fn ask(url: &str, action: &str, request: Value) -> Value {
    let request = reqwest::Client::new()
        .post(url)
        .header("x-amz-target", format!("AmazonSQS.{action}"))
        .body(request.to_string());
    let answer = request.send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&answer).unwrap_or(Value::Null)
}

async fn attribute_of(url: &str, name: &str, attribute: &str) -> Value {
    let queue_url = format!("{url}/000000000000/{name}");
    let request = json!({ "QueueUrl": queue_url, "AttributeNames": [attribute] });
    ask(url, "GetQueueAttributes", request).await["Attributes"][attribute].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_somebody_changed_is_served_as_it_is() {
    let world = World::new().await;
    let (mut queue, url) = serve(&world, &[]).await;
    let queue_url = format!("{url}/000000000000/codingworker-tasks");
    let change = json!({ "QueueUrl": queue_url, "Attributes": { "VisibilityTimeout": "77" } });
    ask(&url, "SetQueueAttributes", change).await;
    queue.signal(rustix::process::Signal::TERM);
    assert!(queue.ended().await.success());

    let (mut queue, url) = serve(&world, &[]).await;
    let visibility = attribute_of(&url, "codingworker-tasks", "VisibilityTimeout").await;
    assert_eq!(visibility, "77");
    let told = queue.printed();
    for part in ["VisibilityTimeout", "10800", "77", "left as it is"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("MessageRetentionPeriod"), "nothing else differs: {told}");
    queue.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_a_key_pair_checks_every_signature() {
    let mut world = World::new().await;
    let (mut queue, url) = serve(&world, &KEYS).await;
    world.set("queue", json!({ "endpoint_url": url, "region": "us-east-1" }));
    let message = world.path().join("message.json");
    let task = json!({
        "issue_number": 1, "repository": "owner/repo", "title": "t", "body": "", "labels": [],
        "created_at": "2026-01-01T00:00:00Z",
    });
    std::fs::write(&message, task.to_string()).unwrap();
    let submit = ["submit", message.to_str().unwrap()];
    let signed = |secret| [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", secret)];

    let sent = world.run_with(&submit, &signed("the right secret")).await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
    let refused = world.run_with(&submit, &signed("another secret")).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("the queue refused the credentials"), "{refused:?}");

    let status = world.run_with(&["status", "--json"], &signed("the right secret")).await;
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["queue"]["depth"], json!({ "waiting": 1, "in_flight": 0, "delayed": 0 }));
    queue.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_a_key_pair_does_not_listen_to_other_machines() {
    let world = World::new().await;
    let data = world.path().join("served");
    let ran = world
        .run(&["queue", "serve", "--data", data.to_str().unwrap(), "--listen", "0.0.0.0:0"])
        .await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("a key pair is needed"), "{ran:?}");
}
