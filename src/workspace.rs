//! The repositories on disk: the bare cache, the trees in which an agent and the checks work, and
//! the commits made from those trees.
//!
//! This module owns every use of git. The module `gate` decides what a change may contain, and
//! `publish` decides when to push. Invariants: git never runs with the configuration of a
//! repository that an agent could write; the token is only in the environment of a command that
//! talks to the forge; every object of a snapshot is stored in the cache, which deletes nothing
//! that a run still needs.

mod answer;
mod cache;
mod changes;
mod check_repository;
mod commit;
mod error;
mod git;
mod graft;
mod left_out;
mod listing;
mod objects;
mod references;
mod remote;
mod selection;
mod snapshot;
mod staging;
mod tags;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use self::snapshot::Scope;
use self::staging::{Files, Snapshot, Staging};
use crate::disk::{FileAction, open_up_directories, remove_tree};
use crate::git::{BranchName, Change, CommitId, RepoPath, TreeId};

pub use self::cache::{Cache, Caches};
pub use self::commit::Commit;
pub use self::error::WorkspaceError;
pub use self::git::{Deadlines, Git};
pub use self::left_out::LeftOut;
pub use self::references::{Base, RemoteReferences};
pub use self::remote::Remote;

/// The two trees of one run. They lie beside each other in one directory that holds nothing else.
#[derive(Debug)]
pub struct Workspace {
    cache: Cache,
    directory: PathBuf,
    base: CommitId,
    onto: BranchName,
    agent: Staging,
    checks: Staging,
}

/// Selects one of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The tree that the agent edits. It is a repository of its own, with the base commit and no
    /// remote.
    Agent,
    /// The tree in which the checks run. [`Workspace::give_repository`] puts a repository there,
    /// which the worker never uses.
    Checks,
}

/// The author and committer of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub email: String,
}

impl Cache {
    /// Makes both trees, and checks out the base in the agent's. The checks' tree is empty until
    /// something is checked out there, since a run may have no checks. The function first removes
    /// everything that `directory` held before.
    ///
    /// # Errors
    /// The base is not in the cache, or the disk can't store the trees.
    pub async fn prepare(
        &self,
        directory: &Path,
        base: &Base,
    ) -> Result<Workspace, WorkspaceError> {
        remove_tree(directory).await?;
        let workspace = Workspace {
            cache: self.clone(),
            directory: directory.to_owned(),
            base: base.commit.clone(),
            onto: base.onto.clone(),
            agent: Staging::new(directory.join("agent")),
            checks: Staging::new(directory.join("checks")),
        };
        workspace.agent.create().await?;
        workspace.checks.create().await?;
        tokio::try_join!(
            workspace.clone_for_agent(base),
            workspace.read_tree(&workspace.agent, base.commit.as_str()),
        )?;
        workspace.share_index().await?;
        Ok(workspace)
    }
}

impl Workspace {
    /// The agent's tree. It is a shallow clone with a `.git` of its own, without a remote and
    /// without a link into the cache.
    #[must_use]
    pub fn agent_tree(&self) -> &Path {
        &self.agent.files
    }

    /// The checks' tree. It is a checkout.
    #[must_use]
    pub fn check_tree(&self) -> &Path {
        &self.checks.files
    }

    /// Stores the present files of a side as a tree object in the cache.
    ///
    /// From the agent's side the snapshot takes the tracked files, the new files that are not
    /// ignored, and those that the agent added to its own index in spite of that. It takes them as
    /// they are in the tree, whatever the agent did to its own `.git`, and leaves out what
    /// [`Self::snapshot_of_agent`] returns beside the tree. From the checks' side it takes the
    /// tracked files only, because a formatter rewrites those and a build leaves other files
    /// behind.
    ///
    /// # Errors
    /// [`WorkspaceError::is_about_the_files`] says whether something in the tree can't be taken,
    /// such as a repository inside it.
    pub async fn snapshot(&self, side: Side) -> Result<TreeId, WorkspaceError> {
        Ok(self.take(side).await?.tree)
    }

    /// Stores the agent's files as [`Self::snapshot`] does, and returns what it did not take too.
    ///
    /// # Errors
    /// The same errors as [`Self::snapshot`].
    pub async fn snapshot_of_agent(&self) -> Result<(TreeId, LeftOut), WorkspaceError> {
        let snapshot = self.take(Side::Agent).await?;
        let left_out = left_out::left_out(&self.cache, &self.agent, &snapshot).await?;
        Ok((snapshot.tree, left_out))
    }

