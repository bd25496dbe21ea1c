//! Long polls: what wakes them, and that none comes back empty while a message waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Server, handle};

/// Starts a long poll, and returns once it is under way.
async fn poll(server: &Arc<Server>, queue: &str) -> tokio::task::JoinHandle<(Vec<Value>, Duration)> {
    let (server, queue) = (Arc::clone(server), queue.to_owned());
    let polling = tokio::spawn(async move {
        let began = Instant::now();
        let messages = server.receive(&queue, json!({ "WaitTimeSeconds": 20 })).await;
        (messages, began.elapsed())
    });
    // Whether it is sent before or after the message makes no difference to what is asserted, only to what is tried.
    tokio::time::sleep(Duration::from_millis(50)).await;
    polling
}

async fn check_woken(polling: tokio::task::JoinHandle<(Vec<Value>, Duration)>, within: Duration) {
    let (messages, took) = polling.await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(took < within, "it took {took:?}");
}

#[tokio::test]
async fn a_message_wakes_who_waits_for_it() {
    let server = Arc::new(Server::start().await);
    let queue = server.queue("q", json!({})).await;
    let polling = poll(&server, &queue).await;
    server.send(&queue, "m").await;
    check_woken(polling, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_message_that_is_given_back_wakes_who_waits_for_it() {
    let server = Arc::new(Server::start().await);
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "m").await;
    let held = server.receive(&queue, json!({ "VisibilityTimeout": 600 })).await;
    let polling = poll(&server, &queue).await;
    let back = json!({ "QueueUrl": queue, "ReceiptHandle": handle(&held[0]), "VisibilityTimeout": 0 });
    server.call("ChangeMessageVisibility", back).await;
    check_woken(polling, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_end_of_a_visibility_or_a_delay_wakes_who_waits_for_it() {
    let server = Arc::new(Server::start().await);
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "m").await;
    server.receive(&queue, json!({ "VisibilityTimeout": 1 })).await;
    check_woken(poll(&server, &queue).await, Duration::from_secs(5)).await;
    let delayed = json!({ "QueueUrl": queue, "MessageBody": "later", "DelaySeconds": 1 });
    server.call("SendMessage", delayed).await;
    check_woken(poll(&server, &queue).await, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_poll_ends_when_its_time_is_up_and_when_the_queue_stops() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let began = Instant::now();
    assert!(server.receive(&queue, json!({ "WaitTimeSeconds": 1 })).await.is_empty());
    assert!(began.elapsed() >= Duration::from_secs(1));
    let url = server.url.clone();
    let polling = tokio::spawn(async move {
        let body = json!({ "QueueUrl": queue, "WaitTimeSeconds": 20 }).to_string();
        let request = reqwest::Client::new().post(url).header("x-amz-target", "AmazonSQS.ReceiveMessage").body(body);
        request.send().await.map(|answer| answer.status().as_u16())
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    drop(server.stop().await);
    assert!(began.elapsed() < Duration::from_secs(5), "the stop waited for the poll");
    assert_eq!(polling.await.unwrap().unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_race_each_message_comes_once_and_nobody_leaves_empty_handed() {
    let server = Arc::new(Server::start().await);
    let queue = server.queue("q", json!({})).await;
    let receivers: Vec<_> = (0..32)
        .map(|_| {
            let (server, queue) = (Arc::clone(&server), queue.clone());
            tokio::spawn(async move { server.receive(&queue, json!({ "WaitTimeSeconds": 20 })).await })
        })
        .collect();
    for number in 0..32 {
        server.send(&queue, &number.to_string()).await;
    }
    let mut bodies = BTreeSet::new();
    for receiver in receivers {
        let messages = receiver.await.unwrap();
        assert_eq!(messages.len(), 1);
        bodies.insert(messages[0]["Body"].as_str().unwrap().to_owned());
    }
    assert_eq!(bodies.len(), 32);
}
