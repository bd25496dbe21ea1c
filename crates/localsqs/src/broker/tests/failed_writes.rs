//! Writes that fail: afterwards memory says what the disk says.

use std::time::Instant;

use super::*;

/// How long a test waits for something that happens in the background.
const DEADLINE: Duration = Duration::from_secs(20);

const BREAK: &str = "ALTER TABLE messages RENAME TO gone";
const REPAIR: &str = "ALTER TABLE gone RENAME TO messages";

/// Hands SQL in to be run after what was handed in before.
async fn hand_in(queues: &Queues, sql: &'static str) {
    let queues = queues.clone();
    start(async move { run_sql(&queues, sql).await }).await;
}

#[tokio::test]
async fn a_change_of_visibility_that_failed_changes_nothing() {
    let (_directory, queues) = queue(&[("VisibilityTimeout", "30")]).await;
    send(&queues, 1, None, after(0)).await;
    let held = receive(&queues, "q", 1, after(0)).await.unwrap();
    let handle = &held[0].receipt_handle;
    run_sql(&queues, BREAK).await;
    let extended = queues.change_visibility("q", handle, Duration::from_secs(900), after(1)).await;
    assert_eq!(extended.unwrap_err().code, Code::InternalFailure);
    let given_back = queues.change_visibility("q", handle, Duration::ZERO, after(1)).await;
    assert_eq!(given_back.unwrap_err().code, Code::InternalFailure);
    run_sql(&queues, REPAIR).await;
    assert_eq!(count(&queues, "NotVisible", after(29)), "1");
    assert_eq!(received(&queues, "q", after(30)).await, 1);
}

#[tokio::test]
async fn a_message_may_be_deleted_while_a_change_of_its_visibility_is_pending() {
    for fails in [false, true] {
        let (_directory, queues) = queue(&[]).await;
        send(&queues, 1, None, after(0)).await;
        let held = receive(&queues, "q", 1, after(0)).await.unwrap();
        let handle = held[0].receipt_handle.clone();
        let release = block(&queues).await;
        if fails {
            hand_in(&queues, BREAK).await;
        }
        let (changer, to_change) = (queues.clone(), handle.clone());
        let change = async move {
            changer.change_visibility("q", &to_change, Duration::ZERO, after(1)).await
        };
        let changed = start(change).await;
        if fails {
            hand_in(&queues, REPAIR).await;
        }
        let deleter = queues.clone();
        let deleted = start(async move { deleter.delete("q", &handle, after(1)).await }).await;
        drop(release);
        assert_eq!(changed.await.unwrap().is_err(), fails);
        deleted.await.unwrap().unwrap();
        assert_eq!((count(&queues, "", after(1)).as_str(), on_the_disk(&queues).await), ("0", 0));
    }
}

#[tokio::test]
async fn a_purge_that_failed_may_be_tried_again_at_once() {
    let (_directory, queues) = queue(&[]).await;
    send(&queues, 2, None, after(0)).await;
    run_sql(&queues, BREAK).await;
    assert_eq!(queues.purge("q", after(1)).await.unwrap_err().code, Code::InternalFailure);
    run_sql(&queues, REPAIR).await;
    assert_eq!(count(&queues, "", after(1)), "2");
    queues.purge("q", after(2)).await.unwrap();
    assert_eq!((count(&queues, "", after(2)).as_str(), on_the_disk(&queues).await), ("0", 0));
}

#[tokio::test]
async fn a_queue_whose_deletion_failed_still_has_what_was_sent_meanwhile() {
    let (_directory, queues) = queue(&[]).await;
    let release = block(&queues).await;
    let sender = queues.clone();
    let sent = start(async move { send(&sender, 1, None, after(0)).await }).await;
    hand_in(&queues, "ALTER TABLE queues RENAME TO gone").await;
    let deleter = queues.clone();
    let deleted = start(async move { deleter.delete_queue("q", after(0)).await }).await;
    drop(release);
    sent.await.unwrap();
    assert_eq!(deleted.await.unwrap().unwrap_err().code, Code::InternalFailure);
    run_sql(&queues, "ALTER TABLE gone RENAME TO queues").await;
    assert_eq!((count(&queues, "", after(1)).as_str(), on_the_disk(&queues).await), ("1", 1));
}

#[tokio::test]
async fn messages_that_could_not_be_deleted_at_the_end_of_their_retention_are_deleted_later() {
    let (_directory, queues) = queue(&[("MessageRetentionPeriod", "60")]).await;
    send(&queues, 1, None, after(0)).await;
    run_sql(&queues, BREAK).await;
    assert_eq!(count(&queues, "", after(61)), "0");
    run_sql(&queues, REPAIR).await;
    assert_eq!(on_the_disk(&queues).await, 1);
    let deadline = Instant::now() + DEADLINE;
    while on_the_disk(&queues).await > 0 {
        assert!(Instant::now() < deadline, "the message is not deleted");
        assert_eq!(count(&queues, "", after(62)), "0");
    }
}