    async fn take(&self, side: Side) -> Result<Snapshot, WorkspaceError> {
        let scope = match side {
            Side::Agent => Scope::All,
            Side::Checks => Scope::Tracked,
        };
        let staging = self.side(side);
        let snapshot = snapshot::snapshot(&self.cache, staging, scope, &self.base).await?;
        staging.import(&self.cache, &snapshot.tree, &self.base).await?;
        Ok(snapshot)
    }

    /// Returns the filter that the attributes of the agent's last snapshot give to each path
    /// (gitattributes(5), `filter`). `commit` is the snapshot as a commit.
    ///
    /// # Errors
    /// git can't read the index.
    pub async fn filters(
        &self,
        commit: &CommitId,
        paths: &[RepoPath],
    ) -> Result<Vec<Option<String>>, WorkspaceError> {
        changes::filters(&self.cache, &self.agent, commit, paths).await
    }

    /// Makes a side hold exactly the files of a tree. git does not touch a file that does not
    /// differ, so a build finds the file's modification time unchanged. Ignored files stay.
    ///
    /// # Errors
    /// The tree is not in the cache, or the disk can't store the files.
    pub async fn checkout(&self, side: Side, tree: &TreeId) -> Result<(), WorkspaceError> {
        self.write(side, tree, &[]).await
    }

    /// Makes a side hold exactly the files of a tree, without any other: ignored files go too.
    ///
    /// # Errors
    /// The same errors as [`Self::checkout`].
    pub async fn renew(&self, side: Side, tree: &TreeId) -> Result<(), WorkspaceError> {
        // `-x` removes what the ignore rules leave (git-clean(1)).
        self.write(side, tree, &["-x"]).await
    }

    async fn write(&self, side: Side, tree: &TreeId, more: &[&str]) -> Result<(), WorkspaceError> {
        let side = self.side(side);
        if self.replace_files(side, tree, more).await.is_ok() {
            return Ok(());
        }
        // A check may leave directories that are not writable, in which nothing can be replaced.
        let files = side.files.clone();
        let opened = tokio::task::spawn_blocking(move || open_up_directories(&files)).await;
        opened.unwrap_or_else(|error| Err(error.into())).map_err(|source| WorkspaceError::Io {
            action: FileAction::LookThrough,
            path: side.files.clone(),
            source,
        })?;
        self.replace_files(side, tree, more).await
    }

    /// `read-tree` removes only files that the index knows, so `clean` removes the untracked ones.
    /// git skips an untracked directory that is a repository itself unless `--force` is given twice
    /// (git-clean(1)).
    async fn replace_files(
        &self,
        side: &Staging,
        tree: &TreeId,
        more: &[&str],
    ) -> Result<(), WorkspaceError> {
        // The first checkout finds an empty directory, and no index.
        let is_first = !side.index().exists();
        self.read_tree(side, tree.as_str()).await?;
        if is_first {
            return Ok(());
        }
        let clean = side.command(&self.cache, "clean", Files::Written);
        let clean = clean.arguments(["--quiet", "-d", "--force", "--force"]);
        clean.arguments(more.iter().copied()).output().await.map(drop)
    }

    /// Makes a commit. The same tree, parent, message, identity and time give the same commit id,
    /// so a resumed run can repeat this step.
    ///
    /// # Errors
    /// The tree or the parent is not in the cache.
    pub async fn commit(
        &self,
        tree: &TreeId,
        parent: &CommitId,
        message: &str,
        identity: &Identity,
        at: Timestamp,
    ) -> Result<CommitId, WorkspaceError> {
        let date = format!("@{} +0000", at.as_second());
        let mut command =
            self.cache.command("commit-tree").arguments([tree.as_str(), "-p", parent.as_str()]);
        for (name, value) in [
            ("GIT_AUTHOR_NAME", &identity.name),
            ("GIT_AUTHOR_EMAIL", &identity.email),
            ("GIT_AUTHOR_DATE", &date),
            ("GIT_COMMITTER_NAME", &identity.name),
            ("GIT_COMMITTER_EMAIL", &identity.email),
            ("GIT_COMMITTER_DATE", &date),
        ] {
            command = command.variable(name, value);
        }
        // git refuses a commit message that contains a NUL, and the title of an issue may contain
        // one.
        let mut message = message.replace('\0', "\u{fffd}");
        if !message.ends_with('\n') {
            message.push('\n');
        }
        let name = command.input(message).word().await?;
        let commit = name.parse().map_err(|_| WorkspaceError::UnexpectedAnswer {
            command: "commit-tree",
            answer: name,
        })?;
        self.cache.listings().note_commit(&commit, tree);
        Ok(commit)
    }

    /// Names a commit in the cache as `refs/codingworker/NAME`. `git gc` never deletes an object
    /// that a reference reaches (git-gc(1)).
    ///
    /// # Errors
    /// The same errors as [`Cache::keep`].
    pub async fn keep(&self, commit: &CommitId, name: &str) -> Result<(), WorkspaceError> {
        self.cache.keep(commit, name).await
    }

