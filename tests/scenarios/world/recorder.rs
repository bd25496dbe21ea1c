//! What a client really asks of SQS: a server before the queue that writes down every action and hands it on.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use tokio::net::TcpListener;

pub struct Recorder {
    pub url: String,
    actions: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    pub async fn before(queue: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let actions = Arc::new(Mutex::new(Vec::new()));
        let (queue, written) = (queue.to_owned(), actions.clone());
        let hand_on = move |headers: HeaderMap, body: Bytes| {
            let target = headers.get("x-amz-target").unwrap().clone();
            written.lock().unwrap().push(target.to_str().unwrap().replace("AmazonSQS.", "sqs:"));
            let request = reqwest::Client::new().post(&queue).header("x-amz-target", target).body(body);
            let request = request.header("content-type", "application/x-amz-json-1.0");
            async move {
                let answer = request.send().await.unwrap();
                let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
                (status, [("content-type", "application/x-amz-json-1.0")], answer.bytes().await.unwrap())
                    .into_response()
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(hand_on)).await });
        Self { url, actions }
    }

    /// Each action once, in order of the alphabet.
    pub fn actions(&self) -> Vec<String> {
        let mut actions = self.actions.lock().unwrap().clone();
        actions.sort();
        actions.dedup();
        actions
    }
}
