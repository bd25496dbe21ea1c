//! One run of a task: admit, prepare, implement, check, gate, publish, settle.
//!
//! Owns the way and what is said of it; each stage consumes the value that the one before returned, so what was not claimed can't be
//! published. The rooms below do the work and don't know each other. The delivery itself stays with the worker, which carries out the
//! [`Disposition`] that a run ends in.

mod hold;
mod outcome;
mod passes;
mod report;
mod settle;
mod wanted;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use self::hold::Hold;
pub use self::outcome::{Attempt, Disposition, Failure};

use self::passes::Progress;
use crate::agent::{Agent, AgentError, Verdict};
use crate::checks::{
    self, Baseline, CheckResult, Checker, Plan, RepositoryFile, RepositoryFileError, toolchain_environment,
};
use crate::config::Config;
use crate::gate;
use crate::github::{GitHub, GitHubError};
use crate::journal::{self, Journal, JournalError, Outcome, RunId, Stage, Tenancy};
use crate::process;
use crate::publish::{self, Existing, Note, Publisher, PullRequest, Status};
use crate::queue::Delivery;
use crate::sandbox;
use crate::task::Task;
use crate::task::cut::CutBody;
use crate::workspace::{
    Base, BranchName, Cache, Caches, Change, CommitId, Deadlines, Git, Identity, Remote, RepoPath, Workspace,
};

/// Where a run keeps the agent's and the checks' trees, in its own directory.
const TREES: &str = "trees";
/// Where it keeps what the agent needs beside its tree.
const SCRATCH: &str = "scratch";
const LOG: &str = "log";
/// A settings or project file that is larger than this, in bytes, is not one.
const LARGEST_MANIFEST: usize = 1 << 20;

/// The rooms a run works with; one set serves all runs of a worker.
pub struct Rooms {
    pub config: Config,
    pub journal: Journal,
    pub agent: Agent,
    caches: Caches,
    github: GitHub,
    publisher: Publisher,
    checker: Checker,
    /// What a pull request says the change was made by.
    agent_version: String,
    _tenancy: Tenancy,
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
    #[error("can't make the directory {}: {source}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// A task that is being worked on.
#[derive(Clone)]
struct Claimed {
    task: Task,
    /// The task's body is only the beginning of the issue's.
    cut: Option<CutBody>,
    id: RunId,
    attempt: Attempt,
    directory: PathBuf,
    hold: Hold,
    began: Timestamp,
    clock: Instant,
}

/// A claimed task with the repository at hand, and the state of its checks before anybody touched it.
struct Prepared {
    claimed: Claimed,
    base: Base,
    workspace: Workspace,
    plan: Plan,
    baseline: Baseline,
    notes: Vec<Note>,
}

/// The repository as the agent left it.
struct Changed {
    prepared: Prepared,
    progress: Progress,
    builds: bool,
}

/// A change whose checks were run.
struct Checked {
    prepared: Prepared,
    progress: Progress,
    results: Vec<CheckResult>,
}

/// A change that may be published.
struct Approved {
    checked: Checked,
    changes: Vec<Change>,
}

/// A change that is on the forge.
struct Published {
    pull_request: PullRequest,
    /// The checks that keep it from being merged; it is a draft when there are any.
    red: Vec<String>,
}

/// What admission found.
enum Admission {
    Granted(Box<Claimed>),
    /// An earlier run of this very task opened the pull request, and only the settling is left to do.
    AlreadyPublished(Published),
}

impl Rooms {
    /// Furnishes the rooms as the settings say.
    ///
    /// # Errors
    /// The token is missing, git is, or the data directory can't be used.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let environment = &config.environment;
        let search_path = environment.search_path();
        let token = config.github.token.as_ref().ok_or(StartError::NoToken)?;
        let github = GitHub::new(&config.github, token)?;
        let git = process::find_executable("git", search_path).ok_or(StartError::NoGit)?;
        let tenancy = Tenancy::take(&config.data_dir)?;
        let journal = Journal::open(&config.data_dir)?;
        let (home, temporary) = (config.data_dir.join("home"), config.data_dir.join("tmp"));
        let git_home = config.data_dir.join("git-home");
        for directory in [&home, &temporary, &git_home] {
            std::fs::create_dir_all(directory)
                .map_err(|source| StartError::Directory { path: directory.clone(), source })?;
        }
        let mut check_environment = sandbox::clean_environment(search_path, &home, &temporary);
        check_environment
            .extend(toolchain_environment(&environment.home(), |name| environment.value(name).map(Into::into)));
        let agent = Agent::new(&config.agent, search_path);
        let version = agent.version(&temporary, &CancellationToken::new()).await?;
        Ok(Self {
            agent_version: version.unwrap_or_else(|| agent.name().to_owned()),
            agent,
            journal,
            _tenancy: tenancy,
            caches: Caches::new(Git::new(git, search_path, &git_home, Deadlines::default()), &config.data_dir)
                .excluding(checks::ARTIFACTS),
            publisher: Publisher::new(github.clone(), config.language),
            github,
            checker: Checker::new(&config.checks, check_environment),
            config,
        })
    }

