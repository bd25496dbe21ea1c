//! Rows of `users`: who calls, and by which token.

use jiff::Timestamp;
use rusqlite::{Row, Transaction};

use super::StoreError;
use super::row::{Record, all, first};

/// A user, without the token.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) login: String,
    pub(crate) created_at: Timestamp,
}

/// The columns that [`User::read`] needs, of the table `users`.
pub(super) const COLUMNS: &str =
    "users.id AS user_id, users.login AS user_login, users.created_at AS user_created_at";

impl User {
    /// Reads the user that a query selects by [`COLUMNS`].
    pub(super) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let record = Record::new(row, "users", "user_id")?;
        Ok(Self {
            id: record.id(),
            login: record.get("user_login")?,
            created_at: record.instant("user_created_at")?,
        })
    }
}

/// Adds a user, or gives the known one this token. Without a token a known user keeps the old one.
pub(crate) fn upsert(
    tx: &Transaction<'_>,
    login: &str,
    token: Option<&str>,
    now: Timestamp,
) -> Result<User, StoreError> {
    tx.prepare_cached(
        "INSERT INTO users (login, token, created_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (login) DO UPDATE SET token = coalesce(excluded.token, token)",
    )?
    .execute((login, token, now.as_second()))?;
    by_login(tx, login)?.ok_or(StoreError::Statement(rusqlite::Error::QueryReturnedNoRows))
}

/// The user with this login, in any case.
pub(crate) fn by_login(tx: &Transaction<'_>, login: &str) -> Result<Option<User>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE login = ?1");
    first(&mut *tx.prepare_cached(&sql)?, [login], User::read)
}

/// The user that another row refers to.
pub(crate) fn by_id(tx: &Transaction<'_>, id: i64) -> Result<User, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = ?1");
    let user = first(&mut *tx.prepare_cached(&sql)?, [id], User::read)?;
    user.ok_or(StoreError::Statement(rusqlite::Error::QueryReturnedNoRows))
}

/// Every user that can authenticate, with the token that proves it.
pub(crate) fn with_tokens(tx: &Transaction<'_>) -> Result<Vec<(User, String)>, StoreError> {
    let sql = format!("SELECT {COLUMNS}, users.token AS token FROM users WHERE token IS NOT NULL");
    all(&mut *tx.prepare_cached(&sql)?, [], |row| {
        Ok((User::read(row)?, Record::new(row, "users", "user_id")?.get("token")?))
    })
}

/// The users whom an issue is assigned to, by login.
pub(crate) fn assigned(tx: &Transaction<'_>, issue_id: i64) -> Result<Vec<User>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM issue_assignees JOIN users ON users.id = user_id
         WHERE issue_id = ?1 ORDER BY login"
    );
    all(&mut *tx.prepare_cached(&sql)?, [issue_id], User::read)
}
