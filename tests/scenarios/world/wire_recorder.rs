//! A proxy before the queue and one before the forge, which record the requests that pass. One
//! request, or its answer, can be held back for as long as a test wants: that is where a worker is
//! killed.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::DEADLINE;

const LARGEST: usize = 64 << 20;

pub struct WireRecorder {
    pub queue_url: String,
    pub forge_url: String,
    record: Arc<Record>,
}

/// Where a worker is cut off: before a request takes effect, or after it and before the worker
/// gets the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

#[derive(Default)]
struct Record {
    requests: Mutex<Vec<String>>,
    /// The request to hold back, counted from 1.
    held: Mutex<Option<(usize, Side)>>,
    stopped: watch::Sender<bool>,
    /// The receipts of the messages that were handed out.
    receipts: Mutex<Vec<String>>,
    /// Everything that was sent, but for the `Authorization` headers.
    sent: Mutex<Vec<u8>>,
}

#[derive(Clone)]
struct Proxy {
    upstream: String,
    record: Arc<Record>,
    client: reqwest::Client,
}

impl WireRecorder {
    pub async fn before(queue: &str, forge: &str) -> Self {
        let record = Arc::new(Record::default());
        let (queue_url, forge_url) = (serve(queue, &record).await, serve(forge, &record).await);
        Self { queue_url, forge_url, record }
    }

    /// Holds the nth request back, or its answer, counted from the first that ever passed.
    pub fn hold_back(&self, number: usize, side: Side) {
        *self.record.held.lock().unwrap() = Some((number, side));
    }

    pub async fn wait_until_held(&self) {
        let mut stopped = self.record.stopped.subscribe();
        tokio::time::timeout(DEADLINE, stopped.wait_for(|stopped| *stopped))
            .await
            .expect("the request never came")
            .unwrap();
    }

    /// Lets everything pass from now on. What was held back is lost.
    pub fn let_pass(&self) {
        *self.record.held.lock().unwrap() = None;
    }

    /// The requests in order: `sqs:ReceiveMessage`, or a method and a path.
    pub fn requests(&self) -> Vec<String> {
        self.record.requests.lock().unwrap().clone()
    }

    /// Whether a text was in any request: its address, its headers but `Authorization`, its body.
    pub fn was_sent(&self, text: &str) -> bool {
        memchr::memmem::find(&self.record.sent.lock().unwrap(), text.as_bytes()).is_some()
    }

    /// The receipts of all messages that were handed out, in order.
    pub fn receipts(&self) -> Vec<String> {
        self.record.receipts.lock().unwrap().clone()
    }
}

async fn serve(upstream: &str, record: &Arc<Record>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (upstream, record) = (upstream.to_owned(), Arc::clone(record));
    let proxy = Proxy { upstream, record, client: reqwest::Client::new() };
    let router = Router::new().fallback(pass).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response<Body> {
    // A server goes on with a request whose sender is gone, and so does a task of its own.
    tokio::spawn(async move { proxy.pass(request).await }).await.unwrap()
}

impl Proxy {
    async fn pass(&self, request: Request) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LARGEST).await.unwrap();
        let target =
            head.headers.get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
        let name = match &target {
            Some(target) => target.replace("AmazonSQS.", "sqs:"),
            None => format!("{} {}", head.method, head.uri),
        };
        let number = {
            let mut requests = self.record.requests.lock().unwrap();
            requests.push(name.clone());
            requests.len()
        };
        {
            let mut sent = self.record.sent.lock().unwrap();
            sent.extend_from_slice(head.uri.to_string().as_bytes());
            let headers = head.headers.iter().filter(|(name, _)| *name != AUTHORIZATION);
            headers.for_each(|(_, value)| sent.extend_from_slice(value.as_bytes()));
            sent.extend_from_slice(&body);
        }
        self.hold(number, Side::Before).await;
        let url = format!("{}{}", self.upstream, head.uri);
        let mut request = self.client.request(head.method, url).body(body);
        for (name, value) in &head.headers {
            if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                request = request.header(name, value);
            }
        }
        let Ok(answer) = request.send().await else { return bad_gateway() };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let Ok(text) = answer.bytes().await else { return bad_gateway() };
        if name == "sqs:ReceiveMessage" {
            self.record_receipt(&text);
        }
        self.hold(number, Side::After).await;
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().remove(TRANSFER_ENCODING);
        response
    }

    async fn hold(&self, number: usize, side: Side) {
        if *self.record.held.lock().unwrap() == Some((number, side)) {
            self.record.stopped.send_replace(true);
            std::future::pending::<()>().await;
        }
    }

    fn record_receipt(&self, answer: &Bytes) {
        let answer: serde_json::Value = serde_json::from_slice(answer).unwrap();
        if let Some(receipt) = answer["Messages"][0]["ReceiptHandle"].as_str() {
            self.record.receipts.lock().unwrap().push(receipt.to_owned());
        }
    }
}

fn bad_gateway() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
