//! A proxy between a client and the forge. It checks every answer against GitHub's OpenAPI
//! description.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::openapi;

pub(crate) struct Inspector {
    pub(crate) url: String,
    complaints: Complaints,
    _serving: AbortOnDropHandle<()>,
}

type Complaints = Arc<Mutex<Vec<String>>>;

#[derive(Clone)]
struct Passage {
    forge: String,
    client: reqwest::Client,
    complaints: Complaints,
}

impl Inspector {
    pub(crate) async fn start(forge: &str) -> Self {
        let complaints = Complaints::default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let passage =
            Passage { forge: forge.to_owned(), client, complaints: Arc::clone(&complaints) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(passage);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, complaints, _serving: AbortOnDropHandle::new(serving) }
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        let complaints = self.complaints.lock().unwrap();
        if !std::thread::panicking() {
            assert!(
                complaints.is_empty(),
                "answers that GitHub would not give:\n{}",
                complaints.join("\n")
            );
        }
    }
}

/// GitHub's description does not have GraphQL. The specification says what an answer has (section
/// 7.1, "Response Format").
fn graphql_complaint(path: &str, status: u16, body: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let fine = match status {
        200 => {
            answer["data"].is_object()
                || answer["errors"].as_array().is_some_and(|errors| {
                    errors.iter().all(|error| error["message"].is_string()) && !errors.is_empty()
                })
        }
        400 | 401 | 422 => answer["message"].is_string(),
        _ => false,
    };
    (!fine).then(|| format!("{path} {status}: {answer:#}"))
}

async fn pass(State(passage): State<Passage>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    // The caller's Host is passed on, so that the addresses in answers lead here again.
    let asked = passage.client.request(parts.method.clone(), format!("{}{path}", passage.forge));
    let answer = asked.headers(parts.headers).body(body).send().await.unwrap();

    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    let kind = headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
    let mut complaint = None;
    if path == "/graphql" || path == "/api/graphql" {
        complaint = graphql_complaint(&path, status.as_u16(), &body);
    } else if let Some(github) = openapi::github() {
        complaint = github.check(parts.method.as_str(), &path, status.as_u16(), kind, &body).err();
    }
    if !headers.contains_key("x-ratelimit-remaining") {
        complaint = Some(format!("{path}: no rate limit in the headers"));
    }
    passage.complaints.lock().unwrap().extend(complaint);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
