//! A proxy before the queue that records every action; it changes an answer, or holds one back,
//! when it is told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::DEADLINE;

type Answer = (StatusCode, [(&'static str, &'static str); 1], String);

const JSON: [(&str, &str); 1] = [("content-type", "application/x-amz-json-1.0")];

pub struct QueueProxy {
    pub url: String,
    state: Arc<ProxyState>,
}

struct ProxyState {
    queue: String,
    actions: watch::Sender<Vec<String>>,
    damage: Mutex<Option<(String, String)>>,
    leases_are_lost: AtomicBool,
    held: watch::Sender<Held>,
}

/// The answers that are held back are numbered from 1.
#[derive(Default)]
struct Held {
    is_on: bool,
    /// The number of the last answer that was held back.
    last: usize,
    /// The number of the last answer that was handed out after it was held back.
    released: usize,
}

impl QueueProxy {
    pub async fn before(queue: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(ProxyState {
            queue: queue.to_owned(),
            actions: watch::Sender::default(),
            damage: Mutex::default(),
            leases_are_lost: AtomicBool::new(false),
            held: watch::Sender::default(),
        });
        let router = Router::new().fallback(pass).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Each action that was asked for, once, in alphabetical order.
    pub fn actions(&self) -> Vec<String> {
        let mut actions = self.state.actions.borrow().clone();
        actions.sort();
        actions.dedup();
        actions
    }

    /// Waits until an action was asked for this often in all.
    pub async fn wait_for(&self, action: &str, count: usize) {
        let mut actions = self.state.actions.subscribe();
        let asked = actions.wait_for(|actions| count_of(actions, action) >= count);
        let asked = tokio::time::timeout(DEADLINE, asked).await;
        asked.unwrap_or_else(|_| panic!("nobody asks for {action} {count} times")).unwrap();
    }

    /// How often an action was asked for.
    pub fn count(&self, action: &str) -> usize {
        count_of(&self.state.actions.borrow(), action)
    }

    /// From now on, what the queue answers has `to` in place of `from`.
    pub fn damage(&self, from: &str, to: &str) {
        *self.state.damage.lock().unwrap() = Some((from.to_owned(), to.to_owned()));
    }

    /// From now on no visibility timeout can be changed, as when the messages had come back to the
    /// queue.
    pub fn lose_leases(&self) {
        self.state.leases_are_lost.store(true, Ordering::Relaxed);
    }

    /// From now on the queue does what it is asked, and the proxy holds its answers back.
    pub fn hold_answers(&self) {
        self.state.held.send_modify(|held| held.is_on = true);
    }

    /// Waits until an answer is held back.
    pub async fn wait_until_held(&self) {
        let mut held = self.state.held.subscribe();
        let waiting = held.wait_for(|held| held.last > held.released);
        tokio::time::timeout(DEADLINE, waiting).await.expect("no answer is held back").unwrap();
    }

    /// Hands the answers out that are held back now, and goes on holding later ones.
    pub fn release_held(&self) {
        self.state.held.send_modify(|held| held.released = held.last);
    }

    /// Hands the answers out that are held back, and all later ones.
    pub fn release_answers(&self) {
        self.state.held.send_modify(|held| {
            *held = Held { is_on: false, last: held.last, released: held.last };
        });
    }
}

fn count_of(actions: &[String], action: &str) -> usize {
    actions.iter().filter(|seen| *seen == action).count()
}

async fn pass(State(state): State<Arc<ProxyState>>, headers: HeaderMap, body: Bytes) -> Answer {
    let target = headers.get("x-amz-target").unwrap().clone();
    let action = target.to_str().unwrap().replace("AmazonSQS.", "sqs:");
    let lost =
        action == "sqs:ChangeMessageVisibility" && state.leases_are_lost.load(Ordering::Relaxed);
    state.actions.send_modify(|actions| actions.push(action));
    if lost {
        let error =
            r#"{"__type":"com.amazonaws.sqs#MessageNotInflight","message":"not in flight"}"#;
        return (StatusCode::BAD_REQUEST, JSON, error.to_owned());
    }
    // SQS goes on with a request whose sender is gone, and so does a task of its own.
    tokio::spawn(async move { state.ask(target, body).await }).await.unwrap()
}

impl ProxyState {
    async fn ask(&self, target: HeaderValue, body: Bytes) -> Answer {
        let request =
            reqwest::Client::new().post(&self.queue).header("x-amz-target", target).body(body);
        let answer =
            request.header("content-type", "application/x-amz-json-1.0").send().await.unwrap();
        let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
        let text = answer.text().await.unwrap();
        let damage = self.damage.lock().unwrap().clone();
        let text = damage.map_or_else(|| text.clone(), |(from, to)| text.replace(&from, &to));
        let mut number = None;
        self.held.send_if_modified(|held| {
            if held.is_on {
                held.last += 1;
                number = Some(held.last);
            }
            held.is_on
        });
        if let Some(number) = number {
            self.held.subscribe().wait_for(|held| held.released >= number).await.unwrap();
        }
        (status, JSON, text)
    }
}
