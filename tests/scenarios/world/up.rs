//! `codingworker up` as a process: queue, forge and worker in one program, on a data directory.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::running::Running;
use super::{World, wait_until};

pub struct Up {
    program: Running,
    data: PathBuf,
    home: PathBuf,
    forge: String,
    token: String,
}

impl Up {
    /// Starts the program on `data`, and returns once it has told how to use it.
    pub async fn start(world: &World, data: &Path) -> Self {
        let mut command = world.command(&["up", "--data", data.to_str().unwrap()]);
        command.args(["--queue-listen", "127.0.0.1:0", "--forge-listen", "127.0.0.1:0"]);
        let mut program = Running::start(command);
        let line = program.line_with("forge   ").await;
        let url = line.strip_prefix("forge   ").and_then(|rest| rest.split(',').next());
        let forge = url.unwrap().to_owned();
        program.line_with("submit").await;
        let token = std::fs::read_to_string(data.join("token")).unwrap();
        let (data, home) = (data.to_owned(), world.path().to_owned());
        Self { program, data, home, forge, token }
    }

    /// Runs another command of the program with the settings that `up` has written for it.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let ran = Command::new(env!("CARGO_BIN_EXE_codingworker"))
            .arg("--config")
            .arg(self.data.join("codingworker.toml"))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &self.home)
            .output()
            .await
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    pub async fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"]).await).unwrap()
    }

    /// Asks the forge's API.
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.forge);
        let request = reqwest::Client::new().get(url).bearer_auth(&self.token);
        let answer = request.header("user-agent", "scenario").send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Asks the forge for a page, as a browser that holds no token does.
    pub async fn answer_to_a_browser(&self, path: &str) -> reqwest::Response {
        let request = reqwest::Client::new().get(format!("{}{path}", self.forge));
        let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
        request.header("accept", accept).header("user-agent", "browser").send().await.unwrap()
    }

    pub async fn pull_requests(&self) -> Vec<Value> {
        self.get("/repos/me/project/pulls").await.as_array().unwrap().clone()
    }

    /// The address that git clones and pushes the repository `me/project` by.
    pub fn remote(&self) -> String {
        let credential = format!("http://me:{}@", self.token);
        self.forge.replace("http://", &credential) + "/me/project.git"
    }

    /// Waits until the worker has nothing to do, by its journal and by its queue.
    pub async fn wait_until_idle(&self) {
        let depth = json!({ "waiting": 0, "in_flight": 0, "delayed": 0 });
        wait_until("the worker has nothing to do", async || {
            let status = self.status().await;
            status["current"] == json!([]) && status["queue"]["depth"] == depth
        })
        .await;
    }

    pub async fn stop(self) {
        self.program.stop_at_once().await;
    }
}
