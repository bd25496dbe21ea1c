//! What each fuzz target does with its input: `scripts/fuzz` runs them, and `tests/corpus.rs` gives
//! them what was kept.
//!
//! A target panics where a promise is broken: bytes from a queue, a program or a socket are refused
//! or understood, and harm nothing.

mod door;

use std::path::PathBuf;
use std::sync::LazyLock;

use codingworker::agent::aider::transcript as spoken;
use codingworker::agent::{Usage, tail};
use codingworker::task::Task;
use localhub::Hub;
use localsqs::{Options, Queues};

use self::door::Door;

const REPOSITORY: &str = "octo/app";
const TOKEN: &str = "octo-token";

/// A message body: it is refused, or it is a task that says the same when it is written and read
/// again.
pub fn task_message(data: &[u8]) {
    match Task::decode(data) {
        Ok(task) => {
            let again = Task::decode(task.encode().as_bytes())
                .expect("a task that was read can be read again");
            assert_eq!(task, again);
            assert_eq!(task.key(), again.key());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What an agent printed, and the log of its exchanges.
pub fn transcript(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _outcome = spoken::outcome(&text);
    if let Some(usage) = spoken::exchanges(&text).into_iter().reduce(Usage::plus) {
        assert!(usage.total() >= usage.sent);
    }
    assert!(tail(data).len() <= 3 * data.len());
}

/// A request to the queue: the first line is the operation, the rest its JSON. A receive may wait,
/// and whoever asked goes away.
pub fn sqs_wire(data: &[u8]) {
    static QUEUE: LazyLock<Door> = LazyLock::new(|| {
        let door = Door::open(|listener, directory| async move {
            let queues = Queues::open(&directory, Options::default()).expect("the queues open");
            localsqs::serve(listener, queues, std::future::pending()).await
        });
        let made = door.ask(
            &sqs("CreateQueue"),
            br#"{"QueueName":"q","Attributes":{"VisibilityTimeout":"0"}}"#,
        );
        assert_eq!(made, Some(200));
        door
    });
    let (operation, body) = first_line(data);
    let status = QUEUE.ask(&sqs(&operation), body);
    assert!(
        status.is_none_or(|status| status < 500),
        "{status:?} to {}",
        String::from_utf8_lossy(data)
    );
    assert_eq!(
        QUEUE.ask(&sqs("ListQueues"), b"{}"),
        Some(200),
        "after {}",
        String::from_utf8_lossy(data)
    );
}

/// A request to the forge, by one who may write: the first line is the method and the path, the
/// rest the body.
pub fn forge_http(data: &[u8]) {
    static FORGE: LazyLock<Door> = LazyLock::new(|| {
        Door::open(|listener, directory| async move {
            let hub = Hub::open(&directory, PathBuf::from("git")).expect("the forge opens");
            hub.create_repository(REPOSITORY, "main", false).expect("a repository is made");
            hub.add_user("octo", TOKEN).expect("a user is added");
            hub.create_issue(REPOSITORY, "octo", "Add a greeting", "", &["ai-task"])
                .expect("an issue is opened");
            localhub::serve(listener, hub, std::future::pending()).await
        })
    });
    let (request, body) = first_line(data);
    let status = FORGE.ask(&forge(&request), body);
    assert!(
        status.is_none_or(|status| status < 500),
        "{status:?} to {}",
        String::from_utf8_lossy(data)
    );
    assert_eq!(
        FORGE.ask(&forge("GET /user"), b""),
        Some(200),
        "after {}",
        String::from_utf8_lossy(data)
    );
}

fn sqs(operation: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: \
         AmazonSQS.{operation}"
    )
}

fn forge(request: &str) -> String {
    format!("{request} HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer {TOKEN}")
}

fn first_line(data: &[u8]) -> (String, &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (line, rest) = data.split_at(end);
    (String::from_utf8_lossy(line).into_owned(), rest.get(1..).unwrap_or_default())
}
