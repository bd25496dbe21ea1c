//! The REST wire: who calls, what they say, and GitHub's JSON for what the forge holds.
//!
//! Owns routes, shapes, paging and headers; the rules are `forge`'s. Each file below has one family
//! of GitHub's reference: its routes, then its shapes. Invariant: every answer is one that GitHub's
//! OpenAPI description allows. As on GitHub, POST does where PATCH would, for the clients (octocrab
//! in one place) that send it.

mod comments;
mod errors;
mod events;
mod input;
mod issues;
mod labels;
mod paging;
mod pulls;
mod repositories;
mod urls;
mod users;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use crate::hub::Hub;
use crate::names::RepositoryName;
use crate::rate::Rate;
use crate::store::users::User;
use errors::ApiError;
use urls::Urls;

/// All of the API, every route behind a token, and so is what is no route.
pub(crate) fn routes(hub: &Hub) -> Router<Hub> {
    Router::new()
        .merge(users::routes())
        .merge(repositories::routes())
        .merge(issues::routes())
        .merge(events::routes())
        .merge(labels::routes())
        .merge(comments::routes())
        .merge(pulls::routes())
        .fallback(errors::no_route)
        .method_not_allowed_fallback(errors::no_route)
        .layer(axum::middleware::from_fn_with_state(hub.clone(), authenticated))
}

/// The forge, and the user who is asking it by a name of theirs.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) hub: Hub,
    pub(crate) user: User,
    pub(crate) urls: Urls,
    pub(crate) rate: Rate,
}

/// Tells who calls, and the rate limit in every answer.
async fn authenticated(State(hub): State<Hub>, mut request: Request, next: Next) -> Response {
    let now = Timestamp::now();
    let user = match bearer(request.headers()) {
        None => None,
        Some(token) => match hub.authenticate(token).await {
            Ok(user) => user,
            Err(refusal) => return ApiError::from(refusal).into_response(),
        },
    };
    let rate = hub.rates().count(user.as_ref().map_or(0, |user| user.id), now);
    let mut response = match user {
        None => ApiError::BadCredentials.into_response(),
        Some(user) => {
            let host = request
                .headers()
                .get(HOST)
                .and_then(|host| host.to_str().ok())
                .unwrap_or("localhost");
            let urls = Urls::new(host);
            request.extensions_mut().insert(Caller { hub, user, urls, rate });
            next.run(request).await
        }
    };
    tell(rate, response.headers_mut());
    response
}

/// "Authenticating to the REST API": `Authorization: Bearer TOKEN` or `token TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token"))
        .then(|| token.trim())
}

fn tell(rate: Rate, headers: &mut HeaderMap) {
    let figures = [
        ("x-ratelimit-limit", HeaderValue::from(rate.limit)),
        ("x-ratelimit-remaining", HeaderValue::from(rate.remaining)),
        ("x-ratelimit-used", HeaderValue::from(rate.used)),
        ("x-ratelimit-reset", HeaderValue::from(rate.reset)),
        ("x-ratelimit-resource", HeaderValue::from_static("core")),
        ("x-github-media-type", HeaderValue::from_static("github.v3; format=json")),
    ];
    for (name, value) in figures {
        headers.insert(HeaderName::from_static(name), value);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::BadCredentials)
    }
}

impl Caller {
    /// Runs `work` of the forge in the caller's name, where blocking is allowed.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::forge::Forge, &User) -> Result<T, crate::forge::Refusal>
        + Send
        + 'static,
    ) -> Result<T, ApiError> {
        let user = self.user.clone();
        Ok(self.hub.run(move |forge| work(forge, &user)).await?)
    }
}

/// The repository of a path `/repos/{owner}/{repo}/…`; a name that none can have is a 404 like one
/// that none has.
pub(crate) struct Target(pub(crate) RepositoryName);

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let owner = parameter("owner", parts, state).await?;
        let name = parameter("repo", parts, state).await?;
        RepositoryName::new(&owner, &name).map(Self).map_err(|_| not_found())
    }
}

/// One parameter of the path as text.
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

/// The `{issue_number}`, `{pull_number}` or `{comment_id}` of a path.
pub(crate) struct Number(pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = parameter("number", parts, state).await?;
        text.parse().map(Self).map_err(|_| not_found())
    }
}

/// The label, login, branch or ref that ends a path.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = parameter("name", parts, state).await?;
        Ok(Self(text))
    }
}

fn not_found() -> ApiError {
    ApiError::Refused(crate::forge::Refusal::NOT_FOUND)
}

/// Adds the fields of one object to another.
fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, more) {
        fields.extend(more);
    }
}
