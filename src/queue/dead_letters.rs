//! The dead-letter queue as an operator sees it: look, move back, throw away.
//!
//! Found by the main queue's redrive policy. Needs the operator's own credentials: the worker's may
//! not touch it. Looking takes nothing away: what was received is given back, or comes back by
//! itself within a minute. Moving one sends first and deletes then, so that a crash between the two
//! doubles a task, which the worker knows by its key, and loses none.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use jiff::Timestamp;
use serde::Serialize;

use super::settings::QueueSettings;
use super::{CALL_TIMEOUT, Depth, Queue, QueueError, RECEIVE_TIMEOUT, seconds};
use crate::redaction::Redaction;
use crate::task::Task;

/// How long a message that is looked at is hidden from others.
const HIDDEN: Duration = Duration::from_secs(60);
/// The most that SQS hands out at once.
const BATCH: i32 = 10;
/// How long a look waits for what SQS has not found yet; one that does not wait at all samples a
/// few of its servers.
const WAIT: Duration = Duration::from_secs(2);

/// The dead-letter queue, under the operator's own credentials.
pub struct DeadLetters {
    main: Queue,
    queue: Queue,
    arn: String,
}

/// A message that nobody could work on.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    pub message_id: String,
    #[serde(skip)]
    receipt_handle: String,
    /// When a producer, or a redrive, sent it.
    pub sent_at: Option<Timestamp>,
    pub body: String,
    /// String attributes; others are kept in a move, and not shown.
    pub attributes: BTreeMap<String, String>,
    #[serde(skip)]
    all_attributes: HashMap<String, MessageAttributeValue>,
}

/// How far a move of all messages is.
#[derive(Debug, Clone, Serialize)]
pub struct Move {
    #[serde(skip)]
    handle: Option<String>,
    /// SQS's own word: `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: String,
    pub moved: u64,
    pub failure: Option<String>,
}

impl Move {
    /// Whether messages are still being moved.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "RUNNING" | "CANCELLING")
    }

    /// Whether every message was moved.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status == "COMPLETED"
    }
}

impl DeadLetter {
    /// The task that it asks for, if it is one.
    #[must_use]
    pub fn task(&self) -> Option<Task> {
        Task::decode(self.body.as_bytes()).ok()
    }

    /// Whether this is the message with this id, or one with this task key.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.message_id == name || self.task().is_some_and(|task| task.key().as_str() == name)
    }
}

