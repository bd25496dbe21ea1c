//! Issues: opening, editing, closing, and the record of what happened to them.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::{
    FieldError, Forge, Refusal, admit, check_body, check_title, found, labels, permission,
    refuse_if_any,
};
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::comments::{self, Comment};
use crate::store::events::{self, Change, Event};
use crate::store::issues::{self, Filter, Issue, State};
use crate::store::repositories::{self, Repository};
use crate::store::users::{self, User};
use crate::store::{Page, Paged};

/// The values of a new issue.
#[derive(Debug, Default)]
pub(crate) struct NewIssue {
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) labels: Vec<String>,
    /// Logins.
    pub(crate) assignees: Vec<String>,
}

/// What a caller wants to change of an issue. `None` leaves a field as it is.
#[derive(Debug, Default)]
pub(crate) struct IssueChange {
    pub(crate) title: Option<String>,
    pub(crate) body: Option<Option<String>>,
    pub(crate) state: Option<State>,
    pub(crate) state_reason: Option<String>,
    pub(crate) labels: Option<Vec<String>>,
    /// Logins.
    pub(crate) assignees: Option<Vec<String>>,
}

/// One entry of an issue's timeline.
#[derive(Debug)]
pub(crate) enum Entry {
    Event(Event),
    Comment(Comment),
}

impl Entry {
    fn at(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.created_at,
            Self::Comment(comment) => comment.created_at,
        }
    }
}

impl Forge {
    /// Opens an issue. Labels and assignees are ignored without an error when the caller may not
    /// set them, as GitHub's page "Create an issue" says.
    pub(crate) fn create_issue(
        &self,
        actor: &User,
        name: &RepositoryName,
        new: &NewIssue,
        now: Timestamp,
    ) -> Result<(Repository, Issue), Refusal> {
        self.store.write(|tx| {
            let (repository, held) = admit(tx, actor, name, Permission::Read)?;
            let mut errors = Vec::new();
            check_title("Issue", &new.title, &mut errors);
            check_body("Issue", new.body.as_deref().unwrap_or_default(), &mut errors);
            refuse_if_any(errors)?;

            let (_, number) =
                issues::insert(tx, repository.id, actor.id, &new.title, new.body.as_deref(), now)?;
            let issue = found(tx, &repository, number)?;
            if held >= Permission::Triage {
                labels::add(tx, &repository, &issue, actor, &new.labels, now)?;
                assign(tx, &repository, &issue, actor, &new.assignees, now)?;
            }
            let issue = found(tx, &repository, number)?;
            Ok((repository, issue))
        })
    }

    /// One issue or pull request.
    pub(crate) fn issue(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
    ) -> Result<(Repository, Issue), Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            let issue = found(tx, &repository, number)?;
            Ok((repository, issue))
        })
    }

    /// A page of the issues and pull requests of a repository.
    pub(crate) fn issues(
        &self,
        actor: &User,
        name: &RepositoryName,
        filter: &Filter,
        page: Page,
    ) -> Result<(Repository, Paged<Issue>), Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            let issues = issues::list(tx, repository.id, filter, page)?;
            Ok((repository, issues))
        })
    }

    /// Changes an issue, or what a pull request has in common with one.
    pub(crate) fn change_issue(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        change: &IssueChange,
        now: Timestamp,
    ) -> Result<(Repository, Issue), Refusal> {
        self.store.write(|tx| {
            let (repository, held) = admit(tx, actor, name, Permission::Read)?;
            let issue = found(tx, &repository, number)?;
            apply(tx, &repository, issue, actor, held, change, now)?;
            let issue = found(tx, &repository, number)?;
            Ok((repository, issue))
        })
    }

    /// Deletes an issue with all that belongs to it.
    pub(crate) fn delete_issue(&self, name: &RepositoryName, number: u64) -> Result<(), Refusal> {
        self.store.write(|tx| {
            let repository = repositories::by_name(tx, name)?.ok_or(Refusal::NOT_FOUND)?;
            let issue = found(tx, &repository, number)?;
            if issue.pull.is_some() {
                return Err(Refusal::Forbidden("A pull request can't be deleted."));
            }
            Ok(issues::delete(tx, issue.id)?)
        })
    }

    /// The events of an issue, oldest first.
    pub(crate) fn events(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        page: Page,
    ) -> Result<(Repository, Paged<Event>), Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            let issue = found(tx, &repository, number)?;
            let events = events::of_issue(tx, issue.id, page)?;
            Ok((repository, events))
        })
    }

    /// The events and comments of an issue, oldest first.
    pub(crate) fn timeline(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        page: Page,
    ) -> Result<(Repository, Paged<Entry>), Refusal> {
        self.store.read(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Read)?;
            let issue = found(tx, &repository, number)?;
            let events = events::of_issue(tx, issue.id, Page::ALL)?;
            let comments = comments::of_issue(tx, issue.id, None, Page::ALL)?;
            let mut entries: Vec<_> = events.items.into_iter().map(Entry::Event).collect();
            entries.extend(comments.items.into_iter().map(Entry::Comment));
            entries.sort_by_key(Entry::at);
            Ok((repository, page.cut(entries)))
        })
    }
}