    /// Works on one delivery and says what is to become of it.
    pub async fn run(&self, delivery: &Delivery, attempt: Attempt, hold: Hold) -> Disposition {
        let claimed = match self.claim(delivery, attempt, hold) {
            Ok(claimed) => claimed,
            Err(failure) => {
                tracing::warn!(message_id = delivery.message_id, %failure, "the message was not accepted");
                return outcome::disposition(&failure, attempt);
            }
        };
        let disposition = match self.pursue(claimed.clone()).await {
            _ if claimed.hold.is_lost() => self.report(&claimed, Failure::LeaseLost, None).await,
            Ok(published) => self.settle(&claimed, published).await,
            Err(failure) => self.report(&claimed, failure, None).await,
        };
        self.clear(&claimed).await;
        disposition
    }

    /// The whole way of a task.
    async fn pursue(&self, claimed: Claimed) -> Result<Published, Failure> {
        let claimed = match self.admit(claimed).await? {
            Admission::Granted(claimed) => *claimed,
            Admission::AlreadyPublished(published) => return Ok(published),
        };
        let prepared = self.prepare(claimed).await?;
        let watched = prepared.claimed.clone();
        let changed = self.while_wanted(&watched, self.implement(prepared)).await?;
        let checked = self.while_wanted(&watched, self.check(changed)).await?;
        let approved = self.approve(checked).await?;
        self.wanted(&watched.task).await?;
        self.publish(approved).await
    }

    /// Makes a task of the message, if this worker is to work on it at all, and begins its record.
    fn claim(&self, delivery: &Delivery, attempt: Attempt, hold: Hold) -> Result<Claimed, Failure> {
        if self.journal.last_outcome(&delivery.message_id)? == Some(Outcome::Failed) {
            return Err(Failure::AlreadyReported);
        }
        let task = Task::decode(delivery.body.as_bytes())?;
        if !self.config.allows(&task.repository) {
            return Err(Failure::RepositoryNotAllowed(task.repository));
        }
        let began = Timestamp::now();
        let id = self.journal.begin(&task, &delivery.message_id, attempt.receive_count, began)?;
        let directory = journal::run_directory(&self.config.data_dir, id);
        let cut = delivery.cut.clone();
        let claimed = Claimed { task, cut, id, attempt, directory, hold, began, clock: Instant::now() };
        std::fs::create_dir_all(claimed.directory.join(SCRATCH)).map_err(|source| Failure::Local {
            what: format!("can't make the run's directory {}", claimed.directory.display()),
            source,
        })?;
        Ok(claimed)
    }

