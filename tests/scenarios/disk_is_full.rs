//! The disk fills up under the queue, the journal and the workspace: what can't be done is told,
//! nothing is lost, and the work goes on once there is space.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::world::queue_proxy::QueueProxy;
use crate::world::running::Running;
use crate::world::small_disk::{fill, on_small_disk, seen_by};
use crate::world::{TOKEN, World};

async fn ask(url: &str, action: &str, mut request: Value) -> (u16, Value) {
    request["QueueUrl"] = json!(format!("{url}/000000000000/codingworker-tasks"));
    let request = reqwest::Client::new()
        .post(url)
        .header("x-amz-target", format!("AmazonSQS.{action}"))
        .body(request.to_string());
    let answer = request.header("content-type", "application/x-amz-json-1.0").send().await.unwrap();
    let code = answer.status().as_u16();
    (code, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
}

async fn send(url: &str, number: usize) -> u16 {
    let body = format!("{number}: {}", "x".repeat(20_000));
    let (code, answer) = ask(url, "SendMessage", json!({ "MessageBody": body })).await;
    assert!(
        code == 200
            || answer["__type"].as_str().is_some_and(|name| name.contains("InternalFailure")),
        "{answer}"
    );
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_on_a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let world = World::without_repository().await;
    let data = world.path().join("small");
    let mut serve = world.command(&["queue", "serve", "--listen", "127.0.0.1:0", "--data"]);
    serve.arg(&data);
    let Some(serve) = on_small_disk(&serve, &data, 3_000) else { return };
    let mut server = Running::start(serve);
    let line = server.line_with("http://").await;
    let url = format!("http://{}", line.rsplit_once("http://").unwrap().1);
    let mut acknowledged = 0;
    for number in 0..10 {
        assert_eq!(send(&url, number).await, 200);
        acknowledged += 1;
    }
    let filler = fill(&seen_by(server.id(), &data));
    let mut refused = 0;
    for number in 10..16 {
        match send(&url, number).await {
            200 => acknowledged += 1,
            code => {
                assert_eq!(code, 500, "a client tries again after it");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the disk is not full");
    std::fs::remove_file(filler).unwrap();
    assert_eq!(send(&url, 16).await, 200, "without a new start");
    acknowledged += 1;
    let mut found = 0;
    loop {
        let request = json!({ "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0 });
        let (code, answer) = ask(&url, "ReceiveMessage", request).await;
        assert_eq!(code, 200, "{answer}");
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        found += messages.len();
        for message in messages {
            let (code, answer) =
                ask(&url, "DeleteMessage", json!({ "ReceiptHandle": message["ReceiptHandle"] }))
                    .await;
            assert_eq!(code, 200, "{answer}");
        }
    }
    assert_eq!(found, acknowledged, "what was acknowledged is there, and nothing that was refused");
}

/// Waits until the worker has looked at the full disk twice more, and fails if it received anything
/// between the two looks: a message was there to be taken all the time.
async fn check_nothing_is_taken(worker: &mut Running, queue: &QueueProxy, disk: &Path) {
    const REFUSAL: &str = "no task is taken while";
    let free = rustix::fs::statvfs(disk).unwrap();
    assert!(free.f_bavail * free.f_frsize < 1 << 20, "the disk is not full");
    let looks = worker.lines_with(REFUSAL, 1).await.len();
    worker.lines_with(REFUSAL, looks + 1).await;
    let received = queue.count("sqs:ReceiveMessage");
    worker.lines_with(REFUSAL, looks + 2).await;
    assert_eq!(queue.count("sqs:ReceiveMessage"), received, "a delivery is spent on a full disk");
}

/// The agent's tree and the journal are on the same disk, which the agent fills.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_full_disk_is_repeated_and_done_when_there_is_space() {
    let mut world = World::new().await;
    let queue = QueueProxy::before(&world.queue.url).await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": queue.url }));
    world.set("worker", json!({ "free_space_mib": 1 }));
    world.set("log", json!({ "filter": "info,codingworker::worker=debug" }));
    world.queue.set_visibility_timeout(6).await;
    let worker = world.command(&["worker"]);
    let Some(mut worker) = on_small_disk(&worker, &world.data_dir(), 8_000) else { return };
    worker.env("GITHUB_TOKEN", TOKEN);
    let mut worker = Running::start(worker);
    agent.wait_until_it_stops().await;
    let disk = seen_by(worker.id(), &world.data_dir());
    let filler = fill(&disk);
    agent.go_on();
    world.queue.wait_until_visible(1).await;
    check_nothing_is_taken(&mut worker, &queue, &disk).await;
    assert_eq!(world.queue.counts().await, (1, 0, 0));
    assert_eq!(world.pull_requests().await.len(), 0);
    assert_eq!(worker.has_ended(), None, "the worker ended: {}", worker.printed());
    std::fs::remove_file(filler).unwrap();
    world.wait_until_done(issue).await;
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
    worker.stop_at_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_can_not_be_written_is_told_at_the_start() {
    let world = World::new().await;
    let worker = world.command(&["worker"]);
    let Some(worker) = on_small_disk(&worker, &world.data_dir(), 100) else { return };
    let worker = worker.as_std();
    // The same with a disk that is mounted read-only.
    let mut only_read = Command::new(worker.get_program());
    only_read.args(worker.get_args().map(|argument| match argument.to_str() {
        Some(script) if script.contains("size=") => script.replace("size=", "ro,size=").into(),
        _ => argument.to_owned(),
    }));
    only_read.env_clear().envs(worker.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = only_read.env("GITHUB_TOKEN", TOKEN).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains(&world.data_dir().display().to_string()) && printed.contains("Read-only"),
        "{printed}"
    );
}
