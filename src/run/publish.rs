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
use crate::publish::{self, NoTest, Note, PullRequest};
use crate::task::Task;
use crate::workspace::{Cache, Remote};

/// A change that is on the forge.
pub(super) struct Published {
    pub(super) pull_request: PullRequest,
    /// The checks that keep it from being merged. It is a draft when there are any.
    pub(super) red: RedChecks,
    /// Why no test says that it is right. There are no reasons when an earlier run published it.
    pub(super) not_tested: Vec<NoTest>,
}

impl Published {
    /// An earlier run published the change, and no check was red. A draft was not tested.
    pub(super) fn before(pull_request: PullRequest) -> Self {
        Self { pull_request, red: RedChecks::default(), not_tested: Vec::new() }
    }
}

/// Pushes the branch and opens the pull request.
pub(super) async fn publish(
    services: &Services,
    mut approved: ApprovedChange,
) -> Result<Published, Failure> {
    push(services, &mut approved).await?;
    open_pull_request(services, &approved).await
}

async fn push(services: &Services, approved: &mut ApprovedChange) -> Result<(), Failure> {
    let (prepared, progress) = (&approved.checked.prepared, &mut approved.checked.progress);
    let Prepared { run, branch, workspace, base, .. } = prepared;
    enter_stage(services, run, Stage::Publish, &format!("pushing {branch}")).await?;
    let (cache, remote) = (workspace.cache(), services.remote(&run.task.repository));
    if cache.announced(&remote).await?.commit != base.base.commit {
        progress.notes.push(Note::BaseMoved);
    }
    let expected = expected_at(services, run, cache, &remote, branch).await?;
    let commit = &progress.commit;
    run.lease.renew().await?;
    services.journal.publishing(run.id, branch.as_str(), commit.as_str()).await?;
    let pushing = cache.push(&remote, commit, branch, expected.as_ref());
    perform(services, run, Effect::Push, &format!("{commit} to {branch}"), pushing).await
}

async fn open_pull_request(
    services: &Services,
    approved: &ApprovedChange,
) -> Result<Published, Failure> {
    let run = &*approved.checked.prepared.run;
    let red = approved.checked.red();
    let report = report(services, approved);
    run.lease.renew().await?;
    let opening = run.publisher.open_pull_request(&report, !red.is_empty());
    let pull_request =
        perform(services, run, Effect::OpenPullRequest, report.branch, opening).await?;
    let PullRequest { number, url, .. } = &pull_request;
    services.journal.record_pull_request(run.id, *number, url).await?;
    note(services, run, &format!("pull request #{number}: {url}")).await?;
    let not_tested = if report.untested_is_draft { report.untested } else { Vec::new() };
    Ok(Published { pull_request, red, not_tested })
}

/// Where the branch is at the remote, if a worker made everything on it. The push replaces exactly
/// this commit (git-push, `--force-with-lease`).
async fn expected_at(
    services: &Services,
    run: &RunContext,
    cache: &Cache,
    remote: &Remote,
    branch: &BranchName,
) -> Result<Option<CommitId>, Failure> {
    let Some(tip) = cache.remote_branch(remote, branch).await? else { return Ok(None) };
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
