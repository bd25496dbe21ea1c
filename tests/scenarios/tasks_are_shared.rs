//! Several slots in one worker, several workers on one queue: tasks are worked on at the same time,
//! and none by two at once.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::{TASK_SCRIPT, World, wait_until};

const TASKS: u64 = 6;

/// An agent that records when each of its calls begins and ends. A call ends when so many calls
/// have begun in all, so that as many are made at the same time, however slow the machine is; and
/// it takes a while, in which a call that must not be made at the same time would begin.
fn recording_agent(world: &mut World, begun: usize) -> PathBuf {
    let calls = world.shared_dir().join("calls");
    let script = format!(
        "echo begin >> '{calls}'\n\
         until [ $(grep -c begin '{calls}') -ge {begun} ]; do sleep 0.02; done\n\
         sleep 0.5; echo end >> '{calls}'\n\
         {TASK_SCRIPT}",
        calls = calls.display()
    );
    world.agent(&script);
    calls
}

/// How many calls there were, and how many at most at the same time.
fn counted(calls: &Path) -> (u64, u64) {
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

async fn check_all_done(world: &World) {
    // Each task has the deadline of its own: one slot does them one after the other.
    for done in 1..=TASKS {
        let what = format!("{done} tasks have a pull request");
        wait_until(&what, async || world.pull_requests().await.len() as u64 >= done).await;
    }
    let empty = async || world.queue.counts().await == (0, 0, 0);
    wait_until("the queue is empty", empty).await;
    for issue in 1..=TASKS {
        world.check_done(issue).await;
    }
    assert_eq!(world.pull_requests().await.len() as u64, TASKS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_works_on_as_many_tasks_at_once_as_it_has_slots() {
    for slots in [1, 3] {
        let mut world = World::new().await;
        let calls = recording_agent(&mut world, slots);
        world.set("worker", json!({ "concurrency": slots }));
        for number in 1..=TASKS {
            world.task(&format!("Add greeting {number}"), "").await;
        }
        let worker = world.start(&["worker"]);
        check_all_done(&world).await;
        worker.stop_at_once().await;
        assert_eq!(counted(&calls), (2 * TASKS, slots as u64), "two passes a task");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_directories_of_their_own_share_a_queue() {
    let mut world = World::new().await;
    let calls = recording_agent(&mut world, 3);
    for number in 1..=TASKS {
        world.task(&format!("Add greeting {number}"), "").await;
    }
    let mut workers = Vec::new();
    for number in 0..3 {
        world.set("data_dir", json!(world.path().join(format!("worker-{number}"))));
        workers.push(world.start(&["worker"]));
    }
    check_all_done(&world).await;
    for worker in workers {
        worker.stop_at_once().await;
    }
    assert_eq!(counted(&calls), (2 * TASKS, 3), "no task was worked on twice");
}

/// They share a branch and a comment, and the second finds the first one's pull request.
#[tokio::test(flavor = "multi_thread")]
async fn one_worker_works_on_the_tasks_of_one_issue_one_after_the_other() {
    let mut world = World::new().await;
    let calls = recording_agent(&mut world, 1);
    world.set("worker", json!({ "concurrency": 3 }));
    let issue = world.task("Add a greeting", "").await;
    let message = world.queue.take().await.unwrap();
    for _ in 0..3 {
        world.queue.send(message["Body"].as_str().unwrap()).await;
    }
    let worker = world.start(&["worker"]);
    world.wait_until_done(issue).await;
    worker.stop_at_once().await;
    assert_eq!(counted(&calls), (2, 1), "one message was worked on, the others found it done");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_comment_tells_the_attempts_of_all_workers() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    for (attempt, name) in ["attic", "studio", "attic"].into_iter().enumerate() {
        world.agent(&format!("echo the {attempt}th mistake >&2; exit 1"));
        world.set("data_dir", json!(world.path().join(name)));
        world.set("worker", json!({ "name": name }));
        let ran = world.work().await;
        assert!([Some(RETRIED), Some(DEAD_LETTERED)].contains(&ran.code), "{ran:?}");
    }
    let comment = world.status_comment(issue).await;
    let tried: Vec<_> = comment.lines().filter(|line| line.contains("`: ")).collect();
    assert_eq!(tried.len(), 2, "{comment}");
    assert!(tried[0].starts_with("1. `attic`: ") && tried[0].contains("0th mistake"), "{comment}");
    assert!(tried[1].starts_with("2. `studio`: ") && tried[1].contains("1th mistake"), "{comment}");
    assert!(comment.contains("The last attempt was made by the worker `attic`."), "{comment}");
    assert!(comment.contains("2th mistake"), "{comment}");
    world.queue.poke().await;
    world.leaves_in_dead_letters(1, "the task failed three times");
}
