//! AWS's JSON 1.0 protocol: each action's request and answer (the SQS API Reference, "Actions").

mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use self::requests::{
    ByHandle, ByMove, ByName, ByQueue, ByTags, CreateQueue, Entries, HandleEntry, ListQueues, Receive, SendEntry,
    SendMessage, StartMove,
};
use crate::attributes::Settings;
use crate::broker::{BatchEntry, Delivered, Queues, ReceiveRequest, Sent, selected};
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::message::{self, Attribute, Attributes};

const MOST_ENTRIES: usize = 10;
const MOST_LISTED: usize = 1_000;

/// Does what the action asks, and returns the answer's body.
pub(super) async fn act(queues: &Queues, host: &str, action: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    let now = Time::now();
    let url = |name: &str| format!("http://{host}/{}/{name}", queues.options().account);
    let answer = match action {
        "CreateQueue" => {
            let CreateQueue { queue_name, attributes, tags } = read(body)?;
            queues.create_queue(&queue_name, &attributes, &tags, now).await?;
            json!({ "QueueUrl": url(&queue_name) })
        }
        "GetQueueUrl" => {
            let ByName { queue_name } = read(body)?;
            queues.exists(&queue_name)?;
            json!({ "QueueUrl": url(&queue_name) })
        }
        "ListQueues" => {
            let ListQueues { queue_name_prefix, max_results, next_token } = read(body)?;
            let names = queues.names(&queue_name_prefix);
            page(&names, max_results, next_token.as_deref(), "QueueUrls", url)?
        }
        "ListDeadLetterSourceQueues" => {
            let ByQueue { queue_url, max_results, next_token, .. } = read(body)?;
            let names = queues.dead_letter_sources(name_of(&queue_url)?)?;
            page(&names, max_results, next_token.as_deref(), "queueUrls", url)?
        }
        "DeleteQueue" => {
            let ByQueue { queue_url, .. } = read(body)?;
            queues.delete_queue(name_of(&queue_url)?).await?;
            Value::Null
        }
        "PurgeQueue" => {
            let ByQueue { queue_url, .. } = read(body)?;
            queues.purge(name_of(&queue_url)?, now).await?;
            Value::Null
        }
        "GetQueueAttributes" => {
            let ByQueue { queue_url, attribute_names, .. } = read(body)?;
            attributes(queues.attributes(name_of(&queue_url)?, now)?, &attribute_names)?
        }
        "SetQueueAttributes" => {
            let requests::SetAttributes { queue_url, attributes } = read(body)?;
            queues.set_attributes(name_of(&queue_url)?, &attributes, now).await?;
            Value::Null
        }
        "ListQueueTags" => {
            let ByQueue { queue_url, .. } = read(body)?;
            let tags = queues.tags(name_of(&queue_url)?)?;
            if tags.is_empty() { json!({}) } else { json!({ "Tags": tags }) }
        }
        "TagQueue" | "UntagQueue" => {
            let ByTags { queue_url, tags, tag_keys } = read(body)?;
            queues.tag(name_of(&queue_url)?, &tags, &tag_keys).await?;
            Value::Null
        }
        "SendMessage" => {
            let SendMessage { queue_url, entry } = read(body)?;
            let sent = queues.send(name_of(&queue_url)?, vec![entry.try_into()?], now).await?;
            sent_answer(&sent.into_iter().next().unwrap_or_else(|| Err(Error::missing("MessageBody")))?)
        }
        "SendMessageBatch" => send_batch(queues, read(body)?, now).await?,
        "ReceiveMessage" => return receive(queues, read(body)?).await,
        "DeleteMessage" => {
            let ByHandle { queue_url, receipt_handle, .. } = read(body)?;
            queues.delete(name_of(&queue_url)?, &receipt_handle).await?;
            Value::Null
        }
        "ChangeMessageVisibility" => {
            let ByHandle { queue_url, receipt_handle, visibility_timeout } = read(body)?;
            change_visibility(queues, &queue_url, &receipt_handle, visibility_timeout, now).await?;
            Value::Null
        }
        "DeleteMessageBatch" => {
            let Entries { queue_url, entries } = read::<Entries<HandleEntry>>(body)?;
            check_batch(&entries)?;
            let mut answers = Vec::new();
            for entry in entries {
                let deleted = queues.delete(name_of(&queue_url)?, &entry.receipt_handle).await;
                answers.push((entry.id, deleted.map(|()| json!({}))));
            }
            batch_answer(answers)
        }
        "ChangeMessageVisibilityBatch" => {
            let Entries { queue_url, entries } = read::<Entries<HandleEntry>>(body)?;
            check_batch(&entries)?;
            let mut answers = Vec::new();
            for entry in entries {
                let changed =
                    change_visibility(queues, &queue_url, &entry.receipt_handle, entry.visibility_timeout, now).await;
                answers.push((entry.id, changed.map(|()| json!({}))));
            }
            batch_answer(answers)
        }
        "StartMessageMoveTask" => {
            let StartMove { source_arn, destination_arn, max_number_of_messages_per_second } = read(body)?;
            let rate = max_number_of_messages_per_second;
            json!({ "TaskHandle": queues.start_move(&source_arn, destination_arn.as_deref(), rate, now).await? })
        }
        "ListMessageMoveTasks" => {
            let ByMove { source_arn, max_results, .. } = read(body)?;
            json!({ "Results": moves(queues, &source_arn, max_results.unwrap_or(1))? })
        }
        "CancelMessageMoveTask" => {
            let ByMove { task_handle, .. } = read(body)?;
            json!({ "ApproximateNumberOfMessagesMoved": queues.cancel_move(&task_handle)? })
        }
        _ => {
            let message = format!(
                "The action or operation requested is invalid. Verify that the action is typed correctly: {action}."
            );
            return Err(Error::new(Code::InvalidAction, message));
        }
    };
    Ok(if answer.is_null() { b"{}".to_vec() } else { answer.to_string().into_bytes() })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(field) => Error::missing(field),
            None => Error::new(Code::Serialization, text),
        }
    })
}

