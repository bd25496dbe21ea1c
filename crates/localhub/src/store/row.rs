//! Reading rows so that a value that can't be read is reported with its table, row and column.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Params, Row, Statement};

use super::StoreError;

/// One row of a query, and which stored row its columns come from.
pub(super) struct Record<'row> {
    row: &'row Row<'row>,
    table: &'static str,
    id: i64,
}

impl<'row> Record<'row> {
    /// The columns that a query selects from `table`, whose primary key it selects as `id_column`.
    pub(super) fn new(
        row: &'row Row<'row>,
        table: &'static str,
        id_column: &str,
    ) -> Result<Self, StoreError> {
        // SQLite itself guarantees that an INTEGER PRIMARY KEY is an integer.
        Ok(Self { row, table, id: row.get(id_column)? })
    }

    /// The primary key.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Reads one column.
    pub(super) fn get<T: FromSql>(&self, column: &'static str) -> Result<T, StoreError> {
        self.row.get(column).map_err(|source| StoreError::Damaged {
            table: self.table,
            row: format!("id {}", self.id),
            column,
            source,
        })
    }

    /// Reads a column of whole seconds since the Unix epoch.
    pub(super) fn instant(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Ok(self.get::<Seconds>(column)?.0)
    }

    /// Reads a column of whole seconds since the Unix epoch that may be null.
    pub(super) fn optional_instant(
        &self,
        column: &'static str,
    ) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Option<Seconds>>(column)?.map(|Seconds(instant)| instant))
    }
}

struct Seconds(Timestamp);

impl FromSql for Seconds {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let seconds = i64::column_result(value)?;
        Timestamp::from_second(seconds).map(Self).map_err(FromSqlError::other)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no version of this program writes {0:?} there")]
struct UnknownName(String);

/// Reads a text column as one of an enum's names. For implementations of [`FromSql`].
pub(super) fn named<T: FromStr>(value: ValueRef<'_>) -> FromSqlResult<T> {
    let name = value.as_str()?;
    name.parse().map_err(|_| FromSqlError::other(UnknownName(name.to_owned())))
}

/// Runs a query and reads all its rows.
pub(super) fn all<T>(
    statement: &mut Statement<'_>,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    statement.query_and_then(parameters, read)?.collect()
}

/// Runs a query and reads its first row; `None` when it has no rows.
pub(super) fn first<T>(
    statement: &mut Statement<'_>,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    statement.query_and_then(parameters, read)?.next().transpose()
}
