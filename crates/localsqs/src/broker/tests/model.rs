//! The broker is compared with a simple model over random sequences of sends, receives, deletions,
//! visibility changes, purges and restarts, at random times.

use proptest::prelude::*;

use super::*;

const VISIBILITY: u64 = 30;
const RETENTION: u64 = 120;
const MOST_RECEIVES: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Send {
        delay: u64,
    },
    Receive {
        most: usize,
        visibility: Option<u64>,
    },
    /// One of the receipts that were handed out so far.
    Delete {
        receipt: prop::sample::Index,
    },
    ChangeVisibility {
        receipt: prop::sample::Index,
        to: u64,
    },
    Wait {
        seconds: u64,
    },
    Purge,
    /// The program ends, and another one starts on the same directory.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop_oneof![Just(0), 1..40_u64].prop_map(|delay| Step::Send { delay }),
        8 => (1..=10_usize, prop::option::of(0..50_u64))
            .prop_map(|(most, visibility)| Step::Receive { most, visibility }),
        4 => any::<prop::sample::Index>().prop_map(|receipt| Step::Delete { receipt }),
        4 => (any::<prop::sample::Index>(), 0..60_u64)
            .prop_map(|(receipt, to)| Step::ChangeVisibility { receipt, to }),
        6 => (1..40_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Purge),
        2 => Just(Step::Restart),
    ]
}

/// A message as the model sees it.
#[derive(Debug, Clone)]
struct Message {
    body: String,
    sent: u64,
    visible: u64,
    receives: u32,
    receipt: Option<String>,
}

/// The queue `q`, oldest message first, and the bodies in its dead-letter queue.
#[derive(Debug, Default)]
struct Model {
    now: u64,
    messages: Vec<Message>,
    dead: Vec<String>,
    receipts: Vec<String>,
    purged: Option<u64>,
}

impl Model {
    fn expire(&mut self) {
        let oldest = self.now.saturating_sub(RETENTION);
        self.messages.retain(|message| message.sent >= oldest);
    }

    /// Receives the oldest visible messages, until there are enough, and moves the ones that were
    /// received too often.
    fn receive(&mut self, most: usize, until: u64) -> Vec<String> {
        let now = self.now;
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        for message in self.messages.iter_mut().filter(|message| message.visible <= now) {
            if received.len() == most {
                break;
            }
            if message.receives >= MOST_RECEIVES {
                dead.push(message.body.clone());
            } else {
                message.receives += 1;
                message.visible = until;
                received.push(message.body.clone());
            }
        }
        self.messages.retain(|message| !dead.contains(&message.body));
        self.dead.extend(dead);
        received
    }

    fn holder(&mut self, receipt: &str) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.receipt.as_deref() == Some(receipt))
    }

    /// How many are ready, in flight and delayed.
    fn counts(&self) -> [usize; 3] {
        let count = |is: &dyn Fn(&Message) -> bool| {
            self.messages.iter().filter(|message| is(message)).count()
        };
        let waits = |message: &Message| message.visible > self.now;
        [
            count(&|message| !waits(message)),
            count(&|message| waits(message) && message.receives > 0),
            count(&|message| waits(message) && message.receives == 0),
        ]
    }
}

async fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().unwrap();
    let mut queues = Queues::open_at(directory.path(), Options::default(), after(0)).unwrap();
    create(&queues, "dead", &[("MessageRetentionPeriod", "1209600")], after(0)).await.unwrap();
    let redrive = format!(
        r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{MOST_RECEIVES}}}"#,
        queues.arn("dead")
    );
    let (visibility, retention) = (VISIBILITY.to_string(), RETENTION.to_string());
    let attributes = [
        ("VisibilityTimeout", visibility.as_str()),
        ("MessageRetentionPeriod", &retention),
        ("RedrivePolicy", &redrive),
    ];
    create(&queues, "q", &attributes, after(0)).await.unwrap();
    let mut model = Model::default();
    for (number, step) in steps.into_iter().enumerate() {
        let now = after(model.now);
        model.expire();
        match step {
            Step::Send { delay } => {
                let body = format!("message {number}");
                let content = Content { body: body.clone(), ..Content::default() };
                let entry = BatchEntry { content, delay: Some(Duration::from_secs(delay)) };
                prop_assert!(queues.send("q", vec![entry], now).await.unwrap()[0].is_ok());
                let (sent, visible) = (model.now, model.now + delay);
                model.messages.push(Message { body, sent, visible, receives: 0, receipt: None });
            }
            Step::Receive { most, visibility } => {
                let until = model.now + visibility.unwrap_or(VISIBILITY);
                let expected = model.receive(most, until);
                let visibility = visibility.map(Duration::from_secs);
                let (look, _) = queues.take("q", most, visibility, now).await.unwrap();
                let delivered = match look {
                    Look::Taken(taken) => queues.clone().deliver(taken, now).await.unwrap(),
                    Look::Full | Look::Nothing => Vec::new(),
                };
                let bodies: Vec<_> =
                    delivered.iter().map(|message| message.content.body.clone()).collect();
                prop_assert_eq!(&bodies, &expected);
                for Delivered { receipt_handle, content, entry, .. } in delivered {
                    let message = model
                        .messages
                        .iter_mut()
                        .find(|message| message.body == content.body)
                        .unwrap();
                    prop_assert_eq!(entry.receive_count, message.receives);
                    prop_assert!(
                        !model.receipts.contains(&receipt_handle),
                        "a receipt was handed out twice"
                    );
                    message.receipt = Some(receipt_handle.clone());
                    model.receipts.push(receipt_handle);
                }
            }
            Step::Delete { receipt } => {
                if model.receipts.is_empty() {
                    continue;
                }
                let receipt = receipt.get(&model.receipts).clone();
                queues.delete("q", &receipt, now).await.unwrap();
                model.messages.retain(|message| message.receipt.as_ref() != Some(&receipt));
            }
            Step::ChangeVisibility { receipt, to } => {
                if model.receipts.is_empty() {
                    continue;
                }
                let receipt = receipt.get(&model.receipts).clone();
                let changed =
                    queues.change_visibility("q", &receipt, Duration::from_secs(to), now).await;
                let (now, to) = (model.now, model.now + to);
                // The model does not keep older receipts, so it can't say whether their message is
                // gone.
                if let Some(message) = model.holder(&receipt) {
                    prop_assert!(changed.is_ok(), "{:?}", changed);
                    if message.visible > now {
                        message.visible = to;
                    }
                }
            }
            Step::Wait { seconds } => model.now += seconds,
            Step::Purge => {
                let allowed = model.purged.is_none_or(|purged| model.now >= purged + 60);
                prop_assert_eq!(queues.purge("q", now).await.is_ok(), allowed);
                if allowed {
                    (model.messages, model.purged) = (Vec::new(), Some(model.now));
                }
            }
            Step::Restart => {
                drop(queues);
                queues = Queues::open_at(directory.path(), Options::default(), now).unwrap();
                model.purged = None;
            }
        }
        model.expire();
        let now = after(model.now);
        let counts: [usize; 3] =
            ["", "NotVisible", "Delayed"].map(|name| count(&queues, name, now).parse().unwrap());
        prop_assert_eq!(counts, model.counts(), "after step {}", number);
    }
    let mut dead = Vec::new();
    loop {
        let batch = receive(&queues, "dead", 10, after(model.now)).await.unwrap();
        if batch.is_empty() {
            break;
        }
        dead.extend(batch.into_iter().map(|message| message.content.body));
    }
    dead.sort();
    model.dead.sort();
    prop_assert_eq!(dead, model.dead);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_broker_behaves_like_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps))?;
    }
}
