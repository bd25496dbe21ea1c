//! The relay to the model. It forwards calls for inference and refuses every other request.
//!
//! Ollama's API lets every client also pull, copy, create and delete models. An agent must not.

use std::io;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use http_body_util::Limited;
use localhttp::Bounds;
use reqwest::Url;

use super::RefusalLog;
use crate::errors;

/// The longest request in bytes. It is longer than any context window.
const LARGEST_REQUEST: usize = 64 << 20;

/// How many connections the relay serves at once. An agent makes fewer calls at once. Without this
/// limit, one agent could use up the file descriptors of the whole worker.
const CONNECTIONS: usize = 32;

/// The requests that the relay forwards, by method and path: those of Ollama (`docs/api.md` in its
/// repository), of `OpenAI` and of Anthropic. Other servers implement these APIs too.
const ALLOWED: &[(Method, &str)] = &[
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

/// The headers that the relay forwards.
const HEADERS: &[&str] = &[
    "accept",
    "anthropic-beta",
    "anthropic-version",
    "authorization",
    "content-length",
    "content-type",
    "x-api-key",
];

/// What the relay needs for each request.
#[derive(Debug, Clone)]
struct ModelRelay {
    client: reqwest::Client,
    endpoint: Url,
    refusals: RefusalLog,
}

/// Serves until the future is dropped.
///
/// # Errors
/// The endpoint is not a URL, or the HTTP client can't be built.
pub(super) fn serve<L: Listener>(
    listener: L,
    endpoint: &str,
) -> io::Result<impl Future<Output = ()> + use<L>> {
    let endpoint = Url::parse(endpoint).map_err(io::Error::other)?;
    // The relay follows no redirect: the user trusts the endpoint, and not where it redirects to.
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let refusals = RefusalLog::default();
    let relay = ModelRelay { client: client.map_err(io::Error::other)?, endpoint, refusals };
    let routes = axum::Router::new().fallback(forward).with_state(relay);
    let bounds = Bounds { connections: CONNECTIONS, ..Bounds::default() };
    Ok(localhttp::serve(listener, routes, bounds, std::future::pending()))
}

/// Forwards one request and its answer. Both are streamed, so that large requests do not fill the
/// worker's memory.
async fn forward(State(relay): State<ModelRelay>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // On macOS the relay listens at a port of this machine, so a page in the user's browser could
    // send it a request that the model's server refuses because of its origin.
    if let Err(foreign) = localhttp::check_local(&head.headers) {
        return (StatusCode::FORBIDDEN, format!("{foreign}\n")).into_response();
    }
    let path = head.uri.path();
    if !passes(&head.method, path, relay.endpoint.path()) {
        relay.refusals.refused(&format!("{} {path}", head.method), "it is no call for inference");
        return (
            StatusCode::FORBIDDEN,
            "this sandbox lets calls for inference pass, and no others\n",
        )
            .into_response();
    }
    let mut url = relay.endpoint.clone();
    url.set_path(path);
    url.set_query(head.uri.query());
    let mut forwarded =
        relay.client.request(head.method, url).headers(forwarded_headers(&head.headers));
    if !body.is_end_stream() {
        // `content-length` is among the forwarded headers, because some servers refuse a body of
        // unknown length.
        let body = Body::new(Limited::new(body, LARGEST_REQUEST));
        forwarded = forwarded.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match forwarded.send().await {
        Ok(answer) => {
            let answer: axum::http::Response<reqwest::Body> = answer.into();
            let (head, body) = answer.into_parts();
            let kind = head.headers.get(header::CONTENT_TYPE).cloned();
            let kind = kind.map(|kind| [(header::CONTENT_TYPE, kind)]);
            (head.status, kind.into_iter().flatten().collect::<HeaderMap>(), Body::new(body))
                .into_response()
        }
        Err(error) => {
            let cause = errors::chain(&error);
            (StatusCode::BAD_GATEWAY, format!("the model's server can't be reached: {cause}\n"))
                .into_response()
        }
    }
}

/// Whether the relay forwards a request. `prefix` is the path of the endpoint.
///
/// The path is compared as it is forwarded, without decoding, so a path such as `/api/%63hat` or
/// `/api/chat/../delete` is refused.
fn passes(method: &Method, path: &str, prefix: &str) -> bool {
    let path = path.strip_prefix(prefix.trim_end_matches('/')).unwrap_or(path);
    let path = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    ALLOWED.iter().any(|(allowed, exact)| allowed == method && *exact == path)
}

fn forwarded_headers(headers: &HeaderMap) -> HeaderMap {
    let names = HEADERS.iter().map(|name| HeaderName::from_static(name));
    names.filter_map(|name| headers.get(&name).map(|value| (name, value.clone()))).collect()
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
