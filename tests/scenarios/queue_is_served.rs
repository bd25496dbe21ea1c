//! `codingworker queue serve` as a program of its own, used by the product's own client with AWS's
//! own signatures.

use serde_json::{Value, json};

use crate::world::World;
use crate::world::running::Running;

const KEYS: [(&str, &str); 2] = [
    ("CODINGWORKER_QUEUE_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("CODINGWORKER_QUEUE_SECRET_ACCESS_KEY", "the right secret"),
];

/// The arguments of a queue that stands in for one of this region and account.
const ELSEWHERE: [&str; 4] = ["--region", "ap-northeast-1", "--account", "123456789012"];
const ARN_ELSEWHERE: &str = "arn:aws:sqs:ap-northeast-1:123456789012:codingworker-tasks";

/// Starts the queue with these variables, and returns it with its address.
async fn serve(world: &World, variables: &[(&str, &str)]) -> (Running, String) {
    serve_with(world, variables, &[]).await
}

/// Starts the queue with these variables and further arguments, and returns it with its address.
async fn serve_with(
    world: &World,
    variables: &[(&str, &str)],
    further: &[&str],
) -> (Running, String) {
    let data = world.path().join("served");
    let arguments = ["queue", "serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let mut command = world.command(&arguments);
    command.args(further).envs(variables.iter().copied());
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
async fn a_queue_stands_in_for_one_of_another_region_and_account_with_the_same_data() {
    let world = World::new().await;
    let (mut queue, url) = serve(&world, &[]).await;
    let queue_url = format!("{url}/000000000000/codingworker-tasks");
    let sent = ask(&url, "SendMessage", json!({ "QueueUrl": queue_url, "MessageBody": "x" })).await;
    assert!(sent["MessageId"].is_string(), "{sent}");
    queue.signal(rustix::process::Signal::TERM);
    assert!(queue.ended().await.success());

    let (mut queue, url) = serve_with(&world, &[], &ELSEWHERE).await;
    let found = ask(&url, "GetQueueUrl", json!({ "QueueName": "codingworker-tasks" })).await;
    assert_eq!(found["QueueUrl"], format!("{url}/123456789012/codingworker-tasks"));
    let redrive = format!(r#"{{"deadLetterTargetArn":"{ARN_ELSEWHERE}-dlq","maxReceiveCount":3}}"#);
    for (attribute, value) in [
        ("QueueArn", ARN_ELSEWHERE),
        ("RedrivePolicy", &redrive),
        ("ApproximateNumberOfMessages", "1"),
    ] {
        assert_eq!(attribute_of(&url, "codingworker-tasks", attribute).await, value);
    }
    let told = queue.printed();
    assert!(!told.contains("left as it is"), "the queues are the contract's: {told}");
    queue.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_for_the_region_of_the_queue() {
    let mut world = World::new().await;
    let (mut queue, url) = serve_with(&world, &KEYS, &ELSEWHERE).await;
    let signed = [("AWS_ACCESS_KEY_ID", KEYS[0].1), ("AWS_SECRET_ACCESS_KEY", KEYS[1].1)];
    for (region, code) in [("ap-northeast-1", 0), ("us-east-1", 1)] {
        world.set("queue", json!({ "endpoint_url": url, "region": region }));
        let asked = world.run_with(&["status", "--json"], &signed).await;
        assert_eq!(asked.code, Some(code), "{region}: {asked:?}");
    }
    queue.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cooldowns_a_queue_is_purged_and_made_again_at_once() {
    let world = World::new().await;
    let (mut queue, url) = serve_with(&world, &[], &["--no-cooldown"]).await;
    for _ in 0..2 {
        let made = ask(&url, "CreateQueue", json!({ "QueueName": "q" })).await;
        let of_it = json!({ "QueueUrl": made["QueueUrl"] });
        for action in ["PurgeQueue", "PurgeQueue", "DeleteQueue"] {
            assert_eq!(ask(&url, action, of_it.clone()).await, json!({}), "{action}");
        }
    }
    queue.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_serves_its_queue_for_the_region_and_account_that_are_asked_for() {
    let world = World::new().await;
    let data = world.path().join("up");
    let mut command = world.command(&["up", "--data", data.to_str().unwrap(), "--no-cooldown"]);
    command.args(ELSEWHERE);
    command.args(["--queue-listen", "127.0.0.1:0", "--forge-listen", "127.0.0.1:0"]);
    let mut up = Running::start(command);
    let line = up.line_with("queue   ").await;
    let url = line.strip_prefix("queue   ").unwrap().to_owned();
    up.line_with("submit").await;
    assert_eq!(attribute_of(&url, "codingworker-tasks", "QueueArn").await, ARN_ELSEWHERE);
    let of_it = json!({ "QueueUrl": format!("{url}/123456789012/codingworker-tasks") });
    for _ in 0..2 {
        assert_eq!(ask(&url, "PurgeQueue", of_it.clone()).await, json!({}));
    }
    up.stop_at_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_or_an_account_that_aws_can_not_have_is_refused() {
    let world = World::new().await;
    let data = world.path().join("served");
    let data = data.to_str().unwrap();
    for command in [&["queue", "serve"][..], &["up"]] {
        for (wrong, told) in [
            (["--region", "eu:west"], "is not a region"),
            (["--region", ""], "is not a region"),
            (["--account", "12345"], "12 digits"),
            (["--account", "12345678901x"], "12 digits"),
        ] {
            let ran = world.run(&[command, &["--data", data], &wrong].concat()).await;
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains(told), "{ran:?}");
        }
    }
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
