//! The world that a scenario runs in: a real queue, a real forge, and the real program as a process
//! between them.
//!
//! A scenario prepares the forge, runs the worker on one delivery, and asks the forge and the queue
//! what became of it. When the world is dropped, a guard fails the scenario if anything is left
//! behind that the scenario did not declare (see [`guard`]).

pub mod actions;
pub mod attack;
pub mod aws_cli;
pub mod chaos_proxy;
pub mod clock;
pub mod examples;
pub mod forge;
pub mod guard;
pub mod held_program;
pub mod moto;
pub mod ollama;
pub mod processes;
pub mod queue;
pub mod queue_proxy;
pub mod running;
pub mod small_disk;
pub mod terraform;
pub mod tools;
pub mod up;
pub mod wire_recorder;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

pub use self::forge::{Forge, OWNER, TOKEN, run_git};
use self::guard::Guard;
use self::held_program::HeldProgram;
pub use self::queue::Queue;
use self::running::Running;

/// Longer than anything that a scenario waits for takes on a busy machine: what is not over by
/// then hangs.
pub const DEADLINE: Duration = Duration::from_secs(240);

/// A repository that is checked by a script of its own: `check.sh` passes unless there is a file
/// `broken`.
pub const FILES: &[(&str, &str)] = &[
    ("README.md", "a small repository\n"),
    ("check.sh", "test ! -e broken || { echo 'FAILED broken is there'; exit 1; }\n"),
    (
        ".codingworker.toml",
        "[checks]\nbuild = \"\"\nformat = \"\"\nlint = \"\"\nsetup = \"\"\n\
         test = \"sh check.sh\"\n",
    ),
];

/// What a scripted agent does for its task: it adds `hello.txt` in its first pass, and a test in
/// its second.
pub const TASK_SCRIPT: &str =
    "test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt";

pub struct World {
    pub forge: Forge,
    pub queue: Queue,
    pub settings: toml::Table,
    directory: TempDir,
    guard: Guard,
}

