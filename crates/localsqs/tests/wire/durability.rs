//! What was answered with 200 is there after a restart, and what was deleted is not.

use localsqs::{KeyPair, Options, Queues};
use serde_json::json;
use tokio::net::TcpListener;

use crate::server::{Server, handle};

#[tokio::test]
async fn messages_counts_leases_and_handles_survive_a_restart() {
    let server = Server::start().await;
    let policy = r#"{ "Version": "2012-10-17", "Statement": [] }"#;
    let queue = server.queue("q", json!({ "VisibilityTimeout": "600", "Policy": policy })).await;
    for body in ["held", "deleted", "waiting"] {
        server.send(&queue, body).await;
    }
    let held = server.receive(&queue, json!({ "MaxNumberOfMessages": 2 })).await;
    server.call("DeleteMessage", json!({ "QueueUrl": queue, "ReceiptHandle": handle(&held[1]) })).await;
    let (path, _directory) = server.stop().await;

    let server = Server::open(&path, Options::default()).await;
    assert_eq!(server.counts(&queue).await, (1, 1, 0));
    let shown = server.call("GetQueueAttributes", json!({ "QueueUrl": queue, "AttributeNames": ["Policy"] })).await;
    assert_eq!(shown["Attributes"]["Policy"], policy);
    let back = json!({ "QueueUrl": queue, "ReceiptHandle": handle(&held[0]), "VisibilityTimeout": 0 });
    server.call("ChangeMessageVisibility", back).await;
    let again = server.receive(&queue, json!({ "MaxNumberOfMessages": 10 })).await;
    let seen: Vec<_> = again
        .iter()
        .map(|message| {
            (message["Body"].as_str().unwrap(), message["Attributes"]["ApproximateReceiveCount"].as_str().unwrap())
        })
        .collect();
    assert_eq!(seen, [("held", "2"), ("waiting", "1")]);
}

#[tokio::test]
async fn what_is_older_than_the_queue_keeps_is_gone() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({ "MessageRetentionPeriod": "60" })).await;
    server.send(&queue, "m").await;
    let (path, _directory) = server.stop().await;
    let database = rusqlite::Connection::open(path.join("queue.sqlite3")).unwrap();
    database.execute("UPDATE messages SET sent_at = sent_at - 61000", []).unwrap();
    drop(database);
    let server = Server::open(&path, Options::default()).await;
    assert!(server.receive(&queue, json!({})).await.is_empty());
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
    let (path, _) = server.stop().await;
    let database = rusqlite::Connection::open(path.join("queue.sqlite3"));
    drop(database);
}

#[tokio::test]
async fn an_address_that_others_reach_needs_a_key_pair() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let queues = Queues::open(directory.path(), Options::default()).unwrap();
    let refused = localsqs::serve(listener, queues, std::future::ready(())).await.unwrap_err();
    assert!(refused.to_string().contains("a key pair is needed"), "{refused}");

    let keys = KeyPair { access_key_id: "id".to_owned(), secret_access_key: "secret".to_owned() };
    let options = Options { credentials: Some(keys), ..Options::default() };
    let server = Server::open(&directory.path().join("keyed"), options).await;
    server.refused("ListQueues", json!({}), "MissingAuthenticationToken", 403).await;
}
