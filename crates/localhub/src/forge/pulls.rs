//! Pull requests between branches of one repository.
//!
//! This file reads them. `create` opens them, `change` edits them, `merge` merges them, and `push`
//! applies what a push means for them.
//!
//! Invariant: the two commits of an open pull request are those of its branches. They are read from
//! the bare repository, and the row only remembers them.

mod change;
mod closing;
mod create;
mod merge;
mod push;

use crate::git::{Branches, ChangedFile};
use crate::names::RepositoryName;
use crate::store::issues::{Filter, Issue, State};
use crate::store::pulls::Pull;
use crate::store::repositories::Repository;
use crate::store::users::User;
use crate::store::{Page, Paged};

use super::{Forge, Refusal};

pub(crate) use change::PullChange;
pub(crate) use create::NewPull;
pub(crate) use merge::Merge;

/// An issue that is a pull request.
#[derive(Debug)]
pub(crate) struct PullRequest {
    pub(crate) repository: Repository,
    pub(crate) issue: Issue,
    pub(crate) pull: Pull,
}

/// What only git can tell of a pull request. GitHub tells it of a single one, and not in lists.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) commits: u64,
    pub(crate) files: Vec<ChangedFile>,
    /// `None` when the pull request is closed.
    pub(crate) mergeable: Option<bool>,
}

impl Forge {
    /// One pull request.
    pub(crate) fn pull(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
    ) -> Result<PullRequest, Refusal> {
        let (repository, issue) = self.issue(actor, name, number)?;
        self.with_commits(repository, issue)
    }

    /// A page of the pull requests of a repository.
    pub(crate) fn pulls(
        &self,
        actor: &User,
        name: &RepositoryName,
        filter: &Filter,
        page: Page,
    ) -> Result<Paged<PullRequest>, Refusal> {
        let (repository, listed) = self.issues(actor, name, filter, page)?;
        let branches = self.git.branches(&self.path(name))?;
        let current = |issue| at_branches(repository.clone(), issue, &branches);
        Ok(Paged {
            items: listed.items.into_iter().map(current).collect::<Result<_, _>>()?,
            total: listed.total,
        })
    }

    /// The pull request with the commits that its branches have now.
    fn with_commits(&self, repository: Repository, issue: Issue) -> Result<PullRequest, Refusal> {
        let branches = match issue.state {
            State::Open => {
                let path = self.bare_repository(&repository.owner.login, &repository.name);
                self.git.branches(&path)?
            }
            State::Closed => Branches::new(),
        };
        at_branches(repository, issue, &branches)
    }

    /// Asks git about a pull request.
    pub(crate) fn measure(
        &self,
        name: &RepositoryName,
        request: &PullRequest,
    ) -> Result<Measure, Refusal> {
        let path = self.path(name);
        let (base, head) = (&request.pull.base_sha, &request.pull.head_sha);
        let mergeable = match request.issue.state {
            State::Open => Some(self.git.merge_tree(&path, base, head)?.is_some()),
            State::Closed => None,
        };
        Ok(Measure {
            commits: self.git.commits_between(&path, base, head)?,
            files: self.git.changed_files(&path, base, head, false)?,
            mergeable,
        })
    }

    /// A page of the files that a pull request changes, with their patches.
    pub(crate) fn pull_files(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        page: Page,
    ) -> Result<(PullRequest, Paged<ChangedFile>), Refusal> {
        let request = self.pull(actor, name, number)?;
        let pull = &request.pull;
        let files =
            self.git.changed_files(&self.path(name), &pull.base_sha, &pull.head_sha, true)?;
        Ok((request, page.cut(files)))
    }
}

fn at_branches(
    repository: Repository,
    issue: Issue,
    branches: &Branches,
) -> Result<PullRequest, Refusal> {
    let mut pull = issue.pull.clone().ok_or(Refusal::NOT_FOUND)?;
    if issue.state == State::Open {
        follow(&mut pull, branches);
    }
    Ok(PullRequest { repository, issue, pull })
}

/// Sets the two commits to those of the branches. A branch that is gone leaves its last commit.
fn follow(pull: &mut Pull, branches: &Branches) {
    if let Some(sha) = branches.get(&pull.head_ref) {
        pull.head_sha.clone_from(sha);
    }
    if let Some(sha) = branches.get(&pull.base_ref) {
        pull.base_sha.clone_from(sha);
    }
}
