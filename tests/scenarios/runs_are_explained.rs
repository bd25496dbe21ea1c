//! An operator finds out what became of a task: by `status`, by `logs` and by `why`.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::exit_codes::{DEAD_LETTERED, ERROR, OK, RETRIED};
use crate::world::{TOKEN, World};

const TOLD_ELSEWHERE: &str = "the scenario is about what the commands tell";

/// A world in which one task failed for good: its agent broke the check at each of three
/// deliveries.
async fn with_a_failed_task() -> World {
    let mut world = World::new().await;
    world.agent("echo I break it; touch broken; echo test > a_test.txt");
    world.task("Break it", "").await;
    for expected in [RETRIED, RETRIED, DEAD_LETTERED] {
        let ran = world.work().await;
        assert_eq!(ran.code, Some(expected), "{ran:?}");
    }
    world.leaves_comments_unread(TOLD_ELSEWHERE);
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_task_failed_is_told_with_the_failing_check_and_the_agents_last_words() {
    let mut world = with_a_failed_task().await;
    let why = world.run(&["why", "owner/repo#1"]).await;
    assert_eq!(why.code, Some(OK), "{why:?}");
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    for told in [
        "owner/repo#1 Break it",
        "attempt 3",
        &today,
        "sh check.sh",
        "| FAILED broken is there",
        "| I break it",
        "runs/3/log",
    ] {
        assert!(why.stdout.contains(told), "{told:?} is not in {}", why.stdout);
    }
    let other = world.run(&["why", "owner/repo#2"]).await;
    assert_eq!(other.code, Some(ERROR), "{other:?}");
    assert!(other.stderr.contains("its comment on the issue"), "{other:?}");

    let status = world.run(&["status"]).await;
    assert!(status.stdout.contains("failed  ") && status.stdout.contains(&today), "{status:?}");
    let logs = world.run(&["logs", "Owner/Repo#1", "--since", "1h"]).await;
    assert_eq!(logs.stdout.matches("== run ").count(), 3, "{logs:?}");
    let end = logs.stdout.rsplit("-- run 3: failed").next().unwrap();
    assert!(end.contains("`sh check.sh`") || end.contains("sh check.sh"), "{logs:?}");
    assert!(logs.stdout.contains(&format!("# {today}T")), "{logs:?}");
    let later = world.run(&["logs", "owner/repo#1", "--since", "2099-01-01"]).await;
    assert_eq!(later.code, Some(ERROR), "{later:?}");

    world.set("language", json!("ja"));
    for command in [&["why", "owner/repo#1"][..], &["status"], &["logs", "3"]] {
        let ran = world.run(command).await;
        assert!(ran.stdout.contains("失敗"), "{ran:?}");
    }
}

/// The pull request is a draft, which completes its task.
#[tokio::test(flavor = "multi_thread")]
async fn why_tells_what_kept_a_check_from_running_and_what_to_do() {
    let mut world = World::without_repository().await;
    let checks = "[checks]\nlint = \"\"\ntest = \"no-such-tester\"\n";
    world.forge.repository("owner/repo", "main", &[(".codingworker.toml", checks)]);
    world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(OK));
    let told = [
        ("en", "no-such-tester: could not be run", "`no-such-tester` is missing", "Install it on"),
        (
            "ja",
            "no-such-tester: 実行できませんでした",
            "`no-such-tester` がありません",
            "インストール",
        ),
    ];
    for (language, result, what, next) in told {
        world.set("language", json!(language));
        let why = world.run(&["why", "owner/repo#1"]).await;
        for part in [result, what, next] {
            assert!(why.stdout.contains(part), "{part:?} is not in {}", why.stdout);
        }
    }
    world.leaves_comments_unread(TOLD_ELSEWHERE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_without_its_queue_is_an_error_and_shows_the_rest() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(OK));
    let ran = world.run(&["status"]).await;
    assert_eq!(ran.code, Some(OK), "{ran:?}");
    assert!(ran.stdout.contains("run 1     done  "), "{ran:?}");
    assert!(ran.stdout.contains("DLQ       0 waiting"), "{ran:?}");
    let none = world.run(&["status", "--runs", "0"]).await;
    assert!(!none.stdout.contains("run 1") && !none.stdout.contains("none yet"), "{none:?}");
    world.check_done(issue).await;
    world.set("queue", json!({ "endpoint_url": "http://127.0.0.1:1" }));
    let ran = world.run(&["status"]).await;
    assert_eq!(ran.code, Some(ERROR), "{ran:?}");
    assert!(ran.stdout.contains("endpoint http://127.0.0.1:1"), "{ran:?}");
    assert!(!ran.stdout.contains("DispatchFailure"), "{ran:?}");
    assert!(ran.stdout.contains("owner/repo#1 Add a greeting"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_json_log_is_json_and_an_event_is_told_once() {
    let mut world = World::new().await;
    world.set("log", json!({ "format": "json" }));
    world.agent("true");
    world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    let lines: Vec<Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?} is no JSON")))
        .collect();
    let failed: Vec<_> =
        lines.iter().filter(|line| line.to_string().contains("changed nothing")).collect();
    assert!(failed.len() <= 2, "{failed:#?}");
    assert!(!ran.stderr.contains("RetryAfter"), "{ran:?}");
    let ended = lines.iter().find(|line| line["message"] == "the run failed").unwrap();
    assert!(ended["next"].as_str().unwrap().starts_with("another try in "), "{ended}");

    world.set("repositories", json!([]));
    let refused = world.run(&["worker", "--once"]).await;
    for line in refused.stderr.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line:?} is no JSON"));
    }
    world.leaves_comments_unread(TOLD_ELSEWHERE);
    world.leaves_messages(1, "the failed task waits for its next delivery");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_closes_the_pipe_is_no_error() {
    let world = World::new().await;
    for command in [&["config", "reference"][..], &["status"], &["doctor"], &["schema"]] {
        let mut child = world
            .command(command)
            .env("GITHUB_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).await.unwrap();
        assert_eq!(told, "", "{command:?}");
        assert_eq!(child.wait().await.unwrap().code(), Some(OK), "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_for_a_repository_that_is_not_listed_is_not_queued() {
    let world = World::new().await;
    world.forge.repository("owner/other", "main", &[("README.md", "other\n")]);
    let submit = ["submit", "--repository", "owner/other", "--title", "Add a greeting"];
    let ran = world.run(&submit).await;
    assert_eq!(ran.code, Some(ERROR), "{ran:?}");
    assert!(ran.stderr.contains("owner/other is not in `repositories` of "), "{ran:?}");
    assert!(ran.stderr.contains("worker.toml"), "{ran:?}");
    let issues = world.forge.get("/repos/owner/other/issues").await;
    assert_eq!(issues, json!([]), "nothing was opened");
    assert_eq!(world.queue.counts().await, (0, 0, 0));
}