    /// Asks the forge whether the task is still wanted, and says on the issue that it is being worked on.
    async fn admit(&self, mut claimed: Claimed) -> Result<Admission, Failure> {
        let task = &claimed.task;
        self.note(&claimed, &format!("{}: {}", task.key(), task.title))?;
        let branch = self.branch(task)?;
        match self.publisher.existing(task, branch.as_str()).await? {
            Existing::Published(pull_request) => {
                return Ok(Admission::AlreadyPublished(Published { pull_request, red: Vec::new() }));
            }
            Existing::Ended { number, merged } => {
                let state = if merged { "merged" } else { "closed" };
                return Err(Failure::PullRequestEnded { number, branch: branch.to_string(), state });
            }
            Existing::Open(_) | Existing::None => {}
        }
        let issue = self.wanted(task).await?;
        if let Some(cut) = &claimed.cut {
            let body = issue.body.unwrap_or_default();
            if !cut.is_of(&body) {
                return Err(Failure::EditedSinceLabeled);
            }
            claimed.task.body = body;
        }
        self.enter(&claimed, Stage::Admit, "the issue is open and labelled").await?;
        Ok(Admission::Granted(Box::new(claimed)))
    }

    /// Brings the repository here and sees how its checks stand.
    async fn prepare(&self, claimed: Claimed) -> Result<Prepared, Failure> {
        self.enter(&claimed, Stage::Prepare, "fetching the repository").await?;
        let cache = self.caches.open(&claimed.task.repository).await?;
        let base = cache.fetch(&self.remote(&claimed.task)).await?;
        let plan = self.plan(&cache, &base.commit, &base.commit).await?;
        let workspace = cache.prepare(&claimed.directory.join(TREES), &base).await?;
        let prepared = Prepared { claimed, base, workspace, plan, baseline: Baseline::default(), notes: Vec::new() };
        self.note(&prepared.claimed, &format!("{} at {}", prepared.base.branch, prepared.base.commit))?;
        self.baseline(prepared).await
    }

    /// Which checks a repository has: what the base's own file says, else what the files of `commit` show it to be.
    async fn plan(&self, cache: &Cache, base: &CommitId, commit: &CommitId) -> Result<Plan, Failure> {
        let unusable = |error: RepositoryFileError| Failure::RepositoryFile(error.to_string());
        let path = RepoPath::new(checks::REPOSITORY_FILE.into());
        let file = match cache.file_at(base, &path, LARGEST_MANIFEST).await? {
            Some(text) => RepositoryFile::parse(&text).map_err(unusable)?,
            None => RepositoryFile::default(),
        };
        let files = cache.files_at(commit).await?;
        let paths: Vec<&str> = files.iter().filter_map(RepoPath::as_str).collect();
        let mut contents = BTreeMap::new();
        for manifest in Plan::manifests(&paths) {
            let path = RepoPath::new(manifest.into());
            if let Ok(Some(text)) = cache.file_at(commit, &path, LARGEST_MANIFEST).await {
                contents.insert(manifest.to_owned(), String::from_utf8_lossy(&text).into_owned());
            }
        }
        Ok(Plan::detect(&paths, &contents, &file, self.config.checks.timeout))
    }

    /// Holds the change against the policy. A red change goes on only when no other delivery could make it green: as a draft.
    async fn approve(&self, checked: Checked) -> Result<Approved, Failure> {
        let Prepared { claimed, base, workspace, .. } = &checked.prepared;
        self.enter(claimed, Stage::Gate, "holding the change against the policy").await?;
        let changes = workspace.changes(&base.commit, &checked.progress.commit).await?;
        if changes.is_empty() {
            return Err(Failure::Agent(Verdict::NoChange));
        }
        gate::judge(&changes, &gate::Limits::default()).map_err(Failure::GateRefused)?;
        let red = checked.red();
        if !red.is_empty() && !claimed.attempt.is_last() {
            return Err(Failure::ChecksRed(red));
        }
        Ok(Approved { checked, changes })
    }

