//! A server before the queue that writes down every action and hands it on; it changes an answer, or keeps one back, when it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio::sync::watch;

const DEADLINE: Duration = Duration::from_secs(60);

pub struct Recorder {
    pub url: String,
    seen: Arc<Seen>,
}

struct Seen {
    queue: String,
    actions: watch::Sender<Vec<String>>,
    damage: Mutex<Option<(String, String)>>,
    holds: watch::Sender<bool>,
    held: watch::Sender<usize>,
}

impl Recorder {
    pub async fn before(queue: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen {
            queue: queue.to_owned(),
            actions: watch::Sender::default(),
            damage: Mutex::default(),
            holds: watch::Sender::default(),
            held: watch::Sender::default(),
        });
        let router = Router::new().fallback(hand_on).with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// Each action once, in order of the alphabet.
    pub fn actions(&self) -> Vec<String> {
        let mut actions = self.seen.actions.borrow().clone();
        actions.sort();
        actions.dedup();
        actions
    }

    pub async fn wait_for(&self, action: &str) {
        let mut actions = self.seen.actions.subscribe();
        let asked = actions.wait_for(|actions| actions.iter().any(|seen| seen == action));
        tokio::time::timeout(DEADLINE, asked).await.expect("nobody asks for it").unwrap();
    }

    /// From now on, what the queue answers has `to` in place of `from`.
    pub fn damage(&self, from: &str, to: &str) {
        *self.seen.damage.lock().unwrap() = Some((from.to_owned(), to.to_owned()));
    }

    /// From now on the queue does what it is asked, and its answers wait here.
    pub fn hold_answers(&self) {
        self.seen.holds.send_replace(true);
    }

    pub async fn wait_until_held(&self) {
        let mut held = self.seen.held.subscribe();
        tokio::time::timeout(DEADLINE, held.wait_for(|held| *held > 0)).await.expect("nothing is held").unwrap();
    }

    pub fn let_answers_go(&self) {
        self.seen.holds.send_replace(false);
    }
}

async fn hand_on(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let target = headers.get("x-amz-target").unwrap().clone();
    let action = target.to_str().unwrap().replace("AmazonSQS.", "sqs:");
    seen.actions.send_modify(|actions| actions.push(action));
    // SQS goes on with a request whose sender is gone, and so does a task of its own.
    tokio::spawn(async move { seen.ask(target, body).await }).await.unwrap()
}

impl Seen {
    async fn ask(&self, target: HeaderValue, body: Bytes) -> impl IntoResponse + use<> {
        let request = reqwest::Client::new().post(&self.queue).header("x-amz-target", target).body(body);
        let answer = request.header("content-type", "application/x-amz-json-1.0").send().await.unwrap();
        let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
        let text = answer.text().await.unwrap();
        let damage = self.damage.lock().unwrap().clone();
        let text = damage.map_or_else(|| text.clone(), |(from, to)| text.replace(&from, &to));
        let mut holds = self.holds.subscribe();
        if *holds.borrow() {
            self.held.send_modify(|held| *held += 1);
            holds.wait_for(|holds| !holds).await.unwrap();
        }
        (status, [("content-type", "application/x-amz-json-1.0")], text)
    }
}
