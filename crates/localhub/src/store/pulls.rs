//! Rows of `pulls`: what makes an issue a pull request.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use super::StoreError;
use super::row::Record;
use super::users::User;

/// The part of a pull request that an issue does not have.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) head_ref: String,
    /// The commit of the head branch when the row was written. While the pull request is open, the
    /// branch itself decides.
    pub(crate) head_sha: String,
    pub(crate) base_ref: String,
    /// The commit of the base branch when the row was written; like `head_sha`.
    pub(crate) base_sha: String,
    pub(crate) draft: bool,
    pub(crate) merged_at: Option<Timestamp>,
    pub(crate) merged_by: Option<User>,
    pub(crate) merge_commit_sha: Option<String>,
}

/// The columns that [`Pull::read`] needs, of the table `pulls`.
pub(super) const COLUMNS: &str =
    "pulls.issue_id AS pull_id, head_ref, head_sha, base_ref, base_sha, draft, merged_at, merged_by,
     merge_commit_sha";

impl Pull {
    /// Reads what an outer join selects by [`COLUMNS`]: the pull request, if there is one, and the
    /// id of the user who merged it.
    pub(super) fn read(row: &Row<'_>) -> Result<Option<(Self, Option<i64>)>, StoreError> {
        if row.get::<_, Option<i64>>("pull_id")?.is_none() {
            return Ok(None);
        }
        let record = Record::new(row, "pulls", "pull_id")?;
        let pull = Self {
            head_ref: record.get("head_ref")?,
            head_sha: record.get("head_sha")?,
            base_ref: record.get("base_ref")?,
            base_sha: record.get("base_sha")?,
            draft: record.get("draft")?,
            merged_at: record.optional_instant("merged_at")?,
            merged_by: None,
            merge_commit_sha: record.get("merge_commit_sha")?,
        };
        Ok(Some((pull, record.get("merged_by")?)))
    }
}

/// Makes an issue a pull request, which is not merged.
pub(crate) fn insert(tx: &Transaction<'_>, issue_id: i64, pull: &Pull) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO pulls (issue_id, head_ref, head_sha, base_ref, base_sha, draft)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        issue_id,
        &pull.head_ref,
        &pull.head_sha,
        &pull.base_ref,
        &pull.base_sha,
        pull.draft,
    ))?;
    Ok(())
}

/// Writes all of a pull request but its head branch, which never changes.
pub(crate) fn update(tx: &Transaction<'_>, issue_id: i64, pull: &Pull) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE pulls
         SET head_sha = :head_sha, base_ref = :base_ref, base_sha = :base_sha, draft = :draft,
             merged_at = :merged_at, merged_by = :merged_by, merge_commit_sha = :merge_commit_sha
         WHERE issue_id = :issue_id",
    )?
    .execute(named_params! {
        ":issue_id": issue_id,
        ":head_sha": pull.head_sha,
        ":base_ref": pull.base_ref,
        ":base_sha": pull.base_sha,
        ":draft": pull.draft,
        ":merged_at": pull.merged_at.map(Timestamp::as_second),
        ":merged_by": pull.merged_by.as_ref().map(|user| user.id),
        ":merge_commit_sha": pull.merge_commit_sha,
    })?;
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
