//! The shapes of answers: what AWS puts into each, and what it leaves out when a list or a map
//! would be empty.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::requests::Receive;
use crate::attributes::{self, Texts};
use crate::broker::{Delivered, Queues, Sent};
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::message::{self, Attribute, Attributes};
use crate::store::{MoveRow, MoveStatus};

const MOST_LISTED: usize = 1_000;

/// A page of queue URLs under `key`. When the caller asked for pages and there are more, the answer
/// has the token of the next page: the last name of this one.
pub(super) fn page(
    names: &[String],
    most: Option<i64>,
    token: Option<&str>,
    key: &str,
    url: impl Fn(&str) -> String,
) -> Result<Value, Error> {
    let most = match most.map(usize::try_from) {
        None => None,
        Some(Ok(most @ 1..=MOST_LISTED)) => Some(most),
        Some(_) => {
            return Err(Error::value(format!(
                "MaxResults must be an integer between 1 and {MOST_LISTED}."
            )));
        }
    };
    let after = token.map(|token| {
        let decoded = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.ok_or_else(|| Error::value("Invalid or expired next token."))
    });
    let after = after.transpose()?;
    let mut rest = names.iter().filter(|name| after.as_ref().is_none_or(|after| *name > after));
    let shown: Vec<&String> = rest.by_ref().take(most.unwrap_or(MOST_LISTED)).collect();
    let mut answer = Map::new();
    // AWS's model requires `queueUrls` (ListDeadLetterSourceQueues) and leaves `QueueUrls`
    // (ListQueues) out when it is empty.
    if !shown.is_empty() || key == "queueUrls" {
        answer.insert(key.to_owned(), shown.iter().map(|name| url(name)).collect());
    }
    // AWS returns a token only when MaxResults was given.
    if let (Some(_), Some(_), Some(last)) = (most, rest.next(), shown.last()) {
        answer.insert("NextToken".to_owned(), STANDARD.encode(last).into());
    }
    Ok(Value::Object(answer))
}

/// Those attributes of a queue that the caller asked for.
pub(super) fn attributes(all: Texts, wanted: &[String]) -> Result<Value, Error> {
    if let Some(unknown) = wanted.iter().find(|name| *name != "All" && !attributes::is_known(name))
    {
        return Err(Error::new(
            Code::InvalidAttributeName,
            format!("Unknown Attribute {unknown}."),
        ));
    }
    let shown: Texts = all
        .into_iter()
        .filter(|(name, _)| wanted.iter().any(|wanted| wanted == name || wanted == "All"))
        .collect();
    Ok(if shown.is_empty() { json!({}) } else { json!({ "Attributes": shown }) })
}

/// The answer to `ListQueueTags`.
pub(super) fn tags(tags: &Texts) -> Value {
    if tags.is_empty() { json!({}) } else { json!({ "Tags": tags }) }
}

/// The answer to a send, for one message.
pub(super) fn sent(sent: &Sent) -> Value {
    let mut answer = json!({ "MessageId": sent.message_id, "MD5OfMessageBody": sent.md5_of_body });
    let digests = [
        ("MD5OfMessageAttributes", &sent.md5_of_attributes),
        ("MD5OfMessageSystemAttributes", &sent.md5_of_system_attributes),
    ];
    for (key, digest) in digests {
        if let (Some(digest), Some(answer)) = (digest, answer.as_object_mut()) {
            answer.insert(key.to_owned(), digest.clone().into());
        }
    }
    answer
}

/// The answer to a receive, with the attributes that it asked for.
pub(super) fn received(queues: &Queues, delivered: &[Delivered], request: &Receive) -> Value {
    if delivered.is_empty() {
        return json!({});
    }
    let messages = delivered.iter().map(|delivered| message(queues, delivered, request));
    json!({ "Messages": messages.collect::<Vec<_>>() })
}

