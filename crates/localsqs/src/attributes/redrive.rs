//! The two policies of dead-letter queues: where a queue sends messages that were received too
//! often, and which queues a dead-letter queue takes messages from (the SQS Developer Guide,
//! "Using dead-letter queues in Amazon SQS").

use serde_json::{Value, json};

use crate::error::Error;

const MOST_RECEIVES: u64 = 1_000;
const NOT_A_MAP: &str = "Redrive policy is not a valid JSON map.";

/// What a queue does with a message that was received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedrivePolicy {
    pub(crate) target_arn: String,
    /// After this many receives the next one moves the message instead of delivering it.
    pub(crate) max_receive_count: u32,
}

impl RedrivePolicy {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| refuse("RedrivePolicy", text, reason);
        let policy: Value = serde_json::from_str(text).map_err(|_| refuse(NOT_A_MAP))?;
        let fields = policy.as_object().ok_or_else(|| refuse(NOT_A_MAP))?;
        if fields.len() != 2 {
            return Err(refuse(
                "Only following attributes are required: [deadLetterTargetArn, maxReceiveCount]",
            ));
        }
        let target = fields.get("deadLetterTargetArn").and_then(Value::as_str);
        let target = target.ok_or_else(|| {
            refuse("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
        })?;
        let count = fields.get("maxReceiveCount");
        let count = count.ok_or_else(|| {
            refuse("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
        })?;
        // AWS takes the number as a string, too: its console and Terraform send either.
        let count = count
            .as_u64()
            .or_else(|| count.as_str()?.parse().ok())
            .filter(|count| (1..=MOST_RECEIVES).contains(count));
        let count = count.and_then(|count| u32::try_from(count).ok());
        let max_receive_count = count.ok_or_else(|| {
            refuse("Invalid value for maxReceiveCount: it is a whole number from 1 to 1000.")
        })?;
        Ok(Self { target_arn: target.to_owned(), max_receive_count })
    }

    /// The policy as AWS returns it, with the number as a number however it was given.
    pub(super) fn text(&self) -> String {
        let Self { target_arn, max_receive_count } = self;
        json!({ "deadLetterTargetArn": target_arn, "maxReceiveCount": max_receive_count })
            .to_string()
    }
}

/// Which queues may name a queue as their dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RedriveAllowPolicy {
    All,
    None,
    /// Those with one of these ARNs.
    Queues(Vec<String>),
}

#[derive(Debug, Clone, Copy, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "camelCase")]
enum Permission {
    AllowAll,
    DenyAll,
    ByQueue,
}

impl RedriveAllowPolicy {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| refuse("RedriveAllowPolicy", text, reason);
        let policy: Value =
            serde_json::from_str(text).map_err(|_| refuse("it is not a valid JSON map."))?;
        let permission: Option<Permission> =
            policy.get("redrivePermission").and_then(Value::as_str).and_then(|it| it.parse().ok());
        let sources = policy.get("sourceQueueArns").and_then(Value::as_array);
        match (permission, sources) {
            (Some(Permission::AllowAll), None) => Ok(Self::All),
            (Some(Permission::DenyAll), None) => Ok(Self::None),
            (Some(Permission::ByQueue), Some(sources)) if (1..=10).contains(&sources.len()) => {
                let arns = sources.iter().filter_map(Value::as_str);
                Ok(Self::Queues(arns.map(str::to_owned).collect()))
            }
            (Some(Permission::ByQueue), _) => Err(refuse("byQueue takes 1 to 10 sourceQueueArns.")),
            (Some(Permission::AllowAll | Permission::DenyAll), Some(_)) => {
                Err(refuse("sourceQueueArns goes with byQueue alone."))
            }
            (None, _) => Err(refuse("redrivePermission is allowAll, denyAll or byQueue.")),
        }
    }

    /// The policy as AWS returns it.
    pub(super) fn text(&self) -> String {
        let permission = |permission: Permission| <&str>::from(permission);
        match self {
            Self::All => json!({ "redrivePermission": permission(Permission::AllowAll) }),
            Self::None => json!({ "redrivePermission": permission(Permission::DenyAll) }),
            Self::Queues(arns) => json!({
                "redrivePermission": permission(Permission::ByQueue), "sourceQueueArns": arns,
            }),
        }
        .to_string()
    }

    pub(super) fn allows(&self, source_arn: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Queues(arns) => arns.iter().any(|arn| arn == source_arn),
        }
    }
}

fn refuse(parameter: &str, text: &str, reason: &str) -> Error {
    Error::value(format!("Value {text} for parameter {parameter} is invalid. Reason: {reason}"))
}
