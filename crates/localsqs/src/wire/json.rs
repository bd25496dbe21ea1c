//! AWS's JSON 1.0 protocol: what each action does (the SQS API Reference, "Actions").
//!
//! A body that can't be read, a missing parameter and a number outside its range are refused here.
//! Every other rule belongs to the broker.

mod answers;
mod batch;
mod requests;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::requests::{
    ByHandle, ByMove, ByName, ByQueue, CreateQueue, ListMoves, ListQueues, Receive, SendMessage,
    SetAttributes, StartMove, Tag, Untag, name_of, visibility,
};
use crate::attributes::Texts;
use crate::broker::{Queues, ReceiveRequest};
use crate::clock::Time;
use crate::error::{Code, Error};

/// The actions that the server knows, by AWS's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
pub(super) enum Action {
    CreateQueue,
    GetQueueUrl,
    ListQueues,
    ListDeadLetterSourceQueues,
    DeleteQueue,
    PurgeQueue,
    GetQueueAttributes,
    SetQueueAttributes,
    ListQueueTags,
    TagQueue,
    UntagQueue,
    SendMessage,
    SendMessageBatch,
    ReceiveMessage,
    DeleteMessage,
    DeleteMessageBatch,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
    StartMessageMoveTask,
    ListMessageMoveTasks,
    CancelMessageMoveTask,
}

impl Action {
    /// Whether the action goes on to its end when its caller goes away.
    ///
    /// An action that writes must: memory would otherwise not hear what became of its write. An
    /// action that only reads need not, and so it is answered while writes wait for the disk. A
    /// receive must end with its caller, because it would take messages that nobody processes and
    /// hide them for a whole visibility timeout; it finishes what it has begun by itself.
    pub(super) fn outlives_its_caller(self) -> bool {
        match self {
            Self::CreateQueue
            | Self::DeleteQueue
            | Self::PurgeQueue
            | Self::SetQueueAttributes
            | Self::TagQueue
            | Self::UntagQueue
            | Self::SendMessage
            | Self::SendMessageBatch
            | Self::DeleteMessage
            | Self::DeleteMessageBatch
            | Self::ChangeMessageVisibility
            | Self::ChangeMessageVisibilityBatch
            | Self::StartMessageMoveTask => true,
            Self::GetQueueUrl
            | Self::ListQueues
            | Self::ListDeadLetterSourceQueues
            | Self::GetQueueAttributes
            | Self::ListQueueTags
            | Self::ReceiveMessage
            | Self::ListMessageMoveTasks
            | Self::CancelMessageMoveTask => false,
        }
    }
}

/// What an action uses of a request besides its body.
#[derive(Debug)]
pub(super) struct Caller {
    /// The name by which the caller reached this server; queue URLs repeat it.
    pub(super) host: String,
    /// The trace that the request is part of.
    pub(super) trace: Option<String>,
}