fn message(queues: &Queues, delivered: &Delivered, request: &Receive) -> Value {
    let Delivered { message_id, receipt_handle, content, .. } = delivered;
    let mut answer = Map::new();
    answer.insert("MessageId".to_owned(), message_id.clone().into());
    answer.insert("ReceiptHandle".to_owned(), receipt_handle.clone().into());
    answer.insert("MD5OfBody".to_owned(), message::md5_of_body(&content.body).into());
    answer.insert("Body".to_owned(), content.body.clone().into());
    let mut system = system_attributes(queues, delivered);
    // AttributeNames is the older name of MessageSystemAttributeNames. Both are still in use.
    let asked = request.attribute_names.iter().chain(&request.message_system_attribute_names);
    let asked: Vec<&str> = asked.map(String::as_str).collect();
    system.retain(|name, _| asked.iter().any(|asked| asked == name || *asked == "All"));
    if !system.is_empty() {
        answer.insert("Attributes".to_owned(), json!(system));
    }
    let chosen = selected(&content.attributes, &request.message_attribute_names);
    // A client computes the digest from the attributes that it gets, so those that it did not ask
    // for are not part of it.
    if let Some(digest) =
        message::md5_of_attributes(chosen.iter().map(|(name, attribute)| (*name, *attribute)))
    {
        answer.insert("MD5OfMessageAttributes".to_owned(), digest.into());
        let shown = chosen.into_iter().map(|(name, attribute)| (name.clone(), show(attribute)));
        answer.insert("MessageAttributes".to_owned(), Value::Object(shown.collect()));
    }
    Value::Object(answer)
}

fn system_attributes(queues: &Queues, delivered: &Delivered) -> BTreeMap<&'static str, String> {
    let Delivered { content, entry, source_arn, .. } = delivered;
    let millis = |time: Time| time.millis().to_string();
    let mut system = BTreeMap::from([
        ("SenderId", queues.options().account.clone()),
        ("SentTimestamp", millis(entry.sent_at)),
        ("ApproximateReceiveCount", entry.receive_count.to_string()),
    ]);
    system.extend(
        entry.first_received_at.map(|time| ("ApproximateFirstReceiveTimestamp", millis(time))),
    );
    system.extend(source_arn.clone().map(|arn| ("DeadLetterQueueSourceArn", arn)));
    for name in [message::TRACE_HEADER, message::GROUP] {
        if let Some(Attribute { value: message::Value::Text(text), .. }) =
            content.system_attributes.get(name)
        {
            system.insert(name, text.clone());
        }
    }
    system
}

/// The answer to `ListMessageMoveTasks`.
pub(super) fn moves(tasks: Vec<MoveRow>) -> Value {
    json!({ "Results": tasks.into_iter().map(move_task).collect::<Vec<_>>() })
}

fn move_task(task: MoveRow) -> Value {
    let mut shown = json!({
        "Status": task.status.to_string(),
        "SourceArn": task.source_arn,
        "StartedTimestamp": task.started_at.millis(),
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
    });
    if let Some(fields) = shown.as_object_mut() {
        // AWS shows the handle only of a task that can still be cancelled.
        fields.extend(
            (task.status == MoveStatus::Running)
                .then(|| ("TaskHandle".to_owned(), task.handle.into())),
        );
        fields.extend(task.destination_arn.map(|arn| ("DestinationArn".to_owned(), arn.into())));
        fields.extend(
            task.per_second.map(|rate| ("MaxNumberOfMessagesPerSecond".to_owned(), rate.into())),
        );
        fields.extend(task.failure.map(|failure| ("FailureReason".to_owned(), failure.into())));
    }
    shown
}

fn show(attribute: &Attribute) -> Value {
    match &attribute.value {
        message::Value::Text(text) => {
            json!({ "DataType": attribute.data_type, "StringValue": text })
        }
        message::Value::Binary(bytes) => {
            json!({ "DataType": attribute.data_type, "BinaryValue": STANDARD.encode(bytes) })
        }
    }
}

/// The attributes that a receiver asked for: by name, by a prefix before `.*`, or all of them. AWS
/// documents `All` and `.*` for all of them, and takes `*` as well.
fn selected<'a>(
    attributes: &'a Attributes,
    wanted: &[String],
) -> BTreeMap<&'a String, &'a Attribute> {
    let asked = |name: &str| {
        wanted.iter().any(|pattern| match pattern.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => pattern == "All" || pattern == "*" || pattern == name,
        })
    };
    attributes.iter().filter(|(name, _)| asked(name)).collect()
}
