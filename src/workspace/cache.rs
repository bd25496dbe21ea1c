//! The bare repository that the worker keeps for each repository at the forge.
//!
//! Owns what is under `repositories/`: it is fetched into, read from, pushed from, and what agents
//! made is kept in it. It has no remote, no credential and no work tree; only the forge's default
//! branch is fetched, to one ref that no branch name can collide with. Several runs may use one
//! cache at once: fetches take turns, everything else only adds objects.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::WorkspaceError;
use super::git::{Git, GitCommand};
use super::remote::{Remote, explain, explain_push};
use crate::errors;
use crate::git::{BranchName, CommitId, InvalidName, is_reference_name};
use crate::task::RepoName;

/// Where the forge's default branch is fetched to.
const FETCHED: &str = "refs/fetched/default";

/// The caches of all repositories, under one data directory.
#[derive(Debug)]
pub struct Caches {
    git: Git,
    directory: PathBuf,
    excludes: &'static [&'static str],
    turns: Mutex<HashMap<PathBuf, FetchTurn>>,
}

/// Whose turn it is to fetch into a cache, and whether this process has had it in hand before.
type FetchTurn = Arc<tokio::sync::Mutex<LockState>>;

#[derive(Debug, Default, PartialEq, Eq)]
enum LockState {
    #[default]
    No,
    Yes,
}

/// The cache of one repository. Clones are the same cache.
#[derive(Debug, Clone)]
pub struct Cache {
    git: Git,
    directory: PathBuf,
    turn: FetchTurn,
}

/// What a task's work begins from, and which branch its change is to go onto.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Base {
    pub commit: CommitId,
    /// Journals of version 0.1.0 call it `branch`.
    #[serde(alias = "branch")]
    pub onto: BranchName,
}

impl Caches {
    /// The repositories below `data_dir`.
    #[must_use]
    pub fn new(git: Git, data_dir: &Path) -> Self {
        Self {
            git,
            directory: data_dir.join("repositories"),
            excludes: &[],
            turns: Mutex::default(),
        }
    }

    /// Untracked files that match these patterns of gitignore are neither snapshotted nor cleaned
    /// away, whether a repository ignores them or not.
    #[must_use]
    pub fn excluding(self, excludes: &'static [&'static str]) -> Self {
        Self { excludes, ..self }
    }

    /// The cache of a repository, made empty if it is not there.
    ///
    /// Names that differ by case are one repository at GitHub, and one directory here.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub async fn open(&self, repository: &RepoName) -> Result<Cache, WorkspaceError> {
        let owner = repository.owner().to_ascii_lowercase();
        let name = format!("{}.git", repository.name().to_ascii_lowercase());
        let directory = self.directory.join(owner).join(name);
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(directory.clone()).or_default())
        };
        let cache = Cache { git: self.git.clone(), directory, turn };
        cache.create(self.excludes).await?;
        Ok(cache)
    }
}

impl Cache {
    /// Makes the repository, and completes one that a crash left half made: `git init` changes
    /// nothing in a whole one.
    async fn create(&self, excludes: &[&str]) -> Result<(), WorkspaceError> {
        let mut known = self.turn.lock().await;
        if *known == LockState::No {
            unlock(self.directory.clone()).await?;
        }
        tokio::fs::create_dir_all(&self.directory).await.map_err(|source| WorkspaceError::Io {
            action: "make the directory",
            path: self.directory.clone(),
            source,
        })?;
        self.git
            .command(&self.directory, "init")
            .arguments(["--quiet", "--bare", "--template=", "--initial-branch=main"])
            .argument(&self.directory)
            .output()
            .await?;
        let info = self.directory.join("info");
        let exclude = info.join("exclude");
        let written = async {
            tokio::fs::create_dir_all(&info).await?;
            tokio::fs::write(&exclude, excludes.join("\n") + "\n").await
        };
        written.await.map_err(|source| WorkspaceError::Io {
            action: "write",
            path: exclude.clone(),
            source,
        })?;
        *known = LockState::Yes;
        Ok(())
    }

