//! Issues: their routes, and their shape. A pull request has this shape, too, besides its own.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::labels::{Name, shapes};
use super::paging::Paging;
use super::users::simple_user;
use super::{Number, Target};
use crate::api::{ApiError, Caller, Input, NodeKind, Urls, extend, given, node_id};
use crate::forge::issues::{IssueChange, NewIssue};
use crate::hub::Hub;
use crate::store::issues::{Filter, Issue, Kind, State};
use crate::store::repositories::Repository;
use crate::store::users::User;

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/repos/{owner}/{repo}/issues", get(list).post(create))
        .route("/repos/{owner}/{repo}/issues/{number}", get(read).patch(change).post(change))
}

/// The query of "List repository issues".
#[derive(Deserialize)]
struct Selection {
    state: Option<String>,
    /// Names, separated by commas.
    labels: Option<String>,
    creator: Option<String>,
    assignee: Option<String>,
    since: Option<Timestamp>,
    sort: Option<String>,
    direction: Option<String>,
}

/// `open`, `closed` or `all`. GitHub takes any other word for the default, which is `open`.
pub(super) fn state_filter(state: Option<&str>) -> Option<State> {
    match state {
        Some("all") => None,
        Some("closed") => Some(State::Closed),
        Some(_) | None => Some(State::Open),
    }
}

async fn list(
    caller: Caller,
    Target(name): Target,
    Query(query): Query<Selection>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let labels = query.labels.unwrap_or_default();
    let filter = Filter {
        kind: Kind::IssuesAndPulls,
        state: state_filter(query.state.as_deref()),
        labels: labels
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        creator: query.creator,
        assignee: query.assignee,
        since: query.since,
        head: None,
        base: None,
        // GitHub takes any other word for the default.
        sort: query.sort.and_then(|sort| sort.parse().ok()).unwrap_or_default(),
        ascending: query.direction.as_deref() == Some("asc"),
    };
    let page = paging.page;
    let (repository, issues) =
        caller.ask(move |forge, user| forge.issues(user, &name, &filter, page)).await?;
    let items =
        issues.items.iter().map(|issue| issue_shape(&caller.urls, &repository, issue)).collect();
    Ok(paging.answer(&caller, items, issues.total))
}

#[derive(Deserialize)]
struct Creation {
    title: Option<Value>,
    body: Option<String>,
    #[serde(default)]
    labels: Vec<Name>,
    #[serde(default)]
    assignees: Vec<String>,
}

async fn create(
    caller: Caller,
    Target(name): Target,
    Input(new): Input<Creation>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let new = NewIssue {
        title: title(new.title)?.unwrap_or_default(),
        body: new.body,
        labels: new.labels.into_iter().map(Name::text).collect(),
        assignees: new.assignees,
    };
    let created = caller
        .ask(move |forge, user| forge.create_issue(user, &name, &new, Timestamp::now()))
        .await?;
    Ok((StatusCode::CREATED, Json(issue_shape(&caller.urls, &created.0, &created.1))))
}

/// GitHub's description allows a string or an integer for a title.
fn title(value: Option<Value>) -> Result<Option<String>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other @ (Value::Bool(_) | Value::Array(_) | Value::Object(_))) => {
            Err(ApiError::Malformed(format!("For 'properties/title', {other} is not a string.")))
        }
    }
}

async fn read(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
) -> Result<Json<Value>, ApiError> {
    let (repository, issue) =
        caller.ask(move |forge, user| forge.issue(user, &name, number)).await?;
    Ok(Json(issue_shape(&caller.urls, &repository, &issue)))
}

#[derive(Deserialize)]
struct Change {
    title: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    body: Option<Option<String>>,
    state: Option<State>,
    state_reason: Option<String>,
    labels: Option<Vec<Name>>,
    assignees: Option<Vec<String>>,
}

async fn change(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    Input(new): Input<Change>,
) -> Result<Json<Value>, ApiError> {
    let change = IssueChange {
        title: title(new.title)?,
        body: new.body,
        state: new.state,
        state_reason: new.state_reason,
        labels: new.labels.map(|labels| labels.into_iter().map(Name::text).collect()),
        assignees: new.assignees,
    };
    let changed = caller
        .ask(move |forge, user| forge.change_issue(user, &name, number, &change, Timestamp::now()))
        .await?;
    Ok(Json(issue_shape(&caller.urls, &changed.0, &changed.1)))
}

/// GitHub's `author_association`: what an author is to the repository.
pub(super) fn association(
    repository: &Repository,
    author: &User,
    is_collaborator: bool,
) -> &'static str {
    if author.id == repository.owner.id {
        "OWNER"
    } else if is_collaborator {
        "COLLABORATOR"
    } else {
        "NONE"
    }
}

/// GitHub's `reaction-rollup`, of which there are none here.
pub(super) fn reactions(url: &str) -> Value {
    json!({
        "url": format!("{url}/reactions"), "total_count": 0,
        "+1": 0, "-1": 0, "laugh": 0, "confused": 0, "heart": 0, "hooray": 0, "eyes": 0,
        "rocket": 0,
    })
}

/// GitHub's `issue`. Of a pull request, the node id is that of the pull request.
pub(super) fn issue_shape(urls: &Urls, repository: &Repository, issue: &Issue) -> Value {
    let full_name = repository.full_name();
    let url = urls.api(&full_name, &format!("/issues/{}", issue.number));
    let (kind, node_kind) = match &issue.pull {
        Some(_) => ("pull", NodeKind::PullRequest),
        None => ("issues", NodeKind::Issue),
    };
    let assignees: Vec<_> = issue.assignees.iter().map(|user| simple_user(urls, user)).collect();
    let mut shape = json!({
        "id": issue.id,
        "node_id": node_id(node_kind, issue.id),
        "number": issue.number,
        "url": url,
        "repository_url": urls.api(&full_name, ""),
        "labels_url": format!("{url}/labels{{/name}}"),
        "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"),
        "timeline_url": format!("{url}/timeline"),
        "html_url": urls.html(&full_name, &format!("/{kind}/{}", issue.number)),
        "title": issue.title,
        "body": issue.body,
        "state": issue.state.name(),
        "state_reason": issue.state_reason,
        "user": simple_user(urls, &issue.author),
        "author_association": association(repository, &issue.author, issue.author_is_collaborator),
        "labels": shapes(urls, &full_name, &issue.labels),
        "assignee": assignees.first(),
        "assignees": assignees,
        "milestone": null,
        "locked": false,
        "active_lock_reason": null,
        "comments": issue.comments,
        "created_at": issue.created_at.to_string(),
        "updated_at": issue.updated_at.to_string(),
        "closed_at": issue.closed_at.map(|at| at.to_string()),
        "closed_by": issue.closed_by.as_ref().map(|user| simple_user(urls, user)),
        "performed_via_github_app": null,
        "reactions": reactions(&url),
    });
    if let Some(pull) = &issue.pull {
        let html = urls.html(&full_name, &format!("/pull/{}", issue.number));
        let pull_request = json!({
            "url": urls.api(&full_name, &format!("/pulls/{}", issue.number)),
            "html_url": html,
            "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"),
            "merged_at": pull.merged_at.map(|at| at.to_string()),
        });
        extend(&mut shape, json!({ "draft": pull.draft, "pull_request": pull_request }));
    }
    shape
}
