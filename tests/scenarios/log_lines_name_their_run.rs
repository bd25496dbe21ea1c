//! A worker that works on several tasks at once says in every line which run the line is about.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;

use regex::Regex;
use serde_json::{Value, json};

use crate::exit_codes::RETRIED;
use crate::world::{DEADLINE, TOKEN, World, wait_until};

/// The lines of a log in JSON, by what they say.
fn lines(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The run and the task that a line's spans name.
fn run_and_task(line: &Value) -> (String, String) {
    let spans = line["spans"].as_array().unwrap_or_else(|| panic!("no span: {line}"));
    let run = spans.iter().find(|span| span["name"] == "run");
    let run = run.unwrap_or_else(|| panic!("no run among the spans: {line}"));
    (run["run"].as_str().unwrap().to_owned(), run["task"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_is_named_with_its_task() {
    let mut world = World::new().await;
    world.set("log", json!({ "format": "json" }));
    world.agent("true");
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    let lines = lines(&ran.stderr);
    let failed = lines.iter().find(|line| line["message"] == "the run failed");
    let (run, task) = run_and_task(failed.unwrap_or_else(|| panic!("{ran:?}")));
    assert_eq!(run, "1");
    assert!(task.starts_with(&format!("owner/repo#{issue}@")), "{task}");
    world.leaves_comments_unread("the scenario is about the log");
    world.leaves_messages(1, "the failed task waits for its next delivery");
}

/// A log that is kept has the date, and else what a person reads. The form `full` has all.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_for_people_names_the_issue_and_the_stage() {
    let mut world = World::new().await;
    world.agent("true");
    world.task("Add a greeting", "").await;
    let ran = world.work().await;
    let line = Regex::new(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d owner/repo#1 prepare: fetching ");
    assert!(line.unwrap().is_match(&ran.stderr), "{ran:?}");
    let failed = Regex::new(r"(?m)^\S+ \S+ WARN owner/repo#1 the run failed ");
    assert!(failed.unwrap().is_match(&ran.stderr), "{ran:?}");
    assert!(!ran.stderr.contains("#1@"), "{ran:?}");
    world.set("log", json!({ "format": "full" }));
    let ran = world.work().await;
    assert!(ran.stderr.contains("run{run=2 task=owner/repo#1@"), "{ran:?}");
    assert!(ran.stderr.contains("stage{name=\"prepare\"}"), "{ran:?}");
    world.leaves_comments_unread("the scenario is about the log");
    world.leaves_messages(1, "the failed task waits for its next delivery");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_are_told_apart() {
    let mut world = World::new().await;
    world.set("log", json!({ "format": "json" }));
    world.set("worker", json!({ "concurrency": 2 }));
    world.set("queue", json!({ "retry_delays_seconds": [600] }));
    world.agent("true");
    let issues = [world.task("Add a greeting", "").await, world.task("Add another", "").await];
    let mut worker = world.start(&["worker"]);
    let failed = || {
        let lines = lines(&worker.printed());
        let failed = lines.iter().filter(|line| line["message"] == "the run failed");
        failed.map(run_and_task).collect::<BTreeMap<_, _>>()
    };
    wait_until("both runs have failed", async || failed().len() == 2).await;
    let tasks: Vec<String> = failed().into_values().collect();
    for issue in issues {
        let named = tasks.iter().filter(|task| task.starts_with(&format!("owner/repo#{issue}@")));
        assert_eq!(named.count(), 1, "{tasks:?}");
    }
    worker.signal(rustix::process::Signal::TERM);
    worker.ended().await;
    world.leaves_comments_unread("the scenario is about the log");
    world.leaves_messages(2, "both tasks wait for their next deliveries");
}

/// `/dev/full` is a disk without space; macOS has none. The other file can't be written at all, as
/// standard error once whoever read it has gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_can_not_be_written_stops_nothing() {
    let logs = [File::options().write(true).open("/dev/full"), File::open("/dev/null")];
    for log in logs.into_iter().flatten() {
        let world = World::new().await;
        let issue = world.task("Add a greeting", "").await;
        let mut worker = world.command(&["worker", "--once"]);
        worker.env("GITHUB_TOKEN", TOKEN).stdout(Stdio::null()).stderr(log);
        let ended = tokio::time::timeout(DEADLINE, worker.status()).await.expect("it hangs");
        assert_eq!(ended.unwrap().code(), Some(0));
        world.check_done(issue).await;
    }
}
