//! What scenarios are played in: a real queue, a real forge, and the real program as a process
//! between them.
//!
//! A scenario sets the stage, runs the worker on one delivery, and asks the forge and the queue
//! what became of it. [`World::finish`] fails when something is left behind.

pub mod actions;
pub mod aws_cli;
pub mod crossing;
pub mod forge;
pub mod moto;
pub mod ollama;
pub mod program;
pub mod queue;
pub mod recorder;
pub mod scene;
pub mod small_disk;
pub mod terraform;
pub mod tools;
pub mod up;
pub mod weather;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

pub use self::forge::{Forge, TOKEN, run_git};
use self::program::Program;
pub use self::queue::Queue;

/// Longer than any scenario's run takes; one that is over is a hang.
const DEADLINE: Duration = Duration::from_secs(120);

/// A repository that is checked by a script of its own: `check.sh` passes unless a file `broken` is
/// there.
pub const FILES: &[(&str, &str)] = &[
    ("README.md", "a small repository\n"),
    ("check.sh", "test ! -e broken || { echo 'FAILED broken is there'; exit 1; }\n"),
    (
        ".codingworker.toml",
        "[checks]\nbuild = \"\"\nformat = \"\"\nlint = \"\"\nsetup = \"\"\ntest = \"sh check.sh\"\n",
    ),
];

pub struct World {
    pub forge: Forge,
    pub queue: Queue,
    pub settings: toml::Table,
    directory: TempDir,
}