    pub(super) fn git(&self) -> &Git {
        &self.git
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn command(&self, name: &'static str) -> GitCommand<'_> {
        self.git.in_repository(&self.directory, name)
    }

    /// Brings the cache up to the remote's default branch; what is there already is not transferred
    /// again.
    ///
    /// # Errors
    /// [`WorkspaceError::NoCommits`] when there is no default branch to start from; the others tell
    /// what is wrong with the remote.
    pub async fn fetch(&self, remote: &Remote) -> Result<Base, WorkspaceError> {
        let _turn = self.turn.lock().await;
        let (branch, announced) = self.default_branch(remote).await?;
        if self.fetched().await?.as_ref() == Some(&announced) {
            return Ok(Base { onto: branch, commit: announced });
        }
        let answer = self
            .command("fetch")
            .arguments([
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--no-recurse-submodules",
            ])
            .argument(&remote.url)
            .argument(format!("+{}:{FETCHED}", branch.reference()))
            .run_against(remote)
            .await?;
        if answer.code != 0 {
            return Err(explain(remote, answer));
        }
        self.tidy().await;
        // The branch may have moved on since it was announced.
        let commit = self
            .fetched()
            .await?
            .ok_or_else(|| WorkspaceError::NoCommits { url: remote.url.clone() })?;
        Ok(Base { onto: branch, commit })
    }

    /// What the remote's default branch is right now, and where.
    ///
    /// # Errors
    /// As for [`Self::fetch`].
    pub async fn announced(&self, remote: &Remote) -> Result<Base, WorkspaceError> {
        self.default_branch(remote).await.map(|(onto, commit)| Base { commit, onto })
    }

    /// The branch that the remote's HEAD points at, and its commit.
    async fn default_branch(
        &self,
        remote: &Remote,
    ) -> Result<(BranchName, CommitId), WorkspaceError> {
        let listing = self.ask(remote, "HEAD").await?;
        let symbolic =
            listing.lines().find_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
        let commit = listing
            .lines()
            .find_map(|line| line.strip_suffix("\tHEAD").filter(|name| !name.starts_with("ref: ")));
        // An empty repository announces nothing; one whose HEAD names no branch has no default
        // branch to open a pull request against.
        let (Some(reference), Some(commit)) = (symbolic, commit) else {
            return Err(WorkspaceError::NoCommits { url: remote.url.clone() });
        };
        let branch = reference.strip_prefix("refs/heads/").and_then(|branch| branch.parse().ok());
        let (Some(branch), Ok(commit)) = (branch, commit.parse()) else {
            return Err(WorkspaceError::UnexpectedAnswer { command: "ls-remote", answer: listing });
        };
        Ok((branch, commit))
    }

    /// The commit that a branch has at the remote right now.
    ///
    /// # Errors
    /// As for [`Self::fetch`].
    pub async fn remote_branch(
        &self,
        remote: &Remote,
        branch: &BranchName,
    ) -> Result<Option<CommitId>, WorkspaceError> {
        let reference = branch.reference();
        let listing = self.ask(remote, &reference).await?;
        // git matches the end of a name, so refs/heads/x/refs/heads/main would be listed too.
        let commit = listing
            .lines()
            .find_map(|line| line.strip_suffix(reference.as_str())?.strip_suffix('\t'))
            .map(str::parse);
        commit.transpose().map_err(|_| WorkspaceError::UnexpectedAnswer {
            command: "ls-remote",
            answer: listing.clone(),
        })
    }

    async fn ask(&self, remote: &Remote, reference: &str) -> Result<String, WorkspaceError> {
        let answer = self
            .command("ls-remote")
            .argument("--symref")
            .argument(&remote.url)
            .argument(reference)
            .run_against(remote)
            .await?;
        if answer.code != 0 {
            return Err(explain(remote, answer));
        }
        Ok(String::from_utf8_lossy(&answer.output).into_owned())
    }

    async fn fetched(&self) -> Result<Option<CommitId>, WorkspaceError> {
        let answer =
            self.command("rev-parse").arguments(["--verify", "--quiet", FETCHED]).run().await?;
        Ok(String::from_utf8_lossy(&answer.output).trim_end().parse().ok())
    }

    /// Lets git pack what has piled up. It spares what is younger than two weeks, so it is safe
    /// beside runs; whether it worked is no run's affair.
    async fn tidy(&self) {
        if let Err(error) = self.command("gc").arguments(["--auto", "--quiet"]).output().await {
            let (error, cache) = (errors::chain(&error), self.directory.display());
            tracing::warn!(error, %cache, "git could not tidy the repository");
        }
    }

    /// Pushes a commit to a branch that is expected to be at `expected`, or not to exist. A push
    /// that was done before does nothing.
    ///
    /// # Errors
    /// [`WorkspaceError::StaleRemote`] when the branch is elsewhere,
    /// [`WorkspaceError::PushRefused`] when the forge's rules are against it.
    pub async fn push(
        &self,
        remote: &Remote,
        commit: &CommitId,
        branch: &BranchName,
        expected: Option<&CommitId>,
    ) -> Result<(), WorkspaceError> {
        let reference = branch.reference();
        let answer = self
            .command("push")
            .arguments(["--quiet", "--porcelain", "--no-verify"])
            .argument(format!(
                "--force-with-lease={reference}:{}",
                expected.map_or("", CommitId::as_str)
            ))
            .argument(&remote.url)
            .argument(format!("{commit}:{reference}"))
            .run_against(remote)
            .await?;
        if answer.code == 0 { Ok(()) } else { Err(explain_push(remote, branch, answer)) }
    }

    /// Names a commit in the cache as `refs/codingworker/NAME`, so that it is never thrown away.
    ///
    /// # Errors
    /// [`WorkspaceError::InvalidName`] when git does not allow the name.
    pub async fn keep(&self, commit: &CommitId, name: &str) -> Result<(), WorkspaceError> {
        if !is_reference_name(name) {
            return Err(InvalidName::new(name, "a name to keep a commit under").into());
        }
        let reference = format!("refs/codingworker/{name}");
        self.command("update-ref")
            .argument(reference)
            .argument(commit.as_str())
            .output()
            .await
            .map(drop)
    }
}

/// Takes away the locks that a killed git left in a repository. Nobody else's can be there: one
/// worker has the data directory, and what the one before it left running is dead.
async fn unlock(directory: PathBuf) -> Result<(), WorkspaceError> {
    let path = directory.clone();
    let unlocked = tokio::task::spawn_blocking(move || {
        remove_locks(&directory, false)?;
        remove_locks(&directory.join("refs"), true)?;
        remove_locks(&directory.join("objects/info"), false)
    });
    let unlocked = unlocked.await.unwrap_or_else(|error| Err(error.into()));
    unlocked.map_err(|source| WorkspaceError::Io { action: "take the locks away in", path, source })
}

fn remove_locks(directory: &Path, below: bool) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let is_lock = path.extension().is_some_and(|extension| extension == "lock")
            || path.ends_with("gc.pid");
        if is_lock && path.is_file() {
            tracing::warn!(lock = %path.display(), "a git that was killed left a lock: it is taken \
                                                    away");
            std::fs::remove_file(&path)?;
        } else if below && path.is_dir() {
            remove_locks(&path, true)?;
        }
    }
    Ok(())
}
