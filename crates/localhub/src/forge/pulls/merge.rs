//! Merging a pull request, as GitHub's merge button does.
//!
//! A merge changes the base branch, which is git's, and rows, which are SQLite's. No transaction
//! has both. So a merge is made in steps:
//!
//! 1. Git makes the merge commit, which no branch has yet.
//! 2. A transaction checks that the pull request can still be merged, and *claims* it: the row
//!    gets the commit as its `merging`. Of two merges at once one gets the claim, and the other is
//!    refused.
//! 3. Git moves the base branch to the commit, if no push has moved it in between.
//! 4. A transaction records the merge and ends the claim.
//!
//! After a failure in between, the base branch tells what happened: if it has the commit, the merge
//! took place and is recorded; if not, the claim is removed. [`Forge::settle_merges`] does that for
//! the merges that a crash has cut off.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::Transaction;
use strum::EnumString;

use super::super::{ATTEMPTS, FieldError, Forge, Refusal, admit, found};
use super::closing::record_merge;
use super::follow;
use crate::git::{GitError, Identity};
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::issues::{self, Issue, State};
use crate::store::pulls::{self, Merging, Pull};
use crate::store::repositories::{self, Repository};
use crate::store::users::User;

const NOT_MERGEABLE: Refusal = Refusal::NotMergeable("Pull Request is not mergeable");

/// What "Merge a pull request" takes.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    pub(crate) title: Option<String>,
    pub(crate) message: Option<String>,
    /// The commit that the head must have for the merge to take place.
    pub(crate) sha: Option<String>,
    /// `merge`, which is the default, or `squash`.
    pub(crate) method: Option<String>,
}

/// How the commits get into the base.
#[derive(Debug, Clone, Copy, EnumString)]
#[strum(serialize_all = "lowercase")]
enum MergeMethod {
    /// By a commit with both branches as parents.
    Merge,
    /// By one commit with all their changes.
    Squash,
    /// Not supported; `allow_rebase_merge` of a repository says so.
    Rebase,
}

/// One request to merge.
struct Request<'a> {
    actor: &'a User,
    name: &'a RepositoryName,
    number: u64,
    merge: &'a Merge,
    squash: bool,
    now: Timestamp,
}

/// A pull request that is claimed for a merge.
struct Claim {
    repository_id: i64,
    issue_id: i64,
    base_ref: String,
    /// Where the base branch was when the commit was made.
    base_sha: String,
    merging: Merging,
}

impl Forge {
    /// Merges a pull request and returns the new commit.
    pub(crate) fn merge_pull(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        merge: &Merge,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let squash = match merge.method.as_deref().unwrap_or("merge").parse() {
            Ok(MergeMethod::Merge) => false,
            Ok(MergeMethod::Squash) => true,
            Ok(MergeMethod::Rebase) => {
                let message = "Rebase merges are not allowed on this repository.";
                return Err(Refusal::NotMergeable(message));
            }
            Err(_) => {
                let error = FieldError::new("PullRequest", "merge_method", "invalid");
                return Err(Refusal::invalid(error));
            }
        };
        let request = Request { actor, name, number, merge, squash, now };
        let path = self.path(name);
        for _ in 0..ATTEMPTS {
            let claim = self.claim(&request)?;
            let commit_sha = claim.merging.commit_sha.clone();
            let moving = self.git.move_branch(&path, &claim.base_ref, &commit_sha, &claim.base_sha);
            let moved = match &moving {
                Ok(()) => true,
                // Git may have failed after it had moved the branch.
                Err(_) => self.has_commit(&path, &claim.base_ref, &commit_sha)?,
            };
            if self.end_claim(&claim, moved, now)? {
                return Ok(commit_sha);
            }
            if let Err(failed) = moving
                && self.git.branch(&path, &claim.base_ref)?.as_ref() == Some(&claim.base_sha)
            {
                // The base is where it was, so no push was the reason.
                return Err(failed.into());
            }
            // A push was faster. It left this pull request to the merge, so what it means for it
            // is applied now.
            self.after_push(actor, name, now)?;
        }
        Err(Refusal::Conflict("Base branch was modified. Review and try the merge again.".into()))
    }

    /// Makes the merge commit and claims the pull request for it.
    fn claim(&self, request: &Request<'_>) -> Result<Claim, Refusal> {
        let Request { actor, name, number, .. } = *request;
        self.look_then_write(
            |tx| admit(tx, actor, name, Permission::Write),
            |repository| {
                let issue = self.store.read(|tx| found(tx, repository, number))?;
                self.make_commit(request, repository, &issue)
            },
            |tx, repository, _, (planned, commit_sha)| {
                let issue = found(tx, &repository, number)?;
                if mergeable(&issue)?.base_ref != planned.base_ref {
                    return Ok(None);
                }
                let merging = Merging { commit_sha, by: actor.id };
                let claimed = Pull { merging: Some(merging.clone()), ..planned };
                pulls::update(tx, issue.id, &claimed)?;
                Ok(Some(Claim {
                    repository_id: repository.id,
                    issue_id: issue.id,
                    base_ref: claimed.base_ref,
                    base_sha: claimed.base_sha,
                    merging,
                }))
            },
        )
    }

