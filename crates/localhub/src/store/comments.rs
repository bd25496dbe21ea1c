//! Rows of `comments`: what was said on an issue or a pull request.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction};

use super::users::User;
use super::{Page, Paged, StoreError, instant};

#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: i64,
    pub(crate) author: User,
    pub(crate) author_is_collaborator: bool,
    /// The number of the issue or pull request it stands on.
    pub(crate) issue_number: u64,
    pub(crate) on_pull: bool,
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

fn select(condition: &str) -> String {
    format!(
        "SELECT {}, comments.id, issues.number, pulls.issue_id IS NOT NULL, comments.body,
                comments.created_at, comments.updated_at,
                EXISTS (SELECT 1 FROM permissions
                        WHERE permissions.repository_id = issues.repository_id AND user_id = comments.author_id)
         FROM comments JOIN users ON users.id = comments.author_id JOIN issues ON issues.id = comments.issue_id
              LEFT JOIN pulls ON pulls.issue_id = issues.id
         WHERE {condition}",
        super::users::COLUMNS
    )
}

fn comment(row: &Row<'_>) -> rusqlite::Result<Comment> {
    Ok(Comment {
        author: User::at(row, 0)?,
        id: row.get(3)?,
        issue_number: row.get(4)?,
        on_pull: row.get(5)?,
        body: row.get(6)?,
        created_at: instant(row.get(7)?),
        updated_at: instant(row.get(8)?),
        author_is_collaborator: row.get(9)?,
    })
}

pub(crate) fn insert(
    tx: &Transaction<'_>,
    issue_id: i64,
    author_id: i64,
    body: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    tx.prepare_cached(
        "INSERT INTO comments (issue_id, author_id, body, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
    )?
    .execute((issue_id, author_id, body, now.as_second()))?;
    Ok(tx.last_insert_rowid())
}

pub(crate) fn by_id(
    tx: &Transaction<'_>,
    repository_id: i64,
    id: i64,
) -> Result<Option<Comment>, StoreError> {
    let sql = select("comments.id = ?1 AND issues.repository_id = ?2");
    Ok(tx.prepare_cached(&sql)?.query_row((id, repository_id), comment).optional()?)
}

/// The comments of one issue, oldest first, those not changed since `since` left out.
pub(crate) fn of_issue(
    tx: &Transaction<'_>,
    issue_id: i64,
    since: Option<Timestamp>,
    page: Page,
) -> Result<Paged<Comment>, StoreError> {
    let since = since.map_or(i64::MIN, Timestamp::as_second);
    let sql = select(
        "comments.issue_id = ?1 AND comments.updated_at >= ?2 ORDER BY comments.id LIMIT ?3 OFFSET ?4",
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let items = statement
        .query_map((issue_id, since, page.size, page.offset()), comment)?
        .collect::<Result<_, _>>()?;
    let total = tx
        .prepare_cached("SELECT count(*) FROM comments WHERE issue_id = ?1 AND updated_at >= ?2")?
        .query_row((issue_id, since), |row| row.get(0))?;
    Ok(Paged { items, total })
}

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

pub(crate) fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM comments WHERE id = ?1")?.execute([id])?;
    Ok(())
}
