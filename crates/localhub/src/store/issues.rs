//! Rows of `issues`, each with its pull request's row when it is one.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};

use super::labels::{self, Label};
use super::pulls::Pull;
use super::users::{self, User};
use super::{Page, Paged, StoreError, instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Closed,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) id: i64,
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
    pub(crate) comments: u64,
    pub(crate) labels: Vec<Label>,
    pub(crate) assignees: Vec<User>,
    pub(crate) pull: Option<Pull>,
}

/// Which of issues and pull requests a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As in "List repository issues": pull requests are issues too.
    IssuesAndPulls,
    Pulls,
}

/// Which issues a list holds and in which order; `None` and empty mean any.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) kind: Kind,
    pub(crate) state: Option<State>,
    /// All of these have to be on the issue.
    pub(crate) labels: Vec<String>,
    pub(crate) creator: Option<String>,
    pub(crate) assignee: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) head: Option<String>,
    pub(crate) base: Option<String>,
    pub(crate) sort: Sort,
    pub(crate) ascending: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Sort {
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

const TABLES: &str = "issues JOIN users ON users.id = issues.author_id LEFT JOIN pulls ON pulls.issue_id = issues.id";

fn select(condition: &str) -> String {
    format!(
        "SELECT {}, issues.id, number, title, body, state, state_reason,
                issues.created_at, updated_at, closed_at, closed_by,
                (SELECT count(*) FROM comments WHERE comments.issue_id = issues.id) AS comment_count,
                EXISTS (SELECT 1 FROM permissions
                        WHERE permissions.repository_id = issues.repository_id AND user_id = issues.author_id),
                {}
         FROM {TABLES} WHERE {condition}",
        users::COLUMNS,
        super::pulls::COLUMNS
    )
}

/// The row alone; [`complete`] adds what other tables hold.
struct Bare {
    issue: Issue,
    closed_by: Option<i64>,
    merged_by: Option<i64>,
}

fn bare(row: &Row<'_>) -> rusqlite::Result<Bare> {
    let (pull, merged_by) = Pull::at(row, 15)?;
    let state = if row.get_ref(7)?.as_str()? == "open" { State::Open } else { State::Closed };
    let issue = Issue {
        author: User::at(row, 0)?,
        id: row.get(3)?,
        number: row.get(4)?,
        title: row.get(5)?,
        body: row.get(6)?,
        state,
        state_reason: row.get(8)?,
        created_at: instant(row.get(9)?),
        updated_at: instant(row.get(10)?),
        closed_at: row.get::<_, Option<i64>>(11)?.map(instant),
        closed_by: None,
        comments: row.get(13)?,
        author_is_collaborator: row.get(14)?,
        labels: Vec::new(),
        assignees: Vec::new(),
        pull,
    };
    Ok(Bare { issue, closed_by: row.get(12)?, merged_by })
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

/// Adds an open issue under the repository's next number and returns its row's id and that number.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    repository_id: i64,
    author_id: i64,
    title: &str,
    body: Option<&str>,
    now: Timestamp,
) -> Result<(i64, u64), StoreError> {
    let number: u64 = tx
        .prepare_cached("UPDATE repositories SET last_number = last_number + 1 WHERE id = ?1 RETURNING last_number")?
        .query_row([repository_id], |row| row.get(0))?;
    tx.prepare_cached(
        "INSERT INTO issues (repository_id, number, author_id, title, body, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute((repository_id, number, author_id, title, body, now.as_second()))?;
    Ok((tx.last_insert_rowid(), number))
}

pub(crate) fn by_number(
    tx: &Transaction<'_>,
    repository_id: i64,
    number: u64,
) -> Result<Option<Issue>, StoreError> {
    let sql = select("issues.repository_id = ?1 AND number = ?2");
    // A number that no row can have is a number that no issue has.
    let Ok(number) = i64::try_from(number) else { return Ok(None) };
    let found = tx.prepare_cached(&sql)?.query_row((repository_id, number), bare).optional()?;
    found.map(|row| complete(tx, row)).transpose()
}

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
    let slice = format!(
        "{MATCHES} ORDER BY {order} {direction}, issues.id {direction} LIMIT {limit} OFFSET {offset}"
    );
    let rows =
        tx.prepare(&select(&slice))?.query_map(parameters, bare)?.collect::<Result<Vec<_>, _>>()?;
    let items = rows.into_iter().map(|row| complete(tx, row)).collect::<Result<_, _>>()?;
    Ok(Paged { items, total })
}

/// Writes back what may change of an issue: title, body and state.
pub(crate) fn update(
    tx: &Transaction<'_>,
    issue: &Issue,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE issues SET title = ?2, body = ?3, state = ?4, state_reason = ?5, closed_at = ?6, closed_by = ?7,
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

pub(crate) fn touch(tx: &Transaction<'_>, id: i64, now: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE issues SET updated_at = ?2 WHERE id = ?1")?
        .execute((id, now.as_second()))?;
    Ok(())
}

pub(crate) fn assign(tx: &Transaction<'_>, issue_id: i64, user_id: i64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO issue_assignees (issue_id, user_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?
    .execute((issue_id, user_id))?;
    Ok(())
}

pub(crate) fn unassign(
    tx: &Transaction<'_>,
    issue_id: i64,
    user_id: i64,
) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM issue_assignees WHERE issue_id = ?1 AND user_id = ?2")?
        .execute((issue_id, user_id))?;
    Ok(())
}
