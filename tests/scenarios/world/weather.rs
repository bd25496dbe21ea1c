//! A worker's own way to the queue and to the forge, with weather on it: server errors, throttling,
//! connections that drop before or after the effect, slow answers. It writes down until when its
//! worker holds which message, and every write to the forge.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{Method, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const LARGEST: usize = 64 << 20;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Answered with an error, and nothing is done.
    Refused,
    /// Answered with a request to come later, and nothing is done.
    Throttled,
    /// Nobody answers, and nothing is done.
    DroppedBefore,
    /// It is done, and nobody answers.
    DroppedAfter,
    /// It is done and answered, later.
    Slow,
}

/// One worker's way.
pub struct Weather {
    pub queue_url: String,
    pub forge_url: String,
    state: Arc<Seen>,
}

struct Seen {
    storms: AtomicBool,
    dice: Mutex<fastrand::Rng>,
    leases: Mutex<Leases>,
    writes: Mutex<Vec<Write>>,
    faults: Mutex<HashMap<&'static str, usize>>,
    lease_length: SignedDuration,
}

/// What a worker holds, as far as the queue told it.
#[derive(Default)]
struct Leases {
    /// The issue of a message, by the receipt it was handed out with.
    issues: HashMap<String, u64>,
    /// Until when, by receipt.
    ends: HashMap<String, Timestamp>,
}

impl Leases {
    /// Until when the issue may be written to: a message that was sent twice is held by two
    /// receipts.
    fn end(&self, issue: u64) -> Option<Timestamp> {
        let of_issue =
            self.ends.iter().filter(|(receipt, _)| self.issues.get(*receipt) == Some(&issue));
        of_issue.map(|(_, end)| *end).max()
    }

    fn set(&mut self, receipt: &Value, end: Timestamp) {
        self.ends.insert(receipt.as_str().unwrap().to_owned(), end);
    }
}

/// A write to the forge.
#[derive(Clone)]
pub struct Write {
    request: String,
    at: Timestamp,
    issue: Option<u64>,
    /// Until when its worker held the issue's message then.
    held_until: Option<Timestamp>,
}

impl std::fmt::Display for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held_until = self.held_until.map_or_else(|| "never".to_owned(), |end| end.to_string());
        write!(
            f,
            "{} at {}, issue {:?}, held until {held_until}",
            self.request, self.at, self.issue
        )
    }
}

impl Write {
    /// Whether it was sent without the right to.
    pub fn is_late(&self) -> bool {
        self.issue.is_some() && self.held_until.is_none_or(|end| self.at > end)
    }
}

#[derive(Clone)]
struct Way {
    to: String,
    seen: Arc<Seen>,
    client: reqwest::Client,
    is_queue: bool,
}

impl Weather {
    pub async fn before(queue: &str, forge: &str, seed: u64, lease_length: Duration) -> Self {
        let state = Arc::new(Seen {
            storms: AtomicBool::new(true),
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            leases: Mutex::default(),
            writes: Mutex::default(),
            faults: Mutex::default(),
            lease_length: lease_length.try_into().unwrap(),
        });
        let (queue_url, forge_url) =
            (way(queue, true, &state).await, way(forge, false, &state).await);
        Self { queue_url, forge_url, state }
    }

    /// From now on everything passes.
    pub fn calm_down(&self) {
        self.state.storms.store(false, Ordering::Relaxed);
    }

    pub fn writes(&self) -> Vec<Write> {
        self.state.writes.lock().unwrap().clone()
    }

    /// How often which weather was met.
    pub fn faults(&self) -> HashMap<&'static str, usize> {
        self.state.faults.lock().unwrap().clone()
    }
}

