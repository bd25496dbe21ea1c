//! Rows of `issues`, each with its row of `pulls` when it is a pull request.

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use rusqlite::{Row, Transaction, named_params};
use serde::Deserialize;
use strum::{EnumString, IntoStaticStr};

use super::labels::{self, Label};
use super::pulls::Pull;
use super::row::{Record, all, first, named};
use super::users::{self, User};
use super::{Page, Paged, StoreError};

/// Whether an issue is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, Deserialize)]
#[strum(serialize_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Open,
    Closed,
}

impl State {
    /// GitHub's name of the state.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(value)
    }
}

/// An issue or a pull request, with all that an answer tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) id: i64,
    pub(crate) repository_id: i64,
    pub(crate) number: u64,
    pub(crate) author: User,
    pub(crate) author_is_collaborator: bool,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) state: State,
    pub(crate) state_reason: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
    pub(crate) closed_by: Option<User>,
    /// How many comments it has.
    pub(crate) comments: u64,
    pub(crate) labels: Vec<Label>,
    pub(crate) assignees: Vec<User>,
    /// `None` for an issue that is not a pull request.
    pub(crate) pull: Option<Pull>,
}

/// Which of issues and pull requests a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As in "List repository issues": a pull request is an issue, too.
    IssuesAndPulls,
    Pulls,
}

/// Which issues a list has, and in which order. `None` and an empty list select all.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) kind: Kind,
    pub(crate) state: Option<State>,
    /// Labels that an issue must have, every one of them.
    pub(crate) labels: Vec<String>,
    pub(crate) creator: Option<String>,
    pub(crate) assignee: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) head: Option<String>,
    pub(crate) base: Option<String>,
    pub(crate) sort: Sort,
    pub(crate) ascending: bool,
}

impl Filter {
    /// All open pull requests, the oldest first.
    pub(crate) fn open_pulls() -> Self {
        Self {
            kind: Kind::Pulls,
            state: Some(State::Open),
            labels: Vec::new(),
            creator: None,
            assignee: None,
            since: None,
            head: None,
            base: None,
            sort: Sort::Created,
            ascending: true,
        }
    }
}

/// What a list is ordered by, with GitHub's names.
#[derive(Debug, Clone, Copy, Default, EnumString)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Sort {
    #[default]
    Created,
    Updated,
    Comments,
}

const MATCHES: &str = "
    issues.repository_id = :repository
    AND (:pulls_only = 0 OR pulls.issue_id IS NOT NULL)
    AND (:state IS NULL OR state = :state)
    AND (:since IS NULL OR issues.updated_at >= :since)
    AND (:head IS NULL OR head_ref = :head)
    AND (:base IS NULL OR base_ref = :base)
    AND (:creator IS NULL OR users.login = :creator)
    AND (:assignee IS NULL OR EXISTS (
        SELECT 1 FROM issue_assignees JOIN users AS assignees ON assignees.id = user_id
        WHERE issue_id = issues.id AND assignees.login = :assignee))
    AND NOT EXISTS (
        SELECT 1 FROM json_each(:labels) AS wanted WHERE NOT EXISTS (
            SELECT 1 FROM issue_labels JOIN labels ON labels.id = label_id
            WHERE issue_labels.issue_id = issues.id AND labels.name = wanted.value))";

const TABLES: &str = "issues JOIN users ON users.id = issues.author_id
                      LEFT JOIN pulls ON pulls.issue_id = issues.id";

fn select(condition: &str) -> String {
    format!(
        "SELECT {}, issues.id AS id, issues.repository_id AS repository_id,
                number, title, body, state, state_reason,
                issues.created_at AS created_at, updated_at, closed_at, closed_by,
                (SELECT count(*) FROM comments WHERE comments.issue_id = issues.id)
                    AS comment_count,
                EXISTS (SELECT 1 FROM permissions
                        WHERE permissions.repository_id = issues.repository_id
                              AND user_id = issues.author_id) AS author_is_collaborator,
                {}
         FROM {TABLES} WHERE {condition}",
        users::COLUMNS,
        super::pulls::COLUMNS
    )
}

/// One row. [`complete`] adds what other tables hold.
struct Bare {
    issue: Issue,
    closed_by: Option<i64>,
    merged_by: Option<i64>,
}

fn read(row: &Row<'_>) -> Result<Bare, StoreError> {
    let author = User::read(row)?;
    let (pull, merged_by) = Pull::read(row)?.unzip();
    let record = Record::new(row, "issues", "id")?;
    let issue = Issue {
        id: record.id(),
        repository_id: record.get("repository_id")?,
        number: record.get("number")?,
        author,
        author_is_collaborator: record.get("author_is_collaborator")?,
        title: record.get("title")?,
        body: record.get("body")?,
        state: record.get("state")?,
        state_reason: record.get("state_reason")?,
        created_at: record.instant("created_at")?,
        updated_at: record.instant("updated_at")?,
        closed_at: record.optional_instant("closed_at")?,
        closed_by: None,
        comments: record.get("comment_count")?,
        labels: Vec::new(),
        assignees: Vec::new(),
        pull,
    };
    Ok(Bare { issue, closed_by: record.get("closed_by")?, merged_by: merged_by.flatten() })
}

fn complete(tx: &Transaction<'_>, bare: Bare) -> Result<Issue, StoreError> {
    let mut issue = bare.issue;
    issue.closed_by = bare.closed_by.map(|id| users::by_id(tx, id)).transpose()?;
    issue.labels = labels::of_issue(tx, issue.id)?;
    issue.assignees = users::assigned(tx, issue.id)?;
    if let Some(pull) = &mut issue.pull {
        pull.merged_by = bare.merged_by.map(|id| users::by_id(tx, id)).transpose()?;
    }
    Ok(issue)
}

