//! Rows of `repositories` and `permissions`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction};

use super::users::User;
use super::{StoreError, instant};
use crate::names::RepositoryName;
use crate::permission::Permission;

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
    pub(crate) open_issues: u64,
}

impl Repository {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner.login, self.name)
    }
}

/// What a new repository is made of.
pub(crate) struct NewRepository<'a> {
    pub(crate) owner_id: i64,
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) default_branch: &'a str,
    pub(crate) private: bool,
}

pub(crate) fn insert(
    tx: &Transaction<'_>,
    new: &NewRepository<'_>,
    now: Timestamp,
) -> Result<i64, StoreError> {
    tx.prepare_cached(
        "INSERT INTO repositories (owner_id, name, description, default_branch, private, created_at, updated_at, pushed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6)",
    )?
    .execute((new.owner_id, new.name, new.description, new.default_branch, new.private, now.as_second()))?;
    Ok(tx.last_insert_rowid())
}

pub(crate) fn by_name(
    tx: &Transaction<'_>,
    name: &RepositoryName,
) -> Result<Option<Repository>, StoreError> {
    let sql = format!(
        "SELECT {}, repositories.id, name, description, default_branch, private,
                repositories.created_at, updated_at, pushed_at,
                (SELECT count(*) FROM issues WHERE repository_id = repositories.id AND state = 'open')
         FROM repositories JOIN users ON users.id = owner_id WHERE login = ?1 AND name = ?2",
        super::users::COLUMNS
    );
    let repository = tx
        .prepare_cached(&sql)?
        .query_row((name.owner(), name.name()), |row| {
            Ok(Repository {
                owner: User::at(row, 0)?,
                id: row.get(3)?,
                name: row.get(4)?,
                description: row.get(5)?,
                default_branch: row.get(6)?,
                private: row.get(7)?,
                created_at: instant(row.get(8)?),
                updated_at: instant(row.get(9)?),
                pushed_at: instant(row.get(10)?),
                open_issues: row.get(11)?,
            })
        })
        .optional()?;
    Ok(repository)
}

/// Writes back what a caller may change of a repository.
pub(crate) fn update(
    tx: &Transaction<'_>,
    repository: &Repository,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE repositories SET name = ?2, description = ?3, default_branch = ?4, private = ?5, updated_at = ?6
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

pub(crate) fn touch_pushed(
    tx: &Transaction<'_>,
    id: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE repositories SET pushed_at = ?2, updated_at = ?2 WHERE id = ?1")?
        .execute((id, now.as_second()))?;
    Ok(())
}

/// How many repositories a user owns: the public ones, then the private ones.
pub(crate) fn owned(tx: &Transaction<'_>, user_id: i64) -> Result<(u64, u64), StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT count(*) FILTER (WHERE NOT private), count(*) FILTER (WHERE private) FROM repositories WHERE owner_id = ?1",
    )?;
    Ok(statement.query_row([user_id], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

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

/// The permission that was granted by name; ownership and the public's reading are not in this
/// table.
pub(crate) fn granted(
    tx: &Transaction<'_>,
    repository_id: i64,
    user_id: i64,
) -> Result<Option<Permission>, StoreError> {
    let role: Option<String> = tx
        .prepare_cached(
            "SELECT permission FROM permissions WHERE repository_id = ?1 AND user_id = ?2",
        )?
        .query_row((repository_id, user_id), |row| row.get(0))
        .optional()?;
    Ok(role.and_then(|role| role.parse().ok()))
}
