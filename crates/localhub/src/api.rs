//! What REST and GraphQL have in common: who calls, the figures of the rate limit, error answers,
//! bodies, and addresses.

mod errors;
mod input;
mod node_id;
mod urls;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::Value;

use crate::forge::{Forge, Refusal};
use crate::hub::Hub;
use crate::rate::{Rate, Resource};
use crate::store::users::User;

pub(crate) use errors::{ApiError, no_route};
pub(crate) use input::{Input, given};
pub(crate) use node_id::{NodeKind, node_id, parse_node_id};
pub(crate) use urls::{Urls, escape};

/// The forge, for the user who makes a request, and what the answer needs to know of the request.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) hub: Hub,
    pub(crate) user: User,
    pub(crate) urls: Urls,
    pub(crate) rate: Rate,
}

impl Caller {
    /// Runs `work` for the caller, on a thread that may block.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Forge, &User) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let user = self.user.clone();
        self.hub.run(move |forge| work(forge, &user)).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::BadCredentials)
    }
}

/// The state of [`authenticated`]: the forge, and the resource that its routes count for.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) hub: Hub,
    pub(crate) resource: Resource,
}

/// Finds out who calls, and adds the headers that every answer of GitHub's API has. A request
/// without a valid token is answered here.
pub(crate) async fn authenticated(
    State(Access { hub, resource }): State<Access>,
    mut request: Request,
    next: Next,
) -> Response {
    let now = Timestamp::now();
    let user = match bearer(request.headers()) {
        None => None,
        Some(token) => match hub.authenticate(token).await {
            Ok(user) => user,
            Err(refusal) => return ApiError::from(refusal).into_response(),
        },
    };
    let rate = hub.rates().count(user.as_ref().map_or(0, |user| user.id), resource, now);
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
    add_headers(rate, response.headers_mut());
    response
}

/// The token of `Authorization: Bearer TOKEN` or `token TOKEN` (GitHub's page "Authenticating to
/// the REST API").
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token"))
        .then(|| token.trim())
}

fn add_headers(rate: Rate, headers: &mut HeaderMap) {
    let media_type = match rate.resource {
        Resource::Core => "github.v3; format=json",
        Resource::Graphql => "github.v4; format=json",
    };
    let figures = [
        ("x-ratelimit-limit", HeaderValue::from(rate.limit)),
        ("x-ratelimit-remaining", HeaderValue::from(rate.remaining)),
        ("x-ratelimit-used", HeaderValue::from(rate.used)),
        ("x-ratelimit-reset", HeaderValue::from(rate.reset)),
        ("x-ratelimit-resource", HeaderValue::from_static(rate.resource.into())),
        ("x-github-media-type", HeaderValue::from_static(media_type)),
    ];
    for (name, value) in figures {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Adds the fields of one object to another.
pub(crate) fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, more) {
        fields.extend(more);
    }
}