/// What a run of the program printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// A forge with the repository `owner/repo`, a queue, and an agent that adds `hello.txt` and
    /// then a test.
    pub async fn new() -> Self {
        let world = Self::without_repository().await;
        world.forge.repository("owner/repo", "main", FILES);
        world
    }

    pub async fn without_repository() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let forge = Forge::start(directory.path()).await;
        let queue = Queue::start(directory.path()).await;
        let data_dir = directory.path().join("worker");
        let stage = directory.path().join("stage");
        std::fs::create_dir(&stage).unwrap();
        let settings = toml::Table::try_from(json!({
            "repositories": ["owner/repo"],
            "data_dir": data_dir,
            "sandbox": { "writable": [stage] },
            "queue": { "endpoint_url": queue.url, "retry_delays_seconds": [0] },
            "github": { "api_url": forge.url, "git_url": forge.url, "timeout_seconds": 3 },
        }));
        let mut world = Self { forge, queue, settings: settings.unwrap(), directory };
        if tools::on_the_path("bwrap").is_none() {
            world.without_sandbox();
        }
        world.agent("test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt");
        world
    }

    /// Lets a shell script be the agent: it runs in the tree, with the prompt's file as `$1`.
    pub fn agent(&mut self, script: &str) {
        let path = self.stage().join("agent.sh");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.set("agent", json!({ "kind": "command", "command": [path, "{prompt_file}"], "models": ["scripted"] }));
    }

    /// The agent of [`World::new`], which stops in its nth call until it is told to go on.
    pub fn held_agent(&mut self, stops_at: usize) -> Program {
        let edit = "test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt";
        let agent = Program::new(self, "agent", stops_at, edit);
        self.agent(&format!(". '{}'", agent.file("script").display()));
        agent
    }

    /// Sets one key of the settings, or merges a section into them.
    pub fn set(&mut self, key: &str, value: Value) {
        let value = toml::Value::try_from(value).unwrap();
        match (self.settings.get_mut(key), value) {
            (Some(toml::Value::Table(section)), toml::Value::Table(more)) => section.extend(more),
            (_, value) => drop(self.settings.insert(key.to_owned(), value)),
        }
    }

    /// Opens a labelled issue, and returns its number.
    pub async fn issue(&self, title: &str, body: &str) -> u64 {
        let issue = json!({ "title": title, "body": body, "labels": ["ai-task", "keep me"] });
        let issue = self.forge.ask(reqwest::Method::POST, "/repos/owner/repo/issues", issue).await;
        issue["number"].as_u64().unwrap()
    }

    /// Opens a labelled issue and queues it.
    pub async fn task(&self, title: &str, body: &str) -> u64 {
        let number = self.issue(title, body).await;
        let ran = self.run(&["submit", "--issue", &format!("owner/repo#{number}")]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        number
    }

    /// Runs the worker on one delivery.
    pub async fn work(&self) -> Ran {
        self.run(&["worker", "--once"]).await
    }

    /// Runs the program as it is shipped, with nothing in its environment but what is meant for it.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[("GITHUB_TOKEN", TOKEN)]).await
    }

    pub async fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let child = self.command(arguments).envs(environment.iter().copied()).output();
        let output =
            tokio::time::timeout(DEADLINE, child).await.expect("the program hangs").unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The program with the world's settings, and without a token.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_with(&self.settings, arguments)
    }

    /// The program with other settings, in a file of their own for each data directory.
    pub fn command_with(&self, settings: &toml::Table, arguments: &[&str]) -> Command {
        let data_dir = Path::new(settings["data_dir"].as_str().unwrap());
        let file = self.directory.path().join(data_dir.file_name().unwrap()).with_extension("toml");
        std::fs::write(&file, toml::to_string(settings).unwrap()).unwrap();
        let walls = settings
            .get("sandbox")
            .and_then(|sandbox| sandbox.get("require"))
            .and_then(toml::Value::as_str);
        let agreed =
            (arguments.first() == Some(&"worker") && walls == Some("none")).then_some("--unsafe");
        let mut command = Command::new(env!("CARGO_BIN_EXE_codingworker"));
        command
            .arg("--config")
            .arg(&file)
            .args(arguments)
            .args(agreed)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub async fn pull_requests(&self) -> Vec<Value> {
        self.forge.get("/repos/owner/repo/pulls?state=all").await.as_array().unwrap().clone()
    }

    /// The bodies of an issue's comments.
    pub async fn comments(&self, issue: u64) -> Vec<String> {
        let comments = self.forge.get(&format!("/repos/owner/repo/issues/{issue}/comments")).await;
        comments
            .as_array()
            .unwrap()
            .iter()
            .map(|comment| comment["body"].as_str().unwrap().to_owned())
            .collect()
    }

    pub async fn labels(&self, issue: u64) -> Vec<String> {
        let issue = self.forge.get(&format!("/repos/owner/repo/issues/{issue}")).await;
        let mut labels: Vec<_> = issue["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| label["name"].as_str().unwrap().to_owned())
            .collect();
        labels.sort();
        labels
    }

    /// What a file of a branch holds; nothing when it is not there.
    pub fn file(&self, branch: &str, path: &str) -> Option<String> {
        let bare = self.forge.hub.repository_path("owner/repo").unwrap();
        let names = run_git(&bare, &["ls-tree", "-r", "-z", "--name-only", branch]);
        names
            .split('\0')
            .any(|name| name == path)
            .then(|| run_git(&bare, &["show", &format!("{branch}:{path}")]))
    }

    pub fn branches(&self) -> Vec<String> {
        let bare = self.forge.hub.repository_path("owner/repo").unwrap();
        run_git(&bare, &["for-each-ref", "--format=%(refname:short)"])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("worker")
    }

    /// A directory that agents and checks may write too, for what they tell the scenario.
    pub fn stage(&self) -> PathBuf {
        self.directory.path().join("stage")
    }

    /// Takes the walls away, for what must hold without them too.
    pub fn without_sandbox(&mut self) {
        self.set("sandbox", json!({ "require": "none" }));
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Fails when a run left a tree or scratch files behind, or a token in any file of the
    /// worker's.
    pub fn finish(self) {
        for run in std::fs::read_dir(self.data_dir().join("runs")).into_iter().flatten() {
            let run = run.unwrap().path();
            for left in ["trees", "scratch"] {
                assert!(!run.join(left).exists(), "{} was left behind", run.join(left).display());
            }
        }
        assert_eq!(self.files_with(TOKEN), Vec::<String>::new(), "the token was written to a file");
    }

    /// The worker's own files that have a text in them.
    pub fn files_with(&self, text: &str) -> Vec<String> {
        let has = |file: &PathBuf| {
            memchr::memmem::find(&std::fs::read(file).unwrap_or_default(), text.as_bytes())
                .is_some()
        };
        files_below(&self.data_dir())
            .iter()
            .filter(|file| has(file))
            .map(|file| file.display().to_string())
            .collect()
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
