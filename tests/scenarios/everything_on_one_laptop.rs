//! `codingworker up`: queue, forge and worker in one program, and their data survives it.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::world::running::Running;
use crate::world::{FILES, World, run_git, wait_until};

/// Starts `up`, and returns once it says how to use it: the program and the forge's URL.
async fn up(world: &World, data: &Path) -> (Running, String) {
    let data = data.to_str().unwrap();
    let arguments =
        ["up", "--data", data, "--queue-listen", "127.0.0.1:0", "--forge-listen", "127.0.0.1:0"];
    let mut program = Running::start(world.command(&arguments));
    let line = program.line_with("forge   ").await;
    let url = line.strip_prefix("forge   ").and_then(|rest| rest.split(',').next());
    program.line_with("submit").await;
    (program, url.unwrap().to_owned())
}

/// The program with the settings that `up` wrote down for other commands.
fn with_settings(world: &World, settings: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codingworker"));
    command
        .arg("--config")
        .arg(settings)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", world.path());
    command
}

/// Whether the worker of `up` has nothing to do, by its journal and by its queue.
async fn is_idle(world: &World, settings: &Path) -> bool {
    let status = with_settings(world, settings).args(["status", "--json"]).output().await.unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let depth = json!({ "waiting": 0, "in_flight": 0, "delayed": 0 });
    status["current"] == json!([]) && status["queue"]["depth"] == depth
}

async fn pull_requests(forge: &str, token: &str) -> Vec<Value> {
    let request =
        reqwest::Client::new().get(format!("{forge}/repos/me/project/pulls")).bearer_auth(token);
    request.header("user-agent", "scenario").send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_done_and_is_still_there_after_a_restart() {
    let world = World::new().await;
    let data = world.path().join("up");
    let (program, forge) = up(&world, &data).await;
    let token = std::fs::read_to_string(data.join("token")).unwrap();

    let tree = world.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    FILES.iter().for_each(|(path, text)| std::fs::write(tree.join(path), text).unwrap());
    run_git(&tree, &["init", "--quiet", "--initial-branch=main"]);
    run_git(&tree, &["add", "--all"]);
    run_git(&tree, &["commit", "--quiet", "--message", "first"]);
    let remote =
        format!("{}/me/project.git", forge.replace("http://", &format!("http://me:{token}@")));
    run_git(&tree, &["push", "--quiet", &remote, "main"]);

    let settings = data.join("codingworker.toml");
    let task = ["--repository", "me/project", "--title", "Add a greeting"];
    let submit = with_settings(&world, &settings).arg("submit").args(task).output().await.unwrap();
    assert!(submit.status.success(), "{submit:?}");
    wait_until("the pull request is open", async || {
        !pull_requests(&forge, &token).await.is_empty()
    })
    .await;
    wait_until("the run is over", async || is_idle(&world, &settings).await).await;
    program.stop_at_once().await;

    let (program, forge) = up(&world, &data).await;
    let pulls = pull_requests(&forge, &token).await;
    assert_eq!((pulls.len(), pulls[0]["title"].as_str()), (1, Some("Add a greeting")));
    program.stop_at_once().await;
}
