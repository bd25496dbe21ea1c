//! Receiving: visibility, receipt handles, waiting, and many receivers at once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::{Refusal, Server, bodies, text};

const VALUE: Refusal = ("InvalidParameterValueException", "InvalidParameterValue", 400);

/// A receive that is woken ends within this time, long before its 20 seconds are over.
const AT_ONCE: Duration = Duration::from_secs(5);

fn visibility(queue: &str, message: &Value, seconds: u32) -> Value {
    let mut request = handle(queue, message);
    request["VisibilityTimeout"] = seconds.into();
    request
}

fn handle(queue: &str, message: &Value) -> Value {
    json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] })
}

/// Starts a receive that waits for 20 seconds, and then `then`. Returns what the receive got, and
/// how long it took from that moment.
async fn wait_while(
    server: &Server,
    queue: &str,
    then: impl Future<Output = ()>,
) -> (Vec<Value>, Duration) {
    let waiting = server.receive(queue, json!({ "WaitTimeSeconds": 20 }));
    tokio::pin!(waiting);
    // The receive was sent first, so it is waiting when another request is answered.
    tokio::select! {
        received = &mut waiting => panic!("nothing was there yet: {received:?}"),
        _ = server.counts(queue) => {}
    }
    let began = Instant::now();
    let (received, ()) = tokio::join!(waiting, then);
    (received, began.elapsed())
}

#[tokio::test]
async fn a_message_that_arrives_wakes_a_waiting_receive() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let (received, took) =
        wait_while(&server, &queue, async { drop(server.send(&queue, "x").await) }).await;
    assert_eq!(bodies(&received), ["x"]);
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_message_that_is_given_back_wakes_a_waiting_receive() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "x").await;
    let held = server.receive(&queue, json!({ "VisibilityTimeout": 900 })).await;
    let give_back =
        async { drop(server.ok("ChangeMessageVisibility", visibility(&queue, &held[0], 0)).await) };
    let (received, took) = wait_while(&server, &queue, give_back).await;
    assert_eq!(received[0]["Attributes"]["ApproximateReceiveCount"], "2");
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn the_end_of_a_visibility_timeout_wakes_a_waiting_receive() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "x").await;
    server.receive(&queue, json!({ "VisibilityTimeout": 1 })).await;
    let (received, took) = wait_while(&server, &queue, async {}).await;
    assert_eq!(bodies(&received), ["x"]);
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn the_end_of_a_delay_wakes_a_waiting_receive() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let delayed = json!({ "QueueUrl": queue, "MessageBody": "x", "DelaySeconds": 1 });
    server.ok("SendMessage", delayed).await;
    assert_eq!(server.counts(&queue).await, (0, 0, 1));
    let (received, took) = wait_while(&server, &queue, async {}).await;
    assert_eq!(bodies(&received), ["x"]);
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_receive_that_nothing_wakes_ends_when_its_time_is_up() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server
        .ok("SendMessage", json!({ "QueueUrl": queue, "MessageBody": "x", "DelaySeconds": 900 }))
        .await;
    let began = Instant::now();
    assert!(server.receive(&queue, json!({ "WaitTimeSeconds": 1 })).await.is_empty());
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..AT_ONCE).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_queue_that_is_deleted_ends_a_waiting_receive() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let request = json!({ "QueueUrl": queue, "WaitTimeSeconds": 20 });
    let began = Instant::now();
    let deleted = async {
        server.counts(&queue).await;
        server.ok("DeleteQueue", json!({ "QueueUrl": queue })).await;
    };
    let (answer, ()) = tokio::join!(server.call("ReceiveMessage", request), deleted);
    assert_eq!(answer.error().0, "QueueDoesNotExist");
    assert!(began.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_waiting_receives() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let client = reqwest::Client::new();
    let request = client.post(&server.endpoint).header("x-amz-target", "AmazonSQS.ReceiveMessage");
    let request = request.body(json!({ "QueueUrl": queue, "WaitTimeSeconds": 20 }).to_string());
    let waiting = tokio::spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    server.counts(&queue).await;
    let began = Instant::now();
    drop(server.stop().await);
    assert!(began.elapsed() < AT_ONCE);
    // The receive was answered, or the server stopped before it had read the request.
    if let Ok(answer) = waiting.await {
        assert_eq!(answer, "{}");
    }
}

