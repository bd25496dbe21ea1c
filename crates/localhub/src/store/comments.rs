//! Rows of `comments`, on issues and on pull requests.

use jiff::Timestamp;
use rusqlite::{Row, Transaction};

use super::row::{Record, all, first};
use super::users::User;
use super::{Page, Paged, StoreError};

/// A comment.
#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: i64,
    pub(crate) author: User,
    pub(crate) author_is_collaborator: bool,
    /// The number of the issue or pull request that the comment is on.
    pub(crate) issue_number: u64,
    /// Whether that is a pull request.
    pub(crate) on_pull: bool,
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

fn select(condition: &str) -> String {
    format!(
        "SELECT {}, comments.id AS id, issues.number AS issue_number,
                pulls.issue_id IS NOT NULL AS on_pull, comments.body AS body,
                comments.created_at AS created_at, comments.updated_at AS updated_at,
                EXISTS (SELECT 1 FROM permissions
                        WHERE permissions.repository_id = issues.repository_id
                              AND user_id = comments.author_id) AS author_is_collaborator
         FROM comments JOIN users ON users.id = comments.author_id
              JOIN issues ON issues.id = comments.issue_id
              LEFT JOIN pulls ON pulls.issue_id = issues.id
         WHERE {condition}",
        super::users::COLUMNS
    )
}

fn read(row: &Row<'_>) -> Result<Comment, StoreError> {
    let author = User::read(row)?;
    let record = Record::new(row, "comments", "id")?;
    Ok(Comment {
        id: record.id(),
        author,
        author_is_collaborator: record.get("author_is_collaborator")?,
        issue_number: record.get("issue_number")?,
        on_pull: record.get("on_pull")?,
        body: record.get("body")?,
        created_at: record.instant("created_at")?,
        updated_at: record.instant("updated_at")?,
    })
}

/// Adds a comment and returns its id.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    issue_id: i64,
    author_id: i64,
    body: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    tx.prepare_cached(
        "INSERT INTO comments (issue_id, author_id, body, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?4)",
    )?
    .execute((issue_id, author_id, body, now.as_second()))?;
    Ok(tx.last_insert_rowid())
}

/// The comment with this id, if it is in the repository.
pub(crate) fn by_id(
    tx: &Transaction<'_>,
    repository_id: i64,
    id: i64,
) -> Result<Option<Comment>, StoreError> {
    let sql = select("comments.id = ?1 AND issues.repository_id = ?2");
    first(&mut *tx.prepare_cached(&sql)?, (id, repository_id), read)
}

/// The comments on one issue that were changed at `since` or later, oldest first.
pub(crate) fn of_issue(
    tx: &Transaction<'_>,
    issue_id: i64,
    since: Option<Timestamp>,
    page: Page,
) -> Result<Paged<Comment>, StoreError> {
    let since = since.map_or(i64::MIN, Timestamp::as_second);
    let sql = select(
        "comments.issue_id = ?1 AND comments.updated_at >= ?2
         ORDER BY comments.id LIMIT ?3 OFFSET ?4",
    );
    let parameters = (issue_id, since, page.size, page.offset());
    let items = all(&mut *tx.prepare_cached(&sql)?, parameters, read)?;
    let total = tx
        .prepare_cached("SELECT count(*) FROM comments WHERE issue_id = ?1 AND updated_at >= ?2")?
        .query_row((issue_id, since), |row| row.get(0))?;
    Ok(Paged { items, total })
}

/// Replaces the text of a comment.
pub(crate) fn update(
    tx: &Transaction<'_>,
    id: i64,
    body: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE comments SET body = ?2, updated_at = ?3 WHERE id = ?1")?
        .execute((id, body, now.as_second()))?;
    Ok(())
}

/// Deletes a comment.
pub(crate) fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM comments WHERE id = ?1")?.execute([id])?;
    Ok(())
}
