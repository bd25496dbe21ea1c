//! A worker does not start with less of a sandbox than its settings require, and `doctor` tells
//! what the machine has.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::exit_codes::NOT_READY;
use crate::world::{Ran, TOKEN, World, tools};

/// A search path with git on it and no bubblewrap.
fn without_bubblewrap(world: &World) -> PathBuf {
    let directory = world.path().join("bin");
    std::fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink(tools::on_the_path("git").unwrap(), directory.join("git")).unwrap();
    directory
}

async fn work(world: &World, path: &Path, arguments: &[&str]) -> Ran {
    let environment = [("GITHUB_TOKEN", TOKEN), ("PATH", path.to_str().unwrap())];
    world.run_with(arguments, &environment).await
}

#[tokio::test(flavor = "multi_thread")]
async fn less_than_the_required_sandbox_is_refused_and_none_must_be_asked_for_twice() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    let path = without_bubblewrap(&world);
    for require in ["full", "degraded"] {
        world.set("sandbox", json!({ "require": require }));
        let ran = work(&world, &path, &["worker", "--once", "--unsafe"]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let refusal = format!(
            "the sandbox is none, and `sandbox.require` is {require}: \
             bubblewrap was not found: install it"
        );
        assert!(ran.stderr.contains(&refusal), "{ran:?}");
    }
    world.set("sandbox", json!({ "require": "none" }));
    // The world would add `--unsafe`.
    let added = world.command(&["worker", "--once"]);
    let arguments = added.as_std().get_args().filter(|argument| *argument != "--unsafe");
    let mut worker = tokio::process::Command::new(added.as_std().get_program());
    let refused = worker.args(arguments).env("GITHUB_TOKEN", TOKEN).output().await.unwrap();
    let printed = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("agents and checks would run as you") && printed.contains("--unsafe"),
        "{printed}"
    );
    assert_eq!(world.queue.counts().await, (1, 0, 0), "nothing was received");
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("sandbox: none"), "{ran:?}");
    assert!(
        world.pull_requests().await[0]["body"].as_str().unwrap().contains("| sandbox | none |")
    );
    world.check_done(issue).await;
}

async fn doctor(world: &World, path: Option<&Path>) -> (Option<i32>, Vec<(String, bool, String)>) {
    let ran = match path {
        Some(path) => work(world, path, &["doctor", "--json"]).await,
        None => world.run(&["doctor", "--json"]).await,
    };
    let findings: Vec<Value> =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings = findings.iter().map(|finding| {
        let told = format!("{} {}", text(finding, "detail"), text(finding, "next"));
        (text(finding, "what"), finding["good"].as_bool().unwrap(), told.trim().to_owned())
    });
    (ran.code, findings.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_how_much_of_a_sandbox_the_machine_has() {
    if tools::on_the_path("bwrap").is_none() {
        return;
    }
    let world = World::new().await;
    let (code, findings) = doctor(&world, None).await;
    assert_eq!(code, Some(0), "{findings:?}");
    assert!(
        findings.contains(&("sandbox".to_owned(), true, "full (required: full)".to_owned())),
        "{findings:?}"
    );
    assert_eq!(
        findings.iter().filter(|(what, good, _)| what == "boundary" && *good).count(),
        9,
        "{findings:?}"
    );

    let path = without_bubblewrap(&world);
    let (code, findings) = doctor(&world, Some(&path)).await;
    assert_eq!(code, Some(NOT_READY), "{findings:?}");
    assert!(findings.iter().any(|(what, good, detail)| what == "sandbox"
        && !good
        && detail.contains("bubblewrap was not found")));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_users_of_the_machine_can_not_read_what_a_worker_keeps() {
    let world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    world.check_done(issue).await;
    for directory in ["worker", "forge", "queue"] {
        let directory = world.path().join(directory);
        assert_eq!(
            std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
            0o700,
            "{}",
            directory.display()
        );
    }
    std::fs::set_permissions(world.data_dir(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (code, findings) = doctor(&world, None).await;
    assert_eq!(code, Some(NOT_READY), "{findings:?}");
    assert!(
        findings
            .iter()
            .any(|(what, good, detail)| what == "data" && !good && detail.contains("chmod 700"))
    );
}
