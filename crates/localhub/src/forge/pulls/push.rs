//! What a push means for pull requests.

use std::collections::HashMap;

use jiff::Timestamp;

use super::super::issues::close;
use super::super::{Forge, Refusal};
use super::closing::record_merge;
use super::follow;
use crate::git::Branches;
use crate::names::RepositoryName;
use crate::store::issues::{self, Filter, Issue, State};
use crate::store::pulls::{self, Pull};
use crate::store::repositories::{self, Repository};
use crate::store::users::User;
use crate::store::{Page, StoreError};

/// What git said about one base and one head.
type Answers = HashMap<(String, String), bool>;

/// What becomes of an open pull request after a push.
enum Consequence {
    /// Its branches have moved, or nothing has happened to it.
    Stays,
    /// Its head branch is gone.
    Closes,
    /// All of its commits are in its base.
    IsMerged,
}

impl Forge {
    /// Applies the consequences of a push that git has accepted.
    ///
    /// A pull request whose head branch is gone is closed. One whose commits are all in its base
    /// is merged. The others remember where their branches are now.
    ///
    /// The actor's permission was checked before the push. It isn't checked again, because the
    /// branches have changed whatever the actor may do now.
    pub(crate) fn after_push(
        &self,
        actor: &User,
        name: &RepositoryName,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.look_then_write(
            |tx| Ok((repositories::by_name(tx, name)?.ok_or(Refusal::NOT_FOUND)?, ())),
            |repository| self.ask_about_merged(repository, name),
            |tx, repository, (), (branches, answers)| {
                let mut decided = Vec::new();
                for issue in
                    issues::list(tx, repository.id, &Filter::open_pulls(), Page::ALL)?.items
                {
                    let Some((before, after)) = moved(&issue, &branches) else { continue };
                    // It was opened, or got another base, since git was asked.
                    let Some(consequence) = decide(&before, &after, &branches, &answers) else {
                        return Ok(None);
                    };
                    decided.push((issue, before, after, consequence));
                }
                repositories::count_branch_change(tx, repository.id, now)?;
                for (mut issue, before, mut pull, consequence) in decided {
                    match consequence {
                        Consequence::Stays => {}
                        Consequence::Closes => close(tx, &mut issue, actor, None, None, now)?,
                        Consequence::IsMerged => {
                            let commit_sha = pull.base_sha.clone();
                            // The diff stays what was merged: it begins where the base was before.
                            pull.base_sha = before.base_sha;
                            record_merge(
                                tx,
                                &repository,
                                &mut issue,
                                &mut pull,
                                actor,
                                &commit_sha,
                                now,
                            )?;
                        }
                    }
                    pulls::update(tx, issue.id, &pull)?;
                    if issue.state == State::Closed {
                        issues::update(tx, &issue, now)?;
                    }
                }
                Ok(Some(()))
            },
        )
    }

    /// Reads the branches, and asks git which open pull requests have all their commits in a base
    /// that has moved.
    fn ask_about_merged(
        &self,
        repository: &Repository,
        name: &RepositoryName,
    ) -> Result<(Branches, Answers), Refusal> {
        let path = self.path(name);
        let branches = self.git.branches(&path)?;
        let open: Result<_, StoreError> =
            self.store.read(|tx| issues::list(tx, repository.id, &Filter::open_pulls(), Page::ALL));
        let mut answers = Answers::new();
        for issue in open?.items {
            let Some((before, after)) = moved(&issue, &branches) else { continue };
            if after.base_sha != before.base_sha && branches.contains_key(&after.head_ref) {
                let merged =
                    self.git.commits_between(&path, &after.base_sha, &after.head_sha)? == 0;
                answers.insert((after.base_sha, after.head_sha), merged);
            }
        }
        Ok((branches, answers))
    }
}

/// The pull request as it was and as its branches are now. `None` while it is being merged: then
/// the merge decides, which compares the base branch itself (see `merge`).
fn moved(issue: &Issue, branches: &Branches) -> Option<(Pull, Pull)> {
    let before = issue.pull.clone().filter(|pull| pull.merging.is_none())?;
    let mut after = before.clone();
    follow(&mut after, branches);
    Some((before, after))
}

/// `None` when git was not asked about these two commits.
fn decide(
    before: &Pull,
    after: &Pull,
    branches: &Branches,
    answers: &Answers,
) -> Option<Consequence> {
    if !branches.contains_key(&after.head_ref) {
        return Some(Consequence::Closes);
    }
    if after.base_sha == before.base_sha {
        return Some(Consequence::Stays);
    }
    let merged = *answers.get(&(after.base_sha.clone(), after.head_sha.clone()))?;
    Some(if merged { Consequence::IsMerged } else { Consequence::Stays })
}
