//! The world's forge: localhub in this process, seeded by git and read over REST as anybody would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use localhub::Hub;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub const OWNER: &str = "owner";
pub const TOKEN: &str = "forge-token-of-the-owner";

pub struct Forge {
    pub hub: Hub,
    pub url: String,
    directory: PathBuf,
    /// The names of the repositories, which the guard looks through.
    repositories: Mutex<Vec<String>>,
    stop: CancellationToken,
}

/// A comment in the form that it had when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Comment {
    pub repository: String,
    pub issue: u64,
    pub id: u64,
    pub body: String,
}

impl Forge {
    pub async fn start(directory: &Path) -> Self {
        let hub = Hub::open(&directory.join("forge"), git().into()).unwrap();
        hub.add_user(OWNER, TOKEN).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(localhub::serve(listener, hub.clone(), stop.clone().cancelled_owned()));
        let (directory, repositories) = (directory.to_path_buf(), Mutex::default());
        Self { hub, url, directory, repositories, stop }
    }

    /// A repository without commits.
    pub fn empty_repository(&self, name: &str, default_branch: &str) -> PathBuf {
        self.hub.create_repository(name, default_branch, false).unwrap();
        self.repositories.lock().unwrap().push(name.to_owned());
        self.hub.repository_path(name).unwrap()
    }

    /// Adds a file to a branch, as a person would.
    pub fn commit(&self, name: &str, branch: &str, file: &str) {
        let tree = tempfile::tempdir_in(&self.directory).unwrap();
        let bare = self.hub.repository_path(name).unwrap();
        run_git(
            tree.path(),
            &["clone", "--quiet", "--branch", branch, bare.to_str().unwrap(), "."],
        );
        std::fs::write(tree.path().join(file), "by hand\n").unwrap();
        run_git(tree.path(), &["add", file]);
        run_git(tree.path(), &["commit", "--quiet", "--message", "by hand"]);
        run_git(tree.path(), &["push", "--quiet", "origin", branch]);
    }

    /// A repository whose default branch holds these files.
    pub fn repository(&self, name: &str, default_branch: &str, files: &[(&str, &str)]) -> PathBuf {
        let bare = self.empty_repository(name, default_branch);
        let tree = tempfile::tempdir_in(&self.directory).unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        run_git(tree.path(), &["init", "--quiet", &format!("--initial-branch={default_branch}")]);
        run_git(tree.path(), &["add", "--all"]);
        run_git(tree.path(), &["commit", "--quiet", "--message", "first"]);
        run_git(tree.path(), &["push", "--quiet", bare.to_str().unwrap(), default_branch]);
        bare
    }

    pub async fn comments(&self, repository: &str, issue: u64) -> Vec<Comment> {
        let comments = self.get(&format!("/repos/{repository}/issues/{issue}/comments")).await;
        let comment = |comment: &Value| Comment {
            repository: repository.to_owned(),
            issue,
            id: comment["id"].as_u64().unwrap(),
            body: comment["body"].as_str().unwrap().to_owned(),
        };
        comments.as_array().unwrap().iter().map(comment).collect()
    }

    /// The comments on all issues and pull requests of all repositories.
    pub async fn all_comments(&self) -> Vec<Comment> {
        let mut comments = Vec::new();
        let repositories = self.repositories.lock().unwrap().clone();
        for repository in repositories {
            for page in 1.. {
                let path = format!("/repos/{repository}/issues?state=all&per_page=100&page={page}");
                let issues = self.get(&path).await;
                let issues = issues.as_array().unwrap();
                if issues.is_empty() {
                    break;
                }
                for issue in issues.iter().filter(|issue| issue["comments"] != 0) {
                    let number = issue["number"].as_u64().unwrap();
                    comments.extend(self.comments(&repository, number).await);
                }
            }
        }
        comments
    }

    /// Asks the REST API.
    pub async fn get(&self, path: &str) -> Value {
        self.ask(reqwest::Method::GET, path, Value::Null).await
    }

    pub async fn ask(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let mut request = reqwest::Client::new()
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(TOKEN)
            .header("user-agent", "scenarios");
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap_or(Value::Null)
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn git() -> &'static str {
    "git"
}

/// Runs git with a configuration of its own, and returns what it printed.
pub fn run_git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new(git())
        .args(["-c", "user.name=Owner", "-c", "user.email=owner@example.com"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
