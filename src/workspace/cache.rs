//! The bare repository that the worker keeps for each repository at the forge.
//!
//! This module owns the directory `repositories/`. The worker fetches into a cache, reads from it,
//! pushes from it, and stores in it what the agents made. A cache has no remote, no credential and
//! no work tree. The worker fetches only the default branch of the forge, into one reference
//! outside `refs/heads/`, so that it can't collide with the name of any branch. Several runs may
//! use one cache at once: only one of them fetches at a time, and every other command only adds
//! objects.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::WorkspaceError;
use super::git::{Git, GitCommand};
use super::listing::Listings;
use super::references::{Base, RemoteReferences};
use super::remote::{Remote, explain, explain_push};
use crate::disk::FileAction;
use crate::errors;
use crate::git::{BranchName, CommitId, InvalidName, is_reference_name};
use crate::language::Text;
use crate::task::RepoName;

/// What a name is that a commit can't be kept under.
const KEPT_NAME: Text =
    Text { en: "a name to keep a commit under", ja: "コミットを保持するための名前" };

/// The reference that holds the last fetched commit of the forge's default branch.
const FETCHED: &str = "refs/fetched/default";

/// How many bytes a new file may have unless [`Caches::accepting`] says otherwise.
const FILE_LIMIT: u64 = 64 << 20;

/// The caches of all repositories under one data directory.
#[derive(Debug)]
pub struct Caches {
    git: Git,
    directory: PathBuf,
    excludes: &'static [&'static str],
    file_limit: u64,
    turns: Mutex<HashMap<PathBuf, FetchTurn>>,
}

/// The lock that a fetch into one cache holds, with whether this process has already removed the
/// lock files that an earlier process left there.
type FetchTurn = Arc<tokio::sync::Mutex<LockState>>;

#[derive(Debug, Default, PartialEq, Eq)]
enum LockState {
    #[default]
    No,
    Yes,
}

/// The cache of one repository. All clones of this value refer to the same directory and lock.
#[derive(Debug, Clone)]
pub struct Cache {
    git: Git,
    directory: PathBuf,
    file_limit: u64,
    turn: FetchTurn,
    listings: Listings,
}

impl Caches {
    /// The caches in the directory `repositories` below `data_dir`.
    #[must_use]
    pub fn new(git: Git, data_dir: &Path) -> Self {
        Self {
            git,
            directory: data_dir.join("repositories"),
            excludes: &[],
            file_limit: FILE_LIMIT,
            turns: Mutex::default(),
        }
    }

    /// Adds gitignore patterns. A snapshot leaves out untracked files that match one of them, and a
    /// checkout does not remove those files, whether the repository ignores them or not.
    #[must_use]
    pub fn excluding(self, excludes: &'static [&'static str]) -> Self {
        Self { excludes, ..self }
    }

    /// Sets how many bytes a new or changed file of a snapshot may have, and all that is new in a
    /// snapshot, compressed. Without this it is 64 MiB.
    #[must_use]
    pub fn accepting(self, file_limit: u64) -> Self {
        Self { file_limit, ..self }
    }

    /// Opens the cache of a repository, and makes an empty one when it does not exist.
    ///
    /// GitHub treats names that differ only in case as one repository, so the directory's name is
    /// in lower case.
    ///
    /// # Errors
    /// The directory can't be made.
    pub async fn open(&self, repository: &RepoName) -> Result<Cache, WorkspaceError> {
        let owner = repository.owner().to_ascii_lowercase();
        let name = format!("{}.git", repository.name().to_ascii_lowercase());
        let directory = self.directory.join(owner).join(name);
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(directory.clone()).or_default())
        };
        let (git, file_limit) = (self.git.clone(), self.file_limit);
        let cache = Cache { git, directory, file_limit, turn, listings: Listings::default() };
        cache.create(self.excludes).await?;
        Ok(cache)
    }
}

impl Cache {
    /// Makes the repository, and completes one that a crash left unfinished. `git init` is safe in
    /// an existing repository: it does not overwrite what is already there (git-init(1)).
    async fn create(&self, excludes: &[&str]) -> Result<(), WorkspaceError> {
        let mut known = self.turn.lock().await;
        // Only the first use in this process removes lock files. A later use could remove the lock
        // of a git command that this process is running.
        if *known == LockState::No {
            unlock(self.directory.clone()).await?;
        }
        tokio::fs::create_dir_all(&self.directory).await.map_err(|source| WorkspaceError::Io {
            action: FileAction::MakeDirectory,
            path: self.directory.clone(),
            source,
        })?;
        self.git
            .command(&self.directory, "init")
            .arguments(["--quiet", "--bare", "--template=", "--initial-branch=main"])
            .argument(&self.directory)
            .output()
            .await?;
        // git reads ignore patterns of the repository itself from `$GIT_DIR/info/exclude`
        // (gitignore(5)). No file of the work tree can change these patterns.
        let info = self.directory.join("info");
        let exclude = info.join("exclude");
        let written = async {
            tokio::fs::create_dir_all(&info).await?;
            tokio::fs::write(&exclude, excludes.join("\n") + "\n").await
        };
        written.await.map_err(|source| WorkspaceError::Io {
            action: FileAction::Write,
            path: exclude.clone(),
            source,
        })?;
        *known = LockState::Yes;
        Ok(())
    }

    pub(super) fn git(&self) -> &Git {
        &self.git
    }

