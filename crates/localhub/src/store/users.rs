//! Rows of `users`: who calls, and by which token.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction};

use super::{Rows, StoreError, instant};

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) login: String,
    pub(crate) created_at: Timestamp,
}

/// The columns that [`User::at`] reads, of the table or alias `users`.
pub(super) const COLUMNS: &str = "users.id, users.login, users.created_at";

impl User {
    /// Reads the three columns of [`COLUMNS`], the first of them at `start`.
    pub(super) fn at(row: &Row<'_>, start: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(start)?,
            login: row.get(start + 1)?,
            created_at: instant(row.get(start + 2)?),
        })
    }
}

/// Adds the user, or gives the known one this token; without a token the known one keeps what it
/// has.
pub(crate) fn upsert(
    tx: &Transaction<'_>,
    login: &str,
    token: Option<&str>,
    now: Timestamp,
) -> Result<User, StoreError> {
    let sql = format!(
        "INSERT INTO users (login, token, created_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (login) DO UPDATE SET token = coalesce(excluded.token, token)
         RETURNING {COLUMNS}"
    );
    Ok(tx
        .prepare_cached(&sql)?
        .query_row((login, token, now.as_second()), |row| User::at(row, 0))?)
}

pub(crate) fn by_login(tx: &Transaction<'_>, login: &str) -> Result<Option<User>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE login = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([login], |row| User::at(row, 0)).optional()?)
}

pub(crate) fn by_id(tx: &Transaction<'_>, id: i64) -> Result<User, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE id = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([id], |row| User::at(row, 0))?)
}

/// Every user that can authenticate, with the token that proves it.
pub(crate) fn with_tokens(tx: &Transaction<'_>) -> Rows<(User, String)> {
    let sql = format!("SELECT {COLUMNS}, users.token FROM users WHERE token IS NOT NULL");
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([], |row| Ok((User::at(row, 0)?, row.get(3)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Those whom an issue is assigned to, by login.
pub(crate) fn assigned(tx: &Transaction<'_>, issue_id: i64) -> Rows<User> {
    let sql = format!(
        "SELECT {COLUMNS} FROM issue_assignees JOIN users ON users.id = user_id WHERE issue_id = ?1 ORDER BY login"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([issue_id], |row| User::at(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
