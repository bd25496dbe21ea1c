//! Comments on issues and pull requests.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::issues::{association, reactions};
use super::paging::Paging;
use super::users::simple_user;
use super::{Number, Target, not_found};
use crate::api::{ApiError, Caller, Input, NodeKind, Urls, node_id};
use crate::hub::Hub;
use crate::store::comments::Comment;
use crate::store::repositories::Repository;

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/repos/{owner}/{repo}/issues/{number}/comments", get(list).post(create))
        .route(
            "/repos/{owner}/{repo}/issues/comments/{number}",
            get(read).patch(edit).post(edit).delete(remove),
        )
}

#[derive(Deserialize)]
struct Since {
    since: Option<Timestamp>,
}

async fn list(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    Query(query): Query<Since>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let page = paging.page;
    let listed = caller
        .ask(move |forge, user| forge.comments(user, &name, number, query.since, page))
        .await?;
    let (repository, comments) = listed;
    let items = comments
        .items
        .iter()
        .map(|comment| comment_shape(&caller.urls, &repository, comment))
        .collect();
    Ok(paging.answer(&caller, items, comments.total))
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    body: String,
}

async fn create(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    Input(new): Input<Body>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let created = caller
        .ask(move |forge, user| {
            forge.create_comment(user, &name, number, &new.body, Timestamp::now())
        })
        .await?;
    Ok((StatusCode::CREATED, Json(comment_shape(&caller.urls, &created.0, &created.1))))
}

async fn read(
    caller: Caller,
    Target(name): Target,
    Number(id): Number,
) -> Result<Json<Value>, ApiError> {
    let id = row(id)?;
    let (repository, comment) =
        caller.ask(move |forge, user| forge.comment(user, &name, id)).await?;
    Ok(Json(comment_shape(&caller.urls, &repository, &comment)))
}

async fn edit(
    caller: Caller,
    Target(name): Target,
    Number(id): Number,
    Input(new): Input<Body>,
) -> Result<Json<Value>, ApiError> {
    let id = row(id)?;
    let edited = caller
        .ask(move |forge, user| forge.edit_comment(user, &name, id, &new.body, Timestamp::now()))
        .await?;
    Ok(Json(comment_shape(&caller.urls, &edited.0, &edited.1)))
}

async fn remove(
    caller: Caller,
    Target(name): Target,
    Number(id): Number,
) -> Result<StatusCode, ApiError> {
    let id = row(id)?;
    caller.ask(move |forge, user| forge.delete_comment(user, &name, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The id of a comment's row. A number that no row can have is answered with 404.
fn row(id: u64) -> Result<i64, ApiError> {
    i64::try_from(id).map_err(|_| not_found())
}

/// GitHub's `issue-comment`.
pub(super) fn comment_shape(urls: &Urls, repository: &Repository, comment: &Comment) -> Value {
    let full_name = repository.full_name();
    let number = comment.issue_number;
    let kind = if comment.on_pull { "pull" } else { "issues" };
    let html = format!("/{kind}/{number}#issuecomment-{}", comment.id);
    let url = urls.api(&full_name, &format!("/issues/comments/{}", comment.id));
    json!({
        "id": comment.id,
        "node_id": node_id(NodeKind::IssueComment, comment.id),
        "url": url,
        "html_url": urls.html(&full_name, &html),
        "issue_url": urls.api(&full_name, &format!("/issues/{number}")),
        "user": simple_user(urls, &comment.author),
        "author_association":
            association(repository, &comment.author, comment.author_is_collaborator),
        "body": comment.body,
        "created_at": comment.created_at.to_string(),
        "updated_at": comment.updated_at.to_string(),
        "performed_via_github_app": null,
        "reactions": reactions(&url),
    })
}
