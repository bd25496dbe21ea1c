//! Rows of `events`: what happened to an issue, for its timeline.

use jiff::Timestamp;
use rusqlite::{Row, Transaction};

use super::users::{self, User};
use super::{Page, Paged, StoreError, instant};

/// What happened; the names are GitHub's, of its page "Issue event types".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happening {
    Labeled { name: String, color: String },
    Unlabeled { name: String, color: String },
    Closed { commit_sha: Option<String> },
    Reopened,
    Renamed { from: String, to: String },
    Assigned { assignee: i64 },
    Unassigned { assignee: i64 },
    Merged { commit_sha: String },
    ReadyForReview,
    ConvertToDraft,
}

impl Happening {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Labeled { .. } => "labeled",
            Self::Unlabeled { .. } => "unlabeled",
            Self::Closed { .. } => "closed",
            Self::Reopened => "reopened",
            Self::Renamed { .. } => "renamed",
            Self::Assigned { .. } => "assigned",
            Self::Unassigned { .. } => "unassigned",
            Self::Merged { .. } => "merged",
            Self::ReadyForReview => "ready_for_review",
            Self::ConvertToDraft => "convert_to_draft",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) actor: User,
    /// GitHub's name of what happened.
    pub(crate) event: String,
    /// Name and color.
    pub(crate) label: Option<(String, String)>,
    /// Old title and new title.
    pub(crate) rename: Option<(String, String)>,
    pub(crate) assignee: Option<User>,
    pub(crate) commit_sha: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// Parameters of one row beside its issue, actor, name and time.
#[derive(Default)]
struct Detail<'a> {
    label: (Option<&'a str>, Option<&'a str>),
    rename: (Option<&'a str>, Option<&'a str>),
    assignee: Option<i64>,
    commit: Option<&'a str>,
}

pub(crate) fn insert(
    tx: &Transaction<'_>,
    issue_id: i64,
    actor_id: i64,
    happening: &Happening,
    now: Timestamp,
) -> Result<(), StoreError> {
    let detail = match happening {
        Happening::Labeled { name, color } | Happening::Unlabeled { name, color } => {
            Detail { label: (Some(name), Some(color)), ..Detail::default() }
        }
        Happening::Renamed { from, to } => {
            Detail { rename: (Some(from), Some(to)), ..Detail::default() }
        }
        Happening::Assigned { assignee } | Happening::Unassigned { assignee } => {
            Detail { assignee: Some(*assignee), ..Detail::default() }
        }
        Happening::Merged { commit_sha } => {
            Detail { commit: Some(commit_sha), ..Detail::default() }
        }
        Happening::Closed { commit_sha } => {
            Detail { commit: commit_sha.as_deref(), ..Detail::default() }
        }
        Happening::Reopened | Happening::ReadyForReview | Happening::ConvertToDraft => {
            Detail::default()
        }
    };
    tx.prepare_cached(
        "INSERT INTO events (issue_id, actor_id, event, label_name, label_color, old_title, new_title, assignee_id,
                             commit_sha, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute((
        issue_id,
        actor_id,
        happening.name(),
        detail.label.0,
        detail.label.1,
        detail.rename.0,
        detail.rename.1,
        detail.assignee,
        detail.commit,
        now.as_second(),
    ))?;
    Ok(())
}

fn event(row: &Row<'_>) -> rusqlite::Result<(Event, Option<i64>)> {
    let label: Option<String> = row.get(5)?;
    let old_title: Option<String> = row.get(7)?;
    let event = Event {
        actor: User::at(row, 0)?,
        id: row.get(3)?,
        event: row.get(4)?,
        label: label.zip(row.get(6)?),
        rename: old_title.zip(row.get(8)?),
        assignee: None,
        commit_sha: row.get(9)?,
        created_at: instant(row.get(10)?),
    };
    Ok((event, row.get(11)?))
}

pub(crate) fn of_issue(
    tx: &Transaction<'_>,
    issue_id: i64,
    page: Page,
) -> Result<Paged<Event>, StoreError> {
    let sql = format!(
        "SELECT {}, events.id, event, label_name, label_color, old_title, new_title, commit_sha, events.created_at,
                assignee_id
         FROM events JOIN users ON users.id = actor_id WHERE issue_id = ?1 ORDER BY events.id LIMIT ?2 OFFSET ?3",
        users::COLUMNS
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let rows = statement
        .query_map((issue_id, page.size, page.offset()), event)?
        .collect::<Result<Vec<_>, rusqlite::Error>>()?;
    let items = rows
        .into_iter()
        .map(|(event, assignee)| {
            Ok(Event { assignee: assignee.map(|id| users::by_id(tx, id)).transpose()?, ..event })
        })
        .collect::<Result<_, StoreError>>()?;
    let total = tx
        .prepare_cached("SELECT count(*) FROM events WHERE issue_id = ?1")?
        .query_row([issue_id], |row| row.get(0))?;
    Ok(Paged { items, total })
}