#[tokio::test]
async fn receivers_that_went_away_take_nothing() {
    const RECEIVERS: usize = 20;
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let body = json!({ "QueueUrl": queue, "WaitTimeSeconds": 20 }).to_string();
    let impatient = (0..RECEIVERS).map(|_| {
        let request = reqwest::Client::new()
            .post(&server.endpoint)
            .header("x-amz-target", "AmazonSQS.ReceiveMessage");
        request.timeout(Duration::from_millis(300)).body(body.clone()).send()
    });
    assert!(
        join_all(impatient)
            .await
            .iter()
            .all(|answer| answer.as_ref().is_err_and(reqwest::Error::is_timeout))
    );
    // If the receives went on, each would take a message. A few may, until the server has noticed
    // that their connections are closed.
    let mut lost = 0;
    loop {
        server.send(&queue, "x").await;
        if !server.receive(&queue, json!({})).await.is_empty() {
            break;
        }
        lost += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(lost < RECEIVERS / 2, "{lost} messages were given to receivers that had gone");
}

#[tokio::test]
async fn each_message_goes_to_one_of_many_receivers_and_no_receive_is_empty() {
    const MESSAGES: usize = 200;
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    for tens in 0..MESSAGES / 10 {
        let entries: Vec<Value> = (0..10)
            .map(|n| json!({ "Id": n.to_string(), "MessageBody": format!("{tens}-{n}") }))
            .collect();
        server.ok("SendMessageBatch", json!({ "QueueUrl": queue, "Entries": entries })).await;
    }
    // There are as many receives as messages, all at once: none of them may be empty.
    let receives =
        (0..MESSAGES).map(|_| server.receive(&queue, json!({ "MaxNumberOfMessages": 1 })));
    let received: Vec<Vec<Value>> = join_all(receives).await;
    assert!(received.iter().all(|messages| messages.len() == 1));
    let distinct: HashSet<&str> =
        received.iter().map(|messages| text(&messages[0], "Body")).collect();
    assert_eq!(distinct.len(), MESSAGES);
    assert_eq!(server.counts(&queue).await, (0, MESSAGES as u64, 0));
}

#[tokio::test]
async fn waiting_receivers_get_one_message_each() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    let wait = json!({ "WaitTimeSeconds": 20, "MaxNumberOfMessages": 1 });
    let waiting = join_all((0..16).map(|_| server.receive(&queue, wait.clone())));
    let sending = join_all((0..16).map(|_| server.send(&queue, "x")));
    let began = Instant::now();
    let (received, _) = tokio::join!(waiting, sending);
    let distinct: HashSet<&str> =
        received.iter().map(|messages| text(&messages[0], "MessageId")).collect();
    assert_eq!(distinct.len(), 16);
    assert!(began.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn an_old_receipt_handle_deletes_nothing_and_changes_nothing() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "x").await;
    let old = server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
    let new = server.receive(&queue, json!({})).await;
    assert_ne!(old[0]["ReceiptHandle"], new[0]["ReceiptHandle"]);
    assert_eq!(server.ok("DeleteMessage", handle(&queue, &old[0])).await, json!({}));
    assert_eq!(server.counts(&queue).await, (0, 1, 0));
    server.ok("ChangeMessageVisibility", visibility(&queue, &old[0], 0)).await;
    assert_eq!(server.counts(&queue).await, (0, 1, 0));
    server.ok("DeleteMessage", handle(&queue, &new[0])).await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
    server.ok("DeleteMessage", handle(&queue, &new[0])).await;
    server.refused("ChangeMessageVisibility", visibility(&queue, &new[0], 0), VALUE).await;
}

#[tokio::test]
async fn a_message_that_is_not_in_flight_can_be_deleted_and_stays_visible_whatever_is_asked() {
    let server = Server::start().await;
    let queue = server.queue("q", json!({})).await;
    server.send(&queue, "x").await;
    let received = server.receive(&queue, json!({ "VisibilityTimeout": 0 })).await;
    server.ok("ChangeMessageVisibility", visibility(&queue, &received[0], 9)).await;
    assert_eq!(server.counts(&queue).await, (1, 0, 0));
    let old = &received[0]["ReceiptHandle"];
    let entry = json!({ "Id": "one", "ReceiptHandle": old, "VisibilityTimeout": 9 });
    let batch = json!({ "QueueUrl": queue, "Entries": [entry] });
    let answer = server.ok("ChangeMessageVisibilityBatch", batch).await;
    assert_eq!(answer["Successful"], json!([{ "Id": "one" }]), "{answer}");
    assert_eq!(server.counts(&queue).await, (1, 0, 0));
    server.ok("DeleteMessage", handle(&queue, &received[0])).await;
    assert_eq!(server.counts(&queue).await, (0, 0, 0));
}

#[tokio::test]
async fn a_queues_own_delay_visibility_and_wait_hold_until_a_request_says_otherwise() {
    let server = Server::start().await;
    let attributes = json!({
        "DelaySeconds": "900", "VisibilityTimeout": "0", "ReceiveMessageWaitTimeSeconds": "20",
    });
    let queue = server.queue("q", attributes).await;
    server.send(&queue, "delayed").await;
    assert_eq!(server.counts(&queue).await, (0, 0, 1));
    let (received, took) = wait_while_by_default(&server, &queue).await;
    assert_eq!(bodies(&received), ["now"]);
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(server.counts(&queue).await, (1, 0, 1), "its visibility timeout is nothing");
    server.receive(&queue, json!({ "VisibilityTimeout": 60 })).await;
    assert_eq!(server.counts(&queue).await, (0, 1, 1));
    let began = Instant::now();
    assert!(server.receive(&queue, json!({ "WaitTimeSeconds": 0 })).await.is_empty());
    assert!(began.elapsed() < AT_ONCE);
}

async fn wait_while_by_default(server: &Server, queue: &str) -> (Vec<Value>, Duration) {
    let began = Instant::now();
    let now = json!({ "QueueUrl": queue, "MessageBody": "now", "DelaySeconds": 0 });
    let send = async {
        server.counts(queue).await;
        server.ok("SendMessage", now).await;
    };
    let (received, ()) = tokio::join!(server.receive(queue, json!({})), send);
    (received, began.elapsed())
}
