//! The shapes of requests, as serde reads them, and the ranges of their numbers. A field that AWS
//! requires is required here, and other fields that are not known are ignored.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::attributes::Texts;
use crate::broker::BatchEntry;
use crate::error::{Code, Error};
use crate::message::{self, Attribute, Attributes, Content};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateQueue {
    pub(super) queue_name: String,
    #[serde(default)]
    pub(super) attributes: Texts,
    // In this action alone AWS's model has the name in lower case.
    #[serde(default, rename = "tags", alias = "Tags")]
    pub(super) tags: Texts,
}

/// The parameters of an action on a queue that is named.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ByName {
    pub(super) queue_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListQueues {
    #[serde(default)]
    pub(super) queue_name_prefix: String,
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
}

/// The parameters of the actions on a queue by its URL, those that list something included.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ByQueue {
    pub(super) queue_url: String,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
    pub(super) max_results: Option<i64>,
    pub(super) next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetAttributes {
    pub(super) queue_url: String,
    pub(super) attributes: Texts,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) queue_url: String,
    pub(super) tags: Texts,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Untag {
    pub(super) queue_url: String,
    pub(super) tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendMessage {
    pub(super) queue_url: String,
    #[serde(flatten)]
    pub(super) entry: SendEntry,
}

/// What a single send and an entry of a batch have in common.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendEntry {
    message_body: String,
    pub(super) delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: RawAttributes,
    #[serde(default)]
    message_system_attributes: RawAttributes,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
    /// The trace of the request, which is not part of its body.
    #[serde(skip)]
    trace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BatchSendEntry {
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) entry: SendEntry,
}

/// An entry of a batch that deletes messages or changes their visibility.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HandleEntry {
    pub(super) id: String,
    pub(super) receipt_handle: String,
    pub(super) visibility_timeout: Option<i64>,
}

/// The parameters of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entries<E> {
    pub(super) queue_url: String,
    pub(super) entries: Vec<E>,
}

/// The parameters of an action on a message that was received.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ByHandle {
    pub(super) queue_url: String,
    pub(super) receipt_handle: String,
    pub(super) visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Receive {
    pub(super) queue_url: String,
    pub(super) max_number_of_messages: Option<i64>,
    pub(super) visibility_timeout: Option<i64>,
    pub(super) wait_time_seconds: Option<i64>,
    #[serde(default)]
    pub(super) attribute_names: Vec<String>,
    #[serde(default)]
    pub(super) message_system_attribute_names: Vec<String>,
    #[serde(default)]
    pub(super) message_attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartMove {
    pub(super) source_arn: String,
    pub(super) destination_arn: Option<String>,
    pub(super) max_number_of_messages_per_second: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMoves {
    pub(super) source_arn: String,
    pub(super) max_results: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ByMove {
    pub(super) task_handle: String,
}

/// The attributes of a message, by name.
type RawAttributes = BTreeMap<String, RawAttribute>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawAttribute {
    data_type: String,
    string_value: Option<String>,
    binary_value: Option<String>,
    #[serde(default)]
    string_list_values: Vec<Value>,
    #[serde(default)]
    binary_list_values: Vec<Value>,
}

/// What the entries of every batch have in common.
pub(super) trait Entry {
    fn id(&self) -> &str;
}

impl Entry for BatchSendEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Entry for HandleEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl SendEntry {
    /// The same message, sent by a request that is part of a trace.
    pub(super) fn in_trace(self, trace: Option<&str>) -> Self {
        Self { trace: trace.map(str::to_owned), ..self }
    }

    /// The content as the sender gave it, before it is checked against SQS's rules.
    pub(super) fn content(self) -> Result<Content, Error> {
        if self.message_deduplication_id.is_some() {
            // Only FIFO queues look for duplicates. AWS refuses the parameter rather than let a
            // sender believe that its message is stored once.
            return Err(Error::value(
                "The request includes a parameter that is not valid for this queue type: \
                 MessageDeduplicationId.",
            ));
        }
        Ok(Content {
            body: self.message_body,
            attributes: parse_attributes(self.message_attributes)?,
            system_attributes: parse_attributes(self.message_system_attributes)?,
            group: self.message_group_id,
            trace: self.trace,
        })
    }
}

fn parse_attributes(raw: RawAttributes) -> Result<Attributes, Error> {
    raw.into_iter().map(|(name, raw)| Ok((name.clone(), raw.parse(&name)?))).collect()
}

impl RawAttribute {
    fn parse(self, name: &str) -> Result<Attribute, Error> {
        if !self.string_list_values.is_empty() || !self.binary_list_values.is_empty() {
            return Err(Error::new(
                Code::UnsupportedOperation,
                format!("The message attribute '{name}' has a list of values: SQS takes none yet."),
            ));
        }
        let value = match (self.string_value, self.binary_value) {
            (Some(text), None) => message::Value::Text(text),
            (None, Some(encoded)) => match STANDARD.decode(encoded) {
                Ok(bytes) => message::Value::Binary(bytes),
                Err(_) => {
                    return Err(Error::value(format!(
                        "The binary value of message attribute '{name}' is not base64."
                    )));
                }
            },
            _ => {
                return Err(Error::value(format!(
                    "The message attribute '{name}' must contain a non-empty message attribute \
                     value."
                )));
            }
        };
        Ok(Attribute { data_type: self.data_type, value })
    }
}

/// The name of a queue, which is the last part of its URL. Host and account are not looked at: a
/// client may reach this server by another name than the one that the URL was made with.
pub(super) fn name_of(url: &str) -> Result<&str, Error> {
    if url.is_empty() {
        return Err(Error::no_queue());
    }
    let path = url
        .split_once("://")
        .map_or(Some(url), |(_, rest)| rest.split_once('/').map(|(_, path)| path));
    let name = path
        .and_then(|path| path.trim_end_matches('/').rsplit('/').next())
        .filter(|name| !name.is_empty());
    name.ok_or_else(|| {
        Error::new(
            Code::InvalidAddress,
            format!("The address {url} is not valid for this endpoint."),
        )
    })
}

/// A visibility timeout from a number of seconds.
pub(super) fn visibility(seconds: i64) -> Result<Duration, Error> {
    match u64::try_from(seconds) {
        Ok(seconds @ 0..=43_200) => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::value(format!(
            "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between \
             0 and 43200."
        ))),
    }
}

impl TryFrom<SendEntry> for BatchEntry {
    type Error = Error;

    fn try_from(entry: SendEntry) -> Result<Self, Error> {
        let delay = entry.delay_seconds.map(|seconds| match u64::try_from(seconds) {
            Ok(seconds @ 0..=900) => Ok(Duration::from_secs(seconds)),
            _ => Err(Error::value(format!(
                "Value {seconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must \
                 be >= 0 and <= 900."
            ))),
        });
        Ok(Self { content: entry.content()?, delay: delay.transpose()? })
    }
}