    /// Makes the commit of a merge. Returns the pull request with the two commits that it joins,
    /// and the new commit.
    fn make_commit(
        &self,
        request: &Request<'_>,
        repository: &Repository,
        issue: &Issue,
    ) -> Result<(Pull, String), Refusal> {
        let path = self.path(request.name);
        let mut pull = mergeable(issue)?.clone();
        let branches = self.git.branches(&path)?;
        if !branches.contains_key(&pull.base_ref) || !branches.contains_key(&pull.head_ref) {
            return Err(NOT_MERGEABLE);
        }
        follow(&mut pull, &branches);
        if request.merge.sha.as_ref().is_some_and(|sha| *sha != pull.head_sha) {
            let message = "Head branch was modified. Review and try the merge again.";
            return Err(Refusal::Conflict(message.to_owned()));
        }
        let tree =
            self.git.merge_tree(&path, &pull.base_sha, &pull.head_sha)?.ok_or(NOT_MERGEABLE)?;
        let mut parents = vec![pull.base_sha.as_str()];
        if !request.squash {
            parents.push(&pull.head_sha);
        }
        let actor = request.actor;
        let identity = Identity {
            name: actor.login.clone(),
            email: format!("{}+{}@users.noreply.localhub", actor.id, actor.login),
            at: request.now,
        };
        let message = message(request, repository, issue, &pull);
        let commit_sha = self.git.commit_tree(&path, &tree, &parents, &message, &identity)?;
        Ok((pull, commit_sha))
    }

    /// Whether a branch exists and its history has a commit.
    fn has_commit(&self, path: &Path, branch: &str, commit_sha: &str) -> Result<bool, GitError> {
        match self.git.branch(path, branch)? {
            Some(tip) => self.git.is_ancestor(path, commit_sha, &tip),
            None => Ok(false),
        }
    }

    /// Ends a claim: records the merge if the base branch was `moved`, and else removes the claim.
    /// Returns whether the pull request is merged.
    fn end_claim(&self, claim: &Claim, moved: bool, now: Timestamp) -> Result<bool, Refusal> {
        self.store.write(|tx| {
            let (repository, mut issue) = rows(tx, claim.repository_id, claim.issue_id)?;
            let mut pull = issue.pull.clone().ok_or(Refusal::NOT_FOUND)?;
            // Another process that has opened the same forge may have recorded the merge.
            if pull.merged_at.is_some() {
                return Ok(true);
            }
            pull.merging = None;
            if moved {
                let actor = pulls::merger(tx, &claim.merging)?;
                let commit_sha = &claim.merging.commit_sha;
                record_merge(tx, &repository, &mut issue, &mut pull, &actor, commit_sha, now)?;
                repositories::count_branch_change(tx, repository.id, now)?;
                issues::update(tx, &issue, now)?;
            }
            pulls::update(tx, issue.id, &pull)?;
            Ok(moved)
        })
    }

    /// Ends the claims that a crash has left, each by what the base branch says.
    ///
    /// Only for a forge that answers no requests yet: a merge that is under way looks the same.
    pub(crate) fn settle_merges(&self, now: Timestamp) -> Result<(), Refusal> {
        for (repository_id, issue_id) in self.store.read(pulls::merging)? {
            let (repository, issue) = self.store.read(|tx| rows(tx, repository_id, issue_id))?;
            let Some(Pull { base_ref, base_sha, merging: Some(merging), .. }) = issue.pull else {
                continue;
            };
            let path = self.bare_repository(&repository.owner.login, &repository.name);
            let moved = self.has_commit(&path, &base_ref, &merging.commit_sha)?;
            let claim = Claim { repository_id, issue_id, base_ref, base_sha, merging };
            self.end_claim(&claim, moved, now)?;
        }
        Ok(())
    }
}

fn rows(
    tx: &Transaction<'_>,
    repository_id: i64,
    issue_id: i64,
) -> Result<(Repository, Issue), Refusal> {
    let repository = repositories::by_id(tx, repository_id)?.ok_or(Refusal::NOT_FOUND)?;
    let issue = issues::by_id(tx, issue_id)?.ok_or(Refusal::NOT_FOUND)?;
    Ok((repository, issue))
}

/// The pull request, if its row does not speak against a merge.
fn mergeable(issue: &Issue) -> Result<&Pull, Refusal> {
    let pull = issue.pull.as_ref().ok_or(Refusal::NOT_FOUND)?;
    if issue.state == State::Closed {
        return Err(NOT_MERGEABLE);
    }
    if pull.merging.is_some() {
        return Err(Refusal::NotMergeable("Merge already in progress"));
    }
    if pull.draft {
        return Err(Refusal::NotMergeable("Pull Request is still a draft"));
    }
    Ok(pull)
}

/// The message that the caller gave, or GitHub's default for a merge or a squash commit.
fn message(request: &Request<'_>, repository: &Repository, issue: &Issue, pull: &Pull) -> String {
    let number = request.number;
    let title = request.merge.title.clone().unwrap_or_else(|| {
        if request.squash {
            format!("{} (#{number})", issue.title)
        } else {
            let owner = &repository.owner.login;
            format!("Merge pull request #{number} from {owner}/{}", pull.head_ref)
        }
    });
    let body = request
        .merge
        .message
        .clone()
        .unwrap_or_else(|| if request.squash { String::new() } else { issue.title.clone() });
    format!("{title}\n\n{body}").trim_end().to_owned() + "\n"
}
