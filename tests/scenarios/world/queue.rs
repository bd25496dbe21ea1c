//! The world's queue: localsqs in this process, or another server that runs, asked over its wire.

use std::collections::BTreeMap;
use std::path::Path;

use localsqs::{Options, Queues};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::wait_until;

const MAIN: &str = "codingworker-tasks";
const DEAD_LETTER: &str = "codingworker-tasks-dlq";

const VISIBLE: &str = "ApproximateNumberOfMessages";
const NOT_VISIBLE: &str = "ApproximateNumberOfMessagesNotVisible";
const DELAYED: &str = "ApproximateNumberOfMessagesDelayed";

pub struct Queue {
    pub url: String,
    account: &'static str,
    stop: CancellationToken,
}

impl Queue {
    /// The queues as Terraform makes them, but with a visibility timeout that a test can wait for.
    pub async fn start(directory: &Path) -> Self {
        let queues = Queues::open(&directory.join("queue"), Options::default()).unwrap();
        queues.create(DEAD_LETTER, &BTreeMap::new()).await.unwrap();
        let redrive =
            json!({ "deadLetterTargetArn": queues.arn(DEAD_LETTER), "maxReceiveCount": 3 });
        let attributes = [
            ("MaximumMessageSize", "262144".to_owned()),
            ("RedrivePolicy", redrive.to_string()),
            ("VisibilityTimeout", "60".to_owned()),
        ];
        let attributes =
            attributes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        queues.create(MAIN, &attributes).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(localsqs::serve(listener, queues, stop.clone().cancelled_owned()));
        Self { url, account: "000000000000", stop }
    }

    /// The main queue, made at a moto.
    pub async fn at_moto(url: &str) -> Self {
        let queue =
            Self { url: url.to_owned(), account: "123456789012", stop: CancellationToken::new() };
        let attributes = json!({ "MaximumMessageSize": "262144", "VisibilityTimeout": "60" });
        queue.call("CreateQueue", json!({ "QueueName": MAIN, "Attributes": attributes })).await;
        queue
    }

    /// Receives the next message of the main queue, with its attributes, and hides it for so long.
    pub async fn receive(&self, seconds: u64) -> Option<Value> {
        let request = json!({
            "QueueUrl": self.queue_url(MAIN),
            "MessageAttributeNames": ["All"],
            "WaitTimeSeconds": 0,
            "VisibilityTimeout": seconds,
        });
        self.call("ReceiveMessage", request).await["Messages"].get_mut(0).map(Value::take)
    }

    /// Receives the next message of the main queue and deletes it.
    pub async fn take(&self) -> Option<Value> {
        let message = self.receive(60).await?;
        let delete =
            json!({ "QueueUrl": self.queue_url(MAIN), "ReceiptHandle": message["ReceiptHandle"] });
        self.call("DeleteMessage", delete).await;
        Some(message)
    }

    pub async fn send(&self, body: &str) {
        self.send_with(body, &[]).await;
    }

    /// Sends a message with string attributes.
    pub async fn send_with(&self, body: &str, attributes: &[(&str, &str)]) {
        self.send_to(MAIN, body, attributes).await;
    }

    /// Puts a message into the dead-letter queue.
    pub async fn send_dead(&self, body: &str, attributes: &[(&str, &str)]) {
        self.send_to(DEAD_LETTER, body, attributes).await;
    }

    async fn send_to(&self, name: &str, body: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|(name, value)| {
            (name.to_string(), json!({ "DataType": "String", "StringValue": value }))
        });
        let attributes: serde_json::Map<String, Value> = attributes.collect();
        let request = json!({
            "QueueUrl": self.queue_url(name),
            "MessageBody": body,
            "MessageAttributes": attributes,
        });
        self.call("SendMessage", request).await;
    }

    /// How many messages wait, are in flight, and are in the dead-letter queue.
    pub async fn counts(&self) -> (u64, u64, u64) {
        let (waiting, in_flight) = self.counts_of(MAIN).await;
        let (dead, _) = self.counts_of(DEAD_LETTER).await;
        (waiting, in_flight, dead)
    }

    /// Receives without waiting: SQS moves a message that was delivered as often as it may be to
    /// the dead-letter queue when somebody receives.
    pub async fn poke(&self) {
        self.receive(0).await;
    }

    /// Deletes the main queue.
    pub async fn delete(&self) {
        self.call("DeleteQueue", json!({ "QueueUrl": self.queue_url(MAIN) })).await;
    }

    /// How long a lease is from now on.
    pub async fn set_visibility_timeout(&self, seconds: u64) {
        let attributes = json!({ "VisibilityTimeout": seconds.to_string() });
        self.call(
            "SetQueueAttributes",
            json!({ "QueueUrl": self.queue_url(MAIN), "Attributes": attributes }),
        )
        .await;
    }

    /// Moves what is in the dead-letter queue back, and returns how many messages that are.
    pub async fn redrive(&self) -> u64 {
        let (dead, _) = self.counts_of(DEAD_LETTER).await;
        if dead > 0 {
            let request =
                json!({ "QueueUrl": self.queue_url(DEAD_LETTER), "AttributeNames": ["QueueArn"] });
            let arn =
                self.call("GetQueueAttributes", request).await["Attributes"]["QueueArn"].clone();
            self.call("StartMessageMoveTask", json!({ "SourceArn": arn })).await;
        }
        dead
    }

    /// Waits until this many messages can be received.
    pub async fn wait_until_visible(&self, count: u64) {
        let what = format!("{count} messages can be received");
        wait_until(&what, async || self.counts().await.0 == count).await;
    }

    pub async fn change_visibility(&self, receipt: &str, seconds: u64) {
        let request = json!({
            "QueueUrl": self.queue_url(MAIN),
            "ReceiptHandle": receipt,
            "VisibilityTimeout": seconds,
        });
        self.call("ChangeMessageVisibility", request).await;
    }

    /// How many messages are in the main queue, in whatever state, and in the dead-letter queue; a
    /// queue that was deleted has none.
    pub async fn left(&self) -> (u64, u64) {
        let all = self.call("ListQueues", json!({})).await["QueueUrls"].take();
        let mut left = [0, 0];
        for (left, name) in left.iter_mut().zip([MAIN, DEAD_LETTER]) {
            let url = self.queue_url(name);
            if all.as_array().is_some_and(|all| all.iter().any(|other| *other == json!(url))) {
                *left =
                    self.attributes_of(name, &[VISIBLE, NOT_VISIBLE, DELAYED]).await.iter().sum();
            }
        }
        left.into()
    }

    async fn counts_of(&self, name: &str) -> (u64, u64) {
        let counts = self.attributes_of(name, &[VISIBLE, NOT_VISIBLE]).await;
        (counts[0], counts[1])
    }

    async fn attributes_of(&self, name: &str, attributes: &[&str]) -> Vec<u64> {
        let request = json!({ "QueueUrl": self.queue_url(name), "AttributeNames": ["All"] });
        let answer = self.call("GetQueueAttributes", request).await;
        let count = |name: &&str| answer["Attributes"][name].as_str().unwrap().parse().unwrap();
        attributes.iter().map(count).collect()
    }

    fn queue_url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.url, self.account)
    }

    async fn call(&self, action: &str, body: Value) -> Value {
        let answer = reqwest::Client::new()
            .post(&self.url)
            .header("content-type", "application/x-amz-json-1.0")
            // moto reads the region here, and nobody verifies the rest.
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/il-central-1/sqs/aws4_request",
            )
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
