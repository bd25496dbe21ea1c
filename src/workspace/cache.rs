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
use super::remote::{Remote, explain, explain_push};
use crate::errors;
use crate::git::{BranchName, CommitId, InvalidName, is_reference_name};
use crate::task::RepoName;

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

/// The commit from which the work on a task begins, and the branch that the pull request targets.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Base {
    pub commit: CommitId,
    /// The journal of version 0.1.0 calls this field `branch`.
    #[serde(alias = "branch")]
    pub onto: BranchName,
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
        // git reads ignore patterns of the repository itself from `$GIT_DIR/info/exclude`
        // (gitignore(5)). No file of the work tree can change these patterns.
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

    /// Fetches the remote's default branch. git transfers only the objects that the cache does not
    /// have, and the function transfers nothing when the branch has not moved.
    ///
    /// # Errors
    /// [`WorkspaceError::NoCommits`] when the remote has no default branch to start from. The other
    /// errors say what is wrong with the remote.
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
            // The `+` allows an update that is not a fast-forward, because somebody may have
            // force-pushed the default branch (git-fetch(1), `<refspec>`).
            .argument(format!("+{}:{FETCHED}", branch.reference()))
            .run_against(remote)
            .await?;
        if answer.code != 0 {
            return Err(explain(remote, answer));
        }
        self.tidy().await;
        // Another push may have moved the branch after `ls-remote` listed it, so the commit is read
        // from the fetched reference.
        let commit = self
            .fetched()
            .await?
            .ok_or_else(|| WorkspaceError::NoCommits { url: remote.url.clone() })?;
        Ok(Base { onto: branch, commit })
    }

    /// Asks the remote for its default branch and the commit at its tip, without fetching.
    ///
    /// # Errors
    /// The same errors as [`Self::fetch`].
    pub async fn announced(&self, remote: &Remote) -> Result<Base, WorkspaceError> {
        self.default_branch(remote).await.map(|(onto, commit)| Base { commit, onto })
    }

    /// Returns the branch that the remote's HEAD points at, and its commit. `git ls-remote
    /// --symref` prints `ref: refs/heads/NAME<TAB>HEAD` for the symbolic reference, and then a line
    /// with the commit (git-ls-remote(1)).
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
        // An empty repository lists no HEAD. A repository whose HEAD is detached has no default
        // branch, so no pull request could target one.
        let (Some(reference), Some(commit)) = (symbolic, commit) else {
            return Err(WorkspaceError::NoCommits { url: remote.url.clone() });
        };
        let branch = reference.strip_prefix("refs/heads/").and_then(|branch| branch.parse().ok());
        let (Some(branch), Ok(commit)) = (branch, commit.parse()) else {
            return Err(WorkspaceError::UnexpectedAnswer { command: "ls-remote", answer: listing });
        };
        Ok((branch, commit))
    }

    /// Asks the remote for the commit that a branch has now, or `None` when there is no such
    /// branch.
    ///
    /// # Errors
    /// The same errors as [`Self::fetch`].
    pub async fn remote_branch(
        &self,
        remote: &Remote,
        branch: &BranchName,
    ) -> Result<Option<CommitId>, WorkspaceError> {
        let reference = branch.reference();
        let listing = self.ask(remote, &reference).await?;
        // `git ls-remote` matches a pattern against the last components of each name, so it would
        // also list refs/heads/x/refs/heads/main (git-ls-remote(1), `<patterns>`). Only the exact
        // name counts.
        let commit = listing
            .lines()
            .find_map(|line| line.strip_suffix(reference.as_str())?.strip_suffix('\t'))
            .map(str::parse);
        commit.transpose().map_err(|_| WorkspaceError::UnexpectedAnswer {
            command: "ls-remote",
            answer: listing.clone(),
        })
    }

    /// Returns a branch of the remote that keeps `branch` from being made, if there is one.
    ///
    /// git stores `a/b` as the file `b` in the directory `a`, so `a` and `a/b` can't both be
    /// branches (git-check-ref-format(1), "directory/file conflict" in git-update-ref(1)). GitHub
    /// refuses the push with "cannot lock ref".
    ///
    /// # Errors
    /// The same errors as [`Self::fetch`].
    pub async fn branch_in_the_way(
        &self,
        remote: &Remote,
        branch: &BranchName,
    ) -> Result<Option<String>, WorkspaceError> {
        let listing = self.ask(remote, "refs/heads/*").await?;
        let name = branch.as_str();
        let mut branches =
            listing.lines().filter_map(|line| line.split_once('\t')?.1.strip_prefix("refs/heads/"));
        let is_in_the_way =
            |other: &&str| is_directory_of(other, name) || is_directory_of(name, other);
        Ok(branches.find(is_in_the_way).map(str::to_owned))
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
    unlocked.map_err(|source| WorkspaceError::Io { action: "take the locks away in", path, source })
}

/// Whether a branch `path` is stored in a directory that has the name of the branch `directory`.
fn is_directory_of(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
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
