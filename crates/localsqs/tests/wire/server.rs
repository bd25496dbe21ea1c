//! A server in this process, and a client that speaks its protocol plainly.

use std::path::{Path, PathBuf};

use localsqs::{Options, Queues};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Server {
    pub url: String,
    directory: Option<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    client: reqwest::Client,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Server {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_path_buf();
        Self { directory: Some(directory), ..Self::open(&path, Options::default()).await }
    }

    pub async fn open(directory: &Path, options: Options) -> Self {
        let queues = Queues::open(directory, options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(localsqs::serve(listener, queues, async { drop(stopped.await) }));
        Self { url, directory: None, stop: Some(stop), serving, client: reqwest::Client::new() }
    }

    /// Stops the server as a signal does, and returns where its data is.
    pub async fn stop(mut self) -> (PathBuf, Option<TempDir>) {
        drop(self.stop.take());
        self.serving.await.unwrap().unwrap();
        let directory = self.directory.take();
        (directory.as_ref().map(|directory| directory.path().to_path_buf()).unwrap_or_default(), directory)
    }

    pub async fn ask(&self, action: &str, body: Value) -> Answer {
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        Answer { status, headers, body }
    }

    /// Asks for something that must succeed.
    pub async fn call(&self, action: &str, body: Value) -> Value {
        let answer = self.ask(action, body).await;
        assert_eq!(answer.status, 200, "{action}: {answer:?}");
        answer.body
    }

    /// Asks for something that must be refused with this code and status.
    pub async fn refused(&self, action: &str, body: Value, code: &str, status: u16) -> Answer {
        let answer = self.ask(action, body).await;
        let named =
            answer.body["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned();
        assert_eq!((named.as_str(), answer.status), (code, status), "{action}: {answer:?}");
        answer
    }

    pub async fn queue(&self, name: &str, attributes: Value) -> String {
        let created = self.call("CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await;
        created["QueueUrl"].as_str().unwrap().to_owned()
    }

    pub async fn send(&self, queue: &str, body: &str) -> Value {
        self.call("SendMessage", json!({ "QueueUrl": queue, "MessageBody": body })).await
    }

    /// Receives at once, with all there is to know.
    pub async fn receive(&self, queue: &str, more: Value) -> Vec<Value> {
        let mut request = json!({
            "QueueUrl": queue, "WaitTimeSeconds": 0, "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"],
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.call("ReceiveMessage", request).await;
        answer["Messages"].as_array().cloned().unwrap_or_default()
    }

    /// How many are ready, in flight and delayed.
    pub async fn counts(&self, queue: &str) -> (u64, u64, u64) {
        let answer = self.call("GetQueueAttributes", json!({ "QueueUrl": queue, "AttributeNames": ["All"] })).await;
        let count = |name: &str| answer["Attributes"][name].as_str().unwrap().parse().unwrap();
        (
            count("ApproximateNumberOfMessages"),
            count("ApproximateNumberOfMessagesNotVisible"),
            count("ApproximateNumberOfMessagesDelayed"),
        )
    }
}

pub fn handle(message: &Value) -> String {
    message["ReceiptHandle"].as_str().unwrap().to_owned()
}
