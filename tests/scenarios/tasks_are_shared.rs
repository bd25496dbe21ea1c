//! Several slots in one worker, several workers on one queue: tasks are worked on at the same time,
//! and none by two at once.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::Child;

use crate::world::{TOKEN, World};

const TASKS: u64 = 6;

/// An agent that notes each call's beginning and end, and takes its time in between.
fn noting_agent(world: &mut World) -> PathBuf {
    let calls = world.stage().join("calls");
    let script = format!(
        "echo begin >> '{calls}'; sleep 0.5; echo end >> '{calls}'\n\
         test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt",
        calls = calls.display()
    );
    world.agent(&script);
    calls
}

/// How many calls there were, and how many at most at the same time.
fn counted(calls: &Path) -> (usize, usize) {
    let (mut now, mut most, mut all) = (0, 0, 0);
    for line in std::fs::read_to_string(calls).unwrap().lines() {
        if line == "begin" {
            (now, all) = (now + 1, all + 1);
        } else {
            now -= 1;
        }
        most = most.max(now);
    }
    (all, most)
}

fn start(world: &World) -> Child {
    let mut worker = world.command(&["worker"]);
    worker.env("GITHUB_TOKEN", TOKEN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

async fn all_are_done(world: &World) {
    let done = async {
        while world.queue.counts().await != (0, 0, 0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), done).await.expect("the queue is not emptied");
    for issue in 1..=TASKS {
        assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
        assert_eq!(world.comments(issue).await.len(), 1);
    }
    assert_eq!(world.pull_requests().await.len() as u64, TASKS);
}

async fn end(mut worker: Child) {
    let pid = worker.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    worker.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_works_on_as_many_tasks_at_once_as_it_has_slots() {
    for slots in [1, 3] {
        let mut world = World::new().await;
        let calls = noting_agent(&mut world);
        world.set("worker", json!({ "concurrency": slots }));
        for number in 1..=TASKS {
            world.task(&format!("Add greeting {number}"), "").await;
        }
        let worker = start(&world);
        all_are_done(&world).await;
        end(worker).await;
        let (all, most) = counted(&calls);
        assert_eq!(all as u64, 2 * TASKS, "two passes a task");
        if slots == 1 {
            assert_eq!(most, 1);
        } else {
            assert!((2..=slots).contains(&most), "{most} at once in {slots} slots");
        }
        world.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_directories_of_their_own_share_a_queue() {
    let mut world = World::new().await;
    let calls = noting_agent(&mut world);
    for number in 1..=TASKS {
        world.task(&format!("Add greeting {number}"), "").await;
    }
    let mut workers = Vec::new();
    for number in 0..3 {
        world.set("data_dir", json!(world.path().join(format!("worker-{number}"))));
        workers.push(start(&world));
    }
    all_are_done(&world).await;
    for worker in workers {
        end(worker).await;
    }
    let (all, most) = counted(&calls);
    assert_eq!(all as u64, 2 * TASKS, "no task was worked on twice");
    assert!((2..=3).contains(&most), "{most} at once");
    world.finish();
}

/// They share a branch and a comment; the second finds the first one's pull request.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_one_issue_take_turns_in_one_worker() {
    let mut world = World::new().await;
    let calls = noting_agent(&mut world);
    world.set("worker", json!({ "concurrency": 3 }));
    world.task("Add a greeting", "").await;
    let message = world.queue.take().await.unwrap();
    for _ in 0..3 {
        world.queue.send(message["Body"].as_str().unwrap()).await;
    }
    let worker = start(&world);
    let done = async {
        while world.queue.counts().await != (0, 0, 0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("the queue is not emptied");
    end(worker).await;
    assert_eq!(counted(&calls), (2, 1), "one message was worked on, the others found it done");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.finish();
}
