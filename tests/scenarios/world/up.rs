//! `codingworker up` as a process: queue, forge and worker in one program, on a data directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::World;

/// Longer than anything that a scenario waits for; what takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(120);

pub struct Up {
    program: Child,
    data: PathBuf,
    pub forge: String,
    token: String,
}

impl Up {
    /// Starts the program on `data`, and returns once it has told how to use it.
    pub async fn start(world: &World, data: &Path) -> Self {
        let ports = ["--queue-listen", "127.0.0.1:0", "--forge-listen", "127.0.0.1:0"];
        let mut command = world.command(&["up", "--data", data.to_str().unwrap()]);
        command.args(ports).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut program = command.spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut forge = None;
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(url) = line.strip_prefix("forge   ").and_then(|rest| rest.split(',').next())
            {
                forge = Some(url.to_owned());
            }
            if line.starts_with("submit") {
                break;
            }
        }
        let token = std::fs::read_to_string(data.join("token")).unwrap();
        Self { program, data: data.to_owned(), forge: forge.expect("it starts"), token }
    }

    /// Runs another command of the program on the settings that `up` has written.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let ran = Command::new(env!("CARGO_BIN_EXE_codingworker"))
            .arg("--config")
            .arg(self.data.join("codingworker.toml"))
            .args(arguments)
            .output()
            .await
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Asks the forge's API.
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.forge);
        let request = reqwest::Client::new().get(url).bearer_auth(&self.token);
        let answer = request.header("user-agent", "scenario").send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// The address that git clones and pushes the repository `me/project` by.
    pub fn remote(&self) -> String {
        let credential = format!("http://me:{}@", self.token);
        self.forge.replace("http://", &credential) + "/me/project.git"
    }

    /// The newest run of an issue, once `wanted` holds for it.
    pub async fn run_of(&self, issue: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let status: Value =
                serde_json::from_str(&self.run(&["status", "--json"]).await).unwrap();
            let runs = status["runs"].as_array().unwrap();
            let newest = runs.iter().find(|run| run["issue_number"] == issue && wanted(run));
            if let Some(run) = newest {
                return run.clone();
            }
            assert!(Instant::now() < until, "no such run of issue {issue}: {status:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks the program to end, and waits until it has.
    pub async fn terminate(mut self) {
        let pid = self.program.id().unwrap().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(killed.success());
        let ended = tokio::time::timeout(DEADLINE, self.program.wait()).await;
        let ended = ended.expect("it does not stop").unwrap();
        assert!(ended.success(), "{ended}");
    }
}
