//! A server in this process for a scenario, and its answers.

use std::path::Path;
use std::time::{Duration, Instant};

use localsqs::{KeyPair, Options, Queues};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// No scenario waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) endpoint: String,
    directory: TempDir,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

/// An answer as it arrived.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

pub(crate) fn keys() -> KeyPair {
    KeyPair {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "a secret of a test".to_owned(),
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Options::default()).await
    }

    /// Starts a server that answers only requests signed with [`keys`].
    pub(crate) async fn start_with_keys() -> Self {
        let options = Options { credentials: Some(keys()), ..Options::default() };
        Self::start_in(tempfile::tempdir().unwrap(), options).await
    }

    /// Starts a server with options of its own.
    pub(crate) async fn start_with(options: Options) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), options).await
    }

    /// Starts a server on the directory of another one.
    pub(crate) async fn start_on(directory: TempDir) -> Self {
        Self::start_in(directory, Options::default()).await
    }

    async fn start_in(directory: TempDir, options: Options) -> Self {
        let queues = Queues::open(directory.path(), options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving =
            tokio::spawn(localsqs::serve(listener, queues, async move { drop(stopped.await) }));
        Self { endpoint, directory, client: reqwest::Client::new(), stop, serving }
    }

    /// Stops the server, and starts another one on its directory.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(Options::default()).await
    }

    /// Stops the server, and starts one with other options on its directory.
    pub(crate) async fn restart_with(self, options: Options) -> Self {
        let directory = self.stop().await;
        Self::start_in(directory, options).await
    }

    pub(crate) async fn stop(self) -> TempDir {
        drop(self.client);
        self.stop.send(()).unwrap();
        tokio::time::timeout(DEADLINE, self.serving)
            .await
            .expect("the server ends")
            .unwrap()
            .unwrap();
        self.directory
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Calls an action. It may fail.
    pub(crate) async fn call(&self, action: &str, request: Value) -> Answer {
        self.post(&format!("AmazonSQS.{action}"), request.to_string()).await
    }

    pub(crate) async fn post(&self, target: &str, body: String) -> Answer {
        let request =
            self.client.post(&self.endpoint).header("content-type", "application/x-amz-json-1.0");
        let request = request.header("x-amz-target", target).body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// A request that names an action, and whose method and headers the scenario chooses.
    pub(crate) fn request(&self, method: Method, action: &str) -> RequestBuilder {
        let request = self.client.request(method, &self.endpoint);
        request.header("x-amz-target", format!("AmazonSQS.{action}"))
    }

    /// Calls an action that must succeed.
    pub(crate) async fn ok(&self, action: &str, request: Value) -> Value {
        let answer = self.call(action, request).await;
        assert_eq!(answer.status, 200, "{action}: {answer:?}");
        answer.body
    }

    /// Calls an action that must be refused, and checks all that identifies the error on AWS.
    pub(crate) async fn refused(
        &self,
        action: &str,
        request: Value,
        (name, query_name, status): Refusal,
    ) -> String {
        let answer = self.call(action, request.clone()).await;
        assert_eq!(answer.error(), (name, query_name, status), "{action} {request}: {answer:?}");
        answer.body["message"].as_str().expect("an error has a message").to_owned()
    }

    /// Makes a queue, and returns its URL.
    pub(crate) async fn queue(&self, name: &str, attributes: Value) -> String {
        let answer =
            self.ok("CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await;
        answer["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// Makes a queue with a `maxReceiveCount` of `most`, and its dead-letter queue. Returns both
    /// URLs.
    pub(crate) async fn queue_with_dead_letters(&self, name: &str, most: u32) -> (String, String) {
        let dead = self.queue(&format!("{name}-dlq"), json!({})).await;
        let policy =
            json!({ "deadLetterTargetArn": arn(&format!("{name}-dlq")), "maxReceiveCount": most });
        (self.queue(name, json!({ "RedrivePolicy": policy.to_string() })).await, dead)
    }

    pub(crate) async fn send(&self, queue: &str, body: &str) -> Value {
        self.ok("SendMessage", json!({ "QueueUrl": queue, "MessageBody": body })).await
    }

    /// Receives up to ten messages with all their attributes; `more` adds to the request.
    pub(crate) async fn receive(&self, queue: &str, more: Value) -> Vec<Value> {
        let mut request = json!({
            "QueueUrl": queue, "MaxNumberOfMessages": 10,
            "MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"],
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.ok("ReceiveMessage", request).await;
        answer
            .get("Messages")
            .map_or_else(Vec::new, |messages| messages.as_array().unwrap().clone())
    }

    pub(crate) async fn attribute(&self, queue: &str, name: &str) -> String {
        let answer = self
            .ok("GetQueueAttributes", json!({ "QueueUrl": queue, "AttributeNames": [name] }))
            .await;
        answer["Attributes"][name].as_str().unwrap_or_else(|| panic!("{name}: {answer}")).to_owned()
    }

    /// How many messages are ready, in flight and delayed.
    pub(crate) async fn counts(&self, queue: &str) -> (u64, u64, u64) {
        let answer = self
            .ok("GetQueueAttributes", json!({ "QueueUrl": queue, "AttributeNames": ["All"] }))
            .await;
        let count = |suffix: &str| {
            answer["Attributes"][format!("ApproximateNumberOfMessages{suffix}")]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        };
        (count(""), count("NotVisible"), count("Delayed"))
    }
}

/// An error's name, its name in the Query protocol, and the HTTP status.
pub(crate) type Refusal = (&'static str, &'static str, u16);

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
        Self { status, headers, body }
    }

    /// The error's name without its namespace, its name in the Query protocol, and the status.
    pub(crate) fn error(&self) -> (&str, &str, u16) {
        let name = self.body["__type"]
            .as_str()
            .and_then(|name| name.split_once('#'))
            .unwrap_or_default()
            .1;
        let query = self
            .headers
            .get("x-amzn-query-error")
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default();
        let fault = if self.status < 500 { ";Sender" } else { ";Receiver" };
        (name, query.strip_suffix(fault).unwrap_or_default(), self.status)
    }
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

pub(crate) fn text<'a>(message: &'a Value, field: &str) -> &'a str {
    message[field].as_str().unwrap_or_else(|| panic!("{field}: {message}"))
}

pub(crate) fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| text(message, "Body")).collect()
}

/// Waits until `look` returns something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
