//! Rules of time and number, with the time as an argument: nothing here sleeps.

mod backlog;
mod consistency;
mod failed_writes;
mod model;

use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::receiving::Look;
use super::*;
use crate::attributes::Texts;
use crate::message::Content;

const DAY: u64 = 86_400;

fn after(seconds: u64) -> Time {
    Time::from_millis(1_000_000_000_000).plus(Duration::from_secs(seconds))
}

/// A queue named `q` with these attributes, made at `after(0)`.
async fn queue(attributes: &[(&str, &str)]) -> (TempDir, Queues) {
    let directory = tempfile::tempdir().unwrap();
    let queues = Queues::open(directory.path(), Options::default()).unwrap();
    create(&queues, "q", attributes, after(0)).await.unwrap();
    (directory, queues)
}

async fn create(
    queues: &Queues,
    name: &str,
    attributes: &[(&str, &str)],
    now: Time,
) -> Result<(), Error> {
    let attributes =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    queues.create_queue(name, &attributes, &Texts::new(), now).await
}

async fn send(queues: &Queues, many: usize, delay: Option<u64>, now: Time) {
    let content = Content { body: "x".to_owned(), ..Content::default() };
    let entry = BatchEntry { content, delay: delay.map(Duration::from_secs) };
    let sent = queues.send("q", vec![entry; many], now).await.unwrap();
    assert!(sent.iter().all(Result::is_ok));
}

/// What a receive gets without waiting; nothing when the limit of messages in flight is reached.
async fn receive(queues: &Queues, name: &str, most: usize, now: Time) -> Option<Vec<Delivered>> {
    match queues.take(name, most, None, now).await.unwrap().0 {
        Look::Taken(taken) => Some(queues.clone().deliver(taken, now).await.unwrap()),
        Look::Full => None,
        Look::Nothing => Some(Vec::new()),
    }
}

/// Receives this many messages of `q`, in portions: the undo log of one write of all of them would
/// take SQLite minutes.
async fn receive_many(queues: &Queues, many: usize, now: Time) -> Vec<Delivered> {
    const PORTION: usize = 5_000;
    let mut all = Vec::new();
    while all.len() < many {
        let portion = PORTION.min(many - all.len());
        let received = receive(queues, "q", portion, now).await.expect("the limit is not reached");
        assert_eq!(received.len(), portion);
        all.extend(received);
    }
    all
}

async fn received(queues: &Queues, name: &str, now: Time) -> usize {
    receive(queues, name, 10, now).await.unwrap().len()
}

fn count(queues: &Queues, name: &str, now: Time) -> String {
    queues.attributes("q", now).unwrap()[&format!("ApproximateNumberOfMessages{name}")].clone()
}

async fn on_the_disk(queues: &Queues) -> i64 {
    let count = |connection: &rusqlite::Connection| {
        connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0))
    };
    queues.0.store.write(count).await.unwrap()
}

/// Starts work on the queues, and returns when it has handed its write in. The tests run on one
/// thread, so the work goes on until it waits for that write.
async fn start<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let started = tokio::spawn(work);
    tokio::task::yield_now().await;
    started
}

/// Keeps the thread that writes busy until the sender is dropped. What is handed in meanwhile is
/// written in the same transaction.
async fn block(queues: &Queues) -> mpsc::Sender<()> {
    let (release, blocked) = mpsc::channel::<()>();
    let (tell, begun) = tokio::sync::oneshot::channel();
    let queues = queues.clone();
    let wait = move |_: &rusqlite::Connection| {
        tell.send(()).expect("the test waits for it");
        assert!(blocked.recv().is_err(), "the sender is dropped, and sends nothing");
        Ok(())
    };
    // The transaction may be one that fails.
    start(async move { drop(queues.0.store.write(wait).await) }).await;
    begun.await.unwrap();
    release
}

/// Runs SQL on the disk, after what was handed in before.
async fn run_sql(queues: &Queues, sql: &'static str) {
    queues.0.store.write(move |connection| connection.execute_batch(sql)).await.unwrap();
}

#[tokio::test]
async fn a_delay_and_a_visibility_timeout_end_on_time() {
    let (_directory, queues) = queue(&[("DelaySeconds", "60"), ("VisibilityTimeout", "30")]).await;
    send(&queues, 1, None, after(0)).await;
    send(&queues, 1, Some(0), after(0)).await;
    assert_eq!(received(&queues, "q", after(59)).await, 1, "the one without a delay");
    assert_eq!(received(&queues, "q", after(60)).await, 1, "the one with the queue's");
    assert_eq!(received(&queues, "q", after(88)).await, 0);
    assert_eq!(received(&queues, "q", after(89)).await, 1);
    assert_eq!(received(&queues, "q", after(90)).await, 1);
}

#[tokio::test]
async fn no_visibility_timeout_ends_more_than_twelve_hours_after_its_receive() {
    let (_directory, queues) = queue(&[("VisibilityTimeout", "43200")]).await;
    send(&queues, 1, None, after(0)).await;
    let held = receive(&queues, "q", 1, after(0)).await.unwrap();
    let handle = &held[0].receipt_handle;
    let change = |seconds: u64, now: u64| {
        queues.change_visibility("q", handle, Duration::from_secs(seconds), after(now))
    };
    change(43_200, 0).await.unwrap();
    change(43_200 - 3_600, 3_600).await.unwrap();
    let error = change(43_200 - 3_599, 3_600).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidParameterValue);
    assert!(error.message.contains("43200 seconds"), "{error}");
    assert_eq!(received(&queues, "q", after(43_199)).await, 0);
    // It has run out.
    change(0, 43_200).await.unwrap();
    assert_eq!(received(&queues, "q", after(43_200)).await, 1);
}

