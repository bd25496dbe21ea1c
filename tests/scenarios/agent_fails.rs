//! An agent or a model that does not do what it should: the worker tells each way to fail apart,
//! and takes none for success.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;

use crate::exit_codes::RETRIED;
use crate::world::ollama::{NOBODY, Ollama};
use crate::world::processes::commands_with;
use crate::world::{TASK_SCRIPT, World};

/// Much shorter than the 600 seconds that the processes of these agents sleep, and much longer than
/// a run takes on a busy machine.
const SOON: Duration = Duration::from_secs(120);

async fn check_retried(mut world: World, issue: u64, reason: &str) {
    world.set("queue", json!({ "retry_delays_seconds": [30, 60, 120] }));
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert!(world.pull_requests().await.is_empty());
    let comment = world.status_comment(issue).await;
    assert!(comment.contains(reason), "{comment}");
    let (_, delay) = comment.split_once("tries again in ").expect("it is not told when");
    let seconds: f64 = delay.split_once(" s.").unwrap().0.parse().unwrap();
    assert!((30.0..=37.5).contains(&seconds), "{seconds} s are not 30 and up to a quarter more");
    assert_eq!(world.labels(issue).await, ["ai-task", "keep me"]);
    assert_eq!(world.queue.counts().await, (0, 1, 0), "the message is hidden for the delay");
    world.leaves_messages(1, "it is delivered again after the delay");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_changes_nothing_is_tried_again() {
    let mut world = World::new().await;
    world.agent("echo I looked at it and all is well");
    let issue = world.task("Add a greeting", "").await;
    check_retried(world, issue, "The agent changed nothing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_output_of_an_agent_that_crashes_is_told() {
    let mut world = World::new().await;
    world.agent("echo out of cheese >&2; exit 3");
    let issue = world.task("Add a greeting", "").await;
    check_retried(world, issue, "out of cheese").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_hangs_is_killed_with_all_that_it_started() {
    let mut world = World::new().await;
    let sleeper = sleeper(&world);
    world.agent(&format!("'{sleeper}' 600 & setsid '{sleeper}' 600 & wait"));
    world.set("agent", json!({ "call_timeout_seconds": 2, "model_timeout_seconds": 1 }));
    let issue = world.task("Add a greeting", "").await;
    let began = Instant::now();
    let ran = world.work().await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert_eq!(commands_with(&sleeper), Vec::<String>::new());
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("time"), "{comment}");
    world.leaves_messages(1, "the task is to be repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_does_not_wait_for_a_process_that_holds_the_output_of_an_agent_that_ended() {
    let mut world = World::new().await;
    let sleeper = sleeper(&world);
    world.agent(&format!("setsid '{sleeper}' 600 & {TASK_SCRIPT}"));
    let issue = world.task("Add a greeting", "").await;
    let began = Instant::now();
    let ran = world.work().await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(commands_with(&sleeper), Vec::<String>::new());
    world.check_done(issue).await;
}

/// A program that is found by its name in the process table.
fn sleeper(world: &World) -> String {
    let sleeper = world.shared_dir().join("sleeper");
    std::os::unix::fs::symlink("/bin/sleep", &sleeper).unwrap();
    sleeper.to_string_lossy().into_owned()
}

/// The worker asks the model before it takes a message, so a model that is down costs no delivery.
async fn check_not_taken(world: World, issue: u64, expected: &str) {
    let ran = world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(expected), "{ran:?}");
    assert_eq!(world.queue.counts().await, (1, 0, 0));
    assert!(world.comments(issue).await.is_empty());
    world.leaves_messages(1, "the worker does not take it");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_model_is_down_no_message_is_taken() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    world.set(
        "agent",
        json!({ "models": ["ollama_chat/qwen2.5-coder:1.5b"], "model_endpoint": NOBODY }),
    );
    check_not_taken(world, issue, NOBODY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_model_is_missing_no_message_is_taken() {
    let ollama = Ollama::start(["another:1b"]).await;
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    world.set(
        "agent",
        json!({
            "models": ["ollama_chat/qwen2.5-coder:1.5b"],
            "model_endpoint": ollama.endpoint(),
        }),
    );
    check_not_taken(world, issue, "ollama pull qwen2.5-coder:1.5b").await;
}

/// The kernel accepts the connection and takes what is sent, and nobody ever answers.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_model_hangs_no_message_is_taken() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    world.set(
        "agent",
        json!({ "models": ["ollama_chat/qwen2.5-coder:1.5b"], "model_endpoint": endpoint }),
    );
    check_not_taken(world, issue, &format!("no answer from Ollama at {endpoint}")).await;
}
