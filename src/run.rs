//! One run of a task: admit, prepare, implement, check, gate, publish, settle.
//!
//! Owns the way and what is said of it; each stage consumes the value that the one before returned,
//! so what was not claimed can't be published. A stage leaves what it made in the journal, so that
//! a run which a crash cut off goes on where it was. The services below do the work and don't know
//! each other. The delivery itself stays with the worker, which carries out the [`Disposition`]
//! that a run ends in.

mod admit;
mod branch;
mod checkpoint;
mod effects;
mod gate;
mod implement;
mod issue_locks;
mod lease;
mod outcome;
mod publish;
mod services;
mod settle;
mod trusted;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use self::lease::{LeaseEnd, LeaseHandle};
pub use self::outcome::{Attempt, Disposition, Failure};
pub use self::services::{Services, StartError};

use self::checkpoint::{Checkpoint, PreparedBase};
use self::implement::Progress;
use crate::checks::{
    self, Baseline, CheckResult, Manifests, Plan, RepositoryFile, RepositoryFileError,
    UnreadableReason,
};
use crate::gate::attention::Attention;
use crate::git::{BranchName, Change, CommitId, RepoPath};
use crate::github::Permit;
use crate::journal::{self, Decision, Effect, Outcome, RunId, Stage, Unreleased};
use crate::publish::{Existing, Note, Publisher, PullRequest};
use crate::task::cut::CutBody;
use crate::task::{Delivery, Task};
use crate::workspace::{Cache, Workspace, WorkspaceError};

/// Where a run keeps the agent's and the checks' trees, in its own directory.
const TREES: &str = "trees";
/// Where it keeps what the agent needs beside its tree.
const SCRATCH: &str = "scratch";
const LOG: &str = "log";
/// A settings or project file that is larger than this, in bytes, is not one.
const LARGEST_MANIFEST: usize = 1 << 20;
/// SQS ends every lease twelve hours after the receive. A run ends before that, with time left to
/// say so.
const LONGEST_RUN: SignedDuration = SignedDuration::from_mins(11 * 60 + 30);
/// How often the clock is looked at for the end of that time.
const LOOK: Duration = Duration::from_secs(30);

/// A task that is being worked on.
#[derive(Clone)]
struct Claimed {
    task: Task,
    /// The task's body is only the beginning of the issue's.
    cut: Option<CutBody>,
    id: RunId,
    attempt: Attempt,
    directory: PathBuf,
    hold: LeaseHandle,
    /// Writes to the forge only while the lease is held.
    publisher: Publisher,
    received_at: Timestamp,
    /// When work on the task began, in whichever life of the run. The commit bears this date.
    began: Timestamp,
    past: Checkpoint,
}

/// A claimed task that the forge still wants, and where it is to be published.
struct Admitted {
    claimed: Claimed,
    branch: BranchName,
}

/// A task with the repository at hand, and the state of its checks before anybody touched it.
struct Prepared {
    claimed: Claimed,
    branch: BranchName,
    workspace: Workspace,
    ground: PreparedBase,
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
    /// What its reader should look at.
    attention: Vec<Attention>,
}

/// A change that is on the forge.
struct Published {
    pull_request: PullRequest,
    /// The checks that keep it from being merged; it is a draft when there are any.
    red: Vec<String>,
}

/// What admission found.
enum Admission {
    Granted(Box<Admitted>),
    /// An earlier run of this very task opened the pull request, and only the settling is left to
    /// do.
    AlreadyPublished(Published),
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Nothing when the message was no task of this worker's.
    pub run: Option<RunId>,
    pub disposition: Disposition,
}

impl Services {
    /// Works on one delivery and says what is to become of it.
    pub async fn run(&self, delivery: &Delivery, attempt: Attempt, hold: LeaseHandle) -> Ended {
        match self.claim(delivery, attempt, hold) {
            Ok(claimed) => self.run_under_lease(claimed, None).await,
            Err(failure) => {
                tracing::warn!(message_id = delivery.message_id, %failure, "the message was not accepted");
                Ended { run: None, disposition: outcome::disposition(&failure, attempt) }
            }
        }
    }

