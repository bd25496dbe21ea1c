//! Publication: the branch is pushed and the pull request opened, each right after the lease was
//! renewed.

use super::Failure;
use super::context::RunContext;
use super::effects::{enter_stage, note, perform};
use super::gate::ApprovedChange;
use super::outcome::RedChecks;
use super::prepare::Prepared;
use super::report::report;
use super::services::Services;
use crate::git::{BranchName, CommitId};
use crate::journal::{Effect, Stage};
use crate::publish::{self, Existing, NoTest, Note, PullRequest};
use crate::task::Task;
use crate::workspace::{Cache, Remote};

/// A change that is on the forge.
pub(super) enum Published {
    /// The pull request is open, and no check is red.
    PullRequest {
        pull_request: PullRequest,
        /// Why no test says that the change is right. There are no reasons when an earlier run
        /// published it.
        not_tested: Vec<NoTest>,
    },
    /// Checks are red. The change is in a draft, or on a branch alone, which `red` names.
    Red { red: RedChecks, draft: Option<u64> },
}

impl Published {
    /// An earlier run published the change, and no check was red. A draft was not tested.
    pub(super) fn before(pull_request: PullRequest) -> Self {
        Self::PullRequest { pull_request, not_tested: Vec::new() }
    }
}

/// Pushes the branch and opens the pull request.
pub(super) async fn publish(
    services: &Services,
    mut approved: ApprovedChange,
) -> Result<Published, Failure> {
    let branch = approved.checked.prepared.branch.clone();
    let red = approved.checked.red();
    if !red.is_empty() {
        return publish_red(services, approved, &branch, red).await;
    }
    push(services, &mut approved, &branch).await?;
    let (pull_request, not_tested) = open_pull_request(services, &approved, false).await?;
    Ok(Published::PullRequest { pull_request, not_tested })
}

/// Publishes a change with red checks as a draft.
///
/// GitHub's API can't make a draft of a pull request that is ready for review ("Update a pull
/// request"), and somebody may merge it at any moment. A red change therefore never replaces the
/// commit of one: it goes to a branch beside it. Where there are no drafts, which private
/// repositories of GitHub's free plan do not have, the branch is all that is published.
async fn publish_red(
    services: &Services,
    mut approved: ApprovedChange,
    branch: &BranchName,
    red: RedChecks,
) -> Result<Published, Failure> {
    let run = approved.checked.prepared.run.clone();
    let on = |branch: &BranchName, red: RedChecks| Published::Red {
        red: RedChecks { branch: Some(branch.to_string()), ..red },
        draft: None,
    };
    if is_ready(&run, branch).await? {
        let beside: BranchName = format!("{branch}-failed").parse()?;
        push(services, &mut approved, &beside).await?;
        return Ok(on(&beside, red));
    }
    push(services, &mut approved, branch).await?;
    match open_pull_request(services, &approved, true).await {
        Ok((draft, _)) => Ok(Published::Red { red, draft: Some(draft.number) }),
        Err(Failure::GitHub(error)) if error.is_about_drafts() => Ok(on(branch, red)),
        Err(failure) => Err(failure),
    }
}

/// Whether the branch has an open pull request that is ready for review.
async fn is_ready(run: &RunContext, branch: &BranchName) -> Result<bool, Failure> {
    let existing = run.publisher.existing(&run.task, branch.as_str()).await?;
    let open = match &existing {
        Existing::Open(open) | Existing::Published(open) => Some(open),
        Existing::None | Existing::Merged(_) | Existing::Rejected { .. } | Existing::Ended => None,
    };
    Ok(open.is_some_and(|open| !open.draft))
}

async fn push(
    services: &Services,
    approved: &mut ApprovedChange,
    branch: &BranchName,
) -> Result<(), Failure> {
    let (prepared, progress) = (&mut approved.checked.prepared, &mut approved.checked.progress);
    let Prepared { run, workspace, base, .. } = prepared;
    let base = &mut base.base;
    enter_stage(services, run, Stage::Publish, &format!("pushing {branch}")).await?;
    let (cache, remote) = (workspace.cache(), services.remote(&run.task.repository));
    let references = cache.references_for(&remote, &[branch, &base.onto]).await?;
    let default = references.default_branch()?;
    if default.commit != base.commit {
        progress.notes.push(Note::BaseMoved);
    }
    if references.branch(&base.onto)?.is_none() {
        // GitHub refuses a pull request onto a branch that is not there. It was renamed.
        let text =
            format!("there is no branch {} any more: the base is {}", base.onto, default.onto);
        note(services, run, &text).await?;
        base.onto = default.onto;
    }
    let tip = references.branch(branch)?;
    let expected = expected_at(services, run, cache, (&remote, branch), tip).await?;
    let commit = &progress.commit;
    run.lease.renew().await?;
    services.journal.publishing(run.id, branch.as_str(), commit.as_str()).await?;
    let pushing = cache.push(&remote, commit, branch, expected.as_ref());
    perform(services, run, Effect::Push, &format!("{commit} to {branch}"), pushing).await
}

async fn open_pull_request(
    services: &Services,
    approved: &ApprovedChange,
    is_red: bool,
) -> Result<(PullRequest, Vec<NoTest>), Failure> {
    let run = &*approved.checked.prepared.run;
    let report = report(services, approved);
    run.lease.renew().await?;
    let opening = run.publisher.open_pull_request(&report, is_red);
    let pull_request =
        perform(services, run, Effect::OpenPullRequest, report.branch, opening).await?;
    let PullRequest { number, url, .. } = &pull_request;
    services.journal.record_pull_request(run.id, *number, url).await?;
    note(services, run, &format!("pull request #{number}: {url}")).await?;
    let not_tested = if report.untested_is_draft { report.untested } else { Vec::new() };
    Ok((pull_request, not_tested))
}

/// The tip of the branch at the remote, if a worker made everything on it. The push replaces just
/// this commit (git-push, `--force-with-lease`).
async fn expected_at(
    services: &Services,
    run: &RunContext,
    cache: &Cache,
    (remote, branch): (&Remote, &BranchName),
    tip: Option<CommitId>,
) -> Result<Option<CommitId>, Failure> {
    let Some(tip) = tip else { return Ok(None) };
    let task = &run.task;
    let ours = services.journal.knows_push(&task.repository, branch.as_str(), tip.as_str()).await?
        || is_of_a_worker(task, cache, remote, branch, &tip).await?;
    if ours { Ok(Some(tip)) } else { Err(Failure::BranchTaken(branch.clone())) }
}

/// Whether another worker made the branch: it holds one commit, written and committed by one
/// identity in one second, and signed off for a task of this issue. What a person adds or amends
/// has another committer, another time or another parent.
async fn is_of_a_worker(
    task: &Task,
    cache: &Cache,
    remote: &Remote,
    branch: &BranchName,
    tip: &CommitId,
) -> Result<bool, Failure> {
    let commit = cache.fetch_commit(remote, branch, tip).await?;
    let by_one = commit.parents == 1 && commit.author == commit.committer;
    Ok(by_one && publish::is_made_for(task, &commit.message))
}
