//! Repositories, their branches and refs, and who may do what to them.

use jiff::Timestamp;

use super::{FieldError, Forge, Refusal, admit, permission, refuse_if_any};
use crate::names::{RepositoryName, is_branch};
use crate::permission::Permission;
use crate::store::repositories::{self, NewRepository, Repository};
use crate::store::users::{self, User};

/// What a caller wants to change of a repository; `None` leaves it.
#[derive(Debug, Default)]
pub(crate) struct RepositoryChange {
    pub(crate) description: Option<Option<String>>,
    pub(crate) default_branch: Option<String>,
    pub(crate) private: Option<bool>,
}

impl Forge {
    /// Adds a repository to its owner's, empty, with HEAD on `default_branch`.
    pub(crate) fn create_repository(
        &self,
        owner: &User,
        name: &str,
        description: Option<&str>,
        default_branch: &str,
        private: bool,
        now: Timestamp,
    ) -> Result<(Repository, Permission), Refusal> {
        let full_name = RepositoryName::new(&owner.login, name).map_err(|error| {
            Refusal::invalid(FieldError::custom("Repository", "name", error.to_string()))
        })?;
        if !is_branch(default_branch) {
            return Err(Refusal::invalid(FieldError::new(
                "Repository",
                "default_branch",
                "invalid",
            )));
        }
        self.store.write(|tx| {
            if repositories::by_name(tx, &full_name)?.is_some() {
                let message = "name already exists on this account";
                return Err(Refusal::invalid(FieldError::custom("Repository", "name", message)));
            }
            let new =
                NewRepository { owner_id: owner.id, name, description, default_branch, private };
            repositories::insert(tx, &new, now)?;
            // `git init` on what an earlier crash left behind repairs it; the row decides whether
            // the repository is.
            self.git.init(&self.path(&full_name), default_branch)?;
            admit(tx, owner, &full_name, Permission::Read)
        })
    }

    /// The repository and what the actor may do to it.
    pub(crate) fn repository(
        &self,
        actor: &User,
        name: &RepositoryName,
    ) -> Result<(Repository, Permission), Refusal> {
        self.store.read(|tx| admit(tx, actor, name, Permission::Read))
    }

    pub(crate) fn change_repository(
        &self,
        actor: &User,
        name: &RepositoryName,
        change: &RepositoryChange,
        now: Timestamp,
    ) -> Result<(Repository, Permission), Refusal> {
        self.store.write(|tx| {
            let (mut repository, _) = admit(tx, actor, name, Permission::Admin)?;
            if let Some(branch) = &change.default_branch {
                let exists = is_branch(branch) && self.git.branch(&self.path(name), branch)?.is_some();
                let message = format!(
                    "The branch {branch} was not found. Please push that ref first or create it via the Git Data API."
                );
                let errors =
                    if exists { vec![] } else { vec![FieldError::custom("Repository", "default_branch", message)] };
                refuse_if_any(errors)?;
                self.git.set_head(&self.path(name), branch)?;
                repository.default_branch.clone_from(branch);
            }
            if let Some(description) = &change.description {
                repository.description.clone_from(description);
            }
            repository.private = change.private.unwrap_or(repository.private);
            repositories::update(tx, &repository, now)?;
            admit(tx, actor, name, Permission::Read)
        })
    }

    /// What a user may do to a repository, for one who may see it; `None` is nothing.
    pub(crate) fn permission_of(
        &self,
        actor: &User,
        name: &RepositoryName,
        login: &str,
    ) -> Result<(User, Option<Permission>), Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            let user = users::by_login(tx, login)?.ok_or(Refusal::NOT_FOUND)?;
            let held = permission(tx, &user, &repository)?;
            Ok((user, held))
        })
    }

    /// The commit at the tip of a branch, with the repository for its URLs.
    pub(crate) fn branch(
        &self,
        actor: &User,
        name: &RepositoryName,
        branch: &str,
    ) -> Result<crate::git::Commit, Refusal> {
        self.repository(actor, name)?;
        let missing = || Refusal::NotFound("Branch not found");
        if !is_branch(branch) {
            return Err(missing());
        }
        let sha = self.git.branch(&self.path(name), branch)?.ok_or_else(missing)?;
        Ok(self.git.commit(&self.path(name), &sha)?)
    }

    /// The object that a ref such as `heads/main` names, and its type.
    pub(crate) fn reference(
        &self,
        actor: &User,
        name: &RepositoryName,
        reference: &str,
    ) -> Result<(String, String), Refusal> {
        self.repository(actor, name)?;
        let (namespace, rest) = reference.split_once('/').ok_or(Refusal::NOT_FOUND)?;
        if !matches!(namespace, "heads" | "tags") || !is_branch(rest) {
            return Err(Refusal::NOT_FOUND);
        }
        let path = self.path(name);
        let sha =
            self.git.resolve(&path, &format!("refs/{reference}"))?.ok_or(Refusal::NOT_FOUND)?;
        let kind = self.git.object_type(&path, &sha)?;
        Ok((sha, kind))
    }

    /// How many public and private repositories the user owns.
    pub(crate) fn owned_by(&self, user: &User) -> Result<(u64, u64), Refusal> {
        Ok(self.store.read(|tx| repositories::owned(tx, user.id))?)
    }
}