    /// Goes on with a run that was cut off, under the lease that it had: where it was, or with how
    /// it ended.
    pub async fn resume(&self, left: &Unreleased, attempt: Attempt, hold: LeaseHandle) -> Ended {
        let end = |disposition| Ended { run: Some(left.run), disposition };
        // One that can't be read any more is decided anew.
        let decided =
            left.decided.as_ref().and_then(|decision| Some((decision, decision.disposition()?)));
        if let Some((Decision { told: true, .. }, disposition)) = decided {
            return end(disposition);
        }
        let claimed = match self.reclaim(left, attempt, hold) {
            Ok(claimed) => claimed,
            Err(failure) => {
                tracing::error!(run = %left.run, %failure, "a run that was cut off can't be gone on with: its message comes again");
                return end(Disposition::Abandon);
            }
        };
        self.run_under_lease(claimed, decided).await
    }

    /// Begins with a renewal: what a poll brought may have waited in a machine that was suspended,
    /// until the message was somebody else's. Then the run goes on until it ends or the lease does;
    /// whatever it is in the midst of is dropped then, and what it started is killed.
    async fn run_under_lease(
        &self,
        claimed: Claimed,
        decided: Option<(&Decision, Disposition)>,
    ) -> Ended {
        let to_its_end = async {
            match (claimed.hold.renew().await, decided) {
                (Err(_), _) => self.abandon(&claimed),
                (Ok(()), Some((decision, disposition))) => {
                    self.tell_why(&claimed, disposition, decision).await
                }
                (Ok(()), None) => self.to_its_end(&claimed).await,
            }
        };
        let disposition = tokio::select! {
            biased;
            () = claimed.hold.lost().cancelled() => self.abandon(&claimed),
            disposition = to_its_end => disposition,
        };
        self.clear(&claimed).await;
        Ended { run: Some(claimed.id), disposition }
    }

    async fn to_its_end(&self, claimed: &Claimed) -> Disposition {
        let _turn = self.turns.take(&claimed.task).await;
        let published = tokio::select! {
            published = self.execute(claimed.clone()) => published,
            () = passed(claimed.received_at, LONGEST_RUN) => Err(Failure::OutOfTime),
        };
        let published = match published {
            Err(failure @ (Failure::IssueClosed | Failure::LabelRemoved(_))) => {
                self.unless_done(claimed, failure).await
            }
            published => published,
        };
        match published {
            Ok(published) => self.settle(claimed, published).await,
            Err(failure) => self.report(claimed, failure, None).await,
        }
    }

    /// Who took the label off may be another worker that had the task too, and who closed the issue
    /// a person who merged what that one made.
    async fn unless_done(
        &self,
        claimed: &Claimed,
        called_off: Failure,
    ) -> Result<Published, Failure> {
        match self.find_branch(&claimed.task).await? {
            (_, Existing::Published(pull_request) | Existing::Merged(pull_request)) => {
                Ok(Published { pull_request, red: Vec::new() })
            }
            (
                _,
                Existing::None | Existing::Open(_) | Existing::Rejected { .. } | Existing::Ended,
            ) => Err(called_off),
        }
    }

    /// The whole way of a task.
    async fn execute(&self, claimed: Claimed) -> Result<Published, Failure> {
        let admitted = match self.admit(claimed).await? {
            Admission::Granted(admitted) => *admitted,
            Admission::AlreadyPublished(published) => return Ok(published),
        };
        let prepared = self.prepare(admitted).await?;
        let watched = prepared.claimed.clone();
        let changed = self.while_wanted(&watched, self.implement(prepared)).await?;
        let checked = self.while_wanted(&watched, self.check(changed)).await?;
        let approved = self.approve(checked).await?;
        self.ensure_still_wanted(&watched.task).await?;
        self.publish(approved).await
    }

    /// Makes a task of the message, if this worker is to work on it at all, and begins its record:
    /// after a run of it that was broken off, where that one was.
    fn claim(
        &self,
        delivery: &Delivery,
        attempt: Attempt,
        hold: LeaseHandle,
    ) -> Result<Claimed, Failure> {
        if self.journal.last_outcome(&delivery.message_id)? == Some(Outcome::Failed) {
            return Err(Failure::AlreadyReported);
        }
        let task = Task::decode(delivery.body.as_bytes())?;
        if !self.config.allows(&task.repository) {
            return Err(Failure::RepositoryNotAllowed(task.repository));
        }
        let earlier = self.journal.broken_off(&task.key())?;
        let (id, began) =
            self.journal.begin(&task, delivery, hold.end(), earlier, Timestamp::now())?;
        self.open_run(id, task, delivery, began, attempt, hold)
    }