/// Adds an open issue under the repository's next number. Returns the row's id and that number.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    repository_id: i64,
    author_id: i64,
    title: &str,
    body: Option<&str>,
    now: Timestamp,
) -> Result<(i64, u64), StoreError> {
    let number: u64 = tx
        .prepare_cached(
            "UPDATE repositories SET last_number = last_number + 1 WHERE id = ?1
             RETURNING last_number",
        )?
        .query_row([repository_id], |row| row.get(0))?;
    tx.prepare_cached(
        "INSERT INTO issues
             (repository_id, number, author_id, title, body, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute((repository_id, number, author_id, title, body, now.as_second()))?;
    Ok((tx.last_insert_rowid(), number))
}

/// The issue or pull request with this number in a repository.
pub(crate) fn by_number(
    tx: &Transaction<'_>,
    repository_id: i64,
    number: u64,
) -> Result<Option<Issue>, StoreError> {
    // SQLite's integers end at i64::MAX, so no issue has a larger number.
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    let sql = select("issues.repository_id = ?1 AND number = ?2");
    let found = first(&mut *tx.prepare_cached(&sql)?, (repository_id, number), read)?;
    found.map(|row| complete(tx, row)).transpose()
}

/// Whether a repository has given this number to an issue or a pull request.
pub(crate) fn was_given_out(
    tx: &Transaction<'_>,
    repository_id: i64,
    number: u64,
) -> Result<bool, StoreError> {
    let sql = "SELECT last_number FROM repositories WHERE id = ?1";
    let last: u64 = tx.prepare_cached(sql)?.query_row([repository_id], |row| row.get(0))?;
    Ok((1..=last).contains(&number))
}

/// Deletes an issue that is no pull request, with all rows that refer to it.
pub(crate) fn delete(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    for table in ["events", "comments", "issue_labels", "issue_assignees"] {
        tx.execute(&format!("DELETE FROM {table} WHERE issue_id = ?1"), [id])?;
    }
    tx.execute("DELETE FROM issues WHERE id = ?1", [id])?;
    Ok(())
}

/// The issue or pull request whose row has this id.
pub(crate) fn by_id(tx: &Transaction<'_>, id: i64) -> Result<Option<Issue>, StoreError> {
    let found = first(&mut *tx.prepare_cached(&select("issues.id = ?1"))?, [id], read)?;
    found.map(|row| complete(tx, row)).transpose()
}

/// A page of the issues and pull requests of a repository.
pub(crate) fn list(
    tx: &Transaction<'_>,
    repository_id: i64,
    filter: &Filter,
    page: Page,
) -> Result<Paged<Issue>, StoreError> {
    let labels = serde_json::Value::from(filter.labels.clone()).to_string();
    let order = match filter.sort {
        Sort::Created => "issues.created_at",
        Sort::Updated => "issues.updated_at",
        Sort::Comments => "comment_count",
    };
    let direction = if filter.ascending { "ASC" } else { "DESC" };
    let (limit, offset) = (i64::from(page.size), page.offset());
    let parameters = named_params! {
        ":repository": repository_id,
        ":pulls_only": filter.kind == Kind::Pulls,
        ":state": filter.state.map(State::name),
        ":since": filter.since.map(Timestamp::as_second),
        ":head": filter.head,
        ":base": filter.base,
        ":creator": filter.creator,
        ":assignee": filter.assignee,
        ":labels": labels,
    };

    let total = tx
        .prepare_cached(&format!("SELECT count(*) FROM {TABLES} WHERE {MATCHES}"))?
        .query_row(parameters, |row| row.get(0))?;
    // Issues of one second would otherwise come in any order, and in two pages or in none.
    let slice = format!(
        "{MATCHES} ORDER BY {order} {direction}, issues.id {direction}
         LIMIT {limit} OFFSET {offset}"
    );
    let rows = all(&mut tx.prepare(&select(&slice))?, parameters, read)?;
    let items = rows.into_iter().map(|row| complete(tx, row)).collect::<Result<_, _>>()?;
    Ok(Paged { items, total })
}

/// Writes what may change of an issue: title, body and state.
pub(crate) fn update(
    tx: &Transaction<'_>,
    issue: &Issue,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE issues
         SET title = ?2, body = ?3, state = ?4, state_reason = ?5, closed_at = ?6, closed_by = ?7,
             updated_at = ?8
         WHERE id = ?1",
    )?
    .execute((
        issue.id,
        &issue.title,
        &issue.body,
        issue.state.name(),
        &issue.state_reason,
        issue.closed_at.map(Timestamp::as_second),
        issue.closed_by.as_ref().map(|user| user.id),
        now.as_second(),
    ))?;
    Ok(())
}

/// Records that something about the issue changed now.
pub(crate) fn touch(tx: &Transaction<'_>, id: i64, now: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE issues SET updated_at = ?2 WHERE id = ?1")?
        .execute((id, now.as_second()))?;
    Ok(())
}

/// Assigns the issue to a user, who may have it already.
pub(crate) fn assign(tx: &Transaction<'_>, issue_id: i64, user_id: i64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO issue_assignees (issue_id, user_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?
    .execute((issue_id, user_id))?;
    Ok(())
}

/// Takes the issue from a user.
pub(crate) fn unassign(
    tx: &Transaction<'_>,
    issue_id: i64,
    user_id: i64,
) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM issue_assignees WHERE issue_id = ?1 AND user_id = ?2")?
        .execute((issue_id, user_id))?;
    Ok(())
}
