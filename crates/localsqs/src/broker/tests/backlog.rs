//! More writes than the disk takes: how many wait, and what becomes of them.

use super::*;

#[tokio::test]
async fn callers_that_go_away_while_the_disk_is_stuck_leave_no_endless_backlog() {
    const CALLERS: usize = 5_000;
    let (_directory, queues) = queue(&[]).await;
    let release = block(&queues).await;
    for _ in 0..CALLERS {
        let sender = queues.clone();
        let work = async move {
            send(&sender, 1, None, after(0)).await;
            Ok(())
        };
        // The caller goes away after its request was taken in.
        tokio::select! {
            biased;
            _ = queues.run_detached(work) => panic!("the disk is stuck"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(release);
    queues.close();
    queues.closed().await;
    let stored = on_the_disk(&queues).await;
    assert_eq!(stored, MOST_UNDER_WAY as i64, "the others had not begun");
    assert_eq!(count(&queues, "", after(1)), stored.to_string());
}

#[tokio::test]
async fn every_send_that_waits_for_a_slow_disk_is_acknowledged_and_stored() {
    const SENDERS: i64 = 3_000;
    let (_directory, queues) = queue(&[]).await;
    let release = block(&queues).await;
    let mut sends = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let sender = queues.clone();
        sends.spawn(async move {
            let work = sender.clone();
            let sent = async move {
                send(&work, 1, None, after(0)).await;
                Ok(())
            };
            sender.run_detached(sent).await.unwrap();
        });
    }
    tokio::task::yield_now().await;
    assert_eq!(count(&queues, "", after(0)), "0", "a caller that reads does not wait for the disk");
    drop(release);
    sends.join_all().await;
    assert_eq!(on_the_disk(&queues).await, SENDERS);
    assert_eq!(count(&queues, "", after(1)), SENDERS.to_string());
}

#[tokio::test]
async fn a_store_whose_queue_is_full_takes_no_write_until_the_disk_goes_on() {
    let (_directory, queues) = queue(&[("MessageRetentionPeriod", "60")]).await;
    send(&queues, 1, None, after(0)).await;
    let release = block(&queues).await;
    let mut slots = Vec::new();
    while let Some(slot) = queues.0.store.try_reserve() {
        slots.push(slot);
    }
    assert_eq!(slots.len(), 512);
    // Neither the end of a retention period nor a reader waits for a slot.
    assert_eq!(count(&queues, "", after(61)), "0");
    let written: Vec<_> = slots.into_iter().map(|slot| slot.write(|_| Ok(()))).collect();
    let waiting = queues.clone();
    let waits = start(async move { send(&waiting, 1, None, after(61)).await }).await;
    assert!(!waits.is_finished());
    drop(release);
    waits.await.unwrap();
    for write in written {
        write.outcome().await.unwrap();
    }
    assert_eq!(on_the_disk(&queues).await, 2);
    assert_eq!(count(&queues, "", after(62)), "1");
    assert_eq!(
        on_the_disk(&queues).await,
        1,
        "the message at its end was deleted at the next look"
    );
}