async fn way(to: &str, is_queue: bool, seen: &Arc<Seen>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let way =
        Way { to: to.to_owned(), seen: Arc::clone(seen), client: reqwest::Client::new(), is_queue };
    let router = Router::new().fallback(pass).with_state(way);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn pass(State(way): State<Way>, request: Request) -> Response<Body> {
    // The world goes on with a request whose sender is gone, and so does a task of its own.
    tokio::spawn(async move { way.pass(request).await }).await.unwrap()
}

impl Way {
    async fn pass(&self, request: Request) -> Response<Body> {
        let at = Timestamp::now();
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LARGEST).await.unwrap();
        let action = head
            .headers
            .get("x-amz-target")
            .map(|target| target.to_str().unwrap().replace("AmazonSQS.", ""));
        if !self.is_queue {
            self.seen.note_write(&head.method, head.uri.path(), &body, at);
        }
        let fault = self.seen.roll();
        match fault {
            Fault::Refused => {
                return self.refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure");
            }
            Fault::Throttled if self.is_queue => {
                return self.refused(StatusCode::BAD_REQUEST, "RequestThrottled");
            }
            Fault::Throttled => {
                let mut answer = self.refused(StatusCode::TOO_MANY_REQUESTS, "slow down");
                answer.headers_mut().insert("retry-after", "1".parse().unwrap());
                return answer;
            }
            Fault::DroppedBefore => return dropped(),
            Fault::None | Fault::DroppedAfter | Fault::Slow => {}
        }
        let mut asked =
            self.client.request(head.method, format!("{}{}", self.to, head.uri)).body(body.clone());
        for (name, value) in &head.headers {
            if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                asked = asked.header(name, value);
            }
        }
        let Ok(answer) = asked.send().await else { return dropped() };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let Ok(text) = answer.bytes().await else { return dropped() };
        if let Some(action) = action
            && status.is_success()
        {
            self.seen.note_lease(&action, &body, &text, at);
        }
        if fault == Fault::DroppedAfter {
            return dropped();
        }
        if fault == Fault::Slow {
            let wait = Duration::from_millis(self.seen.dice.lock().unwrap().u64(200..1500));
            tokio::time::sleep(wait).await;
        }
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().remove(TRANSFER_ENCODING);
        response
    }

    fn refused(&self, status: StatusCode, what: &str) -> Response<Body> {
        let body =
            if self.is_queue { json!({ "__type": what }) } else { json!({ "message": what }) };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        response
    }
}

impl Seen {
    fn roll(&self) -> Fault {
        if !self.storms.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let (fault, name) = match self.dice.lock().unwrap().u32(0..200) {
            0..3 => (Fault::Refused, "refused"),
            3..5 => (Fault::Throttled, "throttled"),
            5..7 => (Fault::DroppedBefore, "dropped before the effect"),
            7..9 => (Fault::DroppedAfter, "dropped after the effect"),
            9..15 => (Fault::Slow, "slow"),
            _ => return Fault::None,
        };
        *self.faults.lock().unwrap().entry(name).or_default() += 1;
        fault
    }

    fn note_write(&self, method: &Method, path: &str, body: &Bytes, at: Timestamp) {
        let is_push = path.ends_with("/git-receive-pack");
        if method == Method::GET || path.ends_with("/git-upload-pack") {
            return;
        }
        let issue = issue_of(path)
            .or_else(|| if is_push { pushed_issue(body) } else { opened_issue(body) });
        let held_until = issue.and_then(|issue| self.leases.lock().unwrap().end(issue));
        self.writes.lock().unwrap().push(Write {
            request: format!("{method} {path}"),
            at,
            issue,
            held_until,
        });
    }

    /// A lease begins when the queue was asked, as the worker reckons it, or a little later.
    fn note_lease(&self, action: &str, request: &Bytes, answer: &Bytes, at: Timestamp) {
        let json = |text: &Bytes| serde_json::from_slice::<Value>(text).unwrap_or_default();
        let mut leases = self.leases.lock().unwrap();
        match action {
            "ReceiveMessage" => {
                for message in json(answer)["Messages"].as_array().into_iter().flatten() {
                    let body: Value =
                        serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
                    let (issue, receipt) =
                        (body["issue_number"].as_u64().unwrap(), &message["ReceiptHandle"]);
                    leases.issues.insert(receipt.as_str().unwrap().to_owned(), issue);
                    leases.set(receipt, Timestamp::now() + self.lease_length);
                }
            }
            "ChangeMessageVisibility" => {
                let request = json(request);
                let visibility = request["VisibilityTimeout"].as_i64().unwrap();
                leases.set(&request["ReceiptHandle"], at + SignedDuration::from_secs(visibility));
            }
            "DeleteMessage" => leases.set(&json(request)["ReceiptHandle"], Timestamp::now()),
            _ => {}
        }
    }
}

/// `/repos/o/r/issues/7/…`; the comment and the pull request of an edit are told by its text.
fn issue_of(path: &str) -> Option<u64> {
    path.split_once("/issues/")?.1.split('/').next()?.parse().ok()
}

/// The branch in the first line of a push.
fn pushed_issue(body: &Bytes) -> Option<u64> {
    let text = String::from_utf8_lossy(body.get(..body.len().min(400))?).into_owned();
    let number = text.split_once("codingworker/issue-")?.1;
    number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// The mark in the text of a comment or of a pull request.
fn opened_issue(body: &Bytes) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let mark = body["body"].as_str()?.rsplit_once("<!-- codingworker:")?.1;
    let (_, number) = mark.split_once("issue=").or_else(|| mark.split_once('#'))?;
    number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// An answer that breaks off: its length is longer than what comes.
fn dropped() -> Response<Body> {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("the connection drops"))
    });
    Response::new(Body::from_stream(broken))
}
