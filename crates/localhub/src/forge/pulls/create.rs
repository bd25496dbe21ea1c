//! Opening a pull request.

use jiff::Timestamp;

use super::super::{
    FieldError, Forge, Refusal, admit, check_body, check_title, found, refuse_if_any,
};
use super::PullRequest;
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::pulls::{self, Pull};
use crate::store::repositories::Repository;
use crate::store::users::User;
use crate::store::{StoreError, issues};

/// The values of a new pull request.
#[derive(Debug)]
pub(crate) struct NewPull {
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    /// `branch` or `owner:branch`.
    pub(crate) head: String,
    pub(crate) base: String,
    pub(crate) draft: bool,
}

impl Forge {
    /// Opens a pull request.
    pub(crate) fn create_pull(
        &self,
        actor: &User,
        name: &RepositoryName,
        new: &NewPull,
        now: Timestamp,
    ) -> Result<PullRequest, Refusal> {
        self.look_then_write(
            |tx| admit(tx, actor, name, Permission::Write),
            |repository| self.check_new(repository, name, new),
            |tx, repository, _, pull| {
                // Another request may have opened it since `check_new` looked. Both look here
                // again, one after the other, and the second is refused.
                let twin = pulls::open_between(tx, repository.id, &pull.head_ref, &pull.base_ref)?;
                if twin.is_some() {
                    return Err(already_exists(&repository, &pull.head_ref));
                }
                let body = new.body.as_deref();
                let (id, number) =
                    issues::insert(tx, repository.id, actor.id, &new.title, body, now)?;
                pulls::insert(tx, id, &pull)?;
                let issue = found(tx, &repository, number)?;
                Ok(Some(PullRequest { repository, issue, pull }))
            },
        )
    }

    /// Checks a new pull request in the order in which GitHub does, which decides the answer when
    /// several things are wrong with it.
    fn check_new(
        &self,
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
        let branches = self.git.branches(&path)?;
        let (owner, head) = match new.head.split_once(':') {
            Some((owner, branch)) => (owner, branch),
            None => (repository.owner.login.as_str(), new.head.as_str()),
        };
        // A branch of another owner would be in a fork, and this forge has none.
        if !owner.eq_ignore_ascii_case(&repository.owner.login) {
            return Err(invalid("head"));
        }
        let base_sha = branches.get(&new.base).ok_or_else(|| invalid("base"))?;
        let head_sha = branches.get(head).ok_or_else(|| invalid("head"))?;
        let twin: Result<_, StoreError> =
            self.store.read(|tx| pulls::open_between(tx, repository.id, head, &new.base));
        if twin?.is_some() {
            return Err(already_exists(repository, head));
        }
        if self.git.merge_base(&path, base_sha, head_sha)?.is_none() {
            return Err(whole(format!(
                "The {head} branch has no history in common with {}",
                new.base
            )));
        }
        if self.git.commits_between(&path, base_sha, head_sha)? == 0 {
            return Err(whole(format!("No commits between {} and {head}", new.base)));
        }
        Ok(Pull {
            head_ref: head.to_owned(),
            head_sha: head_sha.clone(),
            base_ref: new.base.clone(),
            base_sha: base_sha.clone(),
            draft: new.draft,
            merged_at: None,
            merged_by: None,
            merge_commit_sha: None,
            merging: None,
        })
    }
}

/// GitHub allows one open pull request from a head into a base.
pub(super) fn already_exists(repository: &Repository, head: &str) -> Refusal {
    let message = format!("A pull request already exists for {}:{head}.", repository.owner.login);
    Refusal::invalid(FieldError::whole("PullRequest", message))
}
