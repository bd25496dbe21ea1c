//! What happened to an issue: its events, and its timeline, which has the comments, too.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::comments::comment_shape;
use super::paging::Paging;
use super::users::simple_user;
use super::{Number, Target};
use crate::api::{ApiError, Caller, NodeKind, Urls, extend, node_id};
use crate::forge::issues::Entry;
use crate::hub::Hub;
use crate::store::comments::Comment;
use crate::store::events::{Change, Event};
use crate::store::repositories::Repository;

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/repos/{owner}/{repo}/issues/{number}/events", get(events))
        .route("/repos/{owner}/{repo}/issues/{number}/timeline", get(timeline))
}

async fn events(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    paging: Paging,
) -> Result<Response, ApiError> {
    let page = paging.page;
    let (repository, events) =
        caller.ask(move |forge, user| forge.events(user, &name, number, page)).await?;
    let items =
        events.items.iter().map(|event| event_shape(&caller.urls, &repository, event)).collect();
    Ok(paging.answer(&caller, items, events.total))
}

async fn timeline(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    paging: Paging,
) -> Result<Response, ApiError> {
    let page = paging.page;
    let (repository, entries) =
        caller.ask(move |forge, user| forge.timeline(user, &name, number, page)).await?;
    let shape = |entry: &Entry| match entry {
        Entry::Event(event) => event_shape(&caller.urls, &repository, event),
        Entry::Comment(comment) => commented(&caller.urls, &repository, comment),
    };
    Ok(paging.answer(&caller, entries.items.iter().map(shape).collect(), entries.total))
}

/// GitHub's `issue-event`, with the fields that its kind has.
fn event_shape(urls: &Urls, repository: &Repository, event: &Event) -> Value {
    let full_name = repository.full_name();
    let commit_sha = match &event.change {
        Change::Merged { commit_sha } => Some(commit_sha),
        Change::Closed { commit_sha } => commit_sha.as_ref(),
        Change::Labeled { .. }
        | Change::Unlabeled { .. }
        | Change::Reopened
        | Change::Renamed { .. }
        | Change::Assigned { .. }
        | Change::Unassigned { .. }
        | Change::ReadyForReview
        | Change::ConvertToDraft => None,
    };
    let commit_url = commit_sha.map(|sha| urls.api(&full_name, &format!("/commits/{sha}")));
    let mut shape = json!({
        "id": event.id,
        "node_id": node_id(NodeKind::IssueEvent, event.id),
        "url": urls.api(&full_name, &format!("/issues/events/{}", event.id)),
        "actor": simple_user(urls, &event.actor),
        "event": event.change.name(),
        "commit_id": commit_sha,
        "commit_url": commit_url,
        "created_at": event.created_at.to_string(),
        "performed_via_github_app": null,
    });
    if let Change::Labeled { name, color } | Change::Unlabeled { name, color } = &event.change {
        extend(&mut shape, json!({ "label": { "name": name, "color": color } }));
    }
    if let Change::Renamed { from, to } = &event.change {
        extend(&mut shape, json!({ "rename": { "from": from, "to": to } }));
    }
    if let Some(assignee) = &event.assignee {
        extend(&mut shape, json!({ "assignee": simple_user(urls, assignee) }));
        extend(&mut shape, json!({ "assigner": simple_user(urls, &event.actor) }));
    }
    shape
}

/// GitHub's `timeline-comment-event`: a comment, as an event.
fn commented(urls: &Urls, repository: &Repository, comment: &Comment) -> Value {
    let mut shape = comment_shape(urls, repository, comment);
    extend(
        &mut shape,
        json!({ "event": "commented", "actor": simple_user(urls, &comment.author) }),
    );
    shape
}
