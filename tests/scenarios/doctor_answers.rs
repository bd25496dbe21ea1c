//! `doctor` says what a worker would do with this configuration, and its exit code is the answer.

use serde_json::{Value, json};

use crate::exit_codes::{ERROR, NOT_READY, OK};
use crate::world::{Ran, TOKEN, World, tools};

/// The findings that are not good, as `what: detail next`.
async fn faults(world: &World, token: &str) -> (Option<i32>, Vec<String>) {
    let ran = world.run_with(&["doctor", "--json"], &[("GITHUB_TOKEN", token)]).await;
    let findings: Vec<Value> =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let is_minor = |what: &Value| what == "boundary" || what == "limit";
    let faults = findings.iter().filter(|finding| finding["good"] == false);
    let faults = faults.filter(|finding| !is_minor(&finding["what"])).map(|finding| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        format!("{}: {} {}", text("what"), text("detail"), text("next"))
    });
    (ran.code, faults.collect())
}

/// Fails unless the doctor finds this one fault, whose line names `parts`.
async fn check_found(world: &World, what: &str, parts: &[&str]) {
    let (code, faults) = faults(world, TOKEN).await;
    assert_eq!((code, faults.len()), (Some(NOT_READY), 1), "{what}: {faults:?}");
    assert!(faults[0].starts_with(&format!("{what}: ")), "{faults:?}");
    for part in parts {
        assert!(faults[0].contains(part), "{part:?} is not in {faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_can_start_is_told_in_a_line_for_each_thing_it_needs() {
    let world = World::new().await;
    let ran = world.run(&["doctor"]).await;
    assert_eq!(ran.code, Some(OK), "{ran:?}");
    for line in
        ["owner/repo, where owner may administer", "3 deliveries a task", "scripted", "MiB free"]
    {
        assert!(ran.stdout.contains(line), "{line:?} is not in {}", ran.stdout);
    }
    assert!(ran.stdout.contains("A worker can start here."), "{ran:?}");
    if tools::on_the_path("bwrap").is_some() {
        assert!(!ran.stdout.contains("boundary"), "{ran:?}");
        let all = world.run(&["doctor", "--verbose"]).await;
        assert_eq!(all.stdout.matches("boundary").count(), 9, "{all:?}");
    }
    assert!(!world.data_dir().exists(), "the doctor makes nothing that stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_refuses_the_doctor_finds_before_it() {
    let mut world = World::new().await;
    let good = world.settings.clone();
    for (key, value, what, parts) in [
        ("repositories", json!([]), "repositories", &["none may be worked on", "worker.toml"][..]),
        ("repositories", json!(["owner/other"]), "repository", &["owner/other does not exist"]),
        ("data_dir", json!("/proc/xx"), "data", &["/proc/xx can't be written"]),
        (
            "queue",
            json!({ "endpoint_url": "http://127.0.0.1:1" }),
            "queue",
            &["endpoint http://127.0.0.1:1", "Connection refused"],
        ),
        (
            "queue",
            json!({ "name": "no-such-queue" }),
            "queue",
            &["there is no queue no-such-queue"],
        ),
        ("worker", json!({ "free_space_mib": u32::MAX }), "disk", &["`worker.free_space_mib`"]),
    ] {
        world.set(key, value);
        check_found(&world, what, parts).await;
        world.settings = good.clone();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_told_with_what_it_may_do() {
    let mut world = World::new().await;
    let (code, found) = faults(&world, "an-old-token").await;
    assert_eq!(code, Some(NOT_READY), "{found:?}");
    assert!(found[0].contains("refused the token"), "{found:?}");

    world.forge.hub.add_user("reader", "token-of-the-reader").unwrap();
    world.forge.hub.grant("owner/repo", "reader", localhub::Permission::Read).unwrap();
    let (code, found) = faults(&world, "token-of-the-reader").await;
    assert_eq!(code, Some(NOT_READY), "{found:?}");
    assert!(found[0].contains("reader may read owner/repo and not write to it"), "{found:?}");

    let (_, found) = faults(&world, "").await;
    assert!(found[0].contains("set GITHUB_TOKEN"), "{found:?}");
    world.set("github", json!({ "token_file": "/nowhere/token" }));
    for command in [&["worker", "--once"][..], &["doctor"]] {
        let Ran { code, stdout, stderr } = world.run_with(command, &[]).await;
        assert!(matches!(code, Some(ERROR | NOT_READY)), "{stderr}");
        let told = stdout + &stderr;
        assert!(told.contains("no GitHub token in /nowhere/token"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_japanese_where_the_configuration_does() {
    let mut world = World::new().await;
    world.set("language", json!("ja"));
    let ran = world.run(&["doctor"]).await;
    assert_eq!(ran.code, Some(OK), "{ran:?}");
    assert!(ran.stdout.contains("この設定でワーカーを起動できます。"), "{ran:?}");
    world.set("repositories", json!([]));
    let ran = world.run(&["doctor"]).await;
    assert_eq!(ran.code, Some(NOT_READY), "{ran:?}");
    assert!(ran.stdout.contains("作業してよいリポジトリがありません"), "{ran:?}");
}
