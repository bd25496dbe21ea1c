//! Operations run at once and some of their writes fail. When all of them have ended, memory says
//! what a server reads that starts on the same directory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MOST_RECEIVES: u32 = 2;

#[derive(Debug, Clone)]
enum Step {
    Send {
        delay: u64,
    },
    Receive {
        most: usize,
        visibility: u64,
    },
    /// One of the receipts that were handed out so far.
    Delete {
        receipt: prop::sample::Index,
    },
    ChangeVisibility {
        receipt: prop::sample::Index,
        to: u64,
    },
    Purge,
    DeleteQueue,
    Wait {
        seconds: u64,
    },
    /// From here on the writes of messages fail, one by one.
    Break,
    /// From here on they succeed.
    Repair,
    /// SQLite rolls the transaction back, as it does when the disk is full.
    RollBack,
    /// The transaction of this moment can't be committed.
    SpoilCommit,
    /// All operations end, and memory is compared with the disk.
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let receipt = any::<prop::sample::Index>;
    prop_oneof![
        8 => prop_oneof![Just(0), 1..40_u64].prop_map(|delay| Step::Send { delay }),
        8 => (1..=4_usize, prop_oneof![Just(0), 1..40_u64])
            .prop_map(|(most, visibility)| Step::Receive { most, visibility }),
        4 => receipt().prop_map(|receipt| Step::Delete { receipt }),
        4 => (receipt(), prop_oneof![Just(0), 1..40_u64])
            .prop_map(|(receipt, to)| Step::ChangeVisibility { receipt, to }),
        1 => Just(Step::Purge),
        1 => Just(Step::DeleteQueue),
        3 => (1..40_u64).prop_map(|seconds| Step::Wait { seconds }),
        3 => Just(Step::Break),
        3 => Just(Step::Repair),
        1 => Just(Step::RollBack),
        1 => Just(Step::SpoilCommit),
        4 => Just(Step::Settle),
    ]
}

/// What memory says of each queue.
fn memory(queues: &Queues, now: Time) -> BTreeMap<String, (BTreeMap<Id, Entry>, [usize; 3])> {
    let mut state = queues.state();
    let mut memory = BTreeMap::new();
    for (name, queue) in &mut state.queues {
        let (ready, in_flight, delayed) = queue.index.counts(now);
        let entries = queue.index.entries();
        assert!(entries.keys().all(|id| !queue.is_pending(*id)), "a hold has no end");
        memory.insert(name.clone(), (entries, [ready, in_flight, delayed]));
    }
    memory
}

/// Deletes messages at the end of their retention, and waits until that is done.
async fn expire(queues: &Queues, now: Time) {
    queues.expire(now);
    run_sql(queues, "SELECT 1").await;
}

async fn open(directory: &TempDir, now: Time) -> Queues {
    let queues = Queues::open_at(directory.path(), Options::default(), now).unwrap();
    expire(&queues, now).await;
    queues
}

/// Hands in work that is not the broker's, and that may fail.
async fn hand_in(
    queues: &Queues,
    work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()> + Send + 'static,
) {
    let queues = queues.clone();
    start(async move { drop(queues.0.store.write(work).await) }).await;
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().unwrap();
    let mut seconds = 0;
    let mut queues = open(&directory, after(0)).await;
    run_sql(
        &queues,
        "CREATE TABLE parents (id INTEGER PRIMARY KEY);
         CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
         PRAGMA foreign_keys = ON",
    )
    .await;
    create(&queues, "dead", &[], after(0)).await.unwrap();
    let redrive = format!(
        r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{MOST_RECEIVES}}}"#,
        queues.arn("dead")
    );
    let attributes = [("MessageRetentionPeriod", "90"), ("RedrivePolicy", &redrive)];
    create(&queues, "q", &attributes, after(0)).await.unwrap();
    let receipts = Arc::new(Mutex::new(Vec::<String>::new()));
    let mut release = block(&queues).await;
    let mut under_way = Vec::new();
    for (number, step) in steps.into_iter().chain([Step::Settle]).enumerate() {
        let now = after(seconds);
        let known = receipts.lock().unwrap().clone();
        let broker = queues.clone();
        match step {
            Step::Send { delay } => {
                let content = Content { body: number.to_string(), ..Content::default() };
                let entry = BatchEntry { content, delay: Some(Duration::from_secs(delay)) };
                let send = async move { drop(broker.send("q", vec![entry], now).await) };
                under_way.push(start(send).await);
            }
            Step::Receive { most, visibility } => {
                let receipts = Arc::clone(&receipts);
                let receive = async move {
                    let visibility = Some(Duration::from_secs(visibility));
                    if let Ok((Look::Taken(taken), _)) =
                        broker.take("q", most, visibility, now).await
                        && let Ok(delivered) = broker.clone().deliver(taken, now).await
                    {
                        let handles = delivered.into_iter().map(|message| message.receipt_handle);
                        receipts.lock().unwrap().extend(handles);
                    }
                };
                under_way.push(start(receive).await);
            }
            Step::Delete { receipt } if !known.is_empty() => {
                let handle = receipt.get(&known).clone();
                let delete = async move { drop(broker.delete("q", &handle, now).await) };
                under_way.push(start(delete).await);
            }
            Step::ChangeVisibility { receipt, to } if !known.is_empty() => {
                let handle = receipt.get(&known).clone();
                let to = Duration::from_secs(to);
                let change =
                    async move { drop(broker.change_visibility("q", &handle, to, now).await) };
                under_way.push(start(change).await);
            }
            Step::Delete { .. } | Step::ChangeVisibility { .. } => {}
            Step::Purge => {
                let purge = async move { drop(broker.purge("q", now).await) };
                under_way.push(start(purge).await);
            }
            Step::DeleteQueue => {
                let delete = async move { drop(broker.delete_queue("q", now).await) };
                under_way.push(start(delete).await);
            }
            Step::Wait { seconds: more } => seconds += more,
            // Each of the two fails without an effect when the table has that name already.
            Step::Break => {
                hand_in(&queues, |disk| disk.execute_batch("ALTER TABLE messages RENAME TO gone"))
                    .await;
            }
            Step::Repair => {
                hand_in(&queues, |disk| disk.execute_batch("ALTER TABLE gone RENAME TO messages"))
                    .await;
            }
            Step::RollBack => {
                hand_in(&queues, |disk| {
                    disk.execute_batch("ROLLBACK")?;
                    Err(rusqlite::Error::InvalidQuery)
                })
                .await;
            }
            Step::SpoilCommit => {
                hand_in(&queues, |disk| disk.execute_batch("INSERT INTO children VALUES (1)"))
                    .await;
            }
            Step::Settle => {
                drop(broker);
                drop(release);
                for work in under_way.drain(..) {
                    work.await.unwrap();
                }
                let repair = |connection: &rusqlite::Connection| {
                    connection.execute_batch("ALTER TABLE gone RENAME TO messages")
                };
                drop(queues.0.store.write(repair).await);
                expire(&queues, now).await;
                let before = memory(&queues, now);
                // What was handed in has been done; the tasks that hear so are still to end.
                while Arc::strong_count(&queues.0) > 1 {
                    tokio::task::yield_now().await;
                }
                drop(queues);
                queues = open(&directory, now).await;
                run_sql(&queues, "PRAGMA foreign_keys = ON").await;
                prop_assert_eq!(&before, &memory(&queues, now), "after step {}", number);
                release = block(&queues).await;
            }
        }
    }
    drop(release);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn memory_says_what_the_disk_says(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}