/// Carries an action out, and returns the body of its answer.
pub(super) async fn act(
    queues: &Queues,
    Caller { host, trace }: &Caller,
    action: Action,
    body: &[u8],
) -> Result<Vec<u8>, Error> {
    let now = Time::now();
    let url = |name: &str| format!("http://{host}/{}/{name}", queues.options().account);
    let nothing = |()| json!({});
    let answer = match action {
        Action::CreateQueue => {
            let CreateQueue { queue_name, attributes, tags } = read(body)?;
            queues.create_queue(&queue_name, &attributes, &tags, now).await?;
            json!({ "QueueUrl": url(&queue_name) })
        }
        Action::GetQueueUrl => {
            let ByName { queue_name } = read(body)?;
            queues.exists(&queue_name)?;
            json!({ "QueueUrl": url(&queue_name) })
        }
        Action::ListQueues => {
            let ListQueues { queue_name_prefix, max_results, next_token } = read(body)?;
            answers::page(
                &queues.names(&queue_name_prefix),
                max_results,
                next_token.as_deref(),
                "QueueUrls",
                url,
            )?
        }
        Action::ListDeadLetterSourceQueues => {
            let ByQueue { queue_url, max_results, next_token, .. } = read(body)?;
            let names = queues.dead_letter_sources(name_of(&queue_url)?)?;
            answers::page(&names, max_results, next_token.as_deref(), "queueUrls", url)?
        }
        Action::DeleteQueue => {
            let ByQueue { queue_url, .. } = read(body)?;
            queues.delete_queue(name_of(&queue_url)?, now).await.map(nothing)?
        }
        Action::PurgeQueue => {
            let ByQueue { queue_url, .. } = read(body)?;
            queues.purge(name_of(&queue_url)?, now).await.map(nothing)?
        }
        Action::GetQueueAttributes => {
            let ByQueue { queue_url, attribute_names, .. } = read(body)?;
            answers::attributes(queues.attributes(name_of(&queue_url)?, now)?, &attribute_names)?
        }
        Action::SetQueueAttributes => {
            let SetAttributes { queue_url, attributes } = read(body)?;
            queues.set_attributes(name_of(&queue_url)?, &attributes, now).await.map(nothing)?
        }
        Action::ListQueueTags => {
            let ByQueue { queue_url, .. } = read(body)?;
            answers::tags(&queues.tags(name_of(&queue_url)?)?)
        }
        Action::TagQueue => {
            let Tag { queue_url, tags } = read(body)?;
            queues.tag(name_of(&queue_url)?, &tags, &[]).await.map(nothing)?
        }
        Action::UntagQueue => {
            let Untag { queue_url, tag_keys } = read(body)?;
            queues.tag(name_of(&queue_url)?, &Texts::new(), &tag_keys).await.map(nothing)?
        }
        Action::SendMessage => {
            let SendMessage { queue_url, entry } = read(body)?;
            let entry = entry.in_trace(trace.as_deref()).try_into()?;
            let sent = queues.send(name_of(&queue_url)?, vec![entry], now).await?;
            answers::sent(
                &sent.into_iter().next().unwrap_or_else(|| Err(Error::missing("MessageBody")))?,
            )
        }
        Action::SendMessageBatch => batch::send(queues, read(body)?, trace.as_deref(), now).await?,
        Action::ReceiveMessage => receive(queues, &read(body)?).await?,
        Action::DeleteMessage => {
            let ByHandle { queue_url, receipt_handle, .. } = read(body)?;
            queues.delete(name_of(&queue_url)?, &receipt_handle, now).await.map(nothing)?
        }
        Action::DeleteMessageBatch => batch::delete(queues, read(body)?, now).await?,
        Action::ChangeMessageVisibility => {
            let ByHandle { queue_url, receipt_handle, visibility_timeout } = read(body)?;
            let timeout =
                visibility(visibility_timeout.ok_or_else(|| Error::missing("VisibilityTimeout"))?)?;
            queues
                .change_visibility(name_of(&queue_url)?, &receipt_handle, timeout, now)
                .await
                .map(nothing)?
        }
        Action::ChangeMessageVisibilityBatch => {
            batch::change_visibility(queues, read(body)?, now).await?
        }
        Action::StartMessageMoveTask => {
            let StartMove { source_arn, destination_arn, max_number_of_messages_per_second: rate } =
                read(body)?;
            let destination = destination_arn.as_deref();
            let handle = queues.start_move(&source_arn, destination, rate, now).await?;
            json!({ "TaskHandle": handle })
        }
        Action::ListMessageMoveTasks => {
            let ListMoves { source_arn, max_results } = read(body)?;
            answers::moves(queues.list_moves(&source_arn, max_results.unwrap_or(1))?)
        }
        Action::CancelMessageMoveTask => {
            let ByMove { task_handle } = read(body)?;
            json!({ "ApproximateNumberOfMessagesMoved": queues.cancel_move(&task_handle)? })
        }
    };
    Ok(answer.to_string().into_bytes())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    // An action without parameters may have no body at all.
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    let malformed = |text: String| Error::new(Code::Serialization, text);
    let mut request: Value =
        serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    if !request.is_object() {
        return Err(malformed("The body of a request is a JSON object.".to_owned()));
    }
    remove_nulls(&mut request);
    serde_json::from_value(request).map_err(|error| {
        let text = error.to_string();
        // serde tells a missing field only in its message. AWS has errors of its own for it.
        match text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some("QueueUrl") => Error::no_queue(),
            Some("QueueName") => Error::value(
                "Value for parameter QueueName is invalid. Reason: Must specify a queue name.",
            ),
            Some(field) => Error::missing(field),
            None => malformed(text),
        }
    })
}

/// Removes every member that is null: it counts as absent (Smithy's "AWS JSON 1.0 protocol").
/// Clients in several languages write each member that they do not set in this way.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn receive(queues: &Queues, request: &Receive) -> Result<Value, Error> {
    let asked = request.max_number_of_messages.unwrap_or(1);
    let Ok(most @ 1..=10) = usize::try_from(asked) else {
        return Err(Error::value(format!(
            "Value {asked} for parameter MaxNumberOfMessages is invalid. Reason: Must be between \
             1 and 10, if provided."
        )));
    };
    let wait = request.wait_time_seconds.map(|seconds| match u64::try_from(seconds) {
        Ok(seconds @ 0..=20) => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::value(format!(
            "Value {seconds} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and \
             <= 20, if provided."
        ))),
    });
    let visibility = request.visibility_timeout.map(visibility).transpose()?;
    let wanted = ReceiveRequest { most, visibility, wait: wait.transpose()? };
    let delivered = queues.receive(name_of(&request.queue_url)?, wanted).await?;
    Ok(answers::received(queues, &delivered, request))
}