    /// Returns how many bytes a new file of a snapshot may have, and all that is new in it.
    pub(super) fn file_limit(&self) -> u64 {
        self.file_limit
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn listings(&self) -> &Listings {
        &self.listings
    }

    pub(super) fn command(&self, name: &'static str) -> GitCommand<'_> {
        self.git.in_repository(&self.directory, name)
    }

    /// Fetches the remote's default branch, which `references` names. git transfers only the
    /// objects that the cache does not have, and the function transfers nothing when the branch was
    /// listed where the cache has it.
    ///
    /// # Errors
    /// [`WorkspaceError::NoCommits`] when the remote has no default branch to start from. The other
    /// errors say what is wrong with the remote.
    pub async fn fetch_default_branch(
        &self,
        remote: &Remote,
        references: &RemoteReferences,
    ) -> Result<Base, WorkspaceError> {
        let _turn = self.turn.lock().await;
        let announced = references.default_branch()?;
        if self.fetched().await?.as_ref() == Some(&announced.commit) {
            return Ok(announced);
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
            // The `+` allows an update that is not a fast-forward, because somebody may have
            // force-pushed the default branch (git-fetch(1), `<refspec>`).
            .argument(format!("+{}:{FETCHED}", announced.onto.reference()))
            .run_against(remote)
            .await?;
        if answer.code != 0 {
            return Err(explain(remote, answer));
        }
        self.tidy().await;
        // Another push may have moved the branch after the remote listed it, so the commit is read
        // from the fetched reference.
        let commit = self
            .fetched()
            .await?
            .ok_or_else(|| WorkspaceError::NoCommits { url: remote.url.clone() })?;
        Ok(Base { onto: announced.onto, commit })
    }

    /// Asks the remote for its default branch, all of its branches and all of its tags.
    ///
    /// # Errors
    /// What is wrong with the remote.
    pub async fn references(&self, remote: &Remote) -> Result<RemoteReferences, WorkspaceError> {
        self.ask(remote, &["HEAD", "refs/heads/*", "refs/tags/*"]).await
    }

    /// Asks the remote for its default branch and for these branches.
    ///
    /// # Errors
    /// The same errors as [`Self::references`].
    pub async fn references_for(
        &self,
        remote: &Remote,
        branches: &[&BranchName],
    ) -> Result<RemoteReferences, WorkspaceError> {
        let branches: Vec<_> = branches.iter().map(|branch| branch.reference()).collect();
        let patterns: Vec<_> =
            std::iter::once("HEAD").chain(branches.iter().map(String::as_str)).collect();
        self.ask(remote, &patterns).await
    }

    async fn ask(
        &self,
        remote: &Remote,
        patterns: &[&str],
    ) -> Result<RemoteReferences, WorkspaceError> {
        let answer = self
            .command("ls-remote")
            .argument("--symref")
            .argument(&remote.url)
            .arguments(patterns)
            .run_against(remote)
            .await?;
        if answer.code != 0 {
            return Err(explain(remote, answer));
        }
        let listing = String::from_utf8_lossy(&answer.output).into_owned();
        Ok(RemoteReferences::new(remote.url.clone(), listing))
    }

    async fn fetched(&self) -> Result<Option<CommitId>, WorkspaceError> {
        let answer =
            self.command("rev-parse").arguments(["--verify", "--quiet", FETCHED]).run().await?;
        Ok(String::from_utf8_lossy(&answer.output).trim_end().parse().ok())
    }

    /// Lets git pack loose objects when there are many of them. git deletes unreachable objects
    /// only when they are older than two weeks (git-gc(1), `gc.pruneExpire`), so this is safe while
    /// runs add objects. A failure is only logged, because no run depends on the packing.
    async fn tidy(&self) {
        if let Err(error) = self.command("gc").arguments(["--auto", "--quiet"]).output().await {
            let (error, cache) = (errors::chain(&error), self.directory.display());
            tracing::warn!(error, %cache, "git could not tidy the repository");
        }
    }

    /// Pushes a commit to a branch. The forge's branch must be at `expected`, or must not exist
    /// when `expected` is `None`. Repeating a push that succeeded before changes nothing.
    ///
    /// The expected commit is always given explicitly. Without it, `--force-with-lease` compares
    /// with a remote-tracking branch (git-push(1)), and the cache has none. An empty value after
    /// the colon means that the branch must not exist yet.
    ///
    /// # Errors
    /// [`WorkspaceError::StaleRemote`] when the branch is at another commit,
    /// [`WorkspaceError::PushRefused`] when a rule of the forge forbids the push.
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
            // `--porcelain` prints one line for the branch on standard output in a fixed format,
            // and `--no-verify` skips the pre-push hook (git-push(1)).
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

    /// Names a commit in the cache as `refs/codingworker/NAME`. `git gc` never deletes an object
    /// that a reference reaches (git-gc(1)).
    ///
    /// # Errors
    /// [`WorkspaceError::InvalidName`] when git does not allow the name.
    pub async fn keep(&self, commit: &CommitId, name: &str) -> Result<(), WorkspaceError> {
        if !is_reference_name(name) {
            return Err(InvalidName::new(name, KEPT_NAME).into());
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

/// Removes the lock files that a killed git left in a repository. git creates `NAME.lock`
/// exclusively before it changes `NAME`, and refuses to work when the file exists, so a stale one
/// would block the repository for ever.
///
/// No other process can own these files: only one worker uses the data directory, and the commands
/// that the worker before it started have ended.
async fn unlock(directory: PathBuf) -> Result<(), WorkspaceError> {
    let path = directory.clone();
    let unlocked = tokio::task::spawn_blocking(move || {
        remove_locks(&directory, false)?;
        remove_locks(&directory.join("refs"), true)?;
        remove_locks(&directory.join("objects/info"), false)
    });
    let unlocked = unlocked.await.unwrap_or_else(|error| Err(error.into()));
    unlocked.map_err(|source| WorkspaceError::Io { action: FileAction::Unlock, path, source })
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