/// A queue's name is the last part of its URL; host and account are the caller's affair.
fn name_of(url: &str) -> Result<&str, Error> {
    let name = url.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
    name.ok_or_else(|| {
        Error::new(Code::QueueDoesNotExist, format!("The address {url} is not valid for this endpoint."))
    })
}

fn visibility(seconds: i64) -> Result<Duration, Error> {
    match u64::try_from(seconds) {
        Ok(seconds @ 0..=43_200) => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::value(format!(
            "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200."
        ))),
    }
}

fn page(
    names: &[String],
    most: Option<usize>,
    token: Option<&str>,
    key: &str,
    url: impl Fn(&str) -> String,
) -> Result<Value, Error> {
    if most.is_some_and(|most| !(1..=MOST_LISTED).contains(&most)) {
        return Err(Error::value(format!("MaxResults must be an integer between 1 and {MOST_LISTED}.")));
    }
    let after = token.map(|token| {
        let decoded = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.ok_or_else(|| Error::value("Invalid or expired next token."))
    });
    let after = after.transpose()?;
    let rest: Vec<&String> = names.iter().filter(|name| after.as_ref().is_none_or(|after| *name > after)).collect();
    let shown: Vec<&String> = rest.iter().copied().take(most.unwrap_or(MOST_LISTED)).collect();
    let mut answer = Map::new();
    if !shown.is_empty() || key == "queueUrls" {
        answer.insert(key.to_owned(), shown.iter().map(|name| url(name)).collect());
    }
    // Without MaxResults AWS gives no token.
    if let (Some(_), true, Some(last)) = (most, shown.len() < rest.len(), shown.last()) {
        answer.insert("NextToken".to_owned(), STANDARD.encode(last).into());
    }
    Ok(Value::Object(answer))
}

fn attributes(all: Settings, wanted: &[String]) -> Result<Value, Error> {
    let known = |name: &str| crate::attributes::is_known(name);
    if let Some(unknown) = wanted.iter().find(|name| *name != "All" && !known(name)) {
        return Err(Error::new(Code::InvalidAttributeName, format!("Unknown Attribute {unknown}.")));
    }
    let shown: Settings =
        all.into_iter().filter(|(name, _)| wanted.iter().any(|wanted| wanted == name || wanted == "All")).collect();
    Ok(if shown.is_empty() { json!({}) } else { json!({ "Attributes": shown }) })
}

