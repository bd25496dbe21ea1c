//! The services a run works with, and how they are furnished; one set serves all runs of a worker.
//!
//! Whoever opens them owns the data directory until they are dropped, and has put away what a
//! worker that died left in it: its processes, and the trees of its runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::issue_locks::IssueLocks;
use super::{SCRATCH, TREES};
use crate::agent::{Agent, AgentError};
use crate::checks::{self, Checker, Toolchains};
use crate::config::Config;
use crate::disk::{DiskError, InstanceLock, remove_tree};
use crate::github::{GitHub, GitHubError};
use crate::journal::{self, Journal, JournalError};
use crate::process;
use crate::publish::Publisher;
use crate::sandbox::{Sandbox, SandboxError};
use crate::workspace::{Caches, Deadlines, Git};

pub struct Services {
    pub config: Config,
    pub journal: Arc<Journal>,
    pub agent: Agent,
    pub(super) caches: Caches,
    pub(super) github: GitHub,
    pub(super) publisher: Publisher,
    pub(super) checker: Checker,
    pub(super) turns: IssueLocks,
    pub(super) sandbox: Sandbox,
    /// What a pull request says the change was made by.
    pub(super) agent_version: String,
    _instance_lock: InstanceLock,
}

/// Why a worker can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "there is no GitHub token: set GITHUB_TOKEN to one that may read and write contents, issues and pull requests"
    )]
    NoToken,
    #[error("git was not found on the PATH: install it")]
    NoGit,
    #[error("can't use the directory {}: {source}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl Services {
    /// Furnishes the services as the settings say.
    ///
    /// # Errors
    /// The token is missing, git is, or the data directory can't be used.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let environment = &config.environment;
        let search_path = environment.search_path();
        let token = config.github.token.as_ref().ok_or(StartError::NoToken)?;
        let github = GitHub::new(&config.github, token)?;
        let git = process::find_executable("git", search_path).ok_or(StartError::NoGit)?;
        let instance_lock = InstanceLock::take(&config.data_dir)?;
        let journal = Arc::new(Journal::open(&config.data_dir)?);
        put_away(&config.data_dir).await?;
        let (temporary, git_home) = (config.data_dir.join("tmp"), config.data_dir.join("git-home"));
        for directory in [&temporary, &git_home] {
            std::fs::create_dir_all(directory).map_err(unusable(directory))?;
        }
        let sandbox = Sandbox::open(
            &config.sandbox,
            &config.data_dir,
            &config.agent.model_endpoint,
            environment,
        )
        .await?;
        let toolchains =
            Toolchains::find(&environment.home(), |name| environment.value(name).map(Into::into));
        let agent = Agent::new(&config.agent, search_path, &sandbox, &config.redaction);
        let version = agent.version(&temporary, &CancellationToken::new()).await?;
        Ok(Self {
            agent_version: version.unwrap_or_else(|| agent.name().to_owned()),
            agent,
            journal,
            _instance_lock: instance_lock,
            caches: Caches::new(
                Git::new(git, search_path, &git_home, Deadlines::default(), &sandbox),
                &config.data_dir,
            )
            .excluding(checks::artifacts()),
            publisher: Publisher::new(github.clone(), config.language, config.redaction.clone()),
            github,
            checker: Checker::new(
                &config.checks,
                search_path,
                toolchains,
                &sandbox,
                &config.redaction,
            ),
            turns: IssueLocks::default(),
            sandbox,
            config,
        })
    }
}

/// Puts away what a worker that died left in the data directory. What it made is in the caches and
/// in the journal.
async fn put_away(data_dir: &Path) -> Result<(), StartError> {
    let processes = data_dir.join("processes");
    let killed = process::kill_leftovers(&processes).map_err(unusable(&processes))?;
    if killed > 0 {
        tracing::warn!(killed, "a worker that died had left processes running");
    }
    remove_tree(&data_dir.join("tmp")).await?;
    let runs = journal::runs_directory(data_dir);
    for run in std::fs::read_dir(&runs).into_iter().flatten() {
        let run = run.map_err(unusable(&runs))?.path();
        for left in [TREES, SCRATCH] {
            remove_tree(&run.join(left)).await?;
        }
    }
    Ok(())
}

fn unusable(path: &Path) -> impl FnOnce(std::io::Error) -> StartError {
    let path = path.to_path_buf();
    move |source| StartError::Directory { path, source }
}
