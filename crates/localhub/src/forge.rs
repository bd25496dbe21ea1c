//! What GitHub does with a request once it knows who asks: permission, validation, effect, event.
//!
//! Owns the rules. SQL is `store`'s, processes are `git`'s, JSON and statuses are `rest`'s.
//! Invariant: `now` is an argument, and a refusal leaves nothing changed.

pub(crate) mod comments;
pub(crate) mod issues;
pub(crate) mod labels;
pub(crate) mod pulls;
pub(crate) mod repositories;

use std::path::PathBuf;

use rusqlite::Transaction;

use crate::git::{Git, GitError};
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::repositories::Repository;
use crate::store::users::User;
use crate::store::{Store, StoreError, repositories as repository_rows};

/// One entry of the `errors` of a 422; see GitHub's page "Troubleshooting the REST API",
/// "Validation Failed".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) resource: &'static str,
    /// `None` when it is about the thing whole.
    pub(crate) field: Option<&'static str>,
    pub(crate) code: &'static str,
    pub(crate) message: Option<String>,
}

impl FieldError {
    pub(crate) fn new(resource: &'static str, field: &'static str, code: &'static str) -> Self {
        Self { resource, field: Some(field), code, message: None }
    }

    /// GitHub's catch-all code, in which the message carries the meaning.
    pub(crate) fn custom(
        resource: &'static str,
        field: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { resource, field: Some(field), code: "custom", message: Some(message.into()) }
    }

    pub(crate) fn whole(resource: &'static str, message: impl Into<String>) -> Self {
        Self { resource, field: None, code: "custom", message: Some(message.into()) }
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    NotFound(&'static str),
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("validation failed")]
    Invalid(Vec<FieldError>),
    #[error("{0}")]
    NotMergeable(&'static str),
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Refusal {
    pub(crate) const NOT_FOUND: Self = Self::NotFound("Not Found");
    const NOT_ALLOWED: Self = Self::Forbidden("Resource not accessible by personal access token");

    pub(crate) fn invalid(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }
}

/// GitHub's limits on text, in characters.
const TITLE_LIMIT: usize = 256;
const BODY_LIMIT: usize = 65_536;

pub(crate) struct Forge {
    pub(crate) store: Store,
    pub(crate) git: Git,
    /// Where the bare repositories are, as `OWNER/NAME.git` in lower case.
    pub(crate) repositories: PathBuf,
}

impl Forge {
    /// Names differ by more than case in SQLite and on GitHub alike, so on the disk they have one
    /// case.
    pub(crate) fn path(&self, name: &RepositoryName) -> PathBuf {
        let owner = name.owner().to_ascii_lowercase();
        self.repositories.join(owner).join(format!("{}.git", name.name().to_ascii_lowercase()))
    }
}

/// What the actor may do to the repository; `None` when to them it does not exist.
pub(crate) fn permission(
    tx: &Transaction<'_>,
    actor: &User,
    repository: &Repository,
) -> Result<Option<Permission>, StoreError> {
    if actor.id == repository.owner.id {
        return Ok(Some(Permission::Admin));
    }
    let granted = repository_rows::granted(tx, repository.id, actor.id)?;
    Ok(granted.or((!repository.private).then_some(Permission::Read)))
}

/// The repository, if the actor may see it and holds at least `needed`.
///
/// GitHub answers 404 for what one may not see, 403 for what one sees and may not do.
pub(crate) fn admit(
    tx: &Transaction<'_>,
    actor: &User,
    name: &RepositoryName,
    needed: Permission,
) -> Result<(Repository, Permission), Refusal> {
    let repository = repository_rows::by_name(tx, name)?.ok_or(Refusal::NOT_FOUND)?;
    match permission(tx, actor, &repository)? {
        None => Err(Refusal::NOT_FOUND),
        Some(held) if held < needed => Err(Refusal::NOT_ALLOWED),
        Some(held) => Ok((repository, held)),
    }
}

fn check_title(resource: &'static str, title: &str, errors: &mut Vec<FieldError>) {
    if title.trim().is_empty() {
        errors.push(FieldError::new(resource, "title", "missing_field"));
    } else if title.chars().count() > TITLE_LIMIT {
        let message = format!("title is too long (maximum is {TITLE_LIMIT} characters)");
        errors.push(FieldError::custom(resource, "title", message));
    }
}

fn check_body(resource: &'static str, body: &str, errors: &mut Vec<FieldError>) {
    if body.chars().count() > BODY_LIMIT {
        let message = format!("body is too long (maximum is {BODY_LIMIT} characters)");
        errors.push(FieldError::custom(resource, "body", message));
    }
}

fn refuse_if_any(errors: Vec<FieldError>) -> Result<(), Refusal> {
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Invalid(errors)) }
}