impl TryFrom<SendEntry> for BatchEntry {
    type Error = Error;

    fn try_from(entry: SendEntry) -> Result<Self, Error> {
        let delay = entry.delay_seconds.map(|seconds| match u64::try_from(seconds) {
            Ok(seconds @ 0..=900) => Ok(Duration::from_secs(seconds)),
            _ => Err(Error::value(format!(
                "Value {seconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
            ))),
        });
        Ok(Self { content: entry.content()?, delay: delay.transpose()? })
    }
}

fn sent_answer(sent: &Sent) -> Value {
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

/// What the entries of any batch have in common.
trait Entry {
    fn id(&self) -> &str;
}

fn check_batch<E: Entry>(entries: &[E]) -> Result<(), Error> {
    if entries.is_empty() {
        return Err(Error::new(Code::EmptyBatchRequest, "There should be at least one entry in the request."));
    }
    if entries.len() > MOST_ENTRIES {
        let message =
            format!("Maximum number of entries per request are {MOST_ENTRIES}. You have sent {}.", entries.len());
        return Err(Error::new(Code::TooManyEntriesInBatchRequest, message));
    }
    for (position, entry) in entries.iter().enumerate() {
        let id = entry.id();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=80).contains(&id.len()) || !id.bytes().all(allowed) {
            let message = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.";
            return Err(Error::new(Code::InvalidBatchEntryId, message));
        }
        if entries.iter().take(position).any(|other| other.id() == id) {
            return Err(Error::new(Code::BatchEntryIdsNotDistinct, format!("Id {id} repeated.")));
        }
    }
    Ok(())
}

async fn change_visibility(
    queues: &Queues,
    queue_url: &str,
    handle: &str,
    timeout: Option<i64>,
    now: Time,
) -> Result<(), Error> {
    let visibility = visibility(timeout.ok_or_else(|| Error::missing("VisibilityTimeout"))?)?;
    queues.change_visibility(name_of(queue_url)?, handle, visibility, now).await
}

fn batch_answer(answers: Vec<(String, Result<Value, Error>)>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, answer) in answers {
        match answer {
            Ok(mut entry) => {
                if let Some(entry) = entry.as_object_mut() {
                    entry.insert("Id".to_owned(), id.into());
                }
                successful.push(entry);
            }
            Err(Error { code, message }) => {
                let sender = code.status() < 500;
                failed.push(json!({ "Id": id, "Code": code.query_name(), "Message": message, "SenderFault": sender }));
            }
        }
    }
    let mut answer = json!({ "Successful": successful });
    if let (false, Some(answer)) = (failed.is_empty(), answer.as_object_mut()) {
        answer.insert("Failed".to_owned(), failed.into());
    }
    answer
}

async fn send_batch(queues: &Queues, request: Entries<requests::BatchSendEntry>, now: Time) -> Result<Value, Error> {
    let Entries { queue_url, entries } = request;
    check_batch(&entries)?;
    let (mut answers, mut sending, mut size) = (Vec::new(), Vec::new(), 0);
    for requests::BatchSendEntry { id, entry } in entries {
        match BatchEntry::try_from(entry) {
            Ok(entry) => {
                size += entry.content.size();
                sending.push((id, entry));
            }
            Err(error) => answers.push((id, Err(error))),
        }
    }
    if size > message::LARGEST {
        let message =
            format!("Batch requests cannot be longer than {} bytes. You have sent {size} bytes.", message::LARGEST);
        return Err(Error::new(Code::BatchRequestTooLong, message));
    }
    let (ids, batch): (Vec<_>, Vec<_>) = sending.into_iter().unzip();
    let sent = queues.send(name_of(&queue_url)?, batch, now).await?;
    answers.extend(ids.into_iter().zip(sent.into_iter().map(|sent| sent.map(|sent| sent_answer(&sent)))));
    Ok(batch_answer(answers))
}