#[tokio::test]
async fn a_message_at_the_end_of_its_retention_is_neither_counted_nor_received_nor_on_the_disk() {
    let (_directory, queues) = queue(&[("MessageRetentionPeriod", "60")]).await;
    send(&queues, 3, None, after(0)).await;
    receive(&queues, "q", 1, after(0)).await.unwrap();
    assert_eq!(
        (count(&queues, "", after(60)), count(&queues, "NotVisible", after(29))),
        ("3".into(), "0".into())
    );
    send(&queues, 1, None, after(30)).await;
    assert_eq!(on_the_disk(&queues).await, 4);
    assert_eq!(count(&queues, "", after(61)), "1");
    assert_eq!(on_the_disk(&queues).await, 1, "nobody had to receive for it");
    assert_eq!(received(&queues, "q", after(62)).await, 1);
    queues.expire(after(91));
    assert_eq!(on_the_disk(&queues).await, 0);
    assert_eq!(count(&queues, "NotVisible", after(91)), "0");
}

#[tokio::test]
async fn retention_counts_from_the_first_send_in_the_dead_letter_queue_too() {
    let (_directory, queues) = queue(&[]).await;
    let policy =
        format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, queues.arn("q-dlq"));
    create(&queues, "q-dlq", &[("MessageRetentionPeriod", "86400")], after(0)).await.unwrap();
    let redrive = Texts::from([("RedrivePolicy".to_owned(), policy)]);
    queues.set_attributes("q", &redrive, after(0)).await.unwrap();
    send(&queues, 1, None, after(0)).await;
    assert_eq!(received(&queues, "q", after(0)).await, 1);
    assert_eq!(received(&queues, "q", after(DAY - 10)).await, 0, "it died");
    assert_eq!(received(&queues, "q-dlq", after(DAY - 9)).await, 1);
    assert_eq!(received(&queues, "q-dlq", after(DAY + 30)).await, 0);
    assert_eq!(on_the_disk(&queues).await, 0);
}

#[tokio::test]
async fn no_more_than_120_000_messages_are_in_flight() {
    let (_directory, queues) = queue(&[]).await;
    for _ in 0..13 {
        send(&queues, 10_000, None, after(0)).await;
    }
    assert_eq!(receive_many(&queues, 119_995, after(1)).await.len(), 119_995);
    assert_eq!(receive(&queues, "q", 10, after(1)).await.unwrap().len(), 5, "as many as may be");
    assert!(receive(&queues, "q", 1, after(1)).await.is_none());
    assert_eq!(received(&queues, "q", after(31)).await, 10, "the leases have run out");
}

#[tokio::test]
async fn a_short_poll_is_told_about_the_limit_and_a_long_poll_is_not() {
    let (_directory, queues) = queue(&[("VisibilityTimeout", "43200")]).await;
    let now = Time::now();
    for _ in 0..13 {
        send(&queues, 10_000, None, now).await;
    }
    let held = receive_many(&queues, 120_000, now).await;
    let request = |wait| ReceiveRequest { most: 1, visibility: None, wait: Some(wait) };
    assert_eq!(
        queues.receive("q", request(Duration::ZERO)).await.unwrap_err().code,
        Code::OverLimit
    );
    assert!(queues.receive("q", request(Duration::from_millis(20))).await.unwrap().is_empty());
    queues.delete("q", &held[0].receipt_handle, now).await.unwrap();
    assert_eq!(queues.receive("q", request(Duration::ZERO)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deletion_blocks_the_name_for_a_minute_and_a_purge_the_next_purge() {
    let (_directory, queues) = queue(&[]).await;
    queues.purge("q", after(0)).await.unwrap();
    assert_eq!(queues.purge("q", after(59)).await.unwrap_err().code, Code::PurgeQueueInProgress);
    queues.purge("q", after(60)).await.unwrap();
    queues.delete_queue("q", after(100)).await.unwrap();
    assert_eq!(
        create(&queues, "q", &[], after(159)).await.unwrap_err().code,
        Code::QueueDeletedRecently
    );
    create(&queues, "q", &[], after(160)).await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_is_reported_and_undone() {
    let (_directory, queues) = queue(&[("VisibilityTimeout", "0")]).await;
    send(&queues, 2, None, after(0)).await;
    let held = receive(&queues, "q", 1, after(0)).await.unwrap();
    run_sql(&queues, "ALTER TABLE messages RENAME TO gone").await;
    let deleted = queues.delete("q", &held[0].receipt_handle, after(1)).await;
    assert_eq!(deleted.unwrap_err().code, Code::InternalFailure);
    let Look::Taken(taken) = queues.take("q", 10, None, after(1)).await.unwrap().0 else {
        panic!("both are ready")
    };
    assert!(queues.clone().deliver(taken, after(1)).await.is_err());
    assert_eq!(queues.purge("q", after(1)).await.unwrap_err().code, Code::InternalFailure);
    assert_eq!(count(&queues, "", after(2)), "2");
    run_sql(&queues, "ALTER TABLE gone RENAME TO messages").await;
    let again = receive(&queues, "q", 10, after(2)).await.unwrap();
    assert_eq!(again.iter().map(|message| message.entry.receive_count).collect::<Vec<_>>(), [2, 1]);
}
