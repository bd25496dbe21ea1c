//! How a command ended is told by its exit code, as `--help` and docs/operations.md list them.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::world::{TOKEN, World};

const CODES_ONLY: &str = "the scenario is about exit codes";

pub const OK: i32 = 0;
pub const ERROR: i32 = 1;
pub const USAGE: i32 = 2;
pub const NOTHING_THERE: i32 = 10;
pub const RETRIED: i32 = 11;
pub const DEAD_LETTERED: i32 = 12;
pub const CANCELLED: i32 = 13;
pub const ABANDONED: i32 = 14;
pub const SUSPENDED: i32 = 15;
pub const NOT_READY: i32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_ends_done_or_retried_or_dead_lettered() {
    let mut world = World::new().await;
    world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(OK));

    world.agent("true");
    world.task("Add another", "").await;
    for expected in [RETRIED, RETRIED, DEAD_LETTERED] {
        let ran = world.work().await;
        assert_eq!(ran.code, Some(expected), "{ran:?}");
    }
    world.leaves_comments_unread(CODES_ONLY);
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_taken_back_ends_as_cancelled() {
    let world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    let path = format!("/repos/owner/repo/issues/{issue}");
    world.forge.ask(reqwest::Method::PATCH, &path, json!({ "state": "closed" })).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(CANCELLED), "{ran:?}");
    world.leaves_comments_unread(CODES_ONLY);
}

/// The poll waits for a message as long as SQS lets it: 20 seconds.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_queue_is_told_from_a_task_that_is_done() {
    let world = World::new().await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(NOTHING_THERE), "{ran:?}");
    assert!(ran.stderr.contains("the queue has no message"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_later_ends_as_suspended() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    world.task("Add a greeting", "").await;
    let mut worker = world
        .command(&["worker", "--once", "--drain-seconds", "0"])
        .env("GITHUB_TOKEN", TOKEN)
        .spawn()
        .unwrap();
    agent.wait_until_it_stops().await;
    let pid = i32::try_from(worker.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    assert_eq!(worker.wait().await.unwrap().code(), Some(SUSPENDED));

    agent.go_on();
    let ran = world.work().await;
    assert_eq!(ran.code, Some(OK), "{ran:?}");
    world.leaves_comments_unread(CODES_ONLY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_that_finds_something_missing_says_so_by_its_code() {
    let mut world = World::new().await;
    let command = ["no-such-agent", "{prompt_file}"];
    let agent = json!({ "kind": "command", "command": command, "models": ["scripted"] });
    world.set("agent", agent);
    let ran = world.run(&["doctor"]).await;
    assert_eq!(ran.code, Some(NOT_READY), "{ran:?}");
    assert!(ran.stdout.contains("no-such-agent was not found"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_and_wrong_arguments_end_as_in_every_program() {
    let mut world = World::new().await;
    let wrong = world.run(&["status", "--no-such-flag"]).await;
    assert_eq!(wrong.code, Some(USAGE), "{wrong:?}");
    world.set("no_such_setting", json!(1));
    let refused = world.run(&["status"]).await;
    assert_eq!(refused.code, Some(ERROR), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_help_lists_every_code() {
    let world = World::new().await;
    let worker = [NOTHING_THERE, RETRIED, DEAD_LETTERED, CANCELLED, ABANDONED, SUSPENDED];
    for (arguments, codes) in [
        (&["--help"][..], [&worker[..], &[OK, ERROR, USAGE, NOT_READY]].concat()),
        (&["worker", "--help"], [&worker[..], &[OK, ERROR, USAGE]].concat()),
        (&["doctor", "--help"], vec![OK, ERROR, USAGE, NOT_READY]),
    ] {
        let ran = world.run(arguments).await;
        assert_eq!(ran.code, Some(OK), "{ran:?}");
        let (_, listed) = ran.stdout.split_once("Exit codes:").expect("the help tells no codes");
        let listed: Vec<i32> = listed
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
        let mut codes = codes;
        codes.sort_unstable();
        assert_eq!(listed, codes, "{arguments:?}");
    }
}