impl DeadLetters {
    /// Finds the dead-letter queue of the queue that the settings name.
    ///
    /// # Errors
    /// [`QueueError::NoDeadLetters`] when the queue has none; for the rest as [`Queue::connect`].
    pub async fn connect(
        settings: &QueueSettings,
        redaction: &Redaction,
    ) -> Result<Self, QueueError> {
        let main = Queue::connect(settings, redaction).await?;
        let attributes = main.attributes(&[QueueAttributeName::RedrivePolicy]).await?;
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy);
        let arn = policy
            .and_then(|policy| target(policy))
            .ok_or_else(|| QueueError::NoDeadLetters { queue: main.url.clone() })?;
        // arn:aws:sqs:region:account:name ("Amazon SQS: resource types" in the Service
        // Authorization Reference).
        let mut parts = arn.rsplit(':');
        let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let request =
            main.client.get_queue_url().queue_name(name).queue_owner_aws_account_id(account);
        let answer = super::call(name, CALL_TIMEOUT, request.send()).await?;
        let url = answer.queue_url.ok_or_else(|| QueueError::Missing { queue: name.to_owned() })?;
        let queue = Queue { client: main.client.clone(), url };
        Ok(Self { main, queue, arn })
    }

    /// The URL of the dead-letter queue.
    #[must_use]
    pub fn url(&self) -> &str {
        self.queue.url()
    }

    /// About how many messages the dead-letter queue holds, by their state.
    ///
    /// # Errors
    /// The queue can't be asked.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        self.queue.depth().await
    }

    /// Looks at up to `most` messages and gives them back.
    pub async fn look(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let found = self.take(most, |_| true).await?;
        for message in &found {
            self.give_back(message).await?;
        }
        Ok(found)
    }

    /// Moves those that are called `name` back to the main queue, and returns how many.
    pub async fn redrive_one(&self, name: &str) -> Result<usize, QueueError> {
        let found = self.take(usize::MAX, |message| message.is_called(name)).await?;
        for message in &found {
            let request = self
                .main
                .client
                .send_message()
                .queue_url(&self.main.url)
                .message_body(&message.body)
                .set_message_attributes(Some(message.all_attributes.clone()));
            self.main.call(CALL_TIMEOUT, request.send()).await?;
            let request = self
                .queue
                .client
                .delete_message()
                .queue_url(&self.queue.url)
                .receipt_handle(&message.receipt_handle);
            self.queue.call(CALL_TIMEOUT, request.send()).await?;
        }
        Ok(found.len())
    }

    /// Has SQS move everything back to where it came from, at most so many messages a second.
    pub async fn redrive_all(&self, per_second: Option<i32>) -> Result<(), QueueError> {
        let request = self
            .queue
            .client
            .start_message_move_task()
            .source_arn(&self.arn)
            .set_max_number_of_messages_per_second(per_second);
        self.queue.call(CALL_TIMEOUT, request.send()).await.map(drop)
    }

    /// The newest move that SQS knows of.
    pub async fn newest_move(&self) -> Result<Option<Move>, QueueError> {
        let request =
            self.queue.client.list_message_move_tasks().source_arn(&self.arn).max_results(1);
        let answer = self.queue.call(CALL_TIMEOUT, request.send()).await?;
        Ok(answer.results.unwrap_or_default().into_iter().next().map(|entry| Move {
            handle: entry.task_handle,
            status: entry.status.unwrap_or_default(),
            moved: u64::try_from(entry.approximate_number_of_messages_moved).unwrap_or_default(),
            failure: entry.failure_reason,
        }))
    }

    /// Ends a move; what was moved stays moved.
    pub async fn cancel(&self, running: &Move) -> Result<(), QueueError> {
        let request =
            self.queue.client.cancel_message_move_task().set_task_handle(running.handle.clone());
        self.queue.call(CALL_TIMEOUT, request.send()).await.map(drop)
    }

    /// Throws everything away.
    pub async fn purge(&self) -> Result<(), QueueError> {
        let request = self.queue.client.purge_queue().queue_url(&self.queue.url);
        self.queue.call(CALL_TIMEOUT, request.send()).await.map(drop)
    }

    /// Takes up to `most` messages that are wanted, until the queue shows no new one; the others
    /// are given back.
    async fn take(
        &self,
        most: usize,
        is_wanted: impl Fn(&DeadLetter) -> bool,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let (mut wanted, mut others) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let batch = self.receive().await?;
            // SQS may hand one out twice, and then the newer receipt counts.
            let before = wanted.len() + others.len();
            for message in batch {
                let of = if is_wanted(&message) { &mut wanted } else { &mut others };
                of.insert(message.message_id.clone(), message);
            }
            if wanted.len() + others.len() == before || wanted.len() >= most {
                break;
            }
        }
        let mut wanted: Vec<DeadLetter> = wanted.into_values().collect();
        wanted.sort_by_key(|message| message.sent_at);
        for message in others.values().chain(wanted.get(most..).unwrap_or_default()) {
            self.give_back(message).await?;
        }
        wanted.truncate(most);
        Ok(wanted)
    }

    async fn receive(&self) -> Result<Vec<DeadLetter>, QueueError> {
        let request = self
            .queue
            .client
            .receive_message()
            .queue_url(&self.queue.url)
            .max_number_of_messages(BATCH)
            .visibility_timeout(seconds(HIDDEN))
            .wait_time_seconds(seconds(WAIT))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = self.queue.call(RECEIVE_TIMEOUT, request.send()).await?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(DeadLetter::of).collect())
    }

    async fn give_back(&self, message: &DeadLetter) -> Result<(), QueueError> {
        let request = self
            .queue
            .client
            .change_message_visibility()
            .queue_url(&self.queue.url)
            .receipt_handle(&message.receipt_handle)
            .visibility_timeout(0);
        match self.queue.call(CALL_TIMEOUT, request.send()).await {
            // Somebody else has it by now, or it is back already.
            Ok(_) | Err(QueueError::LeaseOver { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl DeadLetter {
    fn of(message: aws_sdk_sqs::types::Message) -> Self {
        let system = message.attributes.unwrap_or_default();
        let sent = system
            .get(&MessageSystemAttributeName::SentTimestamp)
            .and_then(|text| text.parse().ok());
        let all_attributes = message.message_attributes.unwrap_or_default();
        let text = |(name, value): (&String, &MessageAttributeValue)| {
            Some((name.clone(), value.string_value()?.to_owned()))
        };
        Self {
            message_id: message.message_id.unwrap_or_default(),
            receipt_handle: message.receipt_handle.unwrap_or_default(),
            sent_at: sent.and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok()),
            body: message.body.unwrap_or_default(),
            attributes: all_attributes.iter().filter_map(text).collect(),
            all_attributes,
        }
    }
}

fn target(policy: &str) -> Option<String> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    policy.get("deadLetterTargetArn")?.as_str().map(str::to_owned)
}
