//! Comments on issues and pull requests.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::{FieldError, Forge, Refusal, admit, check_body, found, refuse_if_any};
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::comments::{self, Comment};
use crate::store::repositories::Repository;
use crate::store::users::User;
use crate::store::{Page, Paged, issues};

impl Forge {
    /// The comments on one issue, oldest first, without those last changed before `since`.
    pub(crate) fn comments(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        since: Option<Timestamp>,
        page: Page,
    ) -> Result<(Repository, Paged<Comment>), Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            let issue = found(tx, &repository, number)?;
            let comments = comments::of_issue(tx, issue.id, since, page)?;
            Ok((repository, comments))
        })
    }

    /// One comment.
    pub(crate) fn comment(
        &self,
        actor: &User,
        name: &RepositoryName,
        id: i64,
    ) -> Result<(Repository, Comment), Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            let comment = comments::by_id(tx, repository.id, id)?.ok_or(Refusal::NOT_FOUND)?;
            Ok((repository, comment))
        })
    }

    /// Adds a comment, which whoever may read the repository can do.
    pub(crate) fn create_comment(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        body: &str,
        now: Timestamp,
    ) -> Result<(Repository, Comment), Refusal> {
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            let issue = found(tx, &repository, number)?;
            check(body)?;
            let id = comments::insert(tx, issue.id, actor.id, body, now)?;
            issues::touch(tx, issue.id, now)?;
            let comment = comments::by_id(tx, repository.id, id)?.ok_or(Refusal::NOT_FOUND)?;
            Ok((repository, comment))
        })
    }

    /// Replaces the text of a comment.
    pub(crate) fn edit_comment(
        &self,
        actor: &User,
        name: &RepositoryName,
        id: i64,
        body: &str,
        now: Timestamp,
    ) -> Result<(Repository, Comment), Refusal> {
        self.store.write(|tx| {
            let repository = own_or_write(tx, actor, name, id)?;
            check(body)?;
            comments::update(tx, id, body, now)?;
            let comment = comments::by_id(tx, repository.id, id)?.ok_or(Refusal::NOT_FOUND)?;
            Ok((repository, comment))
        })
    }

    /// Deletes a comment.
    pub(crate) fn delete_comment(
        &self,
        actor: &User,
        name: &RepositoryName,
        id: i64,
    ) -> Result<(), Refusal> {
        self.store.write(|tx| {
            own_or_write(tx, actor, name, id)?;
            Ok(comments::delete(tx, id)?)
        })
    }
}

/// The repository, if the actor wrote the comment or may write to the repository.
fn own_or_write(
    tx: &Transaction<'_>,
    actor: &User,
    name: &RepositoryName,
    id: i64,
) -> Result<Repository, Refusal> {
    let (repository, held) = admit(tx, actor, name, Permission::Read)?;
    let comment = comments::by_id(tx, repository.id, id)?.ok_or(Refusal::NOT_FOUND)?;
    if comment.author.id != actor.id && held < Permission::Write {
        return Err(Refusal::NOT_ALLOWED);
    }
    Ok(repository)
}

fn check(body: &str) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    if body.trim().is_empty() {
        errors.push(FieldError::new("IssueComment", "body", "missing_field"));
    }
    check_body("IssueComment", body, &mut errors);
    refuse_if_any(errors)
}
