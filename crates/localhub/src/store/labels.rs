//! Rows of `labels`, and which labels an issue has.

use rusqlite::{Row, Transaction};

use super::row::{Record, all, first};
use super::{Page, Paged, StoreError};

/// A label of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Six hexadecimal digits, without the `#`.
    pub(crate) color: String,
    pub(crate) description: Option<String>,
}

const COLUMNS: &str = "labels.id AS id, labels.name AS name, labels.color AS color,
                       labels.description AS description";

fn read(row: &Row<'_>) -> Result<Label, StoreError> {
    let record = Record::new(row, "labels", "id")?;
    Ok(Label {
        id: record.id(),
        name: record.get("name")?,
        color: record.get("color")?,
        description: record.get("description")?,
    })
}

/// Adds a label. The repository must not have one of that name.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    repository_id: i64,
    name: &str,
    color: &str,
    description: Option<&str>,
) -> Result<Label, StoreError> {
    tx.prepare_cached(
        "INSERT INTO labels (repository_id, name, color, description) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((repository_id, name, color, description))?;
    Ok(Label {
        id: tx.last_insert_rowid(),
        name: name.to_owned(),
        color: color.to_owned(),
        description: description.map(str::to_owned),
    })
}

/// Writes all of a label.
pub(crate) fn update(tx: &Transaction<'_>, changed: &Label) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE labels SET name = ?2, color = ?3, description = ?4 WHERE id = ?1")?
        .execute((changed.id, &changed.name, &changed.color, &changed.description))?;
    Ok(())
}

/// The label of this name, in any case.
pub(crate) fn by_name(
    tx: &Transaction<'_>,
    repository_id: i64,
    name: &str,
) -> Result<Option<Label>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM labels WHERE repository_id = ?1 AND name = ?2");
    first(&mut *tx.prepare_cached(&sql)?, (repository_id, name), read)
}

/// The labels of a repository, by name.
pub(crate) fn of_repository(
    tx: &Transaction<'_>,
    repository_id: i64,
    page: Page,
) -> Result<Paged<Label>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM labels WHERE repository_id = ?1 ORDER BY name LIMIT ?2 OFFSET ?3"
    );
    let items =
        all(&mut *tx.prepare_cached(&sql)?, (repository_id, page.size, page.offset()), read)?;
    let total = tx
        .prepare_cached("SELECT count(*) FROM labels WHERE repository_id = ?1")?
        .query_row([repository_id], |row| row.get(0))?;
    Ok(Paged { items, total })
}

/// Deletes a label, also from the issues that have it.
pub(crate) fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM labels WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// The labels of an issue, by name.
pub(crate) fn of_issue(tx: &Transaction<'_>, issue_id: i64) -> Result<Vec<Label>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM issue_labels JOIN labels ON labels.id = label_id
         WHERE issue_id = ?1 ORDER BY labels.name"
    );
    all(&mut *tx.prepare_cached(&sql)?, [issue_id], read)
}

/// Adds a label to an issue. Returns whether the issue did not have it before.
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

/// Removes a label from an issue. Returns whether the issue had it.
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
