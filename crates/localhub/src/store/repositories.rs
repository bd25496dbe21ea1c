//! Rows of `repositories` and `permissions`.

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use rusqlite::{OptionalExtension, Row, Transaction};

use super::StoreError;
use super::row::{Record, first, named};
use super::users::User;
use crate::names::RepositoryName;
use crate::permission::Permission;

/// A repository, with what a list of repositories tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) id: i64,
    pub(crate) owner: User,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) default_branch: String,
    pub(crate) private: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) pushed_at: Timestamp,
    /// Open issues and pull requests together, as GitHub counts.
    pub(crate) open_issues: u64,
    /// How often a push or a merge changed branches; see [`count_branch_change`].
    pub(crate) branch_changes: u64,
}

impl Repository {
    /// `owner/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner.login, self.name)
    }

    fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let owner = User::read(row)?;
        let record = Record::new(row, "repositories", "id")?;
        Ok(Self {
            id: record.id(),
            owner,
            name: record.get("name")?,
            description: record.get("description")?,
            default_branch: record.get("default_branch")?,
            private: record.get("private")?,
            created_at: record.instant("created_at")?,
            updated_at: record.instant("updated_at")?,
            pushed_at: record.instant("pushed_at")?,
            open_issues: record.get("open_issues")?,
            branch_changes: record.get("branch_changes")?,
        })
    }
}

/// The values of a new repository.
pub(crate) struct NewRepository<'a> {
    pub(crate) owner_id: i64,
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) default_branch: &'a str,
    pub(crate) private: bool,
}

/// Adds a repository. Its owner must not have one of that name.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    new: &NewRepository<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO repositories
             (owner_id, name, description, default_branch, private,
              created_at, updated_at, pushed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6)",
    )?
    .execute((
        new.owner_id,
        new.name,
        new.description,
        new.default_branch,
        new.private,
        now.as_second(),
    ))?;
    Ok(())
}

fn select(condition: &str) -> String {
    format!(
        "SELECT {}, repositories.id AS id, name, description, default_branch, private,
                repositories.created_at AS created_at, updated_at, pushed_at, branch_changes,
                (SELECT count(*) FROM issues
                 WHERE repository_id = repositories.id AND state = 'open') AS open_issues
         FROM repositories JOIN users ON users.id = owner_id WHERE {condition}",
        super::users::COLUMNS
    )
}

/// The repository of this name, in any case.
pub(crate) fn by_name(
    tx: &Transaction<'_>,
    name: &RepositoryName,
) -> Result<Option<Repository>, StoreError> {
    let sql = select("login = ?1 AND name = ?2");
    first(&mut *tx.prepare_cached(&sql)?, (name.owner(), name.name()), Repository::read)
}

/// The repository with this id.
pub(crate) fn by_id(tx: &Transaction<'_>, id: i64) -> Result<Option<Repository>, StoreError> {
    let sql = select("repositories.id = ?1");
    first(&mut *tx.prepare_cached(&sql)?, [id], Repository::read)
}

/// Writes what a caller may change of a repository.
pub(crate) fn update(
    tx: &Transaction<'_>,
    repository: &Repository,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE repositories
         SET name = ?2, description = ?3, default_branch = ?4, private = ?5, updated_at = ?6
         WHERE id = ?1",
    )?
    .execute((
        repository.id,
        &repository.name,
        &repository.description,
        &repository.default_branch,
        repository.private,
        now.as_second(),
    ))?;
    Ok(())
}

/// Records that branches of the repository have changed.
///
/// Whoever reads branches from git and later writes compares `branch_changes` before and after: if
/// it is the same, no push or merge was recorded in between.
pub(crate) fn count_branch_change(
    tx: &Transaction<'_>,
    id: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE repositories
         SET pushed_at = ?2, updated_at = ?2, branch_changes = branch_changes + 1
         WHERE id = ?1",
    )?
    .execute((id, now.as_second()))?;
    Ok(())
}

/// How many repositories a user owns: the public ones, then the private ones.
pub(crate) fn owned(tx: &Transaction<'_>, user_id: i64) -> Result<(u64, u64), StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT count(*) FILTER (WHERE NOT private), count(*) FILTER (WHERE private)
         FROM repositories WHERE owner_id = ?1",
    )?;
    Ok(statement.query_row([user_id], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Gives a user a role in a repository, in place of the one that the user had.
pub(crate) fn grant(
    tx: &Transaction<'_>,
    repository_id: i64,
    user_id: i64,
    permission: Permission,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO permissions (repository_id, user_id, permission) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET permission = excluded.permission",
    )?
    .execute((repository_id, user_id, permission.role_name()))?;
    Ok(())
}

impl FromSql for Permission {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(value)
    }
}

/// The role that the user was granted. Ownership and everybody's right to read a public repository
/// are not in this table.
pub(crate) fn granted(
    tx: &Transaction<'_>,
    repository_id: i64,
    user_id: i64,
) -> Result<Option<Permission>, StoreError> {
    let damaged = |source| StoreError::Damaged {
        table: "permissions",
        row: format!("repository_id {repository_id}, user_id {user_id}"),
        column: "permission",
        source,
    };
    tx.prepare_cached(
        "SELECT permission FROM permissions WHERE repository_id = ?1 AND user_id = ?2",
    )?
    .query_row((repository_id, user_id), |row| row.get(0))
    .optional()
    .map_err(damaged)
}
