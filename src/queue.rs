//! The worker's side of the queue, built on aws-sdk-sqs. It receives messages, extends and releases
//! the lease on them, deletes and sends messages, and reads the attributes of the queue.
//!
//! Only the SDK knows the wire format of AWS, so an SQS-compatible server differs only in its
//! endpoint. Every call has a time limit of its own, because the SDK has none that ends a receive
//! whose connection died. The run decides what happens to a delivery.

mod credentials;
pub mod dead_letters;
mod error;
mod origin;
pub mod settings;

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use jiff::Timestamp;
use md5::{Digest, Md5};

use self::credentials::Learned;
pub use self::error::QueueError;
use self::origin::RequestOrigin;
use self::settings::{CredentialSource, QueueSettings};
use crate::errors;
use crate::language::Phrase;
use crate::redaction::Redaction;
use crate::task::Delivery;
use crate::task::cut::{self, CutBody};

/// The longest time that SQS lets a receive wait for a message (SQS API Reference,
/// `ReceiveMessage`, `WaitTimeSeconds`).
pub const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The time limit of a receive. It is longer than [`LONGEST_WAIT`], so that a receive that finds no
/// message ends before it.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit of every other call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The visibility timeout that AWS gives a queue by default ("Amazon SQS visibility timeout" in the
/// SQS Developer Guide).
const DEFAULT_VISIBILITY: Duration = Duration::from_secs(30);

/// One queue of SQS, or of a server that speaks its protocol.
pub struct Queue {
    client: Client,
    url: String,
    origin: RequestOrigin,
}

/// The attributes of the queue that the worker has to know.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    pub visibility_timeout: Duration,
    /// The number of receives after which SQS moves the message to the dead-letter queue. It is
    /// `None` when the queue has no dead-letter queue.
    pub max_receive_count: Option<u32>,
}

/// The numbers of messages in a queue. SQS gives approximate counts only.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Depth {
    pub waiting: u64,
    pub in_flight: u64,
    pub delayed: u64,
}