/// What a run of the program printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// A forge with the repository `owner/repo`, a queue, and an agent that runs [`TASK_SCRIPT`].
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
        let shared = directory.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::create_dir(directory.path().join("tmp")).unwrap();
        let settings = toml::Table::try_from(json!({
            "repositories": ["owner/repo"],
            "data_dir": data_dir,
            "sandbox": { "writable": [shared] },
            "queue": { "endpoint_url": queue.url, "retry_delays_seconds": [0] },
            // A forge on a busy disk answers late, and a scenario about that sets less.
            "github": { "api_url": forge.url, "git_url": forge.url, "timeout_seconds": 30 },
        }));
        let (settings, guard) = (settings.unwrap(), Guard::default());
        let mut world = Self { forge, queue, settings, directory, guard };
        if tools::on_the_path("bwrap").is_none() {
            world.without_sandbox();
        }
        world.agent(TASK_SCRIPT);
        world
    }

    /// Makes a shell script the agent: it runs in the tree, with the prompt's file as `$1`.
    pub fn agent(&mut self, script: &str) {
        let path = self.shared_dir().join("agent.sh");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let command = json!([path, "{prompt_file}"]);
        self.set("agent", json!({ "kind": "command", "command": command, "models": ["scripted"] }));
    }

    /// Makes [`TASK_SCRIPT`] the agent, which stops in its nth call until it is told to go on.
    pub fn held_agent(&mut self, stops_at: usize) -> HeldProgram {
        self.held_agent_with(stops_at, TASK_SCRIPT)
    }

    /// Makes `script` the agent, which stops in its nth call until it is told to go on.
    pub fn held_agent_with(&mut self, stops_at: usize, script: &str) -> HeldProgram {
        let agent = HeldProgram::new(self, "agent", stops_at, script);
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

    /// Turns the sandbox off, for what must hold without one too.
    pub fn without_sandbox(&mut self) {
        self.set("sandbox", json!({ "require": "none" }));
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
        self.submit(number).await;
        number
    }

    /// Queues an issue as it is now.
    pub async fn submit(&self, issue: u64) {
        let ran = self.run(&["submit", "--issue", &format!("owner/repo#{issue}")]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// Runs the worker on one delivery.
    pub async fn work(&self) -> Ran {
        self.run(&["worker", "--once"]).await
    }

    /// Runs the program as it is shipped, with only those variables that are meant for it.
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

    /// Starts the program with a token, and returns while it runs.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        command.env("GITHUB_TOKEN", TOKEN);
        Running::start(command)
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
        let is_worker = arguments.first() == Some(&"worker");
        if is_worker {
            self.guard.a_worker_was_started();
        }
        let required = settings
            .get("sandbox")
            .and_then(|sandbox| sandbox.get("require"))
            .and_then(toml::Value::as_str);
        let accepted = (is_worker && required == Some("none")).then_some("--unsafe");
        let mut command = Command::new(env!("CARGO_BIN_EXE_codingworker"));
        command
            .arg("--config")
            .arg(&file)
            .args(arguments)
            .args(accepted)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.directory.path())
            .env("TMPDIR", self.directory.path().join("tmp"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub async fn pull_requests(&self) -> Vec<Value> {
        self.forge.get("/repos/owner/repo/pulls?state=all").await.as_array().unwrap().clone()
    }

    /// The bodies of an issue's comments, which count as read from now on.
    pub async fn comments(&self, issue: u64) -> Vec<String> {
        let comments = self.forge.comments("owner/repo", issue).await;
        self.guard.comments_were_read(&comments);
        comments.into_iter().map(|comment| comment.body).collect()
    }

    /// The body of the one comment that the worker keeps on an issue.
    pub async fn status_comment(&self, issue: u64) -> String {
        let mut comments = self.comments(issue).await;
        assert_eq!(comments.len(), 1, "the comments on issue {issue}: {comments:?}");
        comments.remove(0)
    }

    /// Fails unless the issue says that its task is done, by its comment and by its labels.
    pub async fn check_done(&self, issue: u64) {
        let comment = self.status_comment(issue).await;
        assert!(comment.contains("Done: #"), "{comment}");
        assert_eq!(self.labels(issue).await, ["ai-task-done", "keep me"]);
    }

    /// Waits until the issue has the label of a task that is done, and its message is deleted.
    pub async fn wait_until_done(&self, issue: u64) {
        wait_until("the task is done", async || {
            self.labels(issue).await == ["ai-task-done", "keep me"]
                && self.queue.counts().await == (0, 0, 0)
        })
        .await;
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

    /// What a file of a branch holds; `None` when it is not there.
    pub fn file(&self, branch: &str, path: &str) -> Option<String> {
        let bare = self.forge.hub.repository_path("owner/repo").unwrap();
        let names = run_git(&bare, &["ls-tree", "-r", "-z", "--name-only", branch]);
        names
            .split('\0')
            .any(|name| name == path)
            .then(|| run_git(&bare, &["show", &format!("{branch}:{path}")]))
    }

    /// The commit that a branch is at.
    pub fn head(&self, branch: &str) -> String {
        let bare = self.forge.hub.repository_path("owner/repo").unwrap();
        run_git(&bare, &["rev-parse", branch]).trim().to_owned()
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

    /// A directory that agents and checks may write to, for what they tell the scenario.
    pub fn shared_dir(&self) -> PathBuf {
        self.directory.path().join("shared")
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The worker's own files that have a text in them.
    pub fn files_with(&self, text: &str) -> Vec<String> {
        files_with(&self.data_dir(), text, &[])
    }
}

/// Waits until a condition holds, and fails when it does not within [`DEADLINE`].
pub async fn wait_until(what: &str, holds: impl AsyncFnMut() -> bool) {
    wait_until_within(DEADLINE, what, holds).await;
}

/// As [`wait_until`], for a condition that comes true by itself after a longer time.
pub async fn wait_until_within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(limit, waiting).await.is_ok();
    assert!(in_time, "it does not come about within {limit:?} that {what}");
}

/// The files below a directory that have a text in them, but for what is below `excluded`.
fn files_with(directory: &Path, text: &str, excluded: &[PathBuf]) -> Vec<String> {
    let has = |file: &PathBuf| {
        memchr::memmem::find(&std::fs::read(file).unwrap_or_default(), text.as_bytes()).is_some()
    };
    let mut found = Vec::new();
    for path in entries(directory) {
        if excluded.contains(&path) {
            continue;
        }
        // A link is not followed: it may lead out of the world, or round in a circle.
        match std::fs::symlink_metadata(&path).map(|metadata| metadata.file_type()) {
            Ok(kind) if kind.is_dir() => found.extend(files_with(&path, text, excluded)),
            Ok(kind) if kind.is_file() && has(&path) => found.push(path.display().to_string()),
            // A pipe would be waited for, and what is gone by now holds nothing.
            Ok(_) | Err(_) => {}
        }
    }
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
