//! Labels of a repository and of an issue.

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::paging::Paging;
use super::{Named, Number, Target};
use crate::api::{ApiError, Caller, Input, NodeKind, Urls, escape, given, node_id};
use crate::forge::labels::LabelChange;
use crate::hub::Hub;
use crate::store::labels::Label;

pub(super) fn routes() -> Router<Hub> {
    Router::new()
        .route("/repos/{owner}/{repo}/labels", get(list).post(create))
        .route(
            "/repos/{owner}/{repo}/labels/{name}",
            get(read).patch(change).post(change).delete(remove),
        )
        .route(
            "/repos/{owner}/{repo}/issues/{number}/labels",
            get(of_issue).post(add).put(set).delete(clear),
        )
        .route("/repos/{owner}/{repo}/issues/{number}/labels/{name}", delete(remove_from_issue))
}

async fn list(caller: Caller, Target(name): Target, paging: Paging) -> Result<Response, ApiError> {
    let full_name = name.to_string();
    let page = paging.page;
    let labels = caller.ask(move |forge, user| forge.labels(user, &name, page)).await?;
    Ok(paging.answer(&caller, shapes(&caller.urls, &full_name, &labels.items), labels.total))
}

#[derive(Deserialize)]
struct Creation {
    name: String,
    color: Option<String>,
    description: Option<String>,
}

async fn create(
    caller: Caller,
    Target(name): Target,
    Input(new): Input<Creation>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let full_name = name.to_string();
    let created = caller.ask(move |forge, user| {
        forge.create_label(user, &name, &new.name, new.color.as_deref(), new.description.as_deref())
    });
    Ok((StatusCode::CREATED, Json(label_shape(&caller.urls, &full_name, &created.await?))))
}

async fn read(
    caller: Caller,
    Target(name): Target,
    Named(label): Named,
) -> Result<Json<Value>, ApiError> {
    let full_name = name.to_string();
    let label = caller.ask(move |forge, user| forge.label(user, &name, &label)).await?;
    Ok(Json(label_shape(&caller.urls, &full_name, &label)))
}

#[derive(Deserialize)]
struct Change {
    new_name: Option<String>,
    color: Option<String>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
}

async fn change(
    caller: Caller,
    Target(name): Target,
    Named(label): Named,
    Input(new): Input<Change>,
) -> Result<Json<Value>, ApiError> {
    let full_name = name.to_string();
    let change = LabelChange { name: new.new_name, color: new.color, description: new.description };
    let label =
        caller.ask(move |forge, user| forge.change_label(user, &name, &label, change)).await?;
    Ok(Json(label_shape(&caller.urls, &full_name, &label)))
}

async fn remove(
    caller: Caller,
    Target(name): Target,
    Named(label): Named,
) -> Result<StatusCode, ApiError> {
    caller.ask(move |forge, user| forge.delete_label(user, &name, &label)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn of_issue(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    paging: Paging,
) -> Result<Response, ApiError> {
    let full_name = name.to_string();
    let (_, issue) = caller.ask(move |forge, user| forge.issue(user, &name, number)).await?;
    let labels = paging.page.cut(issue.labels);
    Ok(paging.answer(&caller, shapes(&caller.urls, &full_name, &labels.items), labels.total))
}

/// GitHub takes `{"labels": […]}`, and also the list alone, as older clients send it. Both have
/// names, or objects with a `name`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wanted {
    Object { labels: Vec<Name> },
    List(Vec<Name>),
    Nothing {},
}

/// A label in a request: its name, or an object with it.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Name {
    Text(String),
    Object { name: String },
}

impl Name {
    pub(super) fn text(self) -> String {
        match self {
            Self::Text(name) | Self::Object { name } => name,
        }
    }
}

impl Wanted {
    fn names(self) -> Vec<String> {
        match self {
            Self::Object { labels } | Self::List(labels) => {
                labels.into_iter().map(Name::text).collect()
            }
            Self::Nothing {} => Vec::new(),
        }
    }
}

async fn add(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    Input(wanted): Input<Wanted>,
) -> Result<Json<Value>, ApiError> {
    label_issue(caller, Target(name), number, wanted.names(), false).await
}

async fn set(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    Input(wanted): Input<Wanted>,
) -> Result<Json<Value>, ApiError> {
    label_issue(caller, Target(name), number, wanted.names(), true).await
}

async fn clear(
    caller: Caller,
    target: Target,
    Number(number): Number,
) -> Result<StatusCode, ApiError> {
    let Json(_none) = label_issue(caller, target, number, Vec::new(), true).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn label_issue(
    caller: Caller,
    Target(name): Target,
    number: u64,
    wanted: Vec<String>,
    replace: bool,
) -> Result<Json<Value>, ApiError> {
    let full_name = name.to_string();
    let labels = caller
        .ask(move |forge, user| {
            forge.label_issue(user, &name, number, &wanted, replace, Timestamp::now())
        })
        .await?;
    Ok(Json(shapes(&caller.urls, &full_name, &labels).into()))
}

async fn remove_from_issue(
    caller: Caller,
    Target(name): Target,
    Number(number): Number,
    Named(label): Named,
) -> Result<Json<Value>, ApiError> {
    let full_name = name.to_string();
    let left = caller
        .ask(move |forge, user| forge.unlabel_issue(user, &name, number, &label, Timestamp::now()))
        .await?;
    Ok(Json(shapes(&caller.urls, &full_name, &left).into()))
}

/// GitHub's `label`, of each.
pub(super) fn shapes(urls: &Urls, full_name: &str, labels: &[Label]) -> Vec<Value> {
    labels.iter().map(|label| label_shape(urls, full_name, label)).collect()
}

/// GitHub's `label`.
fn label_shape(urls: &Urls, full_name: &str, label: &Label) -> Value {
    json!({
        "id": label.id,
        "node_id": node_id(NodeKind::Label, label.id),
        "url": urls.api(full_name, &format!("/labels/{}", escape(&label.name))),
        "name": label.name,
        "color": label.color,
        "default": false,
        "description": label.description,
    })
}