    /// Returns every path that differs between two commits.
    ///
    /// # Errors
    /// One of the commits is not in the cache.
    pub async fn changes(
        &self,
        base: &CommitId,
        commit: &CommitId,
    ) -> Result<Vec<Change>, WorkspaceError> {
        changes::changes(&self.cache, base, commit).await
    }

    /// The repository from which git checks out both trees and into which it stores their
    /// snapshots.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    fn side(&self, side: Side) -> &Staging {
        match side {
            Side::Agent => &self.agent,
            Side::Checks => &self.checks,
        }
    }

    /// Gives the agent a repository that holds the base commit and no history, so that its size
    /// does not depend on the length of the history.
    ///
    /// The function fetches instead of cloning. A clone of a local path makes hard links to the
    /// object files of its source, or refers to them as alternates with `--shared` (git-clone(1)),
    /// and an agent that wrote to a linked file would change the cache. A fetch copies the objects.
    /// The option `--depth=1` records the commit as a shallow boundary, so the agent's git does not
    /// look for the parents (gitrepository-layout(5), `shallow`).
    async fn clone_for_agent(&self, base: &Base) -> Result<(), WorkspaceError> {
        self.init_repository(&self.agent.files).await?;
        self.fetch_into(&self.agent.files.join(".git"), &base.commit, None).await
    }

    /// Makes a repository at `directory` whose branch is named as the one that the work is for.
    async fn init_repository(&self, directory: &Path) -> Result<(), WorkspaceError> {
        self.cache
            .git()
            .command(&self.directory, "init")
            // An empty template keeps the sample hooks and files of this machine out of the
            // repository (git-init(1), TEMPLATE DIRECTORY).
            .arguments(["--quiet", "--template="])
            .argument(format!("--initial-branch={}", self.onto))
            .argument(directory)
            .output()
            .await
            .map(drop)
    }

    /// Fetches a commit from the cache into a repository of [`Self::init_repository`], and puts the
    /// branch there. Without a depth it comes without its history, else with so much of it and the
    /// tags on that.
    async fn fetch_into(
        &self,
        git_dir: &Path,
        commit: &CommitId,
        depth: Option<usize>,
    ) -> Result<(), WorkspaceError> {
        // A fetch refuses to update the branch that HEAD names unless `--update-head-ok` is given
        // (git-fetch(1)). `init` has made HEAD name this branch, which has no commit yet.
        self.cache
            .git()
            .in_repository(git_dir, "fetch")
            .arguments([
                "--quiet",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--update-head-ok",
            ])
            .argument(format!("--depth={}", depth.unwrap_or(1)))
            // git fetches the tags that point at what it fetches unless it is told not to
            // (git-fetch(1), `--no-tags`).
            .arguments(depth.is_none().then_some("--no-tags"))
            .argument(self.cache.directory())
            // The `+` allows a branch to go elsewhere than forward (git-fetch(1), `<refspec>`).
            .argument(format!("+{commit}:{}", self.onto.reference()))
            // git writes this action into the reflog of the branch. The default action is the whole
            // command line, which would tell the agent where the cache is.
            .variable("GIT_REFLOG_ACTION", "clone")
            .local_source()
            .output()
            .await
            .map(drop)
    }

    /// Writes the files of a tree. git compares the tree with the side's own index and so writes
    /// only the files that differ. With `--reset -u` git also overwrites local changes and
    /// untracked files that are in the way (git-read-tree(1)).
    async fn read_tree(&self, side: &Staging, tree: &str) -> Result<(), WorkspaceError> {
        let command = side.command(&self.cache, "read-tree", Files::Written);
        command.arguments(["--reset", "-u", tree]).output().await.map(drop)
    }

    /// Copies the worker's index into the agent's repository, so that the agent's git does not have
    /// to read every file to find that none has changed. Also configures the author of the agent's
    /// commits, and turns automatic garbage collection off in that repository.
    async fn share_index(&self) -> Result<(), WorkspaceError> {
        let git_dir = self.agent.files.join(".git");
        let failed = |path: PathBuf| {
            move |source| WorkspaceError::Io { action: FileAction::Write, path, source }
        };
        self.agent.give_index(&git_dir.join("index")).await?;
        let config = git_dir.join("config");
        let mut settings = tokio::fs::read(&config).await.map_err(failed(config.clone()))?;
        settings.extend_from_slice(
            b"[user]\n\tname = Coding agent\n\temail = agent@localhost\n[gc]\n\tauto = 0\n",
        );
        tokio::fs::write(&config, settings).await.map_err(failed(config))
    }
}
