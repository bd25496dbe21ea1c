//! Admission: whether the task is still wanted, by somebody who may decide it, and where its change
//! goes.

use std::sync::Arc;

use super::Failure;
use super::checkpoint::Checkpoint;
use super::claim::Claimed;
use super::context::RunContext;
use super::effects::{enter_stage, note};
use super::services::Services;
use crate::errors;
use crate::git::BranchName;
use crate::github::settings::Trust;
use crate::github::{GitHubError, Issue, Permission};
use crate::journal::Stage;
use crate::publish::{Existing, FAILED_LABEL, PullRequest, TASK_LABEL};
use crate::task::visible::{visible, visible_title};
use crate::task::{Task, Trigger};
use crate::workspace::{Cache, RemoteReferences};

/// An issue whose tasks were published and then closed or merged this often needs a person.
const MOST_BRANCHES: u32 = 100;

/// A claimed task that the forge still wants, and the branch that its change is published on.
pub(super) struct Admitted {
    pub(super) run: Arc<RunContext>,
    pub(super) checkpoint: Checkpoint,
    /// The task with the whole text of the issue.
    pub(super) task: Task,
    pub(super) branch: BranchName,
    pub(super) cache: Cache,
    /// What the repository at the forge has.
    pub(super) references: RemoteReferences,
}

/// What admission found.
pub(super) enum Admission {
    Granted(Box<Admitted>),
    /// An earlier run of this very task opened the pull request; only settling is left to do.
    AlreadyPublished(PullRequest),
}

/// Asks the forge whether the task is wanted, and says on the issue that work has begun.
pub(super) async fn admit(services: &Services, claimed: Claimed) -> Result<Admission, Failure> {
    let Claimed { run, checkpoint } = claimed;
    let Task { repository, issue_number, title, .. } = &run.task;
    note(services, &run, &format!("{repository}#{issue_number}: {title}")).await?;
    checkpoint.tell(services, &run).await?;
    let admission = match run.task.trigger() {
        Trigger::IssueLabeled { .. } => admit_labeled_issue(services, run, checkpoint).await?,
    };
    if let Admission::Granted(admitted) = &admission {
        let Admitted { run, task, .. } = &**admitted;
        enter_stage(services, run, Stage::Admit, "the issue is open and labelled").await?;
        tell_what_the_agent_gets(services, run, task).await?;
    }
    Ok(admission)
}

/// An issue that bears the label is a task as long as it is open, and its label was set by somebody
/// whom the repository trusts.
async fn admit_labeled_issue(
    services: &Services,
    run: Arc<RunContext>,
    checkpoint: Checkpoint,
) -> Result<Admission, Failure> {
    let (branch, existing) = find_branch(services, &run.task).await?;
    match existing {
        Existing::Published(pull_request) | Existing::Merged(pull_request) => {
            return Ok(Admission::AlreadyPublished(pull_request));
        }
        Existing::Rejected { number } => return Err(Failure::PullRequestClosed { number }),
        Existing::Open(_) | Existing::None | Existing::Ended => {}
    }
    let (cache, references) = ask_for_references(services, &run.task).await?;
    if let Some(other) = references.branch_in_the_way(&branch) {
        return Err(Failure::BranchInTheWay { branch, other });
    }
    let issue = ensure_still_wanted(services, &run.task).await?;
    let task = whole_task(&run, issue)?;
    ensure_something_is_seen(&task)?;
    authorize(services, &task).await?;
    let admitted = Admitted { run, checkpoint, task, branch, cache, references };
    Ok(Admission::Granted(Box::new(admitted)))
}

/// The task with the whole body. A body that the producer had to cut is read from the issue, and
/// counts only while it is what was labelled.
fn whole_task(run: &RunContext, issue: Issue) -> Result<Task, Failure> {
    let mut task = run.task.clone();
    if let Some(cut) = &run.cut {
        let body = issue.body.unwrap_or_default();
        if !cut.is_of(&body) {
            return Err(Failure::EditedSinceLabeled);
        }
        task.body = body;
    }
    Ok(task)
}

/// Asks the forge once for what admission and preparation have to know of the repository. A branch
/// that keeps the task's own from being pushed is found before anybody has worked for it.
async fn ask_for_references(
    services: &Services,
    task: &Task,
) -> Result<(Cache, RemoteReferences), Failure> {
    let cache = services.caches.open(&task.repository).await?;
    let references = cache.references(&services.remote(&task.repository)).await?;
    Ok((cache, references))
}

/// An issue in which nothing is visible asks for nothing that a person decided on.
fn ensure_something_is_seen(task: &Task) -> Result<(), Failure> {
    let seen = [visible_title(&task.title).text, visible(&task.body).text];
    if seen.iter().all(|text| text.trim().is_empty()) {
        return Err(Failure::NothingVisible);
    }
    Ok(())
}

async fn tell_what_the_agent_gets(
    services: &Services,
    run: &RunContext,
    task: &Task,
) -> Result<(), Failure> {
    let hidden = hidden_characters(task);
    if hidden > 0 {
        let text = format!(
            "GitHub does not show {hidden} characters of the issue: the agent does not get them"
        );
        note(services, run, &text).await?;
    }
    note(services, run, &format!("sandbox: {}", services.sandbox.report().level)).await
}

