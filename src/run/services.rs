//! What all runs of a worker share: the clients, the tools and the journal.
//!
//! Whoever opens the services owns the data directory until they are dropped. Opening ends what a
//! worker that died left in it: its processes, and the trees of its runs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::context::{SCRATCH, TREES};
use super::forge_watch::ForgeWatch;
use super::issue_locks::IssueLocks;
use super::worker_name;
use crate::agent::{Agent, AgentError};
use crate::checks::{self, Checker, Toolchains};
use crate::config::Config;
use crate::disk::{DiskError, InstanceLock, make_private_directory, remove_tree};
use crate::errors::Bilingual;
use crate::github::settings::GitHubSettings;
use crate::github::{GitHub, GitHubError, Token};
use crate::journal::{self, Journal, JournalError};
use crate::process;
use crate::publish::Publisher;
use crate::sandbox::{Sandbox, SandboxError};
use crate::task::RepoName;
use crate::workspace::{Caches, Deadlines, Git, Identity, Remote};

/// The services of one worker; they serve all of its runs.
pub struct Services {
    pub config: Config,
    pub journal: Arc<Journal>,
    pub agent: Agent,
    pub(super) caches: Caches,
    pub(super) github: GitHub,
    /// Whether the forge can be asked.
    pub forge: ForgeWatch,
    pub(super) publisher: Publisher,
    pub(super) checker: Checker,
    pub(super) issue_locks: IssueLocks,
    pub(super) told_obstacles: ToldObstacles,
    pub(super) sandbox: Sandbox,
    /// The name by which people tell this worker from others.
    pub worker_name: String,
    /// The agent as a pull request names it.
    pub(super) agent_version: String,
    _instance_lock: InstanceLock,
}

/// What the operator was told of the machine since the worker started.
#[derive(Default)]
pub(super) struct ToldObstacles(Mutex<HashSet<String>>);

impl ToldObstacles {
    /// Whether this was not told yet. From now on it is.
    pub(super) fn is_new(&self, told: String) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(told)
    }
}

/// Why a worker can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}", no_token(file.as_deref()))]
    NoToken {
        /// The file that the settings name, which is not there or holds nothing.
        file: Option<PathBuf>,
    },
    #[error("git was not found on the PATH: install it")]
    NoGit,
    #[error("can't end the processes that {} lists", path.display())]
    Leftovers { path: PathBuf, source: std::io::Error },
    #[error("can't read the directory {}", path.display())]
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

impl Bilingual for StartError {
    fn japanese(&self) -> String {
        match self {
            Self::NoToken { file: Some(file) } => format!(
                "`github.token_file` の {} にGitHubのトークンがありません。{WANTED_TOKEN_JA}を\
                 このファイルに書くか、GITHUB_TOKENに設定してください",
                file.display()
            ),
            Self::NoToken { file: None } => format!(
                "GitHubのトークンがありません。{WANTED_TOKEN_JA}をGITHUB_TOKENに設定してください"
            ),
            Self::NoGit => "gitがPATHにありません。インストールしてください".to_owned(),
            Self::Leftovers { path, source: _ } => {
                format!("{} に記録されたプロセスを終了できません", path.display())
            }
            Self::Directory { path, source: _ } => {
                format!("ディレクトリ {} を読み取れません", path.display())
            }
            Self::Disk(error) => error.japanese(),
            Self::GitHub(error) => error.japanese(),
            Self::Journal(error) => error.japanese(),
            Self::Agent(error) => error.japanese(),
            Self::Sandbox(error) => error.japanese(),
        }
    }

    fn own_cause(&self) -> Option<&dyn Bilingual> {
        match self {
            Self::NoToken { .. }
            | Self::NoGit
            | Self::Leftovers { .. }
            | Self::Directory { .. } => None,
            Self::Disk(error) => error.own_cause(),
            Self::GitHub(error) => error.own_cause(),
            Self::Journal(error) => error.own_cause(),
            Self::Agent(error) => error.own_cause(),
            Self::Sandbox(error) => error.own_cause(),
        }
    }
}

/// The token that a worker needs.
const WANTED_TOKEN_JA: &str = "contents、issues、pull requestsを読み書きできるトークン";

