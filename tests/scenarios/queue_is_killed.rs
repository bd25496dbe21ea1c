//! The queue is killed again and again under load: what it acknowledged is there, and what it
//! deleted does not come back.
//!
//! A few rounds each time; `CODINGWORKER_KILL_ROUNDS=100` makes it a hundred.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::world::World;

const CLIENTS: usize = 16;
const FEW_ROUNDS: u64 = 5;
/// Longer than a round, so that no receipt handle grows stale in one.
const VISIBILITY_SECONDS: u64 = 10;

/// What a client was told, and what it never heard the end of.
#[derive(Default)]
struct Told {
    sent: BTreeSet<String>,
    deleted: BTreeSet<String>,
    unsure: BTreeSet<String>,
}

impl Told {
    fn take_in(&mut self, other: Self) {
        self.sent.extend(other.sent);
        self.deleted.extend(other.deleted);
        self.unsure.extend(other.unsure);
    }
}

struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    fn at(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned() }
    }

    /// `None` when the queue is gone.
    async fn ask(&self, action: &str, mut request: Value) -> Option<Value> {
        request["QueueUrl"] = json!(format!("{}/000000000000/load", self.url));
        let request = self
            .http
            .post(&self.url)
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(request.to_string());
        let answer = request.send().await.ok()?;
        assert!(
            answer.status().is_success(),
            "{action}: {}",
            answer.text().await.unwrap_or_default()
        );
        let text = answer.text().await.ok()?;
        Some(if text.is_empty() { Value::Null } else { serde_json::from_str(&text).ok()? })
    }

    async fn receive(&self) -> Option<Vec<Value>> {
        let request = json!({ "VisibilityTimeout": VISIBILITY_SECONDS, "WaitTimeSeconds": 0, "MaxNumberOfMessages": 10 });
        let mut answer = self.ask("ReceiveMessage", request).await?;
        Some(answer["Messages"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Sends twice for every message it deletes, until the queue is gone.
    async fn load(self, name: String) -> Told {
        let mut told = Told::default();
        for n in 0.. {
            for half in ["a", "b"] {
                let body = format!("{name}-{n}-{half}");
                if self.ask("SendMessage", json!({ "MessageBody": body })).await.is_none() {
                    told.unsure.insert(body);
                    return told;
                }
                told.sent.insert(body);
            }
            let Some(messages) = self.receive().await else { return told };
            if let Some(message) = messages.into_iter().next() {
                let body = message["Body"].as_str().unwrap().to_owned();
                if self
                    .ask("DeleteMessage", json!({ "ReceiptHandle": message["ReceiptHandle"] }))
                    .await
                    .is_none()
                {
                    told.unsure.insert(body);
                    return told;
                }
                told.deleted.insert(body);
            }
        }
        told
    }

    /// Everything that the queue still holds, each as often as it is handed out.
    async fn drain(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut progress = Instant::now();
        loop {
            assert!(progress.elapsed() < Duration::from_secs(60), "the queue can't be drained");
            let messages = self.receive().await.unwrap();
            found.extend(
                messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()),
            );
            let entries = messages.iter().enumerate();
            let entries =
                entries.map(|(n, message)| json!({ "Id": n.to_string(), "ReceiptHandle": message["ReceiptHandle"] }));
            let entries: Vec<Value> = entries.collect();
            if !entries.is_empty() {
                progress = Instant::now();
                self.ask("DeleteMessageBatch", json!({ "Entries": entries })).await.unwrap();
            }
            if messages.is_empty() {
                let answer = self
                    .ask("GetQueueAttributes", json!({ "AttributeNames": ["All"] }))
                    .await
                    .unwrap();
                let count = |name: &str| answer["Attributes"][name].as_str().unwrap().to_owned();
                if count("ApproximateNumberOfMessages") == "0"
                    && count("ApproximateNumberOfMessagesNotVisible") == "0"
                {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(world: &World) -> (Child, String) {
    let data = world.path().join("killed");
    let arguments = ["queue", "serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let mut served =
        world.command(&arguments).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(served.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("the queue does not start");
    (served, line.strip_prefix("queue codingworker-tasks at ").unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_deleted_comes_back() {
    let rounds = std::env::var("CODINGWORKER_KILL_ROUNDS")
        .map_or(FEW_ROUNDS, |rounds| rounds.parse().unwrap());
    let seed = std::env::var("CODINGWORKER_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("CODINGWORKER_SEED={seed} CODINGWORKER_KILL_ROUNDS={rounds}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let world = World::new().await;
    let mut told = Told::default();
    for round in 0..rounds {
        let (mut served, url) = serve(&world).await;
        Client::at(&url).ask("CreateQueue", json!({ "QueueName": "load" })).await.unwrap();
        let clients = (0..CLIENTS)
            .map(|client| tokio::spawn(Client::at(&url).load(format!("{round}-{client}"))));
        let clients: Vec<_> = clients.collect();
        tokio::time::sleep(Duration::from_millis(chance.u64(20..400))).await;
        served.kill().await.unwrap();
        for client in clients {
            told.take_in(client.await.unwrap());
        }
    }
    let (mut served, url) = serve(&world).await;
    let drained = Client::at(&url).drain().await;
    let found: BTreeSet<String> = drained.iter().cloned().collect();
    assert_eq!(found.len(), drained.len(), "a message is there twice");
    let expected = told.sent.difference(&told.deleted).filter(|body| !told.unsure.contains(*body));
    let lost: Vec<&String> = expected.filter(|body| !found.contains(*body)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let back: Vec<&String> = found.intersection(&told.deleted).collect();
    assert!(back.is_empty(), "deleted and back: {back:?}");
    let strange: Vec<&String> = found
        .iter()
        .filter(|body| !told.sent.contains(*body) && !told.unsure.contains(*body))
        .collect();
    assert!(strange.is_empty(), "never sent: {strange:?}");
    assert!(
        told.sent.len() > 100 && told.deleted.len() > 20,
        "{} sent, {} deleted",
        told.sent.len(),
        told.deleted.len()
    );
    println!(
        "{rounds} kills, {} sent, {} deleted, {} left",
        told.sent.len(),
        told.deleted.len(),
        found.len()
    );
    served.kill().await.unwrap();
}