#[tokio::test]
async fn a_purge_leaves_a_message_that_a_pending_receive_moves_to_the_dead_letter_queue() {
    let (_directory, queues) = queue(&[]).await;
    create(&queues, "dead", &[], after(0)).await.unwrap();
    let policy =
        format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, queues.arn("dead"));
    let redrive = Texts::from([("RedrivePolicy".to_owned(), policy)]);
    queues.set_attributes("q", &redrive, after(0)).await.unwrap();
    send(&queues, 1, None, after(0)).await;
    assert_eq!(received(&queues, "q", after(0)).await, 1);
    let release = block(&queues).await;
    let receiver = queues.clone();
    let died = start(async move { received(&receiver, "q", after(30)).await }).await;
    let purger = queues.clone();
    let purged = start(async move { purger.purge("q", after(30)).await }).await;
    drop(release);
    assert_eq!(died.await.unwrap(), 0);
    purged.await.unwrap().unwrap();
    assert_eq!(on_the_disk(&queues).await, 1);
    assert_eq!(received(&queues, "dead", after(31)).await, 1);
}

#[tokio::test]
async fn writes_in_the_transaction_of_one_that_filled_the_disk_are_told_what_became_of_them() {
    let (_directory, queues) = queue(&[]).await;
    run_sql(&queues, "CREATE TABLE scratch (name TEXT, content BLOB)").await;
    run_sql(&queues, "INSERT INTO scratch VALUES ('first', NULL)").await;
    let limit = |connection: &rusqlite::Connection| {
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    };
    queues.0.store.write(limit).await.unwrap();
    let release = block(&queues).await;
    let mut writes = Vec::new();
    for (name, size) in [("before", 1), ("large", 1 << 20), ("after", 1)] {
        let queues = queues.clone();
        let insert = move |connection: &rusqlite::Connection| {
            let sql = "INSERT INTO scratch VALUES (?1, zeroblob(?2))";
            connection.execute(sql, (name, size)).map(drop)
        };
        let write = start(async move { queues.0.store.write(insert).await }).await;
        writes.push((name, write));
    }
    drop(release);
    for (name, write) in writes {
        let told = write.await.unwrap().is_ok();
        let stored = queues.0.store.write(move |connection| {
            let sql = "SELECT count(*) FROM scratch WHERE name = ?1";
            connection.query_row(sql, [name], |row| row.get::<_, i64>(0))
        });
        assert_eq!(stored.await.unwrap(), i64::from(told), "{name}");
        assert!(name != "large" || !told, "the disk was not full");
    }
}

#[tokio::test]
async fn a_failed_write_says_why() {
    let (_directory, queues) = queue(&[]).await;
    send(&queues, 1, None, after(0)).await;
    run_sql(&queues, BREAK).await;
    let error = queues.purge("q", after(1)).await.unwrap_err();
    assert!(error.message.contains("can't be written: no such table: messages"), "{error}");
}

#[tokio::test]
async fn a_move_task_is_shown_as_completed_only_when_the_disk_says_so() {
    let (_directory, queues) = queue(&[]).await;
    create(&queues, "elsewhere", &[], after(0)).await.unwrap();
    let policy = format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":1}}"#, queues.arn("q"));
    create(&queues, "source", &[("RedrivePolicy", &policy)], after(0)).await.unwrap();
    // A task runs by the clock.
    let now = Time::now();
    send(&queues, 3, None, now).await;
    let (from, to) = (queues.arn("q"), queues.arn("elsewhere"));
    queues.start_move(&from, Some(&to), None, now).await.unwrap();
    hand_in(&queues, "ALTER TABLE move_tasks RENAME TO gone").await;
    let deadline = Instant::now() + DEADLINE;
    let moved =
        || queues.attributes("elsewhere", now).unwrap()["ApproximateNumberOfMessages"] == "3";
    while !moved() {
        assert!(Instant::now() < deadline, "the messages are not moved");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The end of the task was handed in when the messages were moved, so it has failed when this
    // is done.
    run_sql(&queues, "SELECT 1").await;
    let shown = || queues.list_moves(&from, 1).unwrap()[0].status.to_string();
    assert_eq!(shown(), "RUNNING", "the disk says so");
    run_sql(&queues, "ALTER TABLE gone RENAME TO move_tasks").await;
    while shown() != "COMPLETED" {
        assert!(Instant::now() < deadline, "the task does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stored = |connection: &rusqlite::Connection| {
        let sql = "SELECT status, moved FROM move_tasks";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let stored: (String, i64) = queues.0.store.write(stored).await.unwrap();
    assert_eq!(stored, ("COMPLETED".to_owned(), 3));
}
