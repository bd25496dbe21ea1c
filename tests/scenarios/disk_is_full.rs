//! The disk fills up under the queue, the journal and the workspace: what can't be done is said,
//! nothing is lost, and it goes on once there is space.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::world::small_disk::{fill, on_small_disk, seen_by};
use crate::world::{TOKEN, World};

const DEADLINE: Duration = Duration::from_secs(60);

/// Starts a program whose lines on standard error, or output, are awaited and then thrown away.
async fn start_and_hear(mut command: Command, what: &str) -> (Child, String) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (
        BufReader::new(child.stdout.take().unwrap()).lines(),
        BufReader::new(child.stderr.take().unwrap()).lines(),
    );
    let heard = async {
        loop {
            let line = tokio::select! {
                Ok(Some(line)) = out.next_line() => line,
                Ok(Some(line)) = err.next_line() => line,
                else => panic!("it ended without a word of {what}"),
            };
            if line.contains(what) {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(DEADLINE, heard).await.expect("it does not say so");
    tokio::spawn(async move { while let Ok(Some(_)) = out.next_line().await {} });
    tokio::spawn(async move { while let Ok(Some(_)) = err.next_line().await {} });
    (child, line)
}

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
    let (server, line) = start_and_hear(serve, "http://").await;
    let url = format!("http://{}", line.rsplit_once("http://").unwrap().1);
    let mut acknowledged = 0;
    for number in 0..10 {
        assert_eq!(send(&url, number).await, 200);
        acknowledged += 1;
    }
    let filler = fill(&seen_by(server.id().unwrap(), &data));
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

/// Longer than the worker rests between two looks at the disk.
async fn while_it_is_full(data_dir: &Path) {
    let free = rustix::fs::statvfs(data_dir).unwrap();
    assert!(free.f_bavail * free.f_frsize < 1 << 20, "the disk is not full");
    tokio::time::sleep(Duration::from_secs(6)).await;
}

/// The agent's tree and the journal are on the same disk, which the agent fills.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_full_disk_comes_again_and_is_done_when_there_is_space() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    world.set("worker", json!({ "free_space_mib": 1 }));
    world.queue.set_visibility_timeout(6).await;
    let worker = world.command(&["worker"]);
    let Some(mut worker) = on_small_disk(&worker, &world.data_dir(), 8_000) else { return };
    worker.env("GITHUB_TOKEN", TOKEN);
    let (mut worker, _) = start_and_hear(worker, "works on the task").await;
    agent.wait_until_it_stops().await;
    let filler = fill(&seen_by(worker.id().unwrap(), &world.data_dir()));
    agent.go_on();
    world.queue.wait_until_visible(1).await;
    while_it_is_full(&seen_by(worker.id().unwrap(), &world.data_dir())).await;
    assert_eq!(world.queue.counts().await, (1, 0, 0), "no delivery is spent on a full disk");
    assert_eq!(world.pull_requests().await.len(), 0);
    assert_eq!(worker.try_wait().unwrap(), None, "the worker ended");
    std::fs::remove_file(filler).unwrap();
    let done = async {
        while world.labels(issue).await != ["ai-task-done", "keep me"]
            || world.queue.counts().await != (0, 0, 0)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, done).await.expect("it does not go on");
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(world.comments(issue).await.len(), 1);
    worker.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_can_not_be_written_is_named_at_the_start() {
    let world = World::new().await;
    let worker = world.command(&["worker"]);
    let Some(worker) = on_small_disk(&worker, &world.data_dir(), 100) else { return };
    let worker = worker.as_std();
    // The same, but for a disk that can only be read.
    let mut only_read = Command::new(worker.get_program());
    only_read.args(worker.get_args().map(|argument| match argument.to_str() {
        Some(script) if script.contains("size=") => {
            script.replace("size=\"$1\"", "ro,size=\"$1\"").into()
        }
        _ => argument.to_owned(),
    }));
    only_read.env_clear().envs(worker.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = only_read.env("GITHUB_TOKEN", TOKEN).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&world.data_dir().display().to_string()) && said.contains("Read-only"),
        "{said}"
    );
}