    fn reclaim(
        &self,
        left: &Unreleased,
        attempt: Attempt,
        hold: LeaseHandle,
    ) -> Result<Claimed, Failure> {
        let task = Task::decode(left.delivery.body.as_bytes())?;
        let claimed = self.open_run(left.run, task, &left.delivery, left.began, attempt, hold)?;
        self.note(&claimed, "taken up again: the worker was stopped or died")?;
        for act in self.journal.unfinished_effects(claimed.id)? {
            self.note(
                &claimed,
                &format!("{} ({}) may have been done: looking", act.act, act.detail),
            )?;
        }
        Ok(claimed)
    }

    fn open_run(
        &self,
        id: RunId,
        task: Task,
        delivery: &Delivery,
        began: Timestamp,
        attempt: Attempt,
        hold: LeaseHandle,
    ) -> Result<Claimed, Failure> {
        let directory = journal::run_directory(&self.config.data_dir, id);
        std::fs::create_dir_all(directory.join(SCRATCH)).map_err(|source| Failure::Local {
            what: format!("can't make the run's directory {}", directory.display()),
            source,
        })?;
        let lease = hold.clone();
        let publisher =
            self.publisher.permitted(Permit::new(move || lease.is_held(Timestamp::now())));
        let past = self.past(id)?;
        let (cut, received_at) = (delivery.cut.clone(), delivery.received_at);
        Ok(Claimed { task, cut, id, attempt, directory, hold, publisher, received_at, began, past })
    }

    /// Asks the forge whether the task is still wanted, and says on the issue that it is being
    /// worked on.
    async fn admit(&self, mut claimed: Claimed) -> Result<Admission, Failure> {
        let task = &claimed.task;
        self.note(&claimed, &format!("{}: {}", task.key(), task.title))?;
        self.note_past(&claimed)?;
        let (branch, existing) = self.find_branch(task).await?;
        match existing {
            Existing::Published(pull_request) | Existing::Merged(pull_request) => {
                return Ok(Admission::AlreadyPublished(Published {
                    pull_request,
                    red: Vec::new(),
                }));
            }
            Existing::Rejected { number } => return Err(Failure::PullRequestClosed { number }),
            Existing::Open(_) | Existing::None | Existing::Ended => {}
        }
        let issue = self.ensure_still_wanted(task).await?;
        if let Some(cut) = &claimed.cut {
            let body = issue.body.unwrap_or_default();
            if !cut.is_of(&body) {
                return Err(Failure::EditedSinceLabeled);
            }
            claimed.task.body = body;
        }
        self.authorize(&claimed.task).await?;
        self.enter(&claimed, Stage::Admit, "the issue is open and labelled").await?;
        let hidden = publish::hidden_characters(&claimed.task);
        if hidden > 0 {
            self.note(
                &claimed,
                &format!("{hidden} characters of the issue are not shown by GitHub: the agent does not get them"),
            )?;
        }
        self.note(&claimed, &format!("sandbox: {}", self.sandbox.report().level))?;
        Ok(Admission::Granted(Box::new(Admitted { claimed, branch })))
    }

    /// Brings the repository here and sees how its checks stand.
    async fn prepare(&self, admitted: Admitted) -> Result<Prepared, Failure> {
        let Admitted { claimed, branch } = admitted;
        self.enter(&claimed, Stage::Prepare, "fetching the repository").await?;
        let cache = self.caches.open(&claimed.task.repository).await?;
        if let Some(ground) = claimed.past.ground.clone() {
            let workspace = cache.prepare(&claimed.directory.join(TREES), &ground.base).await?;
            return Ok(Prepared { claimed, branch, workspace, ground });
        }
        let base = cache.fetch(&self.remote(&claimed.task)).await?;
        let plan = self.plan(&cache, &base.commit, &base.commit).await?;
        let workspace = cache.prepare(&claimed.directory.join(TREES), &base).await?;
        self.note(&claimed, &format!("{} at {}", base.branch, base.commit))?;
        let ground = PreparedBase { base, plan, baseline: Baseline::default(), notes: Vec::new() };
        self.baseline(Prepared { claimed, branch, workspace, ground }).await
    }