async fn receive(queues: &Queues, request: Receive) -> Result<Vec<u8>, Error> {
    let Receive { queue_url, max_number_of_messages, visibility_timeout, wait_time_seconds, .. } = &request;
    let asked = max_number_of_messages.unwrap_or(1);
    let Ok(most @ 1..=10) = usize::try_from(asked) else {
        return Err(Error::value(format!(
            "Value {asked} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
        )));
    };
    let wait = wait_time_seconds.map(|seconds| match u64::try_from(seconds) {
        Ok(seconds @ 0..=20) => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::value(format!(
            "Value {seconds} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
        ))),
    });
    let visibility = visibility_timeout.map(visibility).transpose()?;
    let wanted = ReceiveRequest { most, visibility, wait: wait.transpose()? };
    let delivered = queues.receive(name_of(queue_url)?, wanted).await?;
    if delivered.is_empty() {
        return Ok(b"{}".to_vec());
    }
    let messages: Vec<Value> = delivered.iter().map(|delivered| message_answer(queues, delivered, &request)).collect();
    Ok(json!({ "Messages": messages }).to_string().into_bytes())
}

fn message_answer(queues: &Queues, delivered: &Delivered, request: &Receive) -> Value {
    let Delivered { message_id, receipt_handle, content, entry, source_arn } = delivered;
    let mut answer = Map::new();
    answer.insert("MessageId".to_owned(), message_id.clone().into());
    answer.insert("ReceiptHandle".to_owned(), receipt_handle.clone().into());
    answer.insert("MD5OfBody".to_owned(), message::md5_of_body(&content.body).into());
    answer.insert("Body".to_owned(), content.body.clone().into());
    let millis = |time: Time| time.millis().to_string();
    let mut system = BTreeMap::from([
        ("SenderId", queues.options().account.clone()),
        ("SentTimestamp", millis(entry.sent_at)),
        ("ApproximateReceiveCount", entry.receive_count.to_string()),
    ]);
    system.extend(entry.first_received_at.map(|time| ("ApproximateFirstReceiveTimestamp", millis(time))));
    system.extend(source_arn.clone().map(|arn| ("DeadLetterQueueSourceArn", arn)));
    if let Some(Attribute { value: message::Value::Text(header), .. }) = content.system_attributes.get("AWSTraceHeader")
    {
        system.insert("AWSTraceHeader", header.clone());
    }
    let asked = |name: &str| {
        request
            .attribute_names
            .iter()
            .chain(&request.message_system_attribute_names)
            .any(|asked| asked == name || asked == "All")
    };
    system.retain(|name, _| asked(name));
    if !system.is_empty() {
        answer.insert("Attributes".to_owned(), json!(system));
    }
    let chosen = selected(&content.attributes, &request.message_attribute_names);
    if let Some(digest) = message::md5_of_attributes(chosen.iter().map(|(name, attribute)| (*name, *attribute))) {
        answer.insert("MD5OfMessageAttributes".to_owned(), digest.into());
        let shown = chosen.into_iter().map(|(name, attribute)| (name.clone(), requests::show(attribute)));
        answer.insert("MessageAttributes".to_owned(), Value::Object(shown.collect()));
    }
    Value::Object(answer)
}

fn moves(queues: &Queues, source_arn: &str, most: usize) -> Result<Vec<Value>, Error> {
    let tasks = queues.list_moves(source_arn, most)?;
    let show = |task: crate::store::MoveRow| {
        let mut shown = json!({
            "Status": task.status, "SourceArn": task.source_arn, "StartedTimestamp": task.started_at.millis(),
            "ApproximateNumberOfMessagesMoved": task.moved, "ApproximateNumberOfMessagesToMove": task.to_move,
        });
        if let Some(fields) = shown.as_object_mut() {
            // Only a task that can still be cancelled shows its handle.
            fields.extend((task.status == "RUNNING").then(|| ("TaskHandle".to_owned(), task.handle.into())));
            fields.extend(task.destination_arn.map(|arn| ("DestinationArn".to_owned(), arn.into())));
            fields.extend(task.per_second.map(|rate| ("MaxNumberOfMessagesPerSecond".to_owned(), rate.into())));
            fields.extend(task.failure.map(|failure| ("FailureReason".to_owned(), failure.into())));
        }
        shown
    };
    Ok(tasks.into_iter().map(show).collect())
}

/// The attributes of a request, by name.
type RawAttributes = BTreeMap<String, requests::RawAttribute>;

fn parse_attributes(raw: RawAttributes) -> Result<Attributes, Error> {
    raw.into_iter().map(|(name, raw)| Ok((name.clone(), raw.parse(&name)?))).collect()
}
