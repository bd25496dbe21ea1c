//! Rows of `labels`, and which issue wears which.

use rusqlite::{OptionalExtension, Row, Transaction};

use super::{Page, Paged, Rows, StoreError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Six hexadecimal digits, without the `#`.
    pub(crate) color: String,
    pub(crate) description: Option<String>,
}

const COLUMNS: &str = "labels.id, labels.name, labels.color, labels.description";

fn label(row: &Row<'_>) -> rusqlite::Result<Label> {
    Ok(Label { id: row.get(0)?, name: row.get(1)?, color: row.get(2)?, description: row.get(3)? })
}

pub(crate) fn insert(
    tx: &Transaction<'_>,
    repository_id: i64,
    name: &str,
    color: &str,
    description: Option<&str>,
) -> Result<Label, StoreError> {
    let sql = format!(
        "INSERT INTO labels (repository_id, name, color, description) VALUES (?1, ?2, ?3, ?4) RETURNING {COLUMNS}"
    );
    Ok(tx.prepare_cached(&sql)?.query_row((repository_id, name, color, description), label)?)
}

pub(crate) fn update(tx: &Transaction<'_>, changed: &Label) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE labels SET name = ?2, color = ?3, description = ?4 WHERE id = ?1")?
        .execute((changed.id, &changed.name, &changed.color, &changed.description))?;
    Ok(())
}

pub(crate) fn by_name(
    tx: &Transaction<'_>,
    repository_id: i64,
    name: &str,
) -> Result<Option<Label>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM labels WHERE repository_id = ?1 AND name = ?2");
    Ok(tx.prepare_cached(&sql)?.query_row((repository_id, name), label).optional()?)
}

pub(crate) fn of_repository(
    tx: &Transaction<'_>,
    repository_id: i64,
    page: Page,
) -> Result<Paged<Label>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM labels WHERE repository_id = ?1 ORDER BY name LIMIT ?2 OFFSET ?3"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let items = statement
        .query_map((repository_id, page.size, page.offset()), label)?
        .collect::<Result<_, _>>()?;
    let total = tx
        .prepare_cached("SELECT count(*) FROM labels WHERE repository_id = ?1")?
        .query_row([repository_id], |row| row.get(0))?;
    Ok(Paged { items, total })
}

/// Deletes the label; the issues that wore it lose it.
pub(crate) fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM labels WHERE id = ?1")?.execute([id])?;
    Ok(())
}

pub(crate) fn of_issue(tx: &Transaction<'_>, issue_id: i64) -> Rows<Label> {
    let sql = format!(
        "SELECT {COLUMNS} FROM issue_labels JOIN labels ON labels.id = label_id WHERE issue_id = ?1 ORDER BY labels.name"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement.query_map([issue_id], label)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts the label on the issue and tells whether it was not there before.
pub(crate) fn attach(
    tx: &Transaction<'_>,
    issue_id: i64,
    label_id: i64,
) -> Result<bool, StoreError> {
    let inserted = tx
        .prepare_cached(
            "INSERT INTO issue_labels (issue_id, label_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute((issue_id, label_id))?;
    Ok(inserted == 1)
}

/// Takes the label off the issue and tells whether it was there.
pub(crate) fn detach(
    tx: &Transaction<'_>,
    issue_id: i64,
    label_id: i64,
) -> Result<bool, StoreError> {
    let deleted = tx
        .prepare_cached("DELETE FROM issue_labels WHERE issue_id = ?1 AND label_id = ?2")?
        .execute((issue_id, label_id))?;
    Ok(deleted == 1)
}
