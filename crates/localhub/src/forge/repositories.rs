//! Repositories, their branches and refs, and who may do what to them.

use jiff::Timestamp;

use super::{FieldError, Forge, Refusal, admit, permission};
use crate::git::{Commit, GitError};
use crate::names::{RepositoryName, is_branch};
use crate::permission::Permission;
use crate::store::repositories::{self, NewRepository, Repository};
use crate::store::users::{self, User};

/// What a caller wants to change of a repository. `None` leaves a field as it is.
#[derive(Debug, Default)]
pub(crate) struct RepositoryChange {
    pub(crate) description: Option<Option<String>>,
    pub(crate) default_branch: Option<String>,
    pub(crate) private: Option<bool>,
}

impl Forge {
    /// Creates an empty repository of a user, with HEAD at `default_branch`.
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
            let error = FieldError::new("Repository", "default_branch", "invalid");
            return Err(Refusal::invalid(error));
        }
        let taken = || {
            let message = "name already exists on this account";
            Refusal::invalid(FieldError::custom("Repository", "name", message))
        };
        self.store.read(|tx| match repositories::by_name(tx, &full_name)? {
            Some(_) => Err(taken()),
            None => Ok(()),
        })?;

        // Git makes the repository in a directory of its own, before the transaction. Of two
        // requests for one name at once, each makes one, and only one of them is moved into place.
        let failed = |source| GitError::Directory { path: self.repositories.clone(), source };
        let new = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(&self.repositories)
            .map_err(failed)?;
        self.git.init(new.path(), default_branch)?;
        self.store.write(|tx| {
            if repositories::by_name(tx, &full_name)?.is_some() {
                return Err(taken());
            }
            let row =
                NewRepository { owner_id: owner.id, name, description, default_branch, private };
            repositories::insert(tx, &row, now)?;
            self.put_in_place(new.path(), &full_name)?;
            admit(tx, owner, &full_name, Permission::Read)
        })
    }

    /// Moves a new bare repository to where its name says.
    ///
    /// This is the last thing before the row is committed. A crash in between leaves a directory
    /// without a row. Nobody has had access to it, so the next repository of that name replaces it.
    fn put_in_place(&self, new: &std::path::Path, name: &RepositoryName) -> Result<(), GitError> {
        let path = self.path(name);
        let failed = |source| GitError::Directory { path: path.clone(), source };
        if let Some(owner) = path.parent() {
            std::fs::create_dir_all(owner).map_err(failed)?;
        }
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(failed)?;
        }
        std::fs::rename(new, &path).map_err(failed)
    }

    /// The repository and the actor's role in it.
    pub(crate) fn repository(
        &self,
        actor: &User,
        name: &RepositoryName,
    ) -> Result<(Repository, Permission), Refusal> {
        self.store.read(|tx| admit(tx, actor, name, Permission::Read))
    }

    /// Changes the settings of a repository.
    pub(crate) fn change_repository(
        &self,
        actor: &User,
        name: &RepositoryName,
        change: &RepositoryChange,
        now: Timestamp,
    ) -> Result<(Repository, Permission), Refusal> {
        let path = self.path(name);
        let changed = self.look_then_write(
            |tx| admit(tx, actor, name, Permission::Admin),
            |_| match &change.default_branch {
                Some(branch) if self.git.branches(&path)?.contains_key(branch) => Ok(()),
                Some(branch) => {
                    let message = format!(
                        "The branch {branch} was not found. Please push that ref first or create \
                         it via the Git Data API."
                    );
                    let error = FieldError::custom("Repository", "default_branch", message);
                    Err(Refusal::invalid(error))
                }
                None => Ok(()),
            },
            |tx, mut repository, _, ()| {
                if let Some(branch) = &change.default_branch {
                    repository.default_branch.clone_from(branch);
                }
                if let Some(description) = &change.description {
                    repository.description.clone_from(description);
                }
                repository.private = change.private.unwrap_or(repository.private);
                repositories::update(tx, &repository, now)?;
                admit(tx, actor, name, Permission::Read).map(Some)
            },
        )?;
        if change.default_branch.is_some() {
            self.point_head(name)?;
        }
        Ok(changed)
    }

    /// Makes HEAD name the default branch of the row.
    ///
    /// Two changes at once may get here in another order than their rows were written. So the row
    /// is read again after HEAD was set, until both agree.
    fn point_head(&self, name: &RepositoryName) -> Result<(), Refusal> {
        let wanted = || {
            self.store.read(|tx| {
                let repository = repositories::by_name(tx, name)?.ok_or(Refusal::NOT_FOUND)?;
                Ok::<_, Refusal>(repository.default_branch)
            })
        };
        let mut branch = wanted()?;
        loop {
            self.git.set_head(&self.path(name), &branch)?;
            let now_wanted = wanted()?;
            if now_wanted == branch {
                return Ok(());
            }
            branch = now_wanted;
        }
    }

    /// A user and the user's role in a repository; `None` when the user may not see it.
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

    /// The commit at the tip of a branch.
    pub(crate) fn branch(
        &self,
        actor: &User,
        name: &RepositoryName,
        branch: &str,
    ) -> Result<Commit, Refusal> {
        self.repository(actor, name)?;
        let missing = || Refusal::NotFound("Branch not found");
        // Git would take `main~1` or `main@{1}` for a revision.
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

    /// How many public and how many private repositories a user owns.
    pub(crate) fn owned_by(&self, user: &User) -> Result<(u64, u64), Refusal> {
        Ok(self.store.read(|tx| repositories::owned(tx, user.id))?)
    }
}
