//! The commands beside the worker, as a user meets them.

use std::path::Path;

use serde_json::Value;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_with_an_open_pull_request_and_green_checks() {
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
    let bare = crate::world::run_git(
        world.path(),
        &["-C", kept.join("forge").to_str().unwrap(), "version"],
    );
    assert!(bare.starts_with("git version"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_a_run_show_what_its_programs_printed() {
    let mut world = World::new().await;
    world.agent("echo I am the agent; echo hello > hello.txt");
    world.task("Add a greeting", "").await;
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
        status.stdout.contains("0 waiting, 0 in flight") && status.stdout.contains("run 1    done"),
        "{status:?}"
    );
    world.finish();
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

    let file = world.path().join("message.json");
    std::fs::write(&file, r#"{"issue_number": 1}"#).unwrap();
    let refused = world.run(&["submit", file.to_str().unwrap()]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("field `repository` is missing"), "{refused:?}");
    let nothing = world.run(&["submit"]).await;
    assert!(nothing.stderr.contains("--issue OWNER/REPO#N"), "{nothing:?}");
    assert_eq!(world.queue.counts().await, (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_told_with_its_place() {
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
async fn the_schema_is_printed_as_it_is_kept() {
    let world = World::new().await;
    let ran = world.run(&["schema"]).await;
    assert_eq!(ran.stdout, include_str!("../../docs/task-message.schema.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_worker_and_any_number_of_readers() {
    let world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    let data_dir = world.settings["data_dir"].as_str().unwrap();
    let other = codingworker::disk::InstanceLock::take(Path::new(data_dir)).unwrap();
    let ran = world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("another worker uses "), "{ran:?}");
    assert_eq!(world.run(&["status"]).await.code, Some(0));
    assert_eq!(world.queue.counts().await, (1, 0, 0), "nothing was taken");
    drop(other);
    assert_eq!(world.work().await.code, Some(0));
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
}
