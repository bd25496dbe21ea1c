//! Repositories on disk: the bare cache, the trees that an agent and the checks work in, and what
//! they made.
//!
//! Owns every use of git. Leaves what a change may contain to `gate`, and when to push to
//! `publish`. Invariants: git never runs with a repository that an agent could write; the token is
//! in the environment of a command that talks to the forge and nowhere else; what a snapshot took
//! in is an object of the cache, where nothing is thrown away.

mod answer;
mod cache;
mod changes;
mod commit;
mod error;
mod git;
mod objects;
mod remote;
mod snapshot;
mod staging;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use self::snapshot::Scope;
use self::staging::{Files, Staging};
use crate::disk::remove_tree;
use crate::git::{Change, CommitId, TreeId};

pub use self::cache::{Base, Cache, Caches};
pub use self::commit::Commit;
pub use self::error::WorkspaceError;
pub use self::git::{Deadlines, Git};
pub use self::remote::Remote;

/// The two trees of one run, beside each other in one directory that is theirs alone.
#[derive(Debug)]
pub struct Workspace {
    cache: Cache,
    directory: PathBuf,
    base: CommitId,
    agent: Staging,
    checks: Staging,
}

/// Which of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where the agent edits: a repository of its own, with the base's commit and no remote.
    Agent,
    /// Where the checks run: files only.
    Checks,
}

/// Who a commit is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub email: String,
}

impl Cache {
    /// Makes both trees, at the base. What is in `directory` from before is removed.
    ///
    /// # Errors
    /// When the base is not in the cache, or the disk does not take it.
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
            agent: Staging::new(directory.join("agent")),
            checks: Staging::new(directory.join("checks")),
        };
        workspace.agent.create().await?;
        workspace.checks.create().await?;
        let start = base.commit.as_str();
        tokio::try_join!(
            workspace.clone_for_agent(base),
            workspace.read_tree(&workspace.agent, start),
            workspace.read_tree(&workspace.checks, start),
        )?;
        workspace.share_index().await?;
        Ok(workspace)
    }
}

impl Workspace {
    /// The agent's tree: a shallow clone with a `.git` of its own, without a remote and without a
    /// link into the cache.
    #[must_use]
    pub fn agent_tree(&self) -> &Path {
        &self.agent.files
    }

    /// The checks' tree: a checkout without a `.git`.
    #[must_use]
    pub fn check_tree(&self) -> &Path {
        &self.checks.files
    }

    /// Takes in what a side holds now.
    ///
    /// Of the agent's side: tracked files, and new ones that are not ignored, whatever the agent
    /// did to its own `.git`. Of the checks' side: tracked files only, since a formatter rewrites
    /// those and builds leave others behind.
    ///
    /// # Errors
    /// [`WorkspaceError::NestedRepository`] when there is a repository inside the tree.
    pub async fn snapshot(&self, side: Side) -> Result<TreeId, WorkspaceError> {
        let scope = match side {
            Side::Agent => Scope::All,
            Side::Checks => Scope::Tracked,
        };
        let staging = self.side(side);
        let tree = snapshot::snapshot(&self.cache, staging, scope).await?;
        staging.import(&self.cache, &tree, &self.base).await?;
        Ok(tree)
    }

    /// Brings a side to exactly a tree. Files that do not differ are not touched, so a build finds
    /// its times unchanged; ignored files stay.
    ///
    /// # Errors
    /// When the tree is not in the cache, or the disk does not take it.
    pub async fn checkout(&self, side: Side, tree: &TreeId) -> Result<(), WorkspaceError> {
        let side = self.side(side);
        self.read_tree(side, tree.as_str()).await?;
        let clean = side.command(&self.cache, "clean", Files::Written);
        clean.arguments(["--quiet", "-d", "--force", "--force"]).output().await.map(drop)
    }

    /// Makes a commit. The same tree, parent, message, identity and time give the same commit.
    ///
    /// # Errors
    /// When the tree or the parent is not in the cache.
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
        // git refuses a message with a NUL in it, and an issue's title may have one.
        let mut message = message.replace('\0', "\u{fffd}");
        if !message.ends_with('\n') {
            message.push('\n');
        }
        let name = command.input(message).word().await?;
        name.parse()
            .map_err(|_| WorkspaceError::UnexpectedAnswer { command: "commit-tree", answer: name })
    }

    /// Names a commit as `refs/codingworker/NAME`, so that it is never thrown away.
    ///
    /// # Errors
    /// As for [`Cache::keep`].
    pub async fn keep(&self, commit: &CommitId, name: &str) -> Result<(), WorkspaceError> {
        self.cache.keep(commit, name).await
    }

    /// Everything that differs between two commits.
    ///
    /// # Errors
    /// When one of them is not in the cache.
    pub async fn changes(
        &self,
        base: &CommitId,
        commit: &CommitId,
    ) -> Result<Vec<Change>, WorkspaceError> {
        changes::changes(&self.cache, base, commit).await
    }

    /// The repository that both trees are read from and written to.
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

    /// Gives the agent a repository with the base's commit and no history, so that it costs no more
    /// than the files.
    ///
    /// Fetching from a directory copies: nothing is linked, and nothing the agent does to its
    /// objects reaches the cache.
    async fn clone_for_agent(&self, base: &Base) -> Result<(), WorkspaceError> {
        let git = self.cache.git();
        git.command(&self.directory, "init")
            .arguments(["--quiet", "--template="])
            .argument(format!("--initial-branch={}", base.onto))
            .argument(&self.agent.files)
            .output()
            .await?;
        let git_dir = self.agent.files.join(".git");
        git.in_repository(&git_dir, "fetch")
            .arguments([
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--update-head-ok",
            ])
            .argument(self.cache.directory())
            .argument(format!("{}:{}", base.commit, base.onto.reference()))
            // Else the log of the branch would tell the agent where the cache is.
            .variable("GIT_REFLOG_ACTION", "clone")
            .local_source()
            .output()
            .await?;
        Ok(())
    }

    /// Writes a tree's files, through the index that knows what is there already.
    async fn read_tree(&self, side: &Staging, tree: &str) -> Result<(), WorkspaceError> {
        let command = side.command(&self.cache, "read-tree", Files::Written);
        command.arguments(["--reset", "-u", tree]).output().await.map(drop)
    }

    /// Spares the agent's git from reading every file again to find that none has changed, and
    /// tells it whom its commits are by.
    async fn share_index(&self) -> Result<(), WorkspaceError> {
        let git_dir = self.agent.files.join(".git");
        let failed =
            |path: PathBuf| move |source| WorkspaceError::Io { action: "write", path, source };
        self.agent.copy_index(&git_dir.join("index")).await?;
        let config = git_dir.join("config");
        let mut settings = tokio::fs::read(&config).await.map_err(failed(config.clone()))?;
        settings.extend_from_slice(
            b"[user]\n\tname = Coding agent\n\temail = agent@localhost\n[gc]\n\tauto = 0\n",
        );
        tokio::fs::write(&config, settings).await.map_err(failed(config))
    }
}
