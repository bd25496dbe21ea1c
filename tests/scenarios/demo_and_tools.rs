//! The commands beside the worker, as a user meets them.

use std::process::Stdio;

use regex::Regex;
use serde_json::{Value, json};

use crate::world::{Ran, World, tools, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_with_an_open_pull_request_whose_checks_pass() {
    let world = World::new().await;
    let kept = world.path().join("demo");
    let ran = world
        .run(&["demo", "--json", "--agent", "scripted", "--dir", kept.to_str().unwrap()])
        .await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown["repository"], "demo/fizzbuzz");
    assert_eq!(shown["pull_request"]["draft"], false);
    assert!(shown["task_key"].as_str().unwrap().starts_with("demo/fizzbuzz#1@"));
    let results: Vec<_> = shown["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["passed", "passed"]);
}

/// The lines about a stage, and fails when another one than these has more than a line needs.
fn stage_lines(ran: &Ran) -> Vec<&str> {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let stage = Regex::new(r"^\d\d:\d\d:\d\d demo/fizzbuzz#1 \S+: ").unwrap();
    let key = Regex::new(r"#1@|\d{4}-\d\d-\d\dT|run=").unwrap();
    for line in ran.stderr.lines() {
        assert!(!key.is_match(line) && !line.contains('\u{1b}'), "{line:?}");
    }
    ran.stderr.lines().filter(|line| stage.is_match(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_prints_a_line_for_each_stage_in_a_pipe_too() {
    let world = World::new().await;
    let demo = ["demo", "--agent", "scripted"];
    let ran = world.run(&demo).await;
    let lines = stage_lines(&ran);
    assert_eq!(lines.len(), 7, "{ran:?}");
    assert!(lines[0].contains("admit: ") && lines[6].contains("settle: "), "{ran:?}");
    let verbose = world.run(&[&demo[..], &["--verbose"]].concat()).await;
    assert!(stage_lines(&verbose).len() > 12, "{verbose:?}");
    assert!(verbose.stderr.contains("check: `python3 -m unittest` passed"), "{verbose:?}");
}

/// What a command prints on a terminal that is so wide.
#[cfg(target_os = "linux")]
async fn on_a_terminal(world: &World, columns: usize, arguments: &[&str]) -> String {
    let inner = world.command(arguments);
    let inner = inner.as_std();
    let mut line =
        format!("stty rows 24 cols {columns} && exec '{}'", inner.get_program().display());
    for argument in inner.get_args() {
        line.push_str(&format!(" '{}'", argument.display()));
    }
    let mut command = tokio::process::Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("NO_COLOR", "1").env("TERM", "xterm").env("LANG", "C.UTF-8");
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
    assert!(output.status.success(), "{printed}");
    printed
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_fits_a_terminal_of_80_and_of_40_columns() {
    if tools::on_the_path("script").is_none() {
        return;
    }
    let mut world = World::new().await;
    for (language, columns, doing) in [("en", 80, "prepare: fetching"), ("ja", 40, "準備: ")] {
        world.set("language", json!(language));
        let printed = on_a_terminal(&world, columns, &["demo", "--agent", "scripted"]).await;
        assert!(!printed.contains('\u{1b}'), "{printed:?}");
        // What the agent wrote, the commands and the addresses stay as they are.
        let told = printed.split("\n fizzbuzz.py").next().unwrap();
        for line in told.lines() {
            let width = console::measure_text_width(line);
            assert!(width <= columns, "{width} columns: {line:?}");
        }
        assert_eq!(told.matches("demo/fizzbuzz#1").count(), 7, "{told}");
        assert!(told.contains(doing), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_a_run_show_what_its_programs_printed() {
    let mut world = World::new().await;
    world.agent("echo I am the agent; echo hello > hello.txt");
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    let logs = world.run(&["logs", "1"]).await;
    assert!(
        logs.stdout.contains("I am the agent") && logs.stdout.contains("$ sh check.sh"),
        "{logs:?}"
    );
    let missing = world.run(&["logs", "99", "--follow"]).await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("there is no run 99"), "{missing:?}");
    let status = world.run(&["status"]).await;
    assert!(
        status.stdout.contains("0 waiting, 0 in flight")
            && status.stdout.contains("run 1     done"),
        "{status:?}"
    );
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_submitted_by_flags_or_by_file() {
    let world = World::new().await;
    let ran = world
        .run(&["submit", "--repository", "owner/repo", "--title", "Add a greeting", "--json"])
        .await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let sent: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(sent["task_key"].as_str().unwrap().starts_with("owner/repo#1@"), "{sent}");

    let ran = world.run(&["submit", "--issue", "owner/repo#1"]).await;
    assert!(ran.stdout.starts_with("queued owner/repo#1 as message "), "{ran:?}");

    let file = world.path().join("message.json");
    std::fs::write(&file, r#"{"issue_number": 1}"#).unwrap();
    let refused = world.run(&["submit", file.to_str().unwrap()]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("field `repository` is missing"), "{refused:?}");
    let nothing = world.run(&["submit"]).await;
    assert!(nothing.stderr.contains("--issue OWNER/REPO#N"), "{nothing:?}");
    assert_eq!(world.queue.counts().await, (2, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_setting_is_told_with_its_place() {
    let mut world = World::new().await;
    world.set("repositores", serde_json::json!([]));
    let ran = world.run(&["status"]).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("unknown field `repositores`") && ran.stderr.contains("line "),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_schema_is_the_one_in_the_documentation() {
    let world = World::new().await;
    let ran = world.run(&["schema"]).await;
    assert_eq!(ran.stdout, include_str!("../../docs/task-message.schema.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_worker_and_any_number_of_readers() {
    let world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    // Another worker holds the lock of the directory, as flock(2) has it.
    std::fs::create_dir(world.data_dir()).unwrap();
    let lock = std::fs::File::create(world.data_dir().join("worker.lock")).unwrap();
    lock.try_lock().unwrap();
    let ran = world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("another worker uses "), "{ran:?}");
    assert_eq!(world.run(&["status"]).await.code, Some(0));
    assert_eq!(world.queue.counts().await, (1, 0, 0), "nothing was taken");
    drop(lock);
    assert_eq!(world.work().await.code, Some(0));
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_stopped_leaves_nothing_behind() {
    let world = World::new().await;
    let mut demo = world.start(&["demo", "--agent", "scripted"]);
    let temporary = world.path().join("tmp");
    let has_token = || {
        let demos = std::fs::read_dir(&temporary).unwrap().flatten();
        demos.into_iter().any(|demo| demo.path().join("token").exists())
    };
    wait_until("the demo has a token", async || has_token()).await;
    demo.line_with("is labelled").await;
    demo.signal(rustix::process::Signal::INT);
    let status = demo.ended().await;
    assert_eq!(status.code(), Some(1), "{}", demo.printed());
    assert!(demo.printed().contains("the demo was stopped"), "{}", demo.printed());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}
