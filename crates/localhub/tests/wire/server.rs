//! A forge on a free port, and git as a client of it.
#![allow(
    clippy::disallowed_methods,
    reason = "the tests start git as a user would, and find it as a user would"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use localhub::{Hub, Permission};
use tempfile::TempDir;

use crate::inspector::Inspector;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The token of `octo`, who owns `octo/hello`.
pub(crate) const OWNER_TOKEN: &str = "owner-token";
/// The token of `mona`, who was granted to read `octo/hello`.
pub(crate) const READER_TOKEN: &str = "reader-token";
/// The token of `stranger`, who was granted nothing.
pub(crate) const STRANGER_TOKEN: &str = "stranger-token";

pub(crate) struct Server {
    pub(crate) hub: Hub,
    /// Where the forge answers.
    pub(crate) url: String,
    /// A proxy to the forge, which checks the answers.
    pub(crate) inspected: Inspector,
    pub(crate) directory: TempDir,
    _stop: DropGuard,
}

/// A forge with the private, empty repository `octo/hello`.
pub(crate) async fn start() -> Server {
    start_in(TempDir::new().unwrap()).await
}

/// A forge whose data is in `directory`, as an earlier one may have left it there.
pub(crate) async fn start_in(directory: TempDir) -> Server {
    start_with(directory, git_executable()).await
}

/// A forge that runs this git.
pub(crate) async fn start_with(directory: TempDir, git: PathBuf) -> Server {
    let hub = Hub::open(&directory.path().join("hub"), git).unwrap();
    hub.add_user("octo", OWNER_TOKEN).unwrap();
    hub.add_user("mona", READER_TOKEN).unwrap();
    hub.add_user("stranger", STRANGER_TOKEN).unwrap();
    if !hub.has_repository("octo/hello").unwrap() {
        hub.create_repository("octo/hello", "main", true).unwrap();
        hub.grant("octo/hello", "mona", Permission::Read).unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let served = hub.clone();
    tokio::spawn(async move {
        localhub::serve(listener, served, stopped.cancelled_owned()).await.unwrap();
    });
    let inspected = Inspector::start(&url).await;
    Server { hub, url, inspected, directory, _stop: stop.drop_guard() }
}

pub(crate) fn git_executable() -> PathBuf {
    let path = std::env::var_os("PATH").expect("tests need a PATH");
    std::env::split_paths(&path)
        .map(|dir| dir.join("git"))
        .find(|git| git.is_file())
        .expect("tests need git")
}

/// Runs git without any configuration. A token is sent as a header, which git gets by its
/// environment.
pub(crate) async fn git(directory: &Path, token: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(git_executable());
    command.current_dir(directory).args(["-c", "protocol.version=2"]).args(arguments).env_clear();
    command.envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ]);
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Octo")
            .env(format!("GIT_{who}_EMAIL"), "octo@example.com");
    }
    if let Some(token) = token {
        use base64::Engine;
        let pair =
            base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
        command.envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "http.extraHeader")]);
        command.env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {pair}"));
    }
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Runs git, which must succeed, and returns what it printed.
pub(crate) async fn git_ok(directory: &Path, token: Option<&str>, arguments: &[&str]) -> String {
    let output = git(directory, token, arguments).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Server {
    pub(crate) fn clone_url(&self) -> String {
        format!("{}/octo/hello.git", self.url)
    }

    /// Pushes a branch `main` with one commit, and `branches`, each of which has one commit more
    /// with a file of its name. Returns the work tree.
    pub(crate) async fn pushed(&self, branches: &[&str]) -> PathBuf {
        let tree = self.directory.path().join("tree");
        git_ok(self.directory.path(), None, &["init", "--quiet", "-b", "main", "tree"]).await;
        git_ok(&tree, None, &["remote", "add", "origin", &self.clone_url()]).await;
        commit(&tree, "README.md", "hello\n").await;
        for branch in branches {
            git_ok(&tree, None, &["checkout", "--quiet", "-b", branch, "main"]).await;
            commit(&tree, &format!("{}.txt", branch.replace('/', "-")), "one\ntwo\n").await;
        }
        git_ok(&tree, None, &["checkout", "--quiet", "main"]).await;
        git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "--all"]).await;
        tree
    }
}

pub(crate) async fn commit(tree: &Path, file: &str, content: &str) {
    std::fs::write(tree.join(file), content).unwrap();
    git_ok(tree, None, &["add", "--", file]).await;
    git_ok(tree, None, &["commit", "--quiet", "-m", &format!("Add {file}")]).await;
}