impl Queue {
    /// Finds the queue that the settings name. From then on the redaction treats the credentials as
    /// secrets, including those that replace expired ones.
    ///
    /// # Errors
    /// The queue or the credentials are missing, or the endpoint does not answer.
    pub async fn connect(
        settings: &QueueSettings,
        redaction: &Redaction,
    ) -> Result<Self, QueueError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(
            TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).build(),
        );
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if settings.credentials == CredentialSource::Anonymous {
            loader = loader.credentials_provider(Credentials::new(
                "local",
                "local",
                None,
                None,
                "placeholder",
            ));
            loader = loader.region(Region::new(
                settings.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            ));
        }
        if let Some(endpoint) = &settings.endpoint_url {
            loader = loader.endpoint_url(endpoint);
        }
        let found = loader.load().await;
        let origin = RequestOrigin::new(settings, found.region());
        let mut connection = aws_sdk_sqs::config::Builder::from(&found);
        if let Some(credentials) = found.credentials_provider() {
            connection = connection.credentials_provider(Learned::new(credentials, redaction));
        }
        let client = Client::from_conf(connection.build());
        let url = match &settings.url {
            Some(url) => url.clone(),
            None => {
                let answer = call(
                    &settings.name,
                    &origin,
                    CALL_TIMEOUT,
                    client.get_queue_url().queue_name(&settings.name).send(),
                )
                .await?;
                answer.queue_url.ok_or_else(|| QueueError::Missing {
                    queue: settings.name.clone(),
                    origin: origin.phrase(),
                })?
            }
        };
        Ok(Self { client, url, origin })
    }

    /// Returns by which endpoint, region and profile the queue is asked, in words.
    #[must_use]
    pub fn asked_by(&self) -> Phrase {
        self.origin.phrase()
    }

    /// Returns the URL of the queue, by which requests name it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits up to `wait` for a message. The function gives a message that arrives damaged back to
    /// the queue and returns an error.
    ///
    /// SQS hides a received message for the visibility timeout and then delivers it again, unless
    /// the receiver deletes it ("Amazon SQS visibility timeout" in the SQS Developer Guide). The
    /// function asks for one message at a time, because a second one would use up its visibility
    /// timeout while it waits, and because every receive counts towards the redrive policy's
    /// `maxReceiveCount`.
    pub async fn receive(&self, wait: Duration) -> Result<Option<Delivery>, QueueError> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(1)
            .wait_time_seconds(seconds(wait.min(LONGEST_WAIT)))
            .message_attribute_names(cut::TRUNCATED)
            .message_attribute_names(cut::SHA256)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = self.call(RECEIVE_TIMEOUT, request.send()).await?;
        let Some(message) = answer.messages.unwrap_or_default().into_iter().next() else {
            return Ok(None);
        };
        let receive_count = message
            .attributes
            .as_ref()
            .and_then(|attributes| {
                attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount)
            })
            .and_then(|count| count.parse().ok())
            .unwrap_or(1);
        let attribute = |name: &str| message.message_attributes.as_ref()?.get(name)?.string_value();
        let cut = CutBody::from_attributes(attribute(cut::TRUNCATED), attribute(cut::SHA256));
        let delivery = Delivery {
            cut,
            message_id: message.message_id.unwrap_or_default(),
            receipt_handle: message.receipt_handle.unwrap_or_default(),
            receive_count,
            body: message.body.unwrap_or_default(),
            received_at: Timestamp::now(),
        };
        // The SDK does not check the digest of the body (SQS API Reference, `Message`,
        // `MD5OfBody`).
        if message.md5_of_body.is_some_and(|expected| expected != md5(&delivery.body)) {
            self.change_visibility(&delivery, Duration::ZERO).await?;
            return Err(QueueError::Damaged { message_id: delivery.message_id });
        }
        Ok(Some(delivery))
    }

    /// Extends the lease on a delivery to `visibility` from now. Zero makes the message visible to
    /// every receiver at once. The new timeout starts at this call and is not added to the old one.
    /// SQS allows at most 12 hours from the receive ("Amazon SQS visibility timeout" in the SQS
    /// Developer Guide).
    pub async fn change_visibility(
        &self,
        delivery: &Delivery,
        visibility: Duration,
    ) -> Result<(), QueueError> {
        let request = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&delivery.receipt_handle)
            .visibility_timeout(seconds(visibility));
        self.call(CALL_TIMEOUT, request.send()).await.map(drop)
    }

    /// Deletes the message from the queue. The call needs the receipt handle of the newest receive:
    /// after another receive SQS may accept an older handle and still keep the message (SQS API
    /// Reference, `DeleteMessage`).
    pub async fn delete(&self, delivery: &Delivery) -> Result<(), QueueError> {
        let request = self
            .client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&delivery.receipt_handle);
        self.call(CALL_TIMEOUT, request.send()).await.map(drop)
    }

    /// Sends a message body with string attributes and returns the message id.
    pub async fn send(
        &self,
        body: &str,
        attributes: &[(&str, String)],
    ) -> Result<String, QueueError> {
        let mut request = self.client.send_message().queue_url(&self.url).message_body(body);
        for (name, value) in attributes {
            let value =
                MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let value = value.map_err(|invalid| self.failed(invalid.to_string()))?;
            request = request.message_attributes(*name, value);
        }
        Ok(self.call(CALL_TIMEOUT, request.send()).await?.message_id.unwrap_or_default())
    }

    /// Reads the visibility timeout and the redrive policy of the queue.
    pub async fn policy(&self) -> Result<Policy, QueueError> {
        let names = [QueueAttributeName::VisibilityTimeout, QueueAttributeName::RedrivePolicy];
        let attributes = self.attributes(&names).await?;
        let visibility = attributes
            .get(&QueueAttributeName::VisibilityTimeout)
            .and_then(|value| value.parse().ok());
        Ok(Policy {
            visibility_timeout: visibility.map_or(DEFAULT_VISIBILITY, Duration::from_secs),
            max_receive_count: attributes
                .get(&QueueAttributeName::RedrivePolicy)
                .and_then(|policy| max_receive_count(policy)),
        })
    }

    /// Returns how many messages the queue holds in each state, approximately.
    ///
    /// # Errors
    /// The queue can't be asked.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let attributes = self.attributes(&names).await?;
        let [waiting, in_flight, delayed] = names.map(|name| {
            attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or_default()
        });
        Ok(Depth { waiting, in_flight, delayed })
    }

    async fn attributes(
        &self,
        names: &[QueueAttributeName],
    ) -> Result<std::collections::HashMap<QueueAttributeName, String>, QueueError> {
        let request = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .set_attribute_names(Some(names.to_vec()));
        Ok(self.call(CALL_TIMEOUT, request.send()).await?.attributes.unwrap_or_default())
    }

    async fn call<T, E, R>(
        &self,
        limit: Duration,
        request: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, QueueError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        call(&self.url, &self.origin, limit, request).await
    }

    fn failed(&self, message: String) -> QueueError {
        QueueError::Failed { message, origin: self.origin.phrase() }
    }
}