/// Makes a change to an issue, or to what a pull request has in common with one.
///
/// The author may edit and close. Labels and assignees need triage permission.
pub(super) fn apply(
    tx: &Transaction<'_>,
    repository: &Repository,
    mut issue: Issue,
    actor: &User,
    held: Permission,
    change: &IssueChange,
    now: Timestamp,
) -> Result<(), Refusal> {
    if held < Permission::Triage
        && (issue.author.id != actor.id || change.labels.is_some() || change.assignees.is_some())
    {
        return Err(Refusal::NOT_ALLOWED);
    }
    let resource = if issue.pull.is_some() { "PullRequest" } else { "Issue" };
    let mut errors = Vec::new();
    if let Some(title) = &change.title {
        check_title(resource, title, &mut errors);
    }
    if let Some(Some(body)) = &change.body {
        check_body(resource, body, &mut errors);
    }
    refuse_if_any(errors)?;

    if let Some(title) = change.title.as_ref().filter(|title| **title != issue.title) {
        let from = std::mem::replace(&mut issue.title, title.clone());
        let renamed = Change::Renamed { from, to: title.clone() };
        events::insert(tx, issue.id, actor.id, &renamed, now)?;
    }
    if let Some(body) = &change.body {
        issue.body.clone_from(body);
    }
    match change.state {
        Some(State::Closed) => {
            close(tx, &mut issue, actor, change.state_reason.as_deref(), None, now)?;
        }
        Some(State::Open) => reopen(tx, &mut issue, actor, now)?,
        None => {}
    }
    issues::update(tx, &issue, now)?;
    if let Some(assignees) = &change.assignees {
        for gone in issue.assignees.iter().filter(|user| !includes(assignees, user)) {
            issues::unassign(tx, issue.id, gone.id)?;
            let unassigned = Change::Unassigned { assignee: gone.id };
            events::insert(tx, issue.id, actor.id, &unassigned, now)?;
        }
        assign(tx, repository, &issue, actor, assignees, now)?;
    }
    if let Some(wanted) = &change.labels {
        labels::set(tx, repository, &issue, actor, wanted, now)?;
    }
    Ok(())
}

/// Closes an issue that is open: records the event and changes `issue`. The caller writes the row.
pub(super) fn close(
    tx: &Transaction<'_>,
    issue: &mut Issue,
    actor: &User,
    reason: Option<&str>,
    commit_sha: Option<&str>,
    now: Timestamp,
) -> Result<(), Refusal> {
    if issue.state == State::Closed {
        return Ok(());
    }
    issue.state = State::Closed;
    // A pull request has no reason: it was merged or it was not.
    issue.state_reason = issue.pull.is_none().then(|| reason.unwrap_or("completed").to_owned());
    issue.closed_at = Some(now);
    issue.closed_by = Some(actor.clone());
    let closed = Change::Closed { commit_sha: commit_sha.map(str::to_owned) };
    Ok(events::insert(tx, issue.id, actor.id, &closed, now)?)
}

fn reopen(
    tx: &Transaction<'_>,
    issue: &mut Issue,
    actor: &User,
    now: Timestamp,
) -> Result<(), Refusal> {
    if issue.state == State::Open {
        return Ok(());
    }
    if issue.pull.as_ref().is_some_and(|pull| pull.merged_at.is_some()) {
        let message = "state cannot be changed. The pull request has already been merged.";
        return Err(Refusal::invalid(FieldError::custom("PullRequest", "state", message)));
    }
    issue.state = State::Open;
    issue.state_reason = issue.pull.is_none().then(|| "reopened".to_owned());
    issue.closed_at = None;
    issue.closed_by = None;
    Ok(events::insert(tx, issue.id, actor.id, &Change::Reopened, now)?)
}

fn includes(logins: &[String], user: &User) -> bool {
    logins.iter().any(|login| login.eq_ignore_ascii_case(&user.login))
}

/// Assigns the issue to users. Each must be able to see the repository; GitHub answers 422
/// otherwise.
fn assign(
    tx: &Transaction<'_>,
    repository: &Repository,
    issue: &Issue,
    actor: &User,
    logins: &[String],
    now: Timestamp,
) -> Result<(), Refusal> {
    for login in logins {
        let user = users::by_login(tx, login)?;
        let able = match &user {
            Some(user) => permission(tx, user, repository)?.is_some(),
            None => false,
        };
        let (Some(user), true) = (user, able) else {
            return Err(Refusal::invalid(FieldError::new("Issue", "assignees", "invalid")));
        };
        if !issue.assignees.iter().any(|assigned| assigned.id == user.id) {
            issues::assign(tx, issue.id, user.id)?;
            let assigned = Change::Assigned { assignee: user.id };
            events::insert(tx, issue.id, actor.id, &assigned, now)?;
        }
    }
    Ok(())
}
