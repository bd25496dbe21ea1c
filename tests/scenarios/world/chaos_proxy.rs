//! A chaos proxy: a worker's own way to the queue and to the forge, which injects faults at random:
//! server errors, throttling, connections that drop before or after the effect, slow answers, and
//! outages of the forge. It records until when its worker holds which message, every write to the
//! forge, and what the worker receives in an outage.

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
use tokio::sync::watch;

const LARGEST: usize = 64 << 20;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The answer is a server error, and nothing is done.
    Refused,
    /// The answer asks the client to come later, and nothing is done.
    Throttled,
    /// The connection drops, and nothing is done.
    DroppedBefore,
    /// The request is done, and the connection drops before the answer.
    DroppedAfter,
    /// The request is done, and answered late.
    Slow,
}

/// How the forge can't be asked at all, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    TokenRefused,
    Limited,
    BadGateway,
    /// A proxy on the way answers with its own page.
    Page,
    /// No answer comes until the outage is over.
    Silence,
}

impl Outage {
    pub const ALL: [Self; 5] =
        [Self::TokenRefused, Self::Limited, Self::BadGateway, Self::Page, Self::Silence];
}

/// How long after the beginning of an outage a worker may still receive: it has asked the forge
/// just before, and this proxy may have held the answer back.
const GRACE: SignedDuration = SignedDuration::from_secs(5);

/// The proxy of one worker.
pub struct ChaosProxy {
    pub queue_url: String,
    pub forge_url: String,
    state: Arc<ProxyState>,
}

struct ProxyState {
    injects_faults: AtomicBool,
    outage: watch::Sender<Option<(Outage, Timestamp)>>,
    /// When the worker began to receive although the forge could not be asked.
    receives_in_outages: Mutex<Vec<Timestamp>>,
    rng: Mutex<fastrand::Rng>,
    leases: Mutex<Leases>,
    writes: Mutex<Vec<Write>>,
    faults: Mutex<HashMap<&'static str, usize>>,
    lease_length: SignedDuration,
}

/// Which messages a worker holds, by what the queue answered it.
#[derive(Default)]
struct Leases {
    /// The issue of a message, by the receipt it was handed out with.
    issues: HashMap<String, u64>,
    /// Until when, by receipt.
    ends: HashMap<String, Timestamp>,
}

impl Leases {
    /// Until when the worker may write to the issue. A message that was sent twice is held by two
    /// receipts, and the later one counts.
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
    /// Whether the worker sent it without holding the lease of the issue's message.
    pub fn is_late(&self) -> bool {
        self.issue.is_some() && self.held_until.is_none_or(|end| self.at > end)
    }
}

#[derive(Clone)]
struct Proxy {
    upstream: String,
    state: Arc<ProxyState>,
    client: reqwest::Client,
    is_queue: bool,
}

impl ChaosProxy {
    pub async fn before(queue: &str, forge: &str, seed: u64, lease_length: Duration) -> Self {
        let state = Arc::new(ProxyState {
            injects_faults: AtomicBool::new(true),
            outage: watch::Sender::new(None),
            receives_in_outages: Mutex::default(),
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            leases: Mutex::default(),
            writes: Mutex::default(),
            faults: Mutex::default(),
            lease_length: lease_length.try_into().unwrap(),
        });
        let (queue_url, forge_url) =
            (serve(queue, true, &state).await, serve(forge, false, &state).await);
        Self { queue_url, forge_url, state }
    }

    /// From now on everything passes as it is.
    pub fn stop_faults(&self) {
        self.state.injects_faults.store(false, Ordering::Relaxed);
    }

    /// Begins an outage of the forge, or ends it.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.state.outage.send_replace(outage.map(|outage| (outage, Timestamp::now())));
    }

    /// When the worker began to receive although the forge could not be asked, since the last call.
    pub fn take_receives_in_outages(&self) -> Vec<Timestamp> {
        std::mem::take(&mut self.state.receives_in_outages.lock().unwrap())
    }

    pub fn writes(&self) -> Vec<Write> {
        self.state.writes.lock().unwrap().clone()
    }

    /// How often which fault was injected.
    pub fn faults(&self) -> HashMap<&'static str, usize> {
        self.state.faults.lock().unwrap().clone()
    }
}