/// How many characters of a task's issue nobody sees at GitHub.
pub(super) fn hidden_characters(task: &Task) -> usize {
    visible_title(&task.title).hidden + visible(&task.body).hidden
}

/// The branch of a task, and what is known of its pull requests.
///
/// A task goes on the issue's branch as long as that branch's pull request is open, or there is
/// none. A branch whose pull request was closed or merged stays as a person left it, and the next
/// task of the issue gets the next branch: `codingworker/issue-7`, `codingworker/issue-7-2`, and so
/// on. The forge's own state decides, so a retry on another machine finds the same branch.
pub(super) async fn find_branch(
    services: &Services,
    task: &Task,
) -> Result<(BranchName, Existing), Failure> {
    let first = format!("{}{}", services.config.publish.branch_prefix, task.issue_number);
    let mut name = first.clone();
    for next in 2..=MOST_BRANCHES {
        let branch: BranchName = name.parse()?;
        match services.publisher.existing(task, branch.as_str()).await? {
            Existing::Ended => name = format!("{first}-{next}"),
            existing @ (Existing::None
            | Existing::Published(_)
            | Existing::Merged(_)
            | Existing::Rejected { .. }
            | Existing::Open(_)) => return Ok((branch, existing)),
        }
    }
    Err(Failure::TooManyBranches(first))
}

/// Whether the repository trusts whoever set the label last, by hand or by a template, as far as
/// `github.trust` asks. The workflow that queues an issue asks the same; the worker does not take
/// its word for it.
async fn authorize(services: &Services, task: &Task) -> Result<(), Failure> {
    let required = match services.config.github.trust {
        Trust::Anybody => return Ok(()),
        Trust::Write => Permission::Write,
        Trust::Admin => Permission::Admin,
    };
    let github = &services.github;
    let labeler = github.labeler(&task.repository, task.issue_number, TASK_LABEL).await?;
    let Some(labeler) = labeler else {
        return Err(Failure::Untrusted { labeler: None });
    };
    let held = match github.permission(&task.repository, &labeler).await {
        // The account is gone, or it never was a person's.
        Err(GitHubError::NotFound { .. }) => Permission::None,
        held => held?,
    };
    if held >= required { Ok(()) } else { Err(Failure::Untrusted { labeler: Some(labeler) }) }
}

/// The task's issue, when it is open and bears the label.
pub(super) async fn ensure_still_wanted(
    services: &Services,
    task: &Task,
) -> Result<Issue, Failure> {
    let issue = services.github.issue(&task.repository, task.issue_number).await?;
    called_off(&issue).map_or(Ok(issue), Err)
}

/// Does `work`, and drops it as soon as a person calls the task off. The drop kills the programs
/// that the work has started.
pub(super) async fn while_wanted<T>(
    services: &Services,
    task: &Task,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        called_off = until_called_off(services, task) => Err(called_off),
    }
}

async fn until_called_off(services: &Services, task: &Task) -> Failure {
    loop {
        tokio::time::sleep(services.config.github.watch_interval).await;
        match services.github.issue(&task.repository, task.issue_number).await {
            Ok(issue) => {
                if let Some(called_off) = called_off(&issue) {
                    return called_off;
                }
            }
            Err(error) if error.is_about_a_lost_issue() => return error.into(),
            Err(error) => wait_out(&error).await,
        }
    }
}

/// Work goes on while the forge does not answer. A forge that limits the worker's rate is left
/// alone for as long as it asks.
async fn wait_out(error: &GitHubError) {
    let text = errors::chain(error);
    tracing::debug!(error = text, "the worker could not ask whether the task is still wanted");
    if let GitHubError::RateLimited { retry_after } = error {
        tokio::time::sleep(*retry_after).await;
    }
}

/// A failed task's issue bears [`FAILED_LABEL`] in place of the task's label. Its message comes
/// again when an operator redrives it, or when it was sent twice, and then it is done after all,
/// unless somebody closed the issue or took that label off too.
fn called_off(issue: &Issue) -> Option<Failure> {
    if !issue.is_open() {
        Some(Failure::IssueClosed)
    } else if !issue.has_label(TASK_LABEL) && !issue.has_label(FAILED_LABEL) {
        Some(Failure::LabelRemoved(TASK_LABEL))
    } else {
        None
    }
}

/// Tells a task that was called off from one that is done. The label may have been removed by
/// another worker that had the task too, and the issue closed by a person who merged what that
/// worker made.
pub(super) async fn published_elsewhere(
    services: &Services,
    task: &Task,
    called_off: Failure,
) -> Result<PullRequest, Failure> {
    match find_branch(services, task).await? {
        (_, Existing::Published(pull_request) | Existing::Merged(pull_request)) => Ok(pull_request),
        (_, Existing::None | Existing::Open(_) | Existing::Rejected { .. } | Existing::Ended) => {
            Err(called_off)
        }
    }
}