/// What to do when there is no token. Whoever named a file for it reads of that file.
fn no_token(file: Option<&Path>) -> String {
    let wanted = "may read and write contents, issues and pull requests";
    match file {
        Some(file) => format!(
            "there is no GitHub token in {}, which `github.token_file` names: write one into it \
             that {wanted}, or set GITHUB_TOKEN",
            file.display()
        ),
        None => format!("there is no GitHub token: set GITHUB_TOKEN to one that {wanted}"),
    }
}

/// Returns the token by which GitHub is asked.
///
/// # Errors
/// [`StartError::NoToken`] says where one is expected.
pub fn token(settings: &GitHubSettings) -> Result<&Token, StartError> {
    let missing = || StartError::NoToken { file: settings.token_file.clone() };
    settings.token.as_ref().ok_or_else(missing)
}

impl Services {
    /// Opens the services as the settings say, and cleans up after a worker that died.
    ///
    /// # Errors
    /// There is no token or no git, another worker uses the data directory, or it can't be written.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let environment = &config.environment;
        let search_path = environment.search_path();
        let token = token(&config.github)?;
        let github = GitHub::new(&config.github, token)?;
        let forge = ForgeWatch::new(
            github.clone(),
            token.clone(),
            config.redaction.clone(),
            config.language,
        );
        let git = process::find_executable("git", search_path).ok_or(StartError::NoGit)?;
        let instance_lock = InstanceLock::take(&config.data_dir)?;
        let journal = Arc::new(Journal::open(&config.data_dir).await?);
        end_leftovers(&config.data_dir).await?;
        let (temporary, git_home) = (config.data_dir.join("tmp"), config.data_dir.join("git-home"));
        for directory in [&temporary, &git_home] {
            make_private_directory(directory)?;
        }
        let worker_name = match &config.worker.name {
            Some(name) => name.clone(),
            None => worker_name::given(&config.data_dir)?,
        };
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
        // A worker may start before its agent is installed, and takes no task until then.
        let version = match agent.check_program() {
            Ok(()) => agent.version(&temporary, &CancellationToken::new()).await?,
            Err(_missing) => None,
        };
        Ok(Self {
            worker_name,
            agent_version: version.unwrap_or_else(|| agent.name().to_owned()),
            agent,
            journal,
            _instance_lock: instance_lock,
            caches: Caches::new(
                Git::new(git, search_path, &git_home, Deadlines::default(), &sandbox),
                &config.data_dir,
            )
            .excluding(checks::artifacts())
            .accepting(config.gate.file_size),
            publisher: Publisher::new(github.clone(), config.language, config.redaction.clone()),
            github,
            forge,
            checker: Checker::new(
                &config.checks,
                search_path,
                toolchains,
                &sandbox,
                &config.redaction,
            ),
            issue_locks: IssueLocks::default(),
            told_obstacles: ToldObstacles::default(),
            sandbox,
            config,
        })
    }
    /// The repository at the forge, with the credential for it.
    pub(super) fn remote(&self, repository: &RepoName) -> Remote {
        let url = format!("{}/{repository}.git", self.config.github.git_url);
        Remote { url, token: self.config.github.secret() }
    }

    /// Who the commits of all runs are by.
    pub(super) fn identity(&self) -> Identity {
        let publish = &self.config.publish;
        Identity { name: publish.author_name.clone(), email: publish.author_email.clone() }
    }
}

/// Ends the processes that a worker which died left running, and removes the trees of its runs.
/// What those runs made is in the caches and in the journal.
async fn end_leftovers(data_dir: &Path) -> Result<(), StartError> {
    let path = data_dir.join("processes");
    let killed = process::kill_leftovers(&path)
        .map_err(|source| StartError::Leftovers { path: path.clone(), source })?;
    if killed > 0 {
        tracing::warn!(killed, "a worker that died had left processes running");
    }
    remove_tree(&data_dir.join("tmp")).await?;
    let runs = journal::runs_directory(data_dir);
    // There is no such directory before the first run.
    for run in std::fs::read_dir(&runs).into_iter().flatten() {
        let run = run.map_err(|source| StartError::Directory { path: runs.clone(), source })?;
        for left in [TREES, SCRATCH] {
            remove_tree(&run.path().join(left)).await?;
        }
    }
    Ok(())
}