async fn serve(upstream: &str, is_queue: bool, state: &Arc<ProxyState>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (upstream, state) = (upstream.to_owned(), Arc::clone(state));
    let proxy = Proxy { upstream, state, client: reqwest::Client::new(), is_queue };
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
        let at = Timestamp::now();
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, LARGEST).await.unwrap();
        let action = head
            .headers
            .get("x-amz-target")
            .map(|target| target.to_str().unwrap().replace("AmazonSQS.", ""));
        if !self.is_queue {
            self.state.record_write(&head.method, head.uri.path(), &body, at);
        }
        let outage = *self.state.outage.borrow();
        if let Some((outage, since)) = outage {
            if !self.is_queue {
                return self.in_outage(outage).await;
            }
            if action.as_deref() == Some("ReceiveMessage") && at.duration_since(since) > GRACE {
                self.state.receives_in_outages.lock().unwrap().push(at);
            }
        }
        let fault = self.state.next_fault();
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
        let url = format!("{}{}", self.upstream, head.uri);
        let mut upstream = self.client.request(head.method, url).body(body.clone());
        for (name, value) in &head.headers {
            if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                upstream = upstream.header(name, value);
            }
        }
        let Ok(answer) = upstream.send().await else { return dropped() };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let Ok(text) = answer.bytes().await else { return dropped() };
        if let Some(action) = action
            && status.is_success()
        {
            self.state.record_lease(&action, &body, &text, at);
        }
        if fault == Fault::DroppedAfter {
            return dropped();
        }
        if fault == Fault::Slow {
            let wait = Duration::from_millis(self.state.rng.lock().unwrap().u64(200..1500));
            tokio::time::sleep(wait).await;
        }
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().remove(TRANSFER_ENCODING);
        response
    }

    async fn in_outage(&self, outage: Outage) -> Response<Body> {
        match outage {
            Outage::TokenRefused => self.refused(StatusCode::UNAUTHORIZED, "Bad credentials"),
            Outage::Limited => {
                let mut answer = self.refused(StatusCode::FORBIDDEN, "API rate limit exceeded");
                answer.headers_mut().insert("retry-after", "1".parse().unwrap());
                answer
            }
            Outage::BadGateway => self.refused(StatusCode::BAD_GATEWAY, "unavailable"),
            Outage::Page => Response::new(Body::from("<html>Sign in to the network</html>")),
            Outage::Silence => {
                let mut outage = self.state.outage.subscribe();
                outage.wait_for(Option::is_none).await.unwrap();
                dropped()
            }
        }
    }

    fn refused(&self, status: StatusCode, reason: &str) -> Response<Body> {
        let body =
            if self.is_queue { json!({ "__type": reason }) } else { json!({ "message": reason }) };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        response
    }
}

impl ProxyState {
    fn next_fault(&self) -> Fault {
        if !self.injects_faults.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let (fault, name) = match self.rng.lock().unwrap().u32(0..200) {
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

    fn record_write(&self, method: &Method, path: &str, body: &Bytes, at: Timestamp) {
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

    /// A lease begins when the queue was asked, as the worker counts it, or a little later.
    fn record_lease(&self, action: &str, request: &Bytes, answer: &Bytes, at: Timestamp) {
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

/// The 7 of `/repos/o/r/issues/7/…`. The path of an edit names a comment or a pull request instead;
/// its issue is in its text.
fn issue_of(path: &str) -> Option<u64> {
    path.split_once("/issues/")?.1.split('/').next()?.parse().ok()
}

/// The issue of the branch in the first line of a push.
fn pushed_issue(body: &Bytes) -> Option<u64> {
    let text = String::from_utf8_lossy(body.get(..body.len().min(400))?).into_owned();
    let number = text.split_once("codingworker/issue-")?.1;
    number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// The issue in the mark that ends the text of a comment or of a pull request.
fn opened_issue(body: &Bytes) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let mark = body["body"].as_str()?.rsplit_once("<!-- codingworker:")?.1;
    let (_, number) = mark.split_once("issue=").or_else(|| mark.split_once('#'))?;
    number.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// An answer that breaks off in its body, so that the client sees a connection that drops.
fn dropped() -> Response<Body> {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("the connection drops"))
    });
    Response::new(Body::from_stream(broken))
}
