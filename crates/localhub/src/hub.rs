//! An open forge: what the server answers with, and what a program that embeds it can set up and
//! look at without HTTP.
//!
//! The database and git block the thread that calls them. There is one way from async code to
//! them, and every request takes it: [`Hub::run`] moves the work to one of tokio's blocking
//! threads. There are 512 of those unless the runtime was built otherwise, and the server has at
//! most 256 connections, so a slow git command delays no other request.
//!
//! The public methods are for a program that sets a forge up. They block for the milliseconds that
//! the disk and git take. None of them waits for a network.
//!
//! Invariant: clones share one forge, one request log, and one list of faults.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use subtle::ConstantTimeEq;

use crate::faults::Faults;
use crate::forge::issues::NewIssue;
use crate::forge::{Forge, Refusal};
use crate::git::{Git, GitError};
use crate::names::{NameError, RepositoryName, is_login};
use crate::permission::Permission;
use crate::rate::RateWindows;
use crate::request_log::RequestLog;
use crate::store::users::{self, User};
use crate::store::{Store, StoreError, repositories};

/// Why the forge could not be opened, or not be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The directory of the forge could not be made.
    #[error("can't make the forge's directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The forge can't have a thing of this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no repository or user of this name.
    #[error("there is no {0} in this forge: create it first")]
    Unknown(String),
    /// The rules of the forge forbid it.
    #[error("the forge refused: {0}")]
    Refused(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl From<Refusal> for HubError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(what)
            | Refusal::Gone(what)
            | Refusal::Forbidden(what)
            | Refusal::NotMergeable(what) => Self::Refused(what.to_owned()),
            Refusal::Conflict(what) => Self::Refused(what),
            Refusal::Invalid(errors) => {
                let texts = errors.into_iter().map(|error| {
                    let field = error.field.unwrap_or(error.resource);
                    error.message.unwrap_or_else(|| format!("{field}: {}", error.code))
                });
                Self::Refused(texts.collect::<Vec<_>>().join("; "))
            }
            Refusal::Store(error) => Self::Store(error),
            Refusal::Git(error) => Self::Git(error),
        }
    }
}

/// An open forge. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    forge: Forge,
    faults: Faults,
    requests: RequestLog,
    rates: RateWindows,
}