    /// Pushes the branch and opens the pull request.
    async fn publish(&self, approved: Approved) -> Result<Published, Failure> {
        let Approved { checked, .. } = &approved;
        let Prepared { claimed, workspace, .. } = &checked.prepared;
        let branch = self.branch(&claimed.task)?;
        self.enter(claimed, Stage::Publish, &format!("pushing {branch}")).await?;
        let commit = &checked.progress.commit;
        let remote = self.remote(&claimed.task);
        let expected = workspace.cache().remote_branch(&remote, &branch).await?;
        if let Some(there) = &expected
            && !self.journal.knows_push(&claimed.task.repository, branch.as_str(), there.as_str())?
        {
            return Err(Failure::BranchTaken(branch));
        }
        claimed.hold.renew().await?;
        self.journal.intend_push(claimed.id, branch.as_str(), commit.as_str())?;
        workspace.cache().push(&remote, commit, &branch, expected.as_ref()).await?;
        let red = checked.red();
        let report = report::report(self, &approved, branch.as_str());
        claimed.hold.renew().await?;
        let pull_request = self.publisher.open_pull_request(&report, !red.is_empty()).await?;
        self.journal.observe_pull_request(claimed.id, pull_request.number, &pull_request.url)?;
        self.note(claimed, &format!("pull request #{}: {}", pull_request.number, pull_request.url))?;
        Ok(Published { pull_request, red })
    }

    /// Records that a stage is reached, and says so on the issue. The issue's not hearing of it stops nothing.
    async fn enter(&self, claimed: &Claimed, stage: Stage, text: &str) -> Result<(), Failure> {
        self.journal.enter(claimed.id, stage, text, Timestamp::now())?;
        let told = match stage {
            Stage::Admit => publish::Stage::Accepted,
            Stage::Prepare => publish::Stage::Preparing,
            Stage::Implement => publish::Stage::Implementing,
            Stage::Check => publish::Stage::Checking,
            Stage::Publish => publish::Stage::Publishing,
            Stage::Gate | Stage::Settle => return Ok(()),
        };
        let status = Status::Working { stage: told, attempt: claimed.attempt.receive_count };
        if let Err(error) = self.publisher.announce(&claimed.task.repository, claimed.task.issue_number, &status).await
        {
            tracing::warn!(run = %claimed.id, %error, "the issue could not be told");
        }
        Ok(())
    }

    /// Records something that happened, in the journal and in the run's log.
    fn note(&self, claimed: &Claimed, text: &str) -> Result<(), Failure> {
        self.journal.note(claimed.id, text, Timestamp::now())?;
        claimed.write_log(&format!("# {text}"))
    }

    fn branch(&self, task: &Task) -> Result<BranchName, Failure> {
        Ok(format!("{}{}", self.config.publish.branch_prefix, task.issue_number).parse()?)
    }

    fn remote(&self, task: &Task) -> Remote {
        let url = format!("{}/{}.git", self.config.github.git_url, task.repository);
        Remote { url, token: self.config.github.token.clone() }
    }

    fn identity(&self) -> Identity {
        let publish = &self.config.publish;
        Identity { name: publish.author_name.clone(), email: publish.author_email.clone() }
    }
}

impl Claimed {
    fn log(&self) -> PathBuf {
        self.directory.join(LOG)
    }

    fn write_log(&self, line: &str) -> Result<(), Failure> {
        let path = self.log();
        let written = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut log| writeln!(log, "{line}"));
        written
            .map_err(|source| Failure::Local { what: format!("can't write the run's log {}", path.display()), source })
    }
}

impl Checked {
    /// The commands of the checks that keep the change from being merged.
    fn red(&self) -> Vec<String> {
        self.results.iter().filter(|result| result.blocks()).map(|result| result.ran.command.clone()).collect()
    }
}

/// The file that all output of a run's programs goes to.
#[must_use]
pub fn log_file(data_dir: &Path, run: RunId) -> PathBuf {
    journal::run_directory(data_dir, run).join(LOG)
}
