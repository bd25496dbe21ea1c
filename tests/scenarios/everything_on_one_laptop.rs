//! `codingworker up`: queue, forge and worker in one program, and what they hold outlives it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::world::{FILES, World, run_git};

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts `up`, and returns once it says how to use it: the program and the forge's URL.
async fn up(world: &World, data: &Path) -> (Child, String) {
    let data = data.to_str().unwrap();
    let arguments =
        ["up", "--data", data, "--queue-listen", "127.0.0.1:0", "--forge-listen", "127.0.0.1:0"];
    let mut program =
        world.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut forge = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(url) = line.strip_prefix("forge   ").and_then(|rest| rest.split(',').next()) {
            forge = url.to_owned();
        }
        if line.starts_with("submit") {
            break;
        }
    }
    (program, forge)
}

async fn terminate(mut program: Child) {
    let pid = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let ended =
        tokio::time::timeout(PATIENCE, program.wait()).await.expect("it does not stop").unwrap();
    assert!(ended.success(), "{ended}");
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
    let submit = Command::new(env!("CARGO_BIN_EXE_codingworker"))
        .args([
            "--config",
            settings.to_str().unwrap(),
            "submit",
            "--repository",
            "me/project",
            "--title",
            "Add a greeting",
        ])
        .output()
        .await
        .unwrap();
    assert!(submit.status.success(), "{submit:?}");
    let until = Instant::now() + PATIENCE;
    while pull_requests(&forge, &token).await.is_empty() {
        assert!(Instant::now() < until, "no pull request came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    terminate(program).await;

    let (program, forge) = up(&world, &data).await;
    let pulls = pull_requests(&forge, &token).await;
    assert_eq!((pulls.len(), pulls[0]["title"].as_str()), (1, Some("Add a greeting")));
    terminate(program).await;
}
