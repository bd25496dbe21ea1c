//! The queue is killed again and again under load: what it acknowledged is there, and what it
//! deleted does not come back.
//!
//! There are a few rounds; `CODINGWORKER_KILL_ROUNDS=100` makes it a hundred.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::running::Running;
use crate::world::{DEADLINE, World, wait_until};

const CLIENTS: usize = 16;
const FEW_ROUNDS: u64 = 5;
/// The queue is not killed before this many deletions were acknowledged in a round, however slow
/// the machine is.
const DELETIONS: usize = 20;
/// Longer than a round, so that no receipt handle expires in one.
const VISIBILITY_SECONDS: u64 = 10;

/// What the queue acknowledged to a client, and what the client got no answer to.
#[derive(Default)]
struct Acknowledged {
    sent: BTreeSet<String>,
    deleted: BTreeSet<String>,
    unsure: BTreeSet<String>,
}

impl Acknowledged {
    fn extend(&mut self, other: Self) {
        self.sent.extend(other.sent);
        self.deleted.extend(other.deleted);
        self.unsure.extend(other.unsure);
    }
}

struct Client {
    http: reqwest::Client,
    url: String,
    /// How many deletions were acknowledged to all clients of the round.
    deletions: Arc<AtomicUsize>,
}

impl Client {
    fn at(url: &str, deletions: &Arc<AtomicUsize>) -> Self {
        let (url, deletions) = (url.to_owned(), Arc::clone(deletions));
        Self { http: reqwest::Client::new(), url, deletions }
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
        let request = json!({
            "VisibilityTimeout": VISIBILITY_SECONDS,
            "WaitTimeSeconds": 0,
            "MaxNumberOfMessages": 10,
        });
        let mut answer = self.ask("ReceiveMessage", request).await?;
        Some(answer["Messages"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Sends twice for every message it deletes, until the queue is gone.
    async fn load(self, name: String) -> Acknowledged {
        let mut acknowledged = Acknowledged::default();
        for n in 0.. {
            for half in ["a", "b"] {
                let body = format!("{name}-{n}-{half}");
                if self.ask("SendMessage", json!({ "MessageBody": body })).await.is_none() {
                    acknowledged.unsure.insert(body);
                    return acknowledged;
                }
                acknowledged.sent.insert(body);
            }
            let Some(messages) = self.receive().await else { return acknowledged };
            if let Some(message) = messages.into_iter().next() {
                let body = message["Body"].as_str().unwrap().to_owned();
                if self
                    .ask("DeleteMessage", json!({ "ReceiptHandle": message["ReceiptHandle"] }))
                    .await
                    .is_none()
                {
                    acknowledged.unsure.insert(body);
                    return acknowledged;
                }
                acknowledged.deleted.insert(body);
                self.deletions.fetch_add(1, Ordering::Relaxed);
            }
        }
        acknowledged
    }

    /// Everything that the queue still holds, each as often as it is handed out.
    async fn drain(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut progress = Instant::now();
        loop {
            assert!(progress.elapsed() < DEADLINE, "the queue can't be drained");
            let messages = self.receive().await.unwrap();
            found.extend(
                messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()),
            );
            let entries = messages.iter().enumerate();
            let entries: Vec<Value> = entries
                .map(|(n, message)| (n.to_string(), &message["ReceiptHandle"]))
                .map(|(id, receipt)| json!({ "Id": id, "ReceiptHandle": receipt }))
                .collect();
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

async fn serve(world: &World) -> (Running, String) {
    let data = world.path().join("killed");
    let arguments = ["queue", "serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let mut queue = Running::start(world.command(&arguments));
    let line = queue.line_with("queue codingworker-tasks at ").await;
    (queue, line.strip_prefix("queue codingworker-tasks at ").unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_deleted_comes_back() {
    let rounds = std::env::var("CODINGWORKER_KILL_ROUNDS")
        .map_or(FEW_ROUNDS, |rounds| rounds.parse().unwrap());
    let seed = std::env::var("CODINGWORKER_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("CODINGWORKER_SEED={seed} CODINGWORKER_KILL_ROUNDS={rounds}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::new().await;
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        let (mut queue, url) = serve(&world).await;
        let deletions = Arc::default();
        let client = || Client::at(&url, &deletions);
        client().ask("CreateQueue", json!({ "QueueName": "load" })).await.unwrap();
        let clients =
            (0..CLIENTS).map(|number| tokio::spawn(client().load(format!("{round}-{number}"))));
        let clients: Vec<_> = clients.collect();
        wait_until("the queue is under load", async || {
            deletions.load(Ordering::Relaxed) >= DELETIONS
        })
        .await;
        // Not a wait for anything: the moment of the kill is to be a random one.
        tokio::time::sleep(Duration::from_millis(rng.u64(0..400))).await;
        queue.kill().await;
        for client in clients {
            acknowledged.extend(client.await.unwrap());
        }
    }
    let (mut queue, url) = serve(&world).await;
    let drained = Client::at(&url, &Arc::default()).drain().await;
    let found: BTreeSet<String> = drained.iter().cloned().collect();
    assert_eq!(found.len(), drained.len(), "a message is there twice");
    let expected = acknowledged
        .sent
        .difference(&acknowledged.deleted)
        .filter(|body| !acknowledged.unsure.contains(*body));
    let lost: Vec<&String> = expected.filter(|body| !found.contains(*body)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let back: Vec<&String> = found.intersection(&acknowledged.deleted).collect();
    assert!(back.is_empty(), "deleted and back: {back:?}");
    let strange: Vec<&String> = found
        .iter()
        .filter(|body| !acknowledged.sent.contains(*body) && !acknowledged.unsure.contains(*body))
        .collect();
    assert!(strange.is_empty(), "never sent: {strange:?}");
    let deletions = DELETIONS * usize::try_from(rounds).unwrap();
    assert!(acknowledged.deleted.len() >= deletions, "{} deleted", acknowledged.deleted.len());
    println!(
        "{rounds} kills, {} sent, {} deleted, {} left",
        acknowledged.sent.len(),
        acknowledged.deleted.len(),
        found.len()
    );
    queue.kill().await;
}