    /// Which checks a repository has: what the base's own file says, else what the files of
    /// `commit` show it to be.
    async fn plan(
        &self,
        cache: &Cache,
        base: &CommitId,
        commit: &CommitId,
    ) -> Result<Plan, Failure> {
        let file = repository_file(cache, base).await?;
        let files = cache.files_at(commit).await?;
        let paths: Vec<&str> = files.iter().filter_map(RepoPath::as_str).collect();
        let mut contents = Manifests::default();
        for manifest in Plan::manifests(&paths) {
            let path = RepoPath::new(manifest.into());
            match cache.file_at(commit, &path, LARGEST_MANIFEST).await {
                Ok(Some(content)) => contents.add(manifest, content),
                Ok(None) => contents.add_unreadable(manifest, UnreadableReason::NotAFile),
                Err(WorkspaceError::TooLarge { .. }) => {
                    let reason = UnreadableReason::TooLarge { limit: LARGEST_MANIFEST };
                    contents.add_unreadable(manifest, reason);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Plan::detect(&paths, &contents, &file, self.config.checks.timeout))
    }

    /// Pushes the branch and opens the pull request, each right after the lease was renewed.
    async fn publish(&self, mut approved: Approved) -> Result<Published, Failure> {
        let Checked { prepared, progress, .. } = &mut approved.checked;
        let Prepared { claimed, branch, workspace, ground } = &*prepared;
        self.enter(claimed, Stage::Publish, &format!("pushing {branch}")).await?;
        let (cache, remote) = (workspace.cache(), self.remote(&claimed.task));
        if cache.announced(&remote).await?.commit != ground.base.commit {
            progress.notes.push(Note::BaseMoved);
        }
        let expected = self.expected_at(&claimed.task, cache, &remote, branch).await?;
        let commit = &progress.commit;
        claimed.hold.renew().await?;
        self.journal.publishing(claimed.id, branch.as_str(), commit.as_str())?;
        let pushing = cache.push(&remote, commit, branch, expected.as_ref());
        self.perform(claimed, Effect::Push, &format!("{commit} to {branch}"), pushing).await?;

        let red = approved.checked.red();
        let report = publish::report(self, &approved);
        let claimed = &approved.checked.prepared.claimed;
        claimed.hold.renew().await?;
        let opening = claimed.publisher.open_pull_request(&report, !red.is_empty());
        let pull_request =
            self.perform(claimed, Effect::OpenPullRequest, report.branch, opening).await?;
        self.journal.record_pull_request(claimed.id, pull_request.number, &pull_request.url)?;
        self.note(
            claimed,
            &format!("pull request #{}: {}", pull_request.number, pull_request.url),
        )?;
        Ok(Published { pull_request, red })
    }
}

impl Claimed {
    /// How long the task has been worked on.
    fn age(&self) -> Duration {
        Timestamp::now().duration_since(self.began).try_into().unwrap_or_default()
    }
}

impl Checked {
    /// The commands of the checks that keep the change from being merged.
    fn red(&self) -> Vec<String> {
        self.results
            .iter()
            .filter(|result| result.blocks())
            .map(|result| result.ran.command.clone())
            .collect()
    }
}

/// What a repository says itself of how it is worked on. Only the base's counts: an agent may write
/// another.
async fn repository_file(cache: &Cache, base: &CommitId) -> Result<RepositoryFile, Failure> {
    let unusable = |error: RepositoryFileError| Failure::RepositoryFile(error.to_string());
    let path = RepoPath::new(checks::REPOSITORY_FILE.into());
    match cache.file_at(base, &path, LARGEST_MANIFEST).await? {
        Some(text) => RepositoryFile::parse(&text).map_err(unusable),
        None => Ok(RepositoryFile::default()),
    }
}

/// Returns when this long has passed since then, by the wall clock: a machine that slept has less
/// time left.
async fn passed(since: Timestamp, length: SignedDuration) {
    while Timestamp::now().duration_since(since) < length {
        tokio::time::sleep(LOOK).await;
    }
}

/// The file that all output of a run's programs goes to.
#[must_use]
pub fn log_file(data_dir: &Path, run: RunId) -> PathBuf {
    journal::run_directory(data_dir, run).join(LOG)
}
