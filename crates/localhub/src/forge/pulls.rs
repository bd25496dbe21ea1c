//! Pull requests between branches of one repository: opening, listing, editing, and what a push
//! means for them.
//!
//! Invariant: while a pull request is open its two object names are the branches' own, read from
//! the bare repository.

pub(crate) mod merge;

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::Transaction;

use super::issues::{IssueChange, apply, close, found};
use super::{FieldError, Forge, Refusal, admit, check_body, check_title, refuse_if_any};
use crate::git::ChangedFile;
use crate::names::{RepositoryName, is_branch};
use crate::permission::Permission;
use crate::store::events::{self, Change};
use crate::store::issues::{self, Filter, Issue, State};
use crate::store::pulls::{self, Pull};
use crate::store::repositories::{self, Repository};
use crate::store::users::User;
use crate::store::{Page, Paged};

/// What a new pull request is made of; `head` is `branch` or `owner:branch`.
#[derive(Debug)]
pub(crate) struct NewPull {
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) head: String,
    pub(crate) base: String,
    pub(crate) draft: bool,
}

/// What a caller wants to change of a pull request beside its issue's side.
#[derive(Debug, Default)]
pub(crate) struct PullChange {
    pub(crate) issue: IssueChange,
    pub(crate) base: Option<String>,
    pub(crate) draft: Option<bool>,
}

/// An issue that is a pull request, with both as they stand.
#[derive(Debug)]
pub(crate) struct PullRequest {
    pub(crate) repository: Repository,
    pub(crate) issue: Issue,
    pub(crate) pull: Pull,
}

/// What takes git to find out: GitHub gives it for one pull request, not in lists.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) commits: u64,
    pub(crate) files: Vec<ChangedFile>,
    /// `None` when there is nothing to merge any more.
    pub(crate) mergeable: Option<bool>,
}

