//! The GraphQL API, at `/graphql`, and at `/api/graphql` as on GitHub Enterprise Server.
//!
//! It has one mutation, `markPullRequestReadyForReview`, because the REST API has no way to mark a
//! draft as ready for review, and one query, `viewer`, because the REST API does not tell a GitHub
//! App who it is. `schema` is the part of GitHub's schema that this forge has,
//! `operation` holds a request to it, and `objects` makes the values of its types.
//!
//! async-graphql-parser reads the requests: it is released together with async-graphql, follows the
//! specification, knows the position of every field for `locations`, and refuses deeply nested
//! requests. Its alternative, graphql-parser, has had few releases.
//!
//! Every answer has the status 200, also one with errors, unless the caller has no valid token, the
//! body is not JSON, or the forge itself fails.

mod objects;
mod operation;
mod schema;

use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::operation::{Operation, Selected};
use self::schema::{MARK_READY, VIEWER};
use crate::api::{
    Access, ApiError, Caller, Input, NodeKind, authenticated, no_route, parse_node_id,
};
use crate::forge::Refusal;
use crate::hub::Hub;
use crate::rate::Resource;

/// The two routes. Each needs a token.
pub(crate) fn routes(hub: &Hub) -> Router<Hub> {
    let access = Access { hub: hub.clone(), resource: Resource::Graphql };
    Router::new()
        .route("/graphql", post(answer))
        .route("/api/graphql", post(answer))
        .method_not_allowed_fallback(no_route)
        .layer(axum::middleware::from_fn_with_state(access, authenticated))
}

/// The body of a request (GitHub's page "Forming calls with GraphQL").
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    query: Option<Value>,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
    operation_name: Option<String>,
}

async fn answer(caller: Caller, Input(body): Input<Body>) -> Result<Response, ApiError> {
    let Some(Value::String(query)) = body.query.filter(|query| *query != json!("")) else {
        let message = "A query attribute must be specified and must be a string.";
        return Ok(Json(json!({ "errors": [{ "message": message }] })).into_response());
    };
    let variables = body.variables.unwrap_or_default();
    let operation = match Operation::read(&query, &variables, body.operation_name.as_deref()) {
        Ok(operation) => operation,
        Err(errors) => return Ok(Json(json!({ "errors": errors })).into_response()),
    };

    let mut data = Map::new();
    let mut errors = Vec::new();
    // One after the other, as the specification demands of mutations (section 6.2.2).
    for field in &operation.fields {
        let value = match field.name {
            MARK_READY => mark_ready(&caller, field).await,
            VIEWER => {
                let viewer = objects::actor(&caller.urls, &caller.user);
                Ok(operation::select(&viewer, &field.fields))
            }
            _ => Ok(operation.root.name.into()),
        };
        let value = match value {
            Ok(value) => value,
            Err(Failure::Field { kind, message }) => {
                errors.push(json!({
                    "type": kind,
                    "path": [field.key],
                    "locations": [field.position],
                    "message": message,
                }));
                Value::Null
            }
            Err(Failure::Whole(refusal)) => return Err(refusal.into()),
        };
        data.insert(field.key.clone(), value);
    }
    let mut answer = Map::from_iter([("data".to_owned(), data.into())]);
    if !errors.is_empty() {
        answer.insert("errors".to_owned(), errors.into());
    }
    Ok(Json(answer).into_response())
}

/// Why a field has no value.
enum Failure {
    /// An error that GitHub tells of in `errors`, under this type.
    Field { kind: &'static str, message: String },
    /// An error about the whole answer: the forge itself failed.
    Whole(Refusal),
}

/// GitHub's page "Mutations", `markPullRequestReadyForReview`.
async fn mark_ready(caller: &Caller, field: &Selected) -> Result<Value, Failure> {
    let id = field.input.get("pullRequestId").cloned().unwrap_or_default();
    let not_found = |what: &str| Failure::Field {
        kind: "NOT_FOUND",
        message: format!("Could not resolve to {what} with the global id of '{id}'"),
    };
    let row = match parse_node_id(&id) {
        Some((NodeKind::PullRequest, row)) => row,
        Some(_) => return Err(not_found("PullRequest node")),
        None => return Err(not_found("a node")),
    };
    let marked = caller.ask(move |forge, user| forge.mark_ready(user, row, Timestamp::now())).await;
    let request = marked.map_err(|refusal| match refusal {
        Refusal::NotFound(_) | Refusal::Gone(_) => not_found("a node"),
        Refusal::Forbidden(_) => {
            let login = &caller.user.login;
            let execute = "does not have the correct permissions to execute";
            let message = format!("{login} {execute} `MarkPullRequestReadyForReview`");
            Failure::Field { kind: "FORBIDDEN", message }
        }
        Refusal::Invalid(_)
        | Refusal::NotMergeable(_)
        | Refusal::Conflict(_)
        | Refusal::Store(_)
        | Refusal::Git(_) => Failure::Whole(refusal),
    })?;
    let payload = json!({
        "__typename": schema::MARK_READY_PAYLOAD.name,
        "clientMutationId": field.input.get("clientMutationId"),
        "pullRequest": objects::pull_request(&caller.urls, &request),
    });
    Ok(operation::select(&payload, &field.fields))
}
