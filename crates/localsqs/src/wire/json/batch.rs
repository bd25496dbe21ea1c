//! Batches: a request that is wrong as a whole is refused, and otherwise each of its entries has an
//! answer of its own (the SQS API Reference, `SendMessageBatch` and the other batches).

use serde_json::{Value, json};

use super::answers;
use super::requests::{BatchSendEntry, Entries, Entry, HandleEntry, name_of, visibility};
use crate::broker::{BatchEntry, Queues};
use crate::clock::Time;
use crate::error::{Code, Error};
use crate::message;

const MOST_ENTRIES: usize = 10;

/// Sends the entries together. Those that can't be sent do not keep the others from being sent.
pub(super) async fn send(
    queues: &Queues,
    request: Entries<BatchSendEntry>,
    trace: Option<&str>,
    now: Time,
) -> Result<Value, Error> {
    let Entries { queue_url, entries } = request;
    check(&entries)?;
    let (mut answers, mut sending, mut size) = (Vec::new(), Vec::new(), 0);
    for BatchSendEntry { id, entry } in entries {
        match BatchEntry::try_from(entry.in_trace(trace)) {
            Ok(entry) => {
                size += entry.content.size();
                sending.push((id, entry));
            }
            Err(error) => answers.push((id, Err(error))),
        }
    }
    // The limit is on the whole batch, and not on each entry alone.
    if size > message::LARGEST {
        let message = format!(
            "Batch requests cannot be longer than {} bytes. You have sent {size} bytes.",
            message::LARGEST
        );
        return Err(Error::new(Code::BatchRequestTooLong, message));
    }
    let (ids, batch): (Vec<_>, Vec<_>) = sending.into_iter().unzip();
    let sent = queues.send(name_of(&queue_url)?, batch, now).await?;
    answers.extend(
        ids.into_iter().zip(sent.into_iter().map(|sent| sent.map(|sent| answers::sent(&sent)))),
    );
    Ok(answer(answers))
}

/// Deletes the messages one after the other.
pub(super) async fn delete(
    queues: &Queues,
    request: Entries<HandleEntry>,
    now: Time,
) -> Result<Value, Error> {
    let Entries { queue_url, entries } = request;
    check(&entries)?;
    let name = name_of(&queue_url)?;
    queues.exists(name)?;
    let mut answers = Vec::new();
    for entry in entries {
        let deleted = queues.delete(name, &entry.receipt_handle, now).await;
        answers.push((entry.id, deleted.map(|()| json!({}))));
    }
    Ok(answer(answers))
}

/// Changes the visibility of the messages one after the other.
pub(super) async fn change_visibility(
    queues: &Queues,
    request: Entries<HandleEntry>,
    now: Time,
) -> Result<Value, Error> {
    let Entries { queue_url, entries } = request;
    check(&entries)?;
    let name = name_of(&queue_url)?;
    queues.exists(name)?;
    let mut answers = Vec::new();
    for entry in entries {
        let changed =
            match entry.visibility_timeout.ok_or_else(|| Error::missing("VisibilityTimeout")) {
                Ok(seconds) => match visibility(seconds) {
                    Ok(timeout) => {
                        queues.change_visibility(name, &entry.receipt_handle, timeout, now).await
                    }
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
        answers.push((entry.id, changed.map(|()| json!({}))));
    }
    Ok(answer(answers))
}

/// Checks what must hold for the entries together, before any of them is carried out.
fn check<E: Entry>(entries: &[E]) -> Result<(), Error> {
    if entries.is_empty() {
        return Err(Error::new(
            Code::EmptyBatchRequest,
            "There should be at least one entry in the request.",
        ));
    }
    if entries.len() > MOST_ENTRIES {
        let message = format!(
            "Maximum number of entries per request are {MOST_ENTRIES}. You have sent {}.",
            entries.len()
        );
        return Err(Error::new(Code::TooManyEntriesInBatchRequest, message));
    }
    for (position, entry) in entries.iter().enumerate() {
        let id = entry.id();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=80).contains(&id.len()) || !id.bytes().all(allowed) {
            let message = "A batch entry id can only contain alphanumeric characters, hyphens \
                           and underscores. It can be at most 80 letters long.";
            return Err(Error::new(Code::InvalidBatchEntryId, message));
        }
        if entries.iter().take(position).any(|other| other.id() == id) {
            return Err(Error::new(Code::BatchEntryIdsNotDistinct, format!("Id {id} repeated.")));
        }
    }
    Ok(())
}

/// The answer to a batch. A list that would be empty is left out, because callers ask whether there
/// is a `Failed`.
fn answer(answers: Vec<(String, Result<Value, Error>)>) -> Value {
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
                failed.push(json!({
                    "Id": id,
                    "Code": code.query_name(),
                    "Message": message,
                    "SenderFault": code.status() < 500,
                }));
            }
        }
    }
    let lists = [("Successful", successful), ("Failed", failed)];
    lists
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(key, list)| (key, Value::from(list)))
        .collect()
}