impl Hub {
    /// Opens the forge in the directory `dir`, or starts one there. `git` is the git executable.
    ///
    /// One process at a time may have a forge open and answer requests with it: opening ends the
    /// merges that a crash has cut off, and a merge that is under way looks the same.
    ///
    /// # Errors
    ///
    /// When the directory can't be made, when the database can't be opened or comes from a newer
    /// version, and when git can't be run.
    pub fn open(dir: &Path, git: PathBuf) -> Result<Self, HubError> {
        let failed = |source| HubError::Directory { path: dir.to_owned(), source };
        // Other users of this machine must not read tokens and private repositories.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.join("repositories"))
            .map_err(failed)?;
        // Git runs inside of a repository, where a relative path would lead elsewhere.
        let dir = dir.canonicalize().map_err(failed)?;
        let forge = Forge {
            store: Store::open(&dir.join("localhub.db"))?,
            git: Git::open(git)?,
            repositories: dir.join("repositories"),
        };
        forge.settle_merges(Timestamp::now())?;
        let inner = Inner {
            forge,
            faults: Faults::default(),
            requests: RequestLog::default(),
            rates: RateWindows::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Adds a user who authenticates by `token`. A known user gets this token in place of the old
    /// one.
    ///
    /// # Errors
    ///
    /// When GitHub would not accept the login, or when another user has the token.
    pub fn add_user(&self, login: &str, token: &str) -> Result<(), HubError> {
        if !is_login(login) {
            return Err(NameError::Login(login.to_owned()).into());
        }
        self.forge().store.write(|tx| users::upsert(tx, login, Some(token), Timestamp::now()))?;
        Ok(())
    }

    /// Creates the empty repository `owner/name`. An owner who is not there yet is added, without a
    /// token (see [`Hub::add_user`]).
    ///
    /// # Errors
    ///
    /// When there is such a repository, or when one of the names is not allowed.
    pub fn create_repository(
        &self,
        name: &str,
        default_branch: &str,
        private: bool,
    ) -> Result<(), HubError> {
        let name: RepositoryName = name.parse()?;
        let now = Timestamp::now();
        let owner = self.forge().store.write(|tx| users::upsert(tx, name.owner(), None, now))?;
        self.forge().create_repository(&owner, name.name(), None, default_branch, private, now)?;
        Ok(())
    }

    /// Whether the repository `owner/name` is in this forge.
    ///
    /// # Errors
    ///
    /// When the name is not that of a repository.
    pub fn has_repository(&self, name: &str) -> Result<bool, HubError> {
        let name: RepositoryName = name.parse()?;
        Ok(self.forge().store.read(|tx| repositories::by_name(tx, &name))?.is_some())
    }

    /// The directory of the bare repository of `owner/name`, whether it exists or not.
    ///
    /// # Errors
    ///
    /// When the name is not that of a repository.
    pub fn repository_path(&self, name: &str) -> Result<PathBuf, HubError> {
        Ok(self.forge().path(&name.parse()?))
    }

    /// Gives a user a role in a repository, in place of the one that the user had.
    ///
    /// # Errors
    ///
    /// When there is no such repository or user.
    pub fn grant(
        &self,
        repository: &str,
        login: &str,
        permission: Permission,
    ) -> Result<(), HubError> {
        let name: RepositoryName = repository.parse()?;
        self.forge().store.write(|tx| {
            let unknown = |what: &str| HubError::Unknown(what.to_owned());
            let repository =
                repositories::by_name(tx, &name)?.ok_or_else(|| unknown(repository))?;
            let user = users::by_login(tx, login)?.ok_or_else(|| unknown(login))?;
            Ok(repositories::grant(tx, repository.id, user.id, permission)?)
        })
    }

    /// Opens an issue in the name of `author` and returns its number.
    ///
    /// # Errors
    ///
    /// When there is no such repository or user, and when GitHub would refuse the issue.
    pub fn create_issue(
        &self,
        repository: &str,
        author: &str,
        title: &str,
        body: &str,
        labels: &[&str],
    ) -> Result<u64, HubError> {
        let new = NewIssue {
            title: title.to_owned(),
            body: Some(body.to_owned()),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            assignees: Vec::new(),
        };
        let author = self.user(author)?;
        let (_, issue) =
            self.forge().create_issue(&author, &repository.parse()?, &new, Timestamp::now())?;
        Ok(issue.number)
    }

    /// Deletes an issue with its comments. GitHub's REST API has no call for that.
    ///
    /// # Errors
    ///
    /// When there is no such issue, and when it is a pull request, which GitHub does not delete.
    pub fn delete_issue(&self, repository: &str, number: u64) -> Result<(), HubError> {
        Ok(self.forge().delete_issue(&repository.parse()?, number)?)
    }

    /// Adds labels to an issue or a pull request in the name of `sender`.
    ///
    /// # Errors
    ///
    /// When there is no such issue or user, and when the sender may not label.
    pub fn add_labels(
        &self,
        repository: &str,
        sender: &str,
        number: u64,
        labels: &[&str],
    ) -> Result<(), HubError> {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let sender = self.user(sender)?;
        self.forge().label_issue(
            &sender,
            &repository.parse()?,
            number,
            &labels,
            false,
            Timestamp::now(),
        )?;
        Ok(())
    }

    /// The faults that the server shows. At first there are none.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// The requests that have arrived.
    pub fn requests(&self) -> &RequestLog {
        &self.0.requests
    }

    /// The counters of GitHub's rate limits.
    pub(crate) fn rates(&self) -> &RateWindows {
        &self.0.rates
    }

    /// The rules. Their methods block: async code calls them by [`Hub::run`].
    pub(crate) fn forge(&self) -> &Forge {
        &self.0.forge
    }

    /// Runs work that blocks on the disk or on git, on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Forge) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let hub = self.clone();
        match tokio::task::spawn_blocking(move || work(hub.forge())).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Refusal::Conflict("the forge is shutting down".to_owned())),
            },
        }
    }

    /// The user who has this token.
    ///
    /// The token is compared with every known one, each in constant time, so that the time of the
    /// answer tells nothing about them.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Option<User>, Refusal> {
        let token = token.to_owned();
        self.run(move |forge| {
            let known = forge.store.read(users::with_tokens)?;
            let mut found = None;
            for (user, secret) in known {
                if bool::from(secret.as_bytes().ct_eq(token.as_bytes())) {
                    found = Some(user);
                }
            }
            Ok(found)
        })
        .await
    }

    fn user(&self, login: &str) -> Result<User, HubError> {
        let user = self.forge().store.read(|tx| users::by_login(tx, login))?;
        user.ok_or_else(|| HubError::Unknown(login.to_owned()))
    }
}
