//! A server before the queue that writes down every action and hands it on, and changes an answer when it is told to.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use tokio::net::TcpListener;

pub struct Recorder {
    pub url: String,
    actions: Arc<Mutex<Vec<String>>>,
    damage: Arc<Mutex<Option<(String, String)>>>,
}

impl Recorder {
    pub async fn before(queue: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let actions = Arc::new(Mutex::new(Vec::new()));
        let damage: Arc<Mutex<Option<(String, String)>>> = Arc::default();
        let (queue, written, told) = (queue.to_owned(), actions.clone(), damage.clone());
        let hand_on = move |headers: HeaderMap, body: Bytes| {
            let target = headers.get("x-amz-target").unwrap().clone();
            written.lock().unwrap().push(target.to_str().unwrap().replace("AmazonSQS.", "sqs:"));
            let request = reqwest::Client::new().post(&queue).header("x-amz-target", target).body(body);
            let request = request.header("content-type", "application/x-amz-json-1.0");
            let told = told.lock().unwrap().clone();
            async move {
                let answer = request.send().await.unwrap();
                let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
                let text = answer.text().await.unwrap();
                let text = told.map_or_else(|| text.clone(), |(from, to)| text.replace(&from, &to));
                (status, [("content-type", "application/x-amz-json-1.0")], text).into_response()
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(hand_on)).await });
        Self { url, actions, damage }
    }

    /// From now on, what the queue answers has `to` in place of `from`.
    pub fn damage(&self, from: &str, to: &str) {
        *self.damage.lock().unwrap() = Some((from.to_owned(), to.to_owned()));
    }

    /// Each action once, in order of the alphabet.
    pub fn actions(&self) -> Vec<String> {
        let mut actions = self.actions.lock().unwrap().clone();
        actions.sort();
        actions.dedup();
        actions
    }
}
