//! The REST API: GitHub's routes, and GitHub's JSON for what the forge has.
//!
//! This module owns routes, shapes and paging. The rules are `forge`'s. Each file below has one
//! family of GitHub's reference: its routes, and then its shapes.
//!
//! Every answer is one that GitHub's OpenAPI description allows; the tests check that. As on
//! GitHub, `POST` does what `PATCH` does, because some clients send it (octocrab in one place).

mod comments;
mod events;
mod issues;
mod labels;
mod paging;
mod pulls;
mod repositories;
mod users;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::api::{Access, ApiError, authenticated, no_route};
use crate::forge::Refusal;
use crate::hub::Hub;
use crate::names::RepositoryName;
use crate::rate::Resource;

/// All routes. Each needs a token, and so does a path that has no route.
pub(crate) fn routes(hub: &Hub) -> Router<Hub> {
    let access = Access { hub: hub.clone(), resource: Resource::Core };
    Router::new()
        .merge(users::routes())
        .merge(repositories::routes())
        .merge(issues::routes())
        .merge(events::routes())
        .merge(labels::routes())
        .merge(comments::routes())
        .merge(pulls::routes())
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(axum::middleware::from_fn_with_state(access, authenticated))
}

/// The repository of a path `/repos/{owner}/{repo}/…`. A name that no repository can have is a
/// 404, like a name that none has.
struct Target(RepositoryName);

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let owner = parameter("owner", parts, state).await?;
        let name = parameter("repo", parts, state).await?;
        RepositoryName::new(&owner, &name).map(Self).map_err(|_| not_found())
    }
}

/// One parameter of the path, percent-decoded.
async fn parameter<S: Send + Sync>(
    name: &str,
    parts: &mut Parts,
    state: &S,
) -> Result<String, ApiError> {
    let parameters =
        RawPathParams::from_request_parts(parts, state).await.map_err(|_| not_found())?;
    let found = parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(not_found)
}

/// The number of an issue or a pull request, or the id of a comment, in a path.
struct Number(u64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = parameter("number", parts, state).await?;
        text.parse().map(Self).map_err(|_| not_found())
    }
}

/// The label, login, branch or ref at the end of a path.
struct Named(String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = parameter("name", parts, state).await?;
        Ok(Self(text))
    }
}

fn not_found() -> ApiError {
    ApiError::Refused(Refusal::NOT_FOUND)
}
