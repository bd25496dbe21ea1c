//! A server before the queue and one before the forge, which keep the requests that cross them. One
//! request, or its answer, can be kept back for as long as a test wants: that is where a worker is
//! killed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

const DEADLINE: Duration = Duration::from_secs(60);
const LARGEST: usize = 64 << 20;

pub struct Crossing {
    pub queue_url: String,
    pub forge_url: String,
    seen: Arc<Seen>,
}

/// Where a worker is cut off: before something is done to the world, or after it and before the
/// worker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    /// The request to keep back, counted from 1.
    kept_back: Mutex<Option<(usize, Side)>>,
    stopped: watch::Sender<bool>,
    /// The receipts of the messages that were handed out.
    receipts: Mutex<Vec<String>>,
    /// Everything that was sent, but for what proves who sends it.
    said: Mutex<Vec<u8>>,
}

#[derive(Clone)]
struct Way {
    to: String,
    seen: Arc<Seen>,
    client: reqwest::Client,
}

impl Crossing {
    pub async fn before(queue: &str, forge: &str) -> Self {
        let seen = Arc::new(Seen::default());
        let (queue_url, forge_url) = (way(queue, &seen).await, way(forge, &seen).await);
        Self { queue_url, forge_url, seen }
    }

    /// Keeps the nth request from now on back, or its answer.
    pub fn stop_at(&self, number: usize, side: Side) {
        *self.seen.kept_back.lock().unwrap() = Some((number, side));
    }

    pub async fn wait_until_stopped(&self) {
        let mut stopped = self.seen.stopped.subscribe();
        tokio::time::timeout(DEADLINE, stopped.wait_for(|stopped| *stopped))
            .await
            .expect("it never came")
            .unwrap();
    }

    /// From now on everything crosses. What was kept back is lost.
    pub fn open(&self) {
        *self.seen.kept_back.lock().unwrap() = None;
    }

    /// What crossed, in order: `sqs:ReceiveMessage`, or a method and a path.
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Whether a text was in any request: its address, its headers but `Authorization`, its body.
    pub fn was_said(&self, text: &str) -> bool {
        memchr::memmem::find(&self.seen.said.lock().unwrap(), text.as_bytes()).is_some()
    }

    /// The receipts of all messages that were handed out, in order.
    pub fn receipts(&self) -> Vec<String> {
        self.seen.receipts.lock().unwrap().clone()
    }
}

async fn way(to: &str, seen: &Arc<Seen>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let way = Way { to: to.to_owned(), seen: Arc::clone(seen), client: reqwest::Client::new() };
    let router = Router::new().fallback(cross).with_state(way);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn cross(State(way): State<Way>, request: Request) -> Response<Body> {
    // The world goes on with a request whose sender is gone, and so does a task of its own.
    tokio::spawn(async move { way.cross(request).await }).await.unwrap()
}

impl Way {
    async fn cross(&self, request: Request) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LARGEST).await.unwrap();
        let target =
            head.headers.get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
        let name = match &target {
            Some(target) => target.replace("AmazonSQS.", "sqs:"),
            None => format!("{} {}", head.method, head.uri),
        };
        let number = {
            let mut requests = self.seen.requests.lock().unwrap();
            requests.push(name.clone());
            requests.len()
        };
        {
            let mut said = self.seen.said.lock().unwrap();
            said.extend_from_slice(head.uri.to_string().as_bytes());
            let headers = head.headers.iter().filter(|(name, _)| *name != AUTHORIZATION);
            headers.for_each(|(_, value)| said.extend_from_slice(value.as_bytes()));
            said.extend_from_slice(&body);
        }
        self.stop(number, Side::Before).await;
        let mut asked =
            self.client.request(head.method, format!("{}{}", self.to, head.uri)).body(body);
        for (name, value) in &head.headers {
            if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                asked = asked.header(name, value);
            }
        }
        let Ok(answer) = asked.send().await else { return refuse() };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let Ok(text) = answer.bytes().await else { return refuse() };
        if name == "sqs:ReceiveMessage" {
            self.remember_receipt(&text);
        }
        self.stop(number, Side::After).await;
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().remove(TRANSFER_ENCODING);
        response
    }

    async fn stop(&self, number: usize, side: Side) {
        if *self.seen.kept_back.lock().unwrap() == Some((number, side)) {
            self.seen.stopped.send_replace(true);
            std::future::pending::<()>().await;
        }
    }

    fn remember_receipt(&self, answer: &Bytes) {
        let answer: serde_json::Value = serde_json::from_slice(answer).unwrap();
        if let Some(receipt) = answer["Messages"][0]["ReceiptHandle"].as_str() {
            self.seen.receipts.lock().unwrap().push(receipt.to_owned());
        }
    }
}

fn refuse() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