impl Forge {
    pub(crate) fn create_pull(
        &self,
        actor: &User,
        name: &RepositoryName,
        new: &NewPull,
        now: Timestamp,
    ) -> Result<PullRequest, Refusal> {
        // Alone in one transaction from the look for an equal one to the insertion: of two racing
        // requests one is refused.
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Write)?;
            let pull = self.check_new(tx, &repository, name, new)?;
            let (id, number) =
                issues::insert(tx, repository.id, actor.id, &new.title, new.body.as_deref(), now)?;
            pulls::insert(tx, id, &pull)?;
            let issue = found(tx, &repository, number)?;
            Ok(PullRequest { repository, issue, pull })
        })
    }

    fn check_new(
        &self,
        tx: &Transaction<'_>,
        repository: &Repository,
        name: &RepositoryName,
        new: &NewPull,
    ) -> Result<Pull, Refusal> {
        let mut errors = Vec::new();
        check_title("PullRequest", &new.title, &mut errors);
        check_body("PullRequest", new.body.as_deref().unwrap_or_default(), &mut errors);
        refuse_if_any(errors)?;

        let invalid = |field| Refusal::invalid(FieldError::new("PullRequest", field, "invalid"));
        let whole = |message: String| Refusal::invalid(FieldError::whole("PullRequest", message));
        let path = self.path(name);
        let sha_of = |branch: &str| {
            if is_branch(branch) { self.git.branch(&path, branch) } else { Ok(None) }
        };
        let (owner, head) = match new.head.split_once(':') {
            Some((owner, branch)) => (owner, branch),
            None => (repository.owner.login.as_str(), new.head.as_str()),
        };
        // Another owner's branch would be a fork's, and there are none here.
        if !owner.eq_ignore_ascii_case(&repository.owner.login) {
            return Err(invalid("head"));
        }
        let base_sha = sha_of(&new.base)?.ok_or_else(|| invalid("base"))?;
        let head_sha = sha_of(head)?.ok_or_else(|| invalid("head"))?;
        if pulls::open_between(tx, repository.id, head, &new.base)?.is_some() {
            return Err(whole(format!(
                "A pull request already exists for {}:{head}.",
                repository.owner.login
            )));
        }
        if self.git.merge_base(&path, &base_sha, &head_sha)?.is_none() {
            return Err(whole(format!(
                "The {head} branch has no history in common with {}",
                new.base
            )));
        }
        if self.git.commits_between(&path, &base_sha, &head_sha)? == 0 {
            return Err(whole(format!("No commits between {} and {head}", new.base)));
        }
        Ok(Pull {
            head_ref: head.to_owned(),
            head_sha,
            base_ref: new.base.clone(),
            base_sha,
            draft: new.draft,
            merged_at: None,
            merged_by: None,
            merge_commit_sha: None,
        })
    }

    pub(crate) fn pull(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
    ) -> Result<PullRequest, Refusal> {
        let (repository, issue) = self.issue(actor, name, number)?;
        self.live(name, repository, issue, None)
    }

    pub(crate) fn pulls(
        &self,
        actor: &User,
        name: &RepositoryName,
        filter: &Filter,
        page: Page,
    ) -> Result<Paged<PullRequest>, Refusal> {
        let (repository, listed) = self.issues(actor, name, filter, page)?;
        let branches = self.git.branches(&self.path(name))?;
        let live = |issue| self.live(name, repository.clone(), issue, Some(&branches));
        Ok(Paged {
            items: listed.items.into_iter().map(live).collect::<Result<_, _>>()?,
            total: listed.total,
        })
    }

    /// Brings the object names of an open pull request up to where its branches stand now.
    fn live(
        &self,
        name: &RepositoryName,
        repository: Repository,
        issue: Issue,
        branches: Option<&HashMap<String, String>>,
    ) -> Result<PullRequest, Refusal> {
        let mut pull = issue.pull.clone().ok_or(Refusal::NOT_FOUND)?;
        if issue.state == State::Open {
            let known;
            let branches = match branches {
                Some(branches) => branches,
                None => {
                    known = self.git.branches(&self.path(name))?;
                    &known
                }
            };
            follow(&mut pull, branches);
        }
        Ok(PullRequest { repository, issue, pull })
    }

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

    pub(crate) fn change_pull(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        change: &PullChange,
        now: Timestamp,
    ) -> Result<PullRequest, Refusal> {
        let branches = self.git.branches(&self.path(name))?;
        self.store.write(|tx| {
            let (repository, held) = admit(tx, actor, name, Permission::Read)?;
            let mut issue = found(tx, &repository, number)?;
            let mut pull = issue.pull.clone().ok_or(Refusal::NOT_FOUND)?;
            if issue.state == State::Open {
                follow(&mut pull, &branches);
            }
            let opens = issue.state == State::Closed && change.issue.state == Some(State::Open);
            if opens && !branches.contains_key(&pull.head_ref) {
                let message = format!(
                    "state cannot be changed. The {} branch has been deleted.",
                    pull.head_ref
                );
                return Err(Refusal::invalid(FieldError::custom("PullRequest", "state", message)));
            }
            if let Some(base) = &change.base {
                let invalid =
                    || Refusal::invalid(FieldError::new("PullRequest", "base", "invalid"));
                pull.base_sha = branches.get(base).cloned().ok_or_else(invalid)?;
                pull.base_ref.clone_from(base);
            }
            if let Some(draft) = change.draft.filter(|draft| *draft != pull.draft) {
                let happening = if draft { Change::ConvertToDraft } else { Change::ReadyForReview };
                events::insert(tx, issue.id, actor.id, &happening, now)?;
                pull.draft = draft;
            }
            let twin = pulls::open_between(tx, repository.id, &pull.head_ref, &pull.base_ref)?;
            let will_be_open =
                opens || (issue.state == State::Open && change.issue.state != Some(State::Closed));
            if will_be_open && twin.is_some_and(|other| other != number) {
                let message = format!(
                    "A pull request already exists for {}:{}.",
                    repository.owner.login, pull.head_ref
                );
                return Err(Refusal::invalid(FieldError::whole("PullRequest", message)));
            }
            pulls::update(tx, issue.id, &pull)?;
            issue.pull = Some(pull.clone());
            apply(tx, &repository, issue, actor, held, &change.issue, now)?;
            let issue = found(tx, &repository, number)?;
            Ok(PullRequest { repository, issue, pull })
        })
    }

    /// Draws the consequences of a push: a pull request whose head branch is gone closes, one whose
    /// commits are all in its base is merged, and the others remember where their branches stand.
    pub(crate) fn after_push(
        &self,
        actor: &User,
        name: &RepositoryName,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let path = self.path(name);
        let branches = self.git.branches(&path)?;
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Write)?;
            repositories::touch_pushed(tx, repository.id, now)?;
            let open = issues::list(tx, repository.id, &Filter::open_pulls(), Page::ALL)?;
            for mut issue in open.items {
                let Some(before) = issue.pull.clone() else { continue };
                let mut pull = before.clone();
                follow(&mut pull, &branches);
                if !branches.contains_key(&pull.head_ref) {
                    close(tx, &mut issue, actor, None, None, now)?;
                } else if pull.base_sha != before.base_sha
                    && self.git.commits_between(&path, &pull.base_sha, &pull.head_sha)? == 0
                {
                    pull.merge_commit_sha = Some(pull.base_sha.clone());
                    // The diff stays the one that was merged: from where the base stood before.
                    pull.base_sha = before.base_sha;
                    merge::record(tx, &repository, &mut issue, &mut pull, actor, now)?;
                }
                pulls::update(tx, issue.id, &pull)?;
                issues::update(
                    tx,
                    &issue,
                    if issue.state == State::Open { issue.updated_at } else { now },
                )?;
            }
            Ok(())
        })
    }
}

fn follow(pull: &mut Pull, branches: &HashMap<String, String>) {
    if let Some(sha) = branches.get(&pull.head_ref) {
        pull.head_sha.clone_from(sha);
    }
    if let Some(sha) = branches.get(&pull.base_ref) {
        pull.base_sha.clone_from(sha);
    }
}
