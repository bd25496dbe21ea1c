//! Scenarios with real git, each in a directory of its own. They use a bare repository by its path
//! and one behind HTTP.

mod forge;
mod remotes;
mod snapshots;
mod taking_over;
mod trees;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::process::{self, Ending, Invocation, Streams};
use crate::sandbox::Sandbox;

/// An upstream repository and a worker's data directory.
struct World {
    directory: TempDir,
    git: Git,
    caches: Caches,
}

impl World {
    /// Makes a world whose upstream repository is empty.
    async fn new() -> Self {
        Self::with_deadlines(Deadlines::default()).await
    }

    async fn with_deadlines(deadlines: Deadlines) -> Self {
        let directory = TempDir::with_prefix("workspace").unwrap();
        let home = directory.path().join("home");
        fs::create_dir(&home).unwrap();
        let git = Git::new(git_executable(), &search_path(), &home, deadlines, &Sandbox::none());
        let caches = Caches::new(git.clone(), &directory.path().join("data"));
        let world = Self { directory, git, caches };
        run_git(
            world.path(),
            ["init", "--quiet", "--bare", "--initial-branch=trunk", "forge/o/r.git"],
        )
        .await;
        run_git(&world.upstream(), ["config", "http.receivepack", "true"]).await;
        run_git(world.path(), ["init", "--quiet", "--initial-branch=trunk", "author"]).await;
        world
    }

    /// Makes a world whose upstream repository has one commit with these files.
    async fn with_files(files: &[(&[u8], &str)]) -> Self {
        let world = Self::new().await;
        for (name, content) in files {
            write(&world.author(), name, content);
        }
        world.author_pushes("first").await;
        world
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn upstream(&self) -> PathBuf {
        self.path().join("forge/o/r.git")
    }

    /// Returns the path of an author's clone of the upstream repository.
    fn author(&self) -> PathBuf {
        self.path().join("author")
    }

    /// Commits every file in the author's tree, even ignored ones, and pushes the commit.
    async fn author_pushes(&self, message: &str) {
        run_git(&self.author(), ["add", "--all", "--force"]).await;
        run_git(&self.author(), ["commit", "--quiet", "--allow-empty", "-m", message]).await;
        let upstream = self.upstream();
        run_git(
            &self.author(),
            [
                OsStr::new("push"),
                OsStr::new("--quiet"),
                upstream.as_os_str(),
                OsStr::new("HEAD:trunk"),
            ],
        )
        .await;
    }

    /// Returns the upstream repository as a remote by its path.
    fn remote(&self) -> Remote {
        Remote { url: self.upstream().to_str().unwrap().to_owned(), token: None }
    }

    async fn cache(&self) -> Cache {
        self.caches.open(&"o/r".parse().unwrap()).await.unwrap()
    }

    /// Makes a workspace at the tip of the upstream repository, with the base in both trees.
    async fn workspace(&self) -> (Workspace, Base) {
        let cache = self.cache().await;
        let base = cache.fetch(&self.remote()).await.unwrap();
        let workspace = cache.prepare(&self.path().join("run"), &base).await.unwrap();
        let tree = cache.tree_at(&base.commit).await.unwrap();
        workspace.checkout(Side::Checks, &tree).await.unwrap();
        (workspace, base)
    }
}

impl Cache {
    async fn fetch(&self, remote: &Remote) -> Result<Base, WorkspaceError> {
        self.fetch_default_branch(remote, &self.references(remote).await?).await
    }

    async fn remote_branch(
        &self,
        remote: &Remote,
        branch: &BranchName,
    ) -> Result<Option<CommitId>, WorkspaceError> {
        self.references_for(remote, &[branch]).await?.branch(branch)
    }
}

fn identity() -> Identity {
    Identity { name: "Coding Worker".to_owned(), email: "worker@example.com".to_owned() }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn write(tree: &Path, name: &[u8], content: &str) {
    let path = tree.join(OsStr::from_bytes(name));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Runs git as a person does, with the configuration of the repository.
async fn run_git<A: AsRef<OsStr>>(
    directory: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> String {
    let (ending, output) = try_git(directory, arguments).await;
    assert_eq!(ending, Ending::Exited(0), "{output}");
    output
}

async fn try_git<A: AsRef<OsStr>>(
    directory: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> (Ending, String) {
    let identity = ["AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"];
    let mut environment: Vec<(OsString, OsString)> =
        identity.iter().map(|name| (format!("GIT_{name}").into(), "author".into())).collect();
    environment.push(("PATH".into(), search_path()));
    environment.push(("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()));
    environment.push(("GIT_CONFIG_NOSYSTEM".into(), "1".into()));
    let invocation = Invocation {
        program: git_executable(),
        arguments: arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect(),
        directory: directory.to_owned(),
        environment,
        input: Vec::new(),
        deadline: Duration::from_secs(60),
        output_limit: 1 << 20,
        streams: Streams::Merged,
        log: None,
    };
    let finished = process::run(invocation, &CancellationToken::new()).await.unwrap();
    (finished.ending, String::from_utf8_lossy(&finished.output).into_owned())
}

fn git_executable() -> PathBuf {
    process::find_executable("git", &search_path()).expect("these tests need git on the PATH")
}

#[expect(clippy::disallowed_methods, reason = "a test finds git where its user has it")]
fn search_path() -> OsString {
    std::env::var_os("PATH").expect("a PATH to find git on")
}
