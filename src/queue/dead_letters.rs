//! The dead-letter queue for an operator, who can list its messages, move them back, or delete
//! them.
//!
//! The redrive policy of the main queue names the dead-letter queue. These operations need the
//! operator's own credentials, because the worker's credentials do not allow access to it. Listing
//! removes nothing: the program gives each received message back, and SQS makes the message visible
//! again within a minute if the program can't. To move one message, the program first sends it to
//! the main queue and then deletes it here. A crash between the two steps duplicates a task, which
//! the worker recognizes by its key, and loses none.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use jiff::Timestamp;
use serde::Serialize;

use super::settings::QueueSettings;
use super::{CALL_TIMEOUT, Depth, Queue, QueueError, RECEIVE_TIMEOUT, seconds};
use crate::redaction::Redaction;
use crate::task::Task;

/// How long a listed message is invisible to other receivers.
const HIDDEN: Duration = Duration::from_secs(60);
/// The largest number of messages that SQS returns from one receive (SQS API Reference,
/// `ReceiveMessage`).
const BATCH: i32 = 10;
/// How long a receive waits for messages. With a wait SQS asks all its servers. Without one it asks
/// only a sample of them and may miss messages ("Amazon SQS short and long polling" in the SQS
/// Developer Guide).
const WAIT: Duration = Duration::from_secs(2);

/// The dead-letter queue, opened with the operator's own credentials.
pub struct DeadLetters {
    main: Queue,
    queue: Queue,
    arn: String,
}

/// A message in the dead-letter queue.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    pub message_id: String,
    #[serde(skip)]
    receipt_handle: String,
    /// When a producer or a redrive sent the message.
    pub sent_at: Option<Timestamp>,
    pub body: String,
    /// The string attributes. A move also keeps the other attributes, which are not shown.
    pub attributes: BTreeMap<String, String>,
    #[serde(skip)]
    all_attributes: HashMap<String, MessageAttributeValue>,
}

/// The progress of a move of all messages.
#[derive(Debug, Clone, Serialize)]
pub struct Move {
    #[serde(skip)]
    handle: Option<String>,
    /// The status that SQS reports: `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: String,
    pub moved: u64,
    pub failure: Option<String>,
}

impl Move {
    /// Returns whether SQS is still moving messages.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.status.as_str(), "RUNNING" | "CANCELLING")
    }

    /// Returns whether SQS moved every message.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status == "COMPLETED"
    }
}

impl DeadLetter {
    /// Returns the task that the message asks for, or `None` when the message is not a task.
    #[must_use]
    pub fn task(&self) -> Option<Task> {
        Task::decode(self.body.as_bytes()).ok()
    }

    /// Returns whether `name` is the id of this message, the key of its task, or its issue in the
    /// form `owner/name#7`.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        let is_task = |task: Task| {
            let issue = format!("{}#{}", task.repository, task.issue_number);
            task.key().as_str() == name || issue.eq_ignore_ascii_case(name)
        };
        self.message_id == name || self.task().is_some_and(is_task)
    }
}

impl DeadLetters {
    /// Finds the dead-letter queue of the queue that the settings name.
    ///
    /// # Errors
    /// [`QueueError::NoDeadLetters`] when the queue has none. The other errors are those of
    /// [`Queue::connect`].
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
        // An ARN has the form arn:aws:sqs:region:account:name ("Actions, resources, and condition
        // keys for Amazon SQS" in the Service Authorization Reference).
        let mut parts = arn.rsplit(':');
        let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let request =
            main.client.get_queue_url().queue_name(name).queue_owner_aws_account_id(account);
        let answer = super::call(name, &main.origin, CALL_TIMEOUT, request.send()).await?;
        let url = answer.queue_url.ok_or_else(|| QueueError::Missing {
            queue: name.to_owned(),
            origin: main.asked_by(),
        })?;
        let queue = Queue { client: main.client.clone(), url, origin: main.origin.clone() };
        Ok(Self { main, queue, arn })
    }

    /// Returns the URL of the dead-letter queue.
    #[must_use]
    pub fn url(&self) -> &str {
        self.queue.url()
    }

    /// Returns how many messages the dead-letter queue holds in each state, approximately.
    ///
    /// # Errors
    /// The queue can't be asked.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        self.queue.depth().await
    }

    /// Receives up to `most` messages and gives them back to the queue.
    pub async fn look(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let found = self.take(most, |_| true).await?;
        for message in &found {
            self.give_back(message).await?;
        }
        Ok(found)
    }

    /// Moves the messages with the id, issue or task key `name` back to the main queue, and returns
    /// how many it moved. The `StartMessageMoveTask` of SQS can only move all messages, so this
    /// function sends and deletes each one itself.
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

    /// Asks SQS to move every message back to the queue from which it came, at no more than
    /// `per_second` messages per second. SQS chooses that queue because the request names no
    /// destination (SQS API Reference, `StartMessageMoveTask`).
    pub async fn redrive_all(&self, per_second: Option<i32>) -> Result<(), QueueError> {
        let request = self
            .queue
            .client
            .start_message_move_task()
            .source_arn(&self.arn)
            .set_max_number_of_messages_per_second(per_second);
        self.queue.call(CALL_TIMEOUT, request.send()).await.map(drop)
    }

    /// Returns the newest move that SQS knows.
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

    /// Cancels a move. Messages that SQS has already moved stay in the main queue (SQS API
    /// Reference, `CancelMessageMoveTask`).
    pub async fn cancel(&self, running: &Move) -> Result<(), QueueError> {
        let request =
            self.queue.client.cancel_message_move_task().set_task_handle(running.handle.clone());
        self.queue.call(CALL_TIMEOUT, request.send()).await.map(drop)
    }

    /// Deletes every message in the dead-letter queue. SQS takes up to 60 seconds for this (SQS API
    /// Reference, `PurgeQueue`).
    pub async fn purge(&self) -> Result<(), QueueError> {
        let request = self.queue.client.purge_queue().queue_url(&self.queue.url);
        self.queue.call(CALL_TIMEOUT, request.send()).await.map(drop)
    }

    /// Receives messages until the queue returns no new one, or until it has `most` that match
    /// `is_wanted`. The function gives the other messages back. It gives them back only at the end,
    /// because SQS would otherwise return the same messages again.
    async fn take(
        &self,
        most: usize,
        is_wanted: impl Fn(&DeadLetter) -> bool,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let (mut wanted, mut others) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let batch = self.receive().await?;
            // SQS may deliver a message more than once ("Amazon SQS at-least-once delivery" in the
            // SQS Developer Guide). The map keeps the newer receive, because only its receipt
            // handle is sure to work.
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
            // Another receiver has the message now, or it is already visible again.
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
