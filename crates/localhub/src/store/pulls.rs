//! Rows of `pulls`: what makes an issue a pull request.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use super::row::{Record, all};
use super::users::User;
use super::{StoreError, users};

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
    /// The merge that is under way.
    pub(crate) merging: Option<Merging>,
}

/// A merge whose commit is made, while git moves the base branch to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merging {
    pub(crate) commit_sha: String,
    /// The id of the user who merges.
    pub(crate) by: i64,
}

/// The columns that [`Pull::read`] needs, of the table `pulls`.
pub(super) const COLUMNS: &str =
    "pulls.issue_id AS pull_id, head_ref, head_sha, base_ref, base_sha, draft, merged_at, merged_by,
     merge_commit_sha, merging_commit, merging_by";

impl Pull {
    /// Reads what an outer join selects by [`COLUMNS`]: the pull request, if there is one, and the
    /// id of the user who merged it.
    pub(super) fn read(row: &Row<'_>) -> Result<Option<(Self, Option<i64>)>, StoreError> {
        if row.get::<_, Option<i64>>("pull_id")?.is_none() {
            return Ok(None);
        }
        let record = Record::new(row, "pulls", "pull_id")?;
        let merging = match record.get("merging_commit")? {
            Some(commit_sha) => Some(Merging { commit_sha, by: record.get("merging_by")? }),
            None => None,
        };
        let pull = Self {
            head_ref: record.get("head_ref")?,
            head_sha: record.get("head_sha")?,
            base_ref: record.get("base_ref")?,
            base_sha: record.get("base_sha")?,
            draft: record.get("draft")?,
            merged_at: record.optional_instant("merged_at")?,
            merged_by: None,
            merge_commit_sha: record.get("merge_commit_sha")?,
            merging,
        };
        Ok(Some((pull, record.get("merged_by")?)))
    }
}

/// Makes an issue a pull request, which is neither merged nor being merged.
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
             merged_at = :merged_at, merged_by = :merged_by, merge_commit_sha = :merge_commit_sha,
             merging_commit = :merging_commit, merging_by = :merging_by
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
        ":merging_commit": pull.merging.as_ref().map(|merging| &merging.commit_sha),
        ":merging_by": pull.merging.as_ref().map(|merging| merging.by),
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

/// The ids of the repositories and the issues of all pull requests that are being merged.
pub(crate) fn merging(tx: &Transaction<'_>) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT repository_id, issue_id FROM pulls JOIN issues ON issues.id = issue_id
         WHERE merging_commit IS NOT NULL ORDER BY issue_id",
    )?;
    all(&mut statement, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The user who is merging.
pub(crate) fn merger(tx: &Transaction<'_>, merging: &Merging) -> Result<User, StoreError> {
    users::by_id(tx, merging.by)
}
