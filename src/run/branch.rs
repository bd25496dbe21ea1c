//! Which branch a task is published on, and whose commits are on it.
//!
//! A task goes on the issue's branch as long as that one's pull request is open, or there is none.
//! One that was closed or merged stays as a person left it, and the next task of the issue gets the
//! next branch: `codingworker/issue-7`, `codingworker/issue-7-2`, and so on. What is found is the
//! forge's own state, so a retry, on whatever machine, comes to the same branch.

use super::{Failure, Services};
use crate::git::{BranchName, CommitId};
use crate::publish::{self, Existing};
use crate::task::Task;
use crate::workspace::{Cache, Remote};

/// An issue whose tasks were published and closed this often is one for a person.
const MOST_BRANCHES: u32 = 100;

impl Services {
    /// The branch of a task, and what is known of its pull requests.
    pub(super) async fn find_branch(&self, task: &Task) -> Result<(BranchName, Existing), Failure> {
        let first = format!("{}{}", self.config.publish.branch_prefix, task.issue_number);
        let mut name = first.clone();
        for next in 2..=MOST_BRANCHES {
            let branch: BranchName = name.parse()?;
            match self.publisher.existing(task, branch.as_str()).await? {
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

    /// Where the branch is at the remote, if everything on it is of a worker's making.
    pub(super) async fn expected_at(
        &self,
        task: &Task,
        cache: &Cache,
        remote: &Remote,
        branch: &BranchName,
    ) -> Result<Option<CommitId>, Failure> {
        let Some(tip) = cache.remote_branch(remote, branch).await? else { return Ok(None) };
        let ours = self.journal.knows_push(&task.repository, branch.as_str(), tip.as_str()).await?
            || self.is_of_a_worker(task, cache, remote, branch, &tip).await?;
        if ours { Ok(Some(tip)) } else { Err(Failure::BranchTaken(branch.clone())) }
    }

    /// Whether another worker made the branch: it holds one commit, written and committed by one
    /// identity in one second, and signed off for a task of this issue. What a person adds or
    /// amends has another committer, another time or another parent.
    async fn is_of_a_worker(
        &self,
        task: &Task,
        cache: &Cache,
        remote: &Remote,
        branch: &BranchName,
        tip: &CommitId,
    ) -> Result<bool, Failure> {
        let commit = cache.fetch_commit(remote, branch, tip).await?;
        Ok(commit.parents == 1
            && commit.author == commit.committer
            && publish::is_made_for(task, &commit.message))
    }
}
