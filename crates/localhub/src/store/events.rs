//! Rows of `events`: what happened to an issue or a pull request.

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use rusqlite::{Row, Transaction, named_params};
use strum::{EnumDiscriminants, EnumString, IntoStaticStr};

use super::row::{Record, all, named};
use super::users::{self, User};
use super::{Page, Paged, StoreError};

/// What happened. Rows store GitHub's names of these (its page "Issue event types").
#[derive(Debug, Clone, PartialEq, Eq, EnumDiscriminants)]
#[strum_discriminants(name(EventName), derive(EnumString, IntoStaticStr))]
#[strum_discriminants(strum(serialize_all = "snake_case"), vis(pub(crate)))]
pub(crate) enum Change {
    Labeled {
        name: String,
        color: String,
    },
    Unlabeled {
        name: String,
        color: String,
    },
    Closed {
        /// The commit whose text closed the issue, if one did.
        commit_sha: Option<String>,
    },
    Reopened,
    Renamed {
        from: String,
        to: String,
    },
    /// Names the user by id.
    Assigned {
        assignee: i64,
    },
    /// Names the user by id.
    Unassigned {
        assignee: i64,
    },
    Merged {
        commit_sha: String,
    },
    ReadyForReview,
    /// Written by earlier versions only, whose `PATCH` could make a draft of a pull request.
    ConvertToDraft,
}

impl Change {
    /// GitHub's name of the event.
    pub(crate) fn name(&self) -> &'static str {
        EventName::from(self).into()
    }
}

/// An event as it was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) actor: User,
    pub(crate) change: Change,
    /// The user that [`Change::Assigned`] or [`Change::Unassigned`] names.
    pub(crate) assignee: Option<User>,
    pub(crate) created_at: Timestamp,
}

/// The columns of a row that only some changes have.
#[derive(Default)]
struct Details<'a> {
    label_name: Option<&'a str>,
    label_color: Option<&'a str>,
    old_title: Option<&'a str>,
    new_title: Option<&'a str>,
    assignee_id: Option<i64>,
    commit_sha: Option<&'a str>,
}

impl<'a> From<&'a Change> for Details<'a> {
    fn from(change: &'a Change) -> Self {
        match change {
            Change::Labeled { name, color } | Change::Unlabeled { name, color } => {
                Self { label_name: Some(name), label_color: Some(color), ..Self::default() }
            }
            Change::Renamed { from, to } => {
                Self { old_title: Some(from), new_title: Some(to), ..Self::default() }
            }
            Change::Assigned { assignee } | Change::Unassigned { assignee } => {
                Self { assignee_id: Some(*assignee), ..Self::default() }
            }
            Change::Merged { commit_sha } => {
                Self { commit_sha: Some(commit_sha), ..Self::default() }
            }
            Change::Closed { commit_sha } => {
                Self { commit_sha: commit_sha.as_deref(), ..Self::default() }
            }
            Change::Reopened | Change::ReadyForReview | Change::ConvertToDraft => Self::default(),
        }
    }
}

/// Records that the actor made a change to an issue.
pub(crate) fn insert(
    tx: &Transaction<'_>,
    issue_id: i64,
    actor_id: i64,
    change: &Change,
    now: Timestamp,
) -> Result<(), StoreError> {
    let details = Details::from(change);
    tx.prepare_cached(
        "INSERT INTO events (issue_id, actor_id, event, label_name, label_color,
                             old_title, new_title, assignee_id, commit_sha, created_at)
         VALUES (:issue_id, :actor_id, :event, :label_name, :label_color,
                 :old_title, :new_title, :assignee_id, :commit_sha, :created_at)",
    )?
    .execute(named_params! {
        ":issue_id": issue_id,
        ":actor_id": actor_id,
        ":event": change.name(),
        ":label_name": details.label_name,
        ":label_color": details.label_color,
        ":old_title": details.old_title,
        ":new_title": details.new_title,
        ":assignee_id": details.assignee_id,
        ":commit_sha": details.commit_sha,
        ":created_at": now.as_second(),
    })?;
    Ok(())
}

impl FromSql for EventName {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        named(value)
    }
}

fn read_change(record: &Record<'_>) -> Result<Change, StoreError> {
    Ok(match record.get("event")? {
        EventName::Labeled => {
            Change::Labeled { name: record.get("label_name")?, color: record.get("label_color")? }
        }
        EventName::Unlabeled => {
            Change::Unlabeled { name: record.get("label_name")?, color: record.get("label_color")? }
        }
        EventName::Closed => Change::Closed { commit_sha: record.get("commit_sha")? },
        EventName::Reopened => Change::Reopened,
        EventName::Renamed => {
            Change::Renamed { from: record.get("old_title")?, to: record.get("new_title")? }
        }
        EventName::Assigned => Change::Assigned { assignee: record.get("assignee_id")? },
        EventName::Unassigned => Change::Unassigned { assignee: record.get("assignee_id")? },
        EventName::Merged => Change::Merged { commit_sha: record.get("commit_sha")? },
        EventName::ReadyForReview => Change::ReadyForReview,
        EventName::ConvertToDraft => Change::ConvertToDraft,
    })
}

fn read(row: &Row<'_>) -> Result<Event, StoreError> {
    let actor = User::read(row)?;
    let record = Record::new(row, "events", "id")?;
    Ok(Event {
        id: record.id(),
        actor,
        change: read_change(&record)?,
        assignee: None,
        created_at: record.instant("created_at")?,
    })
}

/// The events of an issue, oldest first.
pub(crate) fn of_issue(
    tx: &Transaction<'_>,
    issue_id: i64,
    page: Page,
) -> Result<Paged<Event>, StoreError> {
    let sql = format!(
        "SELECT {}, events.id AS id, event, label_name, label_color, old_title, new_title,
                commit_sha, assignee_id, events.created_at AS created_at
         FROM events JOIN users ON users.id = actor_id
         WHERE issue_id = ?1 ORDER BY events.id LIMIT ?2 OFFSET ?3",
        users::COLUMNS
    );
    let parameters = (issue_id, page.size, page.offset());
    let mut items = all(&mut *tx.prepare_cached(&sql)?, parameters, read)?;
    for event in &mut items {
        if let Change::Assigned { assignee } | Change::Unassigned { assignee } = event.change {
            event.assignee = Some(users::by_id(tx, assignee)?);
        }
    }
    let total = tx
        .prepare_cached("SELECT count(*) FROM events WHERE issue_id = ?1")?
        .query_row([issue_id], |row| row.get(0))?;
    Ok(Paged { items, total })
}
