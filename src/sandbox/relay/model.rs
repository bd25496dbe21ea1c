//! The relay to the model: calls for inference pass, and nothing else does.
//!
//! Ollama's interface can also fetch, copy, make and delete models, for whoever reaches it. An
//! agent has no business there.

use std::io;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use http_body_util::Limited;
use localhttp::Bounds;
use reqwest::Url;

use super::Refusals;

/// The longest request, in bytes: larger than any context window.
const LARGEST_REQUEST: usize = 64 << 20;
/// More than an agent has calls at once. Others of the worker's could not open a file if one took
/// all it can.
const CONNECTIONS: usize = 32;

/// What may be asked, by path: Ollama's own interface (its `docs/api.md`), that of `OpenAI` and
/// that of Anthropic, which others speak too.
const PASSED: &[(Method, &str)] = &[
    (Method::GET, "/"),
    (Method::HEAD, "/"),
    (Method::GET, "/api/version"),
    (Method::GET, "/api/tags"),
    (Method::GET, "/api/ps"),
    (Method::POST, "/api/show"),
    (Method::POST, "/api/chat"),
    (Method::POST, "/api/generate"),
    (Method::POST, "/api/embed"),
    (Method::POST, "/api/embeddings"),
    (Method::GET, "/models"),
    (Method::POST, "/chat/completions"),
    (Method::POST, "/completions"),
    (Method::POST, "/embeddings"),
    (Method::POST, "/responses"),
    (Method::POST, "/messages"),
    (Method::POST, "/messages/count_tokens"),
];

/// Headers that mean something to a model's server.
const HEADERS: &[&str] = &[
    "accept",
    "anthropic-beta",
    "anthropic-version",
    "authorization",
    "content-length",
    "content-type",
    "x-api-key",
];

#[derive(Debug, Clone)]
struct Model {
    client: reqwest::Client,
    endpoint: Url,
    refusals: Refusals,
}

/// Serves until it is dropped.
pub(super) fn serve<L: Listener>(
    listener: L,
    endpoint: &str,
) -> io::Result<impl Future<Output = ()> + use<L>> {
    let endpoint = Url::parse(endpoint).map_err(io::Error::other)?;
    // Where a redirect leads is not the endpoint that the user named.
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let refusals = Refusals::default();
    let model = Model { client: client.map_err(io::Error::other)?, endpoint, refusals };
    let routes = axum::Router::new().fallback(relay).with_state(model);
    let bounds = Bounds { connections: CONNECTIONS, ..Bounds::default() };
    Ok(localhttp::serve(listener, routes, bounds, std::future::pending()))
}

/// Hands on what comes as it comes, both ways, so that no number of large requests fills the
/// worker's memory.
async fn relay(State(model): State<Model>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // Where the relay is at a port of this machine's, a page in its browser could send here what
    // the model's own server refuses from one.
    if let Err(foreign) = localhttp::check_local(&head.headers) {
        return (StatusCode::FORBIDDEN, format!("{foreign}\n")).into_response();
    }
    let path = head.uri.path();
    if !passes(&head.method, path, model.endpoint.path()) {
        model.refusals.tell(&format!("{} {path}", head.method), "it is no call for inference");
        return (
            StatusCode::FORBIDDEN,
            "this sandbox lets calls for inference pass, and no others\n",
        )
            .into_response();
    }
    let mut url = model.endpoint.clone();
    url.set_path(path);
    url.set_query(head.uri.query());
    let mut asked = model.client.request(head.method, url).headers(known(&head.headers));
    if !body.is_end_stream() {
        // The length went along as a header: not every server takes a body that comes without one.
        let body = Body::new(Limited::new(body, LARGEST_REQUEST));
        asked = asked.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match asked.send().await {
        Ok(answer) => {
            let answer: axum::http::Response<reqwest::Body> = answer.into();
            let (head, body) = answer.into_parts();
            let kind = head.headers.get(header::CONTENT_TYPE).cloned();
            let kind = kind.map(|kind| [(header::CONTENT_TYPE, kind)]);
            (head.status, kind.into_iter().flatten().collect::<HeaderMap>(), Body::new(body))
                .into_response()
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            (StatusCode::BAD_GATEWAY, format!("the model's server can't be reached: {error:#}\n"))
                .into_response()
        }
    }
}

/// Paths are compared as they are sent on, so one that could mean another is refused.
fn passes(method: &Method, path: &str, prefix: &str) -> bool {
    let path = path.strip_prefix(prefix.trim_end_matches('/')).unwrap_or(path);
    let path = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    PASSED.iter().any(|(allowed, exact)| allowed == method && *exact == path)
}

fn known(headers: &HeaderMap) -> HeaderMap {
    let known = HEADERS.iter().map(|name| HeaderName::from_static(name));
    known.filter_map(|name| headers.get(&name).map(|value| (name, value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inference_passes_and_nothing_else_does() {
        for (method, path, prefix) in [
            (Method::POST, "/api/chat", "/"),
            (Method::GET, "/", "/"),
            (Method::POST, "/v1/chat/completions", "/"),
            (Method::POST, "/v1/chat/completions", "/v1"),
            (Method::POST, "/api/v1/chat/completions", "/api/v1"),
            (Method::POST, "/v1/messages", "/"),
        ] {
            assert!(passes(&method, path, prefix), "{method} {path}");
        }
        for (method, path) in [
            (Method::DELETE, "/api/delete"),
            (Method::POST, "/api/pull"),
            (Method::POST, "/api/push"),
            (Method::POST, "/api/create"),
            (Method::POST, "/api/copy"),
            (Method::DELETE, "/api/chat"),
            (Method::POST, "/api/chat/../delete"),
            (Method::POST, "//api/chat"),
            (Method::POST, "/api/%63hat"),
            (Method::PUT, "/api/blobs/sha256:0"),
            (Method::POST, "/v1/files"),
        ] {
            assert!(!passes(&method, path, "/"), "{method} {path}");
        }
    }
}
