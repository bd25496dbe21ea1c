//! A server before the queue that writes down every action and hands it on; it changes an answer,
//! or keeps one back, when it is told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

type Answer = (StatusCode, [(&'static str, &'static str); 1], String);

const DEADLINE: Duration = Duration::from_secs(60);

pub struct Recorder {
    pub url: String,
    seen: Arc<Seen>,
}

struct Seen {
    queue: String,
    actions: watch::Sender<Vec<String>>,
    damage: Mutex<Option<(String, String)>>,
    leases_are_lost: AtomicBool,
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
            leases_are_lost: AtomicBool::new(false),
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

    /// How often an action was asked for.
    pub fn count(&self, action: &str) -> usize {
        self.seen.actions.borrow().iter().filter(|seen| *seen == action).count()
    }

    /// From now on no visibility can be changed any more, as when the messages had come back to the
    /// queue.
    pub fn lose_leases(&self) {
        self.seen.leases_are_lost.store(true, Ordering::Relaxed);
    }

    /// From now on the queue does what it is asked, and its answers wait here.
    pub fn hold_answers(&self) {
        self.seen.holds.send_replace(true);
    }

    pub async fn wait_until_held(&self) {
        let mut held = self.seen.held.subscribe();
        tokio::time::timeout(DEADLINE, held.wait_for(|held| *held > 0))
            .await
            .expect("nothing is held")
            .unwrap();
    }

    pub fn let_answers_go(&self) {
        self.seen.holds.send_replace(false);
    }
}

async fn hand_on(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Answer {
    let target = headers.get("x-amz-target").unwrap().clone();
    let action = target.to_str().unwrap().replace("AmazonSQS.", "sqs:");
    let lost =
        action == "sqs:ChangeMessageVisibility" && seen.leases_are_lost.load(Ordering::Relaxed);
    seen.actions.send_modify(|actions| actions.push(action));
    if lost {
        let error =
            r#"{"__type":"com.amazonaws.sqs#MessageNotInflight","message":"not in flight"}"#;
        return (
            StatusCode::BAD_REQUEST,
            [("content-type", "application/x-amz-json-1.0")],
            error.to_owned(),
        );
    }
    // SQS goes on with a request whose sender is gone, and so does a task of its own.
    tokio::spawn(async move { seen.ask(target, body).await }).await.unwrap()
}

impl Seen {
    async fn ask(&self, target: HeaderValue, body: Bytes) -> Answer {
        let request =
            reqwest::Client::new().post(&self.queue).header("x-amz-target", target).body(body);
        let answer =
            request.header("content-type", "application/x-amz-json-1.0").send().await.unwrap();
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
