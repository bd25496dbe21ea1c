//! Issues: opening, editing, closing, and what happened to them.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::{
    FieldError, Forge, Labeled, Refusal, admit, check_body, check_title, labels, permission,
    refuse_if_any,
};
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::comments::{self, Comment};
use crate::store::events::{self, Event, Happening};
use crate::store::issues::{self, Filter, Issue, State};
use crate::store::repositories::Repository;
use crate::store::users::{self, User};
use crate::store::{Page, Paged};

/// What a new issue is made of.
#[derive(Debug, Default)]
pub(crate) struct NewIssue {
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) assignees: Vec<String>,
}

/// What a caller wants to change of an issue; `None` leaves it.
#[derive(Debug, Default)]
pub(crate) struct IssueChange {
    pub(crate) title: Option<String>,
    pub(crate) body: Option<Option<String>>,
    pub(crate) state: Option<State>,
    pub(crate) state_reason: Option<String>,
    pub(crate) labels: Option<Vec<String>>,
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

/// A page that holds everything: the timeline is merged from two lists before it is cut.
const ALL: Page = Page { number: 1, size: u32::MAX };

impl Forge {
    /// Opens an issue. Labels and assignees of one who may not set them are dropped silently, as
    /// "Create an issue" says.
    pub(crate) fn create_issue(
        &self,
        actor: &User,
        name: &RepositoryName,
        new: &NewIssue,
        now: Timestamp,
    ) -> Result<(Repository, Issue), Refusal> {
        let (repository, issue, announcements) = self.store.write(|tx| {
            let (repository, held) = admit(tx, actor, name, Permission::Read)?;
            let mut errors = Vec::new();
            check_title("Issue", &new.title, &mut errors);
            check_body("Issue", new.body.as_deref().unwrap_or_default(), &mut errors);
            refuse_if_any(errors)?;

            let (_, number) =
                issues::insert(tx, repository.id, actor.id, &new.title, new.body.as_deref(), now)?;
            let issue = found(tx, &repository, number)?;
            let mut announcements = Vec::new();
            if held >= Permission::Triage {
                announcements = labels::add(tx, &repository, &issue, actor, &new.labels, now)?;
                assign(tx, &repository, &issue, actor, &new.assignees, now)?;
            }
            let issue = found(tx, &repository, number)?;
            Ok::<_, Refusal>((repository, issue, announcements))
        })?;
        self.announce(announcements);
        Ok((repository, issue))
    }

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

    pub(crate) fn change_issue(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        change: &IssueChange,
        now: Timestamp,
    ) -> Result<(Repository, Issue), Refusal> {
        let (repository, issue, announcements) = self.store.write(|tx| {
            let (repository, held) = admit(tx, actor, name, Permission::Read)?;
            let issue = found(tx, &repository, number)?;
            let announcements = apply(tx, &repository, issue, actor, held, change, now)?;
            let issue = found(tx, &repository, number)?;
            Ok::<_, Refusal>((repository, issue, announcements))
        })?;
        self.announce(announcements);
        Ok((repository, issue))
    }

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

    /// Events and comments in the order in which they came.
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
            let events = events::of_issue(tx, issue.id, ALL)?;
            let comments = comments::of_issue(tx, issue.id, None, ALL)?;
            let mut entries: Vec<_> = events.items.into_iter().map(Entry::Event).collect();
            entries.extend(comments.items.into_iter().map(Entry::Comment));
            entries.sort_by_key(Entry::at);
            Ok((repository, page.cut(entries)))
        })
    }
}

pub(super) fn found(
    tx: &Transaction<'_>,
    repository: &Repository,
    number: u64,
) -> Result<Issue, Refusal> {
    issues::by_number(tx, repository.id, number)?.ok_or(Refusal::NOT_FOUND)
}

/// Carries out a change to an issue or to the issue's side of a pull request; returns what there is
/// to announce.
///
/// The author may edit and close; labels and assignees want triage.
pub(super) fn apply(
    tx: &Transaction<'_>,
    repository: &Repository,
    mut issue: Issue,
    actor: &User,
    held: Permission,
    change: &IssueChange,
    now: Timestamp,
) -> Result<Vec<Labeled>, Refusal> {
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
        events::insert(
            tx,
            issue.id,
            actor.id,
            &Happening::Renamed { from, to: title.clone() },
            now,
        )?;
    }
    if let Some(body) = &change.body {
        issue.body.clone_from(body);
    }
    match change.state {
        Some(State::Closed) => {
            close(tx, &mut issue, actor, change.state_reason.as_deref(), None, now)?
        }
        Some(State::Open) => reopen(tx, &mut issue, actor, now)?,
        None => {}
    }
    issues::update(tx, &issue, now)?;
    if let Some(assignees) = &change.assignees {
        for gone in issue.assignees.iter().filter(|user| !names(assignees, user)) {
            issues::unassign(tx, issue.id, gone.id)?;
            events::insert(
                tx,
                issue.id,
                actor.id,
                &Happening::Unassigned { assignee: gone.id },
                now,
            )?;
        }
        assign(tx, repository, &issue, actor, assignees, now)?;
    }
    match &change.labels {
        Some(wanted) => labels::set(tx, repository, &issue, actor, wanted, now),
        None => Ok(Vec::new()),
    }
}

/// Closes what is open, in memory and as an event; the caller writes the row.
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
    // Only an issue has a reason; a pull request is merged or it is not.
    issue.state_reason = issue.pull.is_none().then(|| reason.unwrap_or("completed").to_owned());
    issue.closed_at = Some(now);
    issue.closed_by = Some(actor.clone());
    let happening = Happening::Closed { commit_sha: commit_sha.map(str::to_owned) };
    Ok(events::insert(tx, issue.id, actor.id, &happening, now)?)
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
    Ok(events::insert(tx, issue.id, actor.id, &Happening::Reopened, now)?)
}

fn names(logins: &[String], user: &User) -> bool {
    logins.iter().any(|login| login.eq_ignore_ascii_case(&user.login))
}

/// Assigns those who may see the repository; another name is a 422, as GitHub answers.
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
            events::insert(
                tx,
                issue.id,
                actor.id,
                &Happening::Assigned { assignee: user.id },
                now,
            )?;
        }
    }
    Ok(())
}
