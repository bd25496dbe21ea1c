//! The world's queue: localsqs in this process, asked over its wire.

use std::collections::BTreeMap;
use std::path::Path;

use localsqs::{Options, Queues};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const MAIN: &str = "codingworker-tasks";
const DEAD_LETTER: &str = "codingworker-tasks-dlq";

pub struct Queue {
    pub url: String,
    stop: CancellationToken,
}

impl Queue {
    /// The contract's queues, but for a visibility timeout that a test can wait for.
    pub async fn start(directory: &Path) -> Self {
        let queues = Queues::open(&directory.join("queue"), Options::default()).unwrap();
        queues.create(DEAD_LETTER, &BTreeMap::new()).await.unwrap();
        let redrive = json!({ "deadLetterTargetArn": queues.arn(DEAD_LETTER), "maxReceiveCount": 3 });
        let attributes = [("VisibilityTimeout", "60".to_owned()), ("RedrivePolicy", redrive.to_string())];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        queues.create(MAIN, &attributes).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(localsqs::serve(listener, queues, stop.clone().cancelled_owned()));
        Self { url, stop }
    }

    pub async fn send(&self, body: &str) {
        self.call("SendMessage", json!({ "QueueUrl": self.queue_url(MAIN), "MessageBody": body })).await;
    }

    /// How many messages wait, are in flight, and lie in the dead-letter queue.
    pub async fn counts(&self) -> (u64, u64, u64) {
        let (waiting, in_flight) = self.counts_of(MAIN).await;
        let (dead, _) = self.counts_of(DEAD_LETTER).await;
        (waiting, in_flight, dead)
    }

    /// Receives without waiting: what is over its last delivery moves to the dead-letter queue.
    pub async fn poke(&self) -> Value {
        let request = json!({ "QueueUrl": self.queue_url(MAIN), "WaitTimeSeconds": 0, "VisibilityTimeout": 0 });
        self.call("ReceiveMessage", request).await
    }

    async fn counts_of(&self, name: &str) -> (u64, u64) {
        let request = json!({ "QueueUrl": self.queue_url(name), "AttributeNames": ["All"] });
        let answer = self.call("GetQueueAttributes", request).await;
        let count = |name: &str| answer["Attributes"][name].as_str().unwrap().parse().unwrap();
        (count("ApproximateNumberOfMessages"), count("ApproximateNumberOfMessagesNotVisible"))
    }

    fn queue_url(&self, name: &str) -> String {
        format!("{}/000000000000/{name}", self.url)
    }

    async fn call(&self, action: &str, body: Value) -> Value {
        let answer = reqwest::Client::new()
            .post(&self.url)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{action}: {}", answer.text().await.unwrap());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
