//! What GitHub does with a request once it knows who asks: permission, validation, effect, event.
//!
//! This module owns the rules. SQL is `store`'s, processes are `git`'s, JSON and status codes are
//! `rest`'s and `graphql`'s.
//!
//! # Invariants
//!
//! - The time is an argument.
//! - A request that is refused changes nothing.
//! - Git runs outside of transactions. [`Forge::look_then_write`] makes sure that what git said
//!   still holds when a transaction writes what follows from it.

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
use crate::store::issues::{self as issue_rows, Issue};
use crate::store::repositories::Repository;
use crate::store::users::User;
use crate::store::{Store, StoreError, repositories as repository_rows};

/// One entry of the `errors` of a 422; see GitHub's page "Troubleshooting the REST API",
/// "Validation Failed".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) resource: &'static str,
    /// `None` when the error is about the resource as a whole.
    pub(crate) field: Option<&'static str>,
    pub(crate) code: &'static str,
    pub(crate) message: Option<String>,
}

impl FieldError {
    /// An error whose code says all.
    pub(crate) fn new(resource: &'static str, field: &'static str, code: &'static str) -> Self {
        Self { resource, field: Some(field), code, message: None }
    }

    /// An error of GitHub's code `custom`, which leaves the explanation to a message.
    pub(crate) fn custom(
        resource: &'static str,
        field: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { resource, field: Some(field), code: "custom", message: Some(message.into()) }
    }

    /// A `custom` error about no field in particular.
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
    Gone(&'static str),
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
    /// GitHub's answer for what does not exist, and for what the caller may not see.
    pub(crate) const NOT_FOUND: Self = Self::NotFound("Not Found");
    /// GitHub's answer for an issue that was deleted, to whoever may read the repository ("Get an
    /// issue").
    const DELETED: Self = Self::Gone("This issue was deleted");
    const NOT_ALLOWED: Self = Self::Forbidden("Resource not accessible by personal access token");

    /// A refusal for one reason.
    pub(crate) fn invalid(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }
}

/// GitHub's limits on text, in characters.
const TITLE_LIMIT: usize = 256;
const BODY_LIMIT: usize = 65_536;

/// How often an operation starts over because branches changed while it asked git. Every time, some
/// push or merge has succeeded, so only a stream of them gets here.
const ATTEMPTS: u32 = 50;

/// The rules, with the two places where the forge keeps things.
pub(crate) struct Forge {
    pub(crate) store: Store,
    pub(crate) git: Git,
    /// The directory of the bare repositories, which are `OWNER/NAME.git` there, in lower case.
    pub(crate) repositories: PathBuf,
}

impl Forge {
    /// The directory of a bare repository.
    ///
    /// SQLite and GitHub compare names without regard to case, and most file systems do not. So
    /// directories have lower case only.
    pub(crate) fn path(&self, name: &RepositoryName) -> PathBuf {
        self.bare_repository(name.owner(), name.name())
    }

    fn bare_repository(&self, owner: &str, name: &str) -> PathBuf {
        self.repositories
            .join(owner.to_ascii_lowercase())
            .join(format!("{}.git", name.to_ascii_lowercase()))
    }

    /// Asks git, and writes what follows from the answer.
    ///
    /// `enter` finds the repository and checks what the caller may do. `look` asks git, outside of
    /// any transaction. `write` runs in a transaction in which `enter` has run once more. It
    /// returns `None`, and writes nothing, when it needs something that `look` did not ask.
    ///
    /// A push may change branches at any moment, because `git http-backend` does it by itself.
    /// Once it has, [`Forge::after_push`] counts that in `branch_changes` and applies the
    /// consequences, both in one transaction. So when `write` runs, one of these is true:
    ///
    /// - The count is what it was before `look`. Either no push came in between, or the
    ///   transaction of that push is still to come, and will find and treat what `write` wrote.
    /// - The count is another. Then everything starts over.
    ///
    /// The same holds for merges, which count themselves, too.
    fn look_then_write<H, F, T>(
        &self,
        enter: impl Fn(&Transaction<'_>) -> Result<(Repository, H), Refusal>,
        look: impl Fn(&Repository) -> Result<F, Refusal>,
        write: impl Fn(&Transaction<'_>, Repository, H, F) -> Result<Option<T>, Refusal>,
    ) -> Result<T, Refusal> {
        for _ in 0..ATTEMPTS {
            let (before, _) = self.store.read(&enter)?;
            let found = look(&before)?;
            let written = self.store.write(|tx| {
                let (repository, held) = enter(tx)?;
                if repository.branch_changes == before.branch_changes {
                    write(tx, repository, held, found)
                } else {
                    Ok(None)
                }
            })?;
            if let Some(value) = written {
                return Ok(value);
            }
        }
        Err(Refusal::Conflict("The branches keep changing. Try again.".to_owned()))
    }
}

/// What the actor may do to the repository; `None` when the actor may not even see it.
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

/// The repository and the actor's role in it, which is at least `needed`.
///
/// GitHub answers 404 for what the actor may not see, and 403 for what the actor may see but not
/// do.
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

/// The issue or pull request with this number. A number that was given out belongs to an issue that
/// was deleted when none has it.
fn found(tx: &Transaction<'_>, repository: &Repository, number: u64) -> Result<Issue, Refusal> {
    let found = issue_rows::by_number(tx, repository.id, number)?;
    match found {
        Some(issue) => Ok(issue),
        None if issue_rows::was_given_out(tx, repository.id, number)? => Err(Refusal::DELETED),
        None => Err(Refusal::NOT_FOUND),
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