async fn call<T, E, R>(
    queue: &str,
    origin: &RequestOrigin,
    limit: Duration,
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<T, QueueError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    match tokio::time::timeout(limit, request).await {
        Err(_elapsed) => Err(QueueError::TimedOut(limit)),
        Ok(Err(error)) => Err(classify(queue, origin.phrase(), &error)),
        Ok(Ok(answer)) => Ok(answer),
    }
}

/// Translates an error by its code. The codes are those of the SQS API Reference, in "Common
/// Errors" and in the errors of each action.
fn classify<E, R>(queue: &str, origin: Phrase, error: &SdkError<E, R>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if has_no_credentials(error) {
        return QueueError::NoCredentials { origin };
    }
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let message = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::message)
        .map_or_else(|| errors::chain(error), str::to_owned);
    match code {
        "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" => {
            QueueError::Missing { queue: queue.to_owned(), origin }
        }
        "ReceiptHandleIsInvalid"
        | "MessageNotInflight"
        | "AWS.SimpleQueueService.MessageNotInflight" => QueueError::LeaseOver { message },
        // AWS answers this for a receipt handle that expired, because the message was deleted or
        // received again. The worker only sends handles that SQS gave it, so the handle can't be
        // malformed.
        "InvalidParameterValue" if message.contains("parameter ReceiptHandle") => {
            QueueError::LeaseOver { message }
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "InvalidSecurity" => QueueError::Refused { message, origin },
        _ => QueueError::Failed { message, origin },
    }
}

/// Returns whether every provider in the SDK's chain found no credentials. A provider that failed
/// is different, because it may succeed later.
fn has_no_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        matches!(error.downcast_ref(), Some(CredentialsError::CredentialsNotLoaded(_)))
    })
}

/// Reads `maxReceiveCount` of a redrive policy. SQS returns it as a number or as a string.
fn max_receive_count(policy: &str) -> Option<u32> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let count = policy.get("maxReceiveCount")?;
    count.as_u64().map_or_else(|| count.as_str()?.parse().ok(), |count| u32::try_from(count).ok())
}

fn md5(body: &str) -> String {
    Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_says_its_count_as_a_number_or_a_string() {
        assert_eq!(
            max_receive_count(r#"{"deadLetterTargetArn":"a","maxReceiveCount":3}"#),
            Some(3)
        );
        assert_eq!(max_receive_count(r#"{"maxReceiveCount":"5"}"#), Some(5));
        assert_eq!(max_receive_count("{}"), None);
        assert_eq!(max_receive_count("nonsense"), None);
    }
}
