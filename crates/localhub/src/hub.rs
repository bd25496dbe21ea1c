//! The handle on an open forge: what a program that embeds it sets up and asks, without HTTP.
//!
//! The methods block for a few milliseconds of disk and git; nothing here waits on a network.
//! Invariant: clones share one forge, one request log, one list of faults.

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

/// Why the forge could not be opened or set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("can't make the forge's directory {}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("there is no {0} in this forge: create it first")]
    Unknown(String),
    #[error("the forge refused: {0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Git(#[from] GitError),
}

impl From<Refusal> for HubError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(what) | Refusal::Forbidden(what) | Refusal::NotMergeable(what) => {
                Self::Refused(what.to_owned())
            }
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

/// An open forge; cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    forge: Forge,
    faults: Faults,
    requests: RequestLog,
    rates: RateWindows,
}

impl Hub {
    /// Opens the forge that `dir` holds, or starts one there; `git` is the git executable.
    pub fn open(dir: &Path, git: PathBuf) -> Result<Self, HubError> {
        let failed = |source| HubError::Directory { path: dir.to_owned(), source };
        // Tokens and private repositories are no other user's of this machine.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir.join("repositories"))
            .map_err(failed)?;
        // Git runs inside its repository, where a relative directory would mean another place.
        let dir = dir.canonicalize().map_err(failed)?;
        let forge = Forge {
            store: Store::open(&dir.join("localhub.db"))?,
            git: Git::open(git)?,
            repositories: dir.join("repositories"),
        };
        let inner = Inner {
            forge,
            faults: Faults::default(),
            requests: RequestLog::default(),
            rates: RateWindows::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Adds a user that authenticates by `token`; a known login gets this token in place of its old
    /// one.
    pub fn add_user(&self, login: &str, token: &str) -> Result<(), HubError> {
        if !is_login(login) {
            return Err(NameError::Login(login.to_owned()).into());
        }
        self.forge().store.write(|tx| users::upsert(tx, login, Some(token), Timestamp::now()))?;
        Ok(())
    }

    /// Creates `owner/name`, empty, and its owner if need be (who can't authenticate until
    /// [`Hub::add_user`]).
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

    /// Whether `owner/name` is in this forge.
    pub fn has_repository(&self, name: &str) -> Result<bool, HubError> {
        let name: RepositoryName = name.parse()?;
        Ok(self.forge().store.read(|tx| repositories::by_name(tx, &name))?.is_some())
    }

    /// Where the bare repository of `owner/name` is on the disk.
    pub fn repository_path(&self, name: &str) -> Result<PathBuf, HubError> {
        Ok(self.forge().path(&name.parse()?))
    }

    /// Gives the user a role in the repository.
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

    /// Opens an issue and returns its number.
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

    /// Puts labels on an issue or a pull request in the name of `sender`.
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

    /// The failures that the server is to show; none unless told.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// The requests that came in, in their order.
    pub fn requests(&self) -> &RequestLog {
        &self.0.requests
    }

    pub(crate) fn rates(&self) -> &RateWindows {
        &self.0.rates
    }

    pub(crate) fn forge(&self) -> &Forge {
        &self.0.forge
    }

    /// Runs what blocks on the disk or on git away from the threads that serve.
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

    /// The user whose token this is. Compares with every token in constant time, so that timing
    /// tells nothing about them.
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
