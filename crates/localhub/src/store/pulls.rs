//! Rows of `pulls`: what makes an issue a pull request.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction};

use super::users::User;
use super::{StoreError, instant};

#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) head_ref: String,
    /// Where the head stood when it was last seen; the branch itself is the truth while the pull
    /// request is open.
    pub(crate) head_sha: String,
    pub(crate) base_ref: String,
    pub(crate) base_sha: String,
    pub(crate) draft: bool,
    pub(crate) merged_at: Option<Timestamp>,
    pub(crate) merged_by: Option<User>,
    pub(crate) merge_commit_sha: Option<String>,
}

pub(super) const COLUMNS: &str =
    "pulls.head_ref, pulls.head_sha, pulls.base_ref, pulls.base_sha, pulls.draft,
    pulls.merged_at, pulls.merged_by, pulls.merge_commit_sha";

impl Pull {
    /// Reads [`COLUMNS`] of an outer join, the first at `start`, and the id of the user that
    /// merged.
    pub(super) fn at(row: &Row<'_>, start: usize) -> rusqlite::Result<(Option<Self>, Option<i64>)> {
        let Some(head_ref) = row.get(start)? else { return Ok((None, None)) };
        let pull = Self {
            head_ref,
            head_sha: row.get(start + 1)?,
            base_ref: row.get(start + 2)?,
            base_sha: row.get(start + 3)?,
            draft: row.get(start + 4)?,
            merged_at: row.get::<_, Option<i64>>(start + 5)?.map(instant),
            merged_by: None,
            merge_commit_sha: row.get(start + 7)?,
        };
        Ok((Some(pull), row.get(start + 6)?))
    }
}

pub(crate) fn insert(tx: &Transaction<'_>, issue_id: i64, pull: &Pull) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO pulls (issue_id, head_ref, head_sha, base_ref, base_sha, draft) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((issue_id, &pull.head_ref, &pull.head_sha, &pull.base_ref, &pull.base_sha, pull.draft))?;
    Ok(())
}

pub(crate) fn update(tx: &Transaction<'_>, issue_id: i64, pull: &Pull) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE pulls SET head_sha = ?2, base_ref = ?3, base_sha = ?4, draft = ?5, merged_at = ?6, merged_by = ?7,
                merge_commit_sha = ?8
         WHERE issue_id = ?1",
    )?
    .execute((
        issue_id,
        &pull.head_sha,
        &pull.base_ref,
        &pull.base_sha,
        pull.draft,
        pull.merged_at.map(Timestamp::as_second),
        pull.merged_by.as_ref().map(|user| user.id),
        &pull.merge_commit_sha,
    ))?;
    Ok(())
}

/// The number of the open pull request from `head` into `base`, of which GitHub allows one.
pub(crate) fn open_between(
    tx: &Transaction<'_>,
    repository_id: i64,
    head: &str,
    base: &str,
) -> Result<Option<u64>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT number FROM pulls JOIN issues ON issues.id = issue_id
         WHERE repository_id = ?1 AND head_ref = ?2 AND base_ref = ?3 AND state = 'open'",
    )?;
    Ok(statement.query_row((repository_id, head, base), |row| row.get(0)).optional()?)
}
