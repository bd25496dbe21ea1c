//! What the queue costs: durable sends a second, and receives with their deletes a second, over 16
//! connections with bodies of 1 KiB.
//!
//! `cargo bench -p localsqs --bench load -- [--waiting N] [--seconds S]` measures each for S
//! seconds (5 by default) on an empty queue and on one with N waiting messages (1,000,000 by
//! default). It prints both and their ratio. It also prints how many commits of one row a second
//! the same disk takes, so that figures of different disks can be compared.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "a program that is run by hand, and prints what it measured"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use localsqs::{Options, Queues};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CONNECTIONS: usize = 16;
const BODY: usize = 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let position = arguments.iter().position(|argument| argument == name);
        position.and_then(|at| arguments.get(at + 1)).map_or(default, |text| text.parse().unwrap())
    };
    let (waiting, seconds) = (number("--waiting", 1_000_000), number("--seconds", 5));
    let directory = tempfile::tempdir().unwrap();
    println!(
        "disk     {:>9.0} commits/s of one row",
        one_row_a_commit(&directory.path().join("baseline.sqlite3"))
    );
    tokio::runtime::Runtime::new().unwrap().block_on(measure(
        directory.path(),
        waiting,
        Duration::from_secs(seconds),
    ));
}

async fn measure(directory: &Path, waiting: u64, time: Duration) {
    let queues = Queues::open(&directory.join("queue"), Options::default()).unwrap();
    for name in ["empty", "deep"] {
        queues.create(name, &BTreeMap::new()).await.unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(localsqs::serve(listener, queues, async { drop(stopped.await) }));

    let (sends, pairs) = both(address, "empty", time).await;
    println!("empty    {sends:>9.0} sends/s {pairs:>9.0} receive+delete/s");
    let began = Instant::now();
    fill(address, "deep", waiting).await;
    println!("filled   {waiting:>9} messages in {:.0} s", began.elapsed().as_secs_f64());
    // The messages are durable, but the system still writes pages back to the database file. That
    // is not to be measured.
    assert!(std::process::Command::new("sync").status().unwrap().success());
    println!(
        "disk     {:>9.0} commits/s of one row",
        one_row_a_commit(&directory.join("after.sqlite3"))
    );
    let (deep_sends, deep_pairs) = both(address, "deep", time).await;
    println!("deep     {deep_sends:>9.0} sends/s {deep_pairs:>9.0} receive+delete/s");
    println!(
        "deep/empty    {:>4.2} sends   {:>9.2} receive+delete",
        deep_sends / sends,
        deep_pairs / pairs
    );
    drop(stop);
    server.await.unwrap().unwrap();
}

/// Sends for this long, and then receives and deletes for as long. Returns both rates a second.
async fn both(address: SocketAddr, queue: &'static str, time: Duration) -> (f64, f64) {
    let sends = every_connection(address, move |mut client| async move {
        let until = Instant::now() + time;
        let mut count = 0;
        while Instant::now() < until {
            client.send(queue).await;
            count += 1;
        }
        count
    });
    let sends = sends.await as f64 / time.as_secs_f64();
    let pairs = every_connection(address, move |mut client| async move {
        let until = Instant::now() + time;
        let mut count = 0;
        while Instant::now() < until {
            if !client.receive_and_delete(queue).await {
                break;
            }
            count += 1;
        }
        (count, Instant::now().saturating_duration_since(until - time))
    });
    let pairs = pairs.await;
    (sends, pairs.0 as f64 / pairs.1.as_secs_f64())
}

/// Counts that are added up over all connections.
trait Total: Send + 'static {
    fn add(self, other: Self) -> Self;
}

impl Total for u64 {
    fn add(self, other: Self) -> Self {
        self + other
    }
}

impl Total for (u64, Duration) {
    fn add(self, other: Self) -> Self {
        (self.0 + other.0, self.1.max(other.1))
    }
}

async fn every_connection<T: Total, F: Future<Output = T> + Send + 'static>(
    address: SocketAddr,
    work: impl Fn(Client) -> F,
) -> T {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(tokio::spawn(work(Client::connect(address).await)));
    }
    let mut total: Option<T> = None;
    for connection in connections {
        let counted = connection.await.unwrap();
        total = Some(match total {
            Some(total) => total.add(counted),
            None => counted,
        });
    }
    total.unwrap()
}

async fn fill(address: SocketAddr, queue: &'static str, messages: u64) {
    let each = messages / 10 / CONNECTIONS as u64;
    every_connection(address, move |mut client| async move {
        for _ in 0..each {
            client.send_batch(queue).await;
        }
        0_u64
    })
    .await;
}

/// A client that does as little as possible, because it shares the machine with the server.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(1 << 16) }
    }

    async fn send(&mut self, queue: &str) {
        let body = format!(
            r#"{{"QueueUrl":"http://127.0.0.1/0/{queue}","MessageBody":"{}"}}"#,
            "x".repeat(BODY)
        );
        self.call("SendMessage", &body).await;
    }

    async fn send_batch(&mut self, queue: &str) {
        let text = "x".repeat(BODY);
        let entries: Vec<_> =
            (0..10).map(|id| format!(r#"{{"Id":"{id}","MessageBody":"{text}"}}"#)).collect();
        let body = format!(
            r#"{{"QueueUrl":"http://127.0.0.1/0/{queue}","Entries":[{}]}}"#,
            entries.join(",")
        );
        self.call("SendMessageBatch", &body).await;
    }

    async fn receive_and_delete(&mut self, queue: &str) -> bool {
        let body = format!(r#"{{"QueueUrl":"http://127.0.0.1/0/{queue}","WaitTimeSeconds":0}}"#);
        let answer = self.call("ReceiveMessage", &body).await;
        let Some(at) = answer.find(r#""ReceiptHandle":""#) else { return false };
        let handle = answer[at + 17..].split('"').next().unwrap().to_owned();
        let body =
            format!(r#"{{"QueueUrl":"http://127.0.0.1/0/{queue}","ReceiptHandle":"{handle}"}}"#);
        self.call("DeleteMessage", &body).await;
        true
    }

    async fn call(&mut self, action: &str, body: &str) -> String {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\n\
             content-type: application/x-amz-json-1.0\r\n\
             x-amz-target: AmazonSQS.{action}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
        self.buffer.clear();
        loop {
            assert!(
                self.stream.read_buf(&mut self.buffer).await.unwrap() > 0,
                "the server hung up"
            );
            let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
            assert!(
                head.starts_with("http/1.1 200"),
                "{action}: {}",
                String::from_utf8_lossy(&self.buffer)
            );
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            if self.buffer.len() >= end + 4 + length {
                return String::from_utf8_lossy(&self.buffer[end + 4..]).into_owned();
            }
        }
    }
}

/// How many commits of one row a second the disk takes.
fn one_row_a_commit(path: &Path) -> f64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.execute("CREATE TABLE rows (body TEXT)", []).unwrap();
    let (began, mut count, body) = (Instant::now(), 0_u32, "x".repeat(BODY));
    while began.elapsed() < Duration::from_secs(2) {
        connection.execute("INSERT INTO rows VALUES (?1)", [&body]).unwrap();
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}
