//! A queue's attributes: which there are, what they may be, and how AWS gives them back.
//!
//! Kept as the text that was set, so that a policy comes back as it was given; the ones with a
//! meaning here are read from it. Rules are those of the SQS API Reference, `SetQueueAttributes`
//! and `CreateQueue`. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Code, Error};
use crate::message;

/// The attributes that were set, by name.
pub(crate) type Settings = BTreeMap<String, String>;

/// The whole number that an attribute is when it was not set, and the range it may have.
const NUMBERS: &[(&str, u64, u64, u64)] = &[
    ("VisibilityTimeout", 30, 0, 43_200),
    ("MessageRetentionPeriod", 345_600, 60, 1_209_600),
    ("DelaySeconds", 0, 0, 900),
    ("ReceiveMessageWaitTimeSeconds", 0, 0, 20),
    ("MaximumMessageSize", message::LARGEST as u64, 1_024, message::LARGEST as u64),
];
const KMS_REUSE: (u64, u64) = (60, 86_400);
const MOST_RECEIVES: u64 = 1_000;

/// What a queue does when a message was received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redrive {
    pub target_arn: String,
    pub max_receive_count: u32,
}

/// Holds settings against AWS's rules, and brings each into the form in which AWS gives it back.
///
/// # Errors
/// The first attribute that is not known or can't be what it is.
pub(crate) fn check(settings: &Settings) -> Result<Settings, Error> {
    let by = |name: &str| settings.get(name).map(String::as_str).unwrap_or_default();
    if by("SqsManagedSseEnabled") == "true" && !by("KmsMasterKeyId").is_empty() {
        return Err(Error::new(
            Code::InvalidAttributeValue,
            "You can use one type of server-side encryption (SSE) at one time: either KMS SSE or SQS SSE.",
        ));
    }
    settings.iter().map(|(name, value)| Ok((name.clone(), check_one(name, value)?))).collect()
}

fn check_one(name: &str, value: &str) -> Result<String, Error> {
    if let Some((_, _, least, most)) = NUMBERS.iter().find(|(number, ..)| *number == name) {
        return whole(name, value, *least, *most);
    }
    match name {
        "KmsDataKeyReusePeriodSeconds" => whole(name, value, KMS_REUSE.0, KMS_REUSE.1),
        "KmsMasterKeyId" => Ok(value.to_owned()),
        "SqsManagedSseEnabled" if matches!(value, "true" | "false") => Ok(value.to_owned()),
        "Policy"
            if value.is_empty()
                || serde_json::from_str::<Value>(value).is_ok_and(|policy| policy.is_object()) =>
        {
            Ok(value.to_owned())
        }
        "RedrivePolicy" if value.is_empty() => Ok(String::new()),
        "RedrivePolicy" => parse_redrive(value).map(|(_, text)| text),
        "RedriveAllowPolicy" if value.is_empty() => Ok(String::new()),
        "RedriveAllowPolicy" => check_redrive_allow(value),
        "FifoQueue"
        | "ContentBasedDeduplication"
        | "DeduplicationScope"
        | "FifoThroughputLimit" => {
            Err(Error::new(Code::InvalidAttributeName, format!("Unknown Attribute {name}.")))
        }
        "SqsManagedSseEnabled" | "Policy" => Err(invalid(name)),
        _ => Err(Error::new(Code::InvalidAttributeName, format!("Unknown Attribute {name}."))),
    }
}

fn whole(name: &str, value: &str, least: u64, most: u64) -> Result<String, Error> {
    match value.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
        _ => Err(invalid(name)),
    }
}

fn invalid(name: &str) -> Error {
    Error::new(Code::InvalidAttributeValue, format!("Invalid value for the parameter {name}."))
}

fn parse_redrive(text: &str) -> Result<(Redrive, String), Error> {
    let refuse = |reason: &str| {
        Error::value(format!(
            "Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}"
        ))
    };
    let policy: Value = serde_json::from_str(text)
        .map_err(|_| refuse("Redrive policy is not a valid JSON map."))?;
    let fields =
        policy.as_object().ok_or_else(|| refuse("Redrive policy is not a valid JSON map."))?;
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
    let count = count
        .as_u64()
        .or_else(|| count.as_str()?.parse().ok())
        .filter(|count| (1..=MOST_RECEIVES).contains(count));
    let count = count.and_then(|count| u32::try_from(count).ok());
    let max_receive_count = count.ok_or_else(|| {
        refuse("Invalid value for maxReceiveCount: it is a whole number from 1 to 1000.")
    })?;
    // AWS gives back what was given, without the blanks.
    let compact = policy.to_string();
    Ok((Redrive { target_arn: target.to_owned(), max_receive_count }, compact))
}

fn check_redrive_allow(text: &str) -> Result<String, Error> {
    let refuse = |reason: &str| {
        Error::value(format!(
            "Value {text} for parameter RedriveAllowPolicy is invalid. Reason: {reason}"
        ))
    };
    let policy: Value =
        serde_json::from_str(text).map_err(|_| refuse("it is not a valid JSON map."))?;
    let permission = policy.get("redrivePermission").and_then(Value::as_str).unwrap_or_default();
    let sources = policy.get("sourceQueueArns").and_then(Value::as_array).map(Vec::len);
    match (permission, sources) {
        ("allowAll" | "denyAll", None) => Ok(policy.to_string()),
        ("byQueue", Some(1..=10)) => Ok(policy.to_string()),
        ("byQueue", _) => Err(refuse("byQueue takes 1 to 10 sourceQueueArns.")),
        ("allowAll" | "denyAll", Some(_)) => {
            Err(refuse("sourceQueueArns goes with byQueue alone."))
        }
        _ => Err(refuse("redrivePermission is allowAll, denyAll or byQueue.")),
    }
}

/// Settings after a change. An empty value takes an attribute away, and one way of encryption takes
/// the place of the other.
#[must_use]
pub(crate) fn changed(mut settings: Settings, change: Settings) -> Settings {
    if change.get("KmsMasterKeyId").is_some_and(|key| !key.is_empty()) {
        settings.remove("SqsManagedSseEnabled");
    }
    if change.get("SqsManagedSseEnabled").is_some_and(|on| on == "true") {
        settings.remove("KmsMasterKeyId");
        settings.remove("KmsDataKeyReusePeriodSeconds");
    }
    settings.extend(change);
    settings.retain(|_, value| !value.is_empty());
    settings
}

/// Whether a caller may ask for an attribute of this name.
#[must_use]
pub(crate) fn is_known(name: &str) -> bool {
    NUMBERS.iter().any(|(number, ..)| *number == name)
        || matches!(
            name,
            "Policy"
                | "RedrivePolicy"
                | "RedriveAllowPolicy"
                | "SqsManagedSseEnabled"
                | "KmsMasterKeyId"
                | "KmsDataKeyReusePeriodSeconds"
                | "QueueArn"
                | "CreatedTimestamp"
                | "LastModifiedTimestamp"
                | "ApproximateNumberOfMessages"
                | "ApproximateNumberOfMessagesNotVisible"
                | "ApproximateNumberOfMessagesDelayed"
                | "FifoQueue"
                | "ContentBasedDeduplication"
                | "DeduplicationScope"
                | "FifoThroughputLimit"
        )
}

/// Reads the attributes that have a meaning here.
pub(crate) trait Read {
    fn number(&self, name: &str) -> u64;
    fn seconds(&self, name: &str) -> Duration;
    fn redrive(&self) -> Option<Redrive>;
    fn allows_redrive_from(&self, source_arn: &str) -> bool;
}

impl Read for Settings {
    fn number(&self, name: &str) -> u64 {
        let default = NUMBERS
            .iter()
            .find(|(number, ..)| *number == name)
            .map_or(0, |(_, default, ..)| *default);
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    fn redrive(&self) -> Option<Redrive> {
        let text = self.get("RedrivePolicy").filter(|text| !text.is_empty())?;
        parse_redrive(text).ok().map(|(redrive, _)| redrive)
    }

    fn allows_redrive_from(&self, source_arn: &str) -> bool {
        let Some(text) = self.get("RedriveAllowPolicy").filter(|text| !text.is_empty()) else {
            return true;
        };
        let policy: Value = serde_json::from_str(text).unwrap_or_default();
        match policy.get("redrivePermission").and_then(Value::as_str) {
            Some("denyAll") => false,
            Some("byQueue") => {
                let sources = policy.get("sourceQueueArns").and_then(Value::as_array);
                sources.is_some_and(|sources| {
                    sources.iter().any(|arn| arn.as_str() == Some(source_arn))
                })
            }
            _ => true,
        }
    }
}

/// The attributes as AWS gives them back: numbers with their defaults, the others only when they
/// were set to something.
#[must_use]
pub(crate) fn shown(settings: &Settings) -> Settings {
    let mut shown: Settings = NUMBERS
        .iter()
        .map(|(name, ..)| ((*name).to_owned(), settings.number(name).to_string()))
        .collect();
    let key = settings.get("KmsMasterKeyId").is_some_and(|key| !key.is_empty());
    shown.insert("SqsManagedSseEnabled".to_owned(), (!key).to_string());
    if key {
        shown.insert("KmsDataKeyReusePeriodSeconds".to_owned(), "300".to_owned());
    }
    shown.extend(
        settings
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Settings, Error> {
        check(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn numbers_keep_to_their_range() {
        assert!(set("VisibilityTimeout", "43200").is_ok());
        for (name, value) in [
            ("VisibilityTimeout", "43201"),
            ("VisibilityTimeout", ""),
            ("MessageRetentionPeriod", "59"),
            ("DelaySeconds", "x"),
            ("MaximumMessageSize", "1048577"),
        ] {
            assert_eq!(
                set(name, value).unwrap_err().code,
                Code::InvalidAttributeValue,
                "{name} {value}"
            );
        }
        assert_eq!(set("Nonsense", "1").unwrap_err().code, Code::InvalidAttributeName);
    }

    #[test]
    fn a_redrive_policy_is_given_back_without_blanks() {
        let settings =
            set("RedrivePolicy", r#"{ "deadLetterTargetArn": "arn:x", "maxReceiveCount": 3 }"#)
                .unwrap();
        assert_eq!(
            settings["RedrivePolicy"],
            r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":3}"#
        );
        assert_eq!(settings.redrive().unwrap().max_receive_count, 3);
        for bad in [
            "[]",
            "{}",
            r#"{"deadLetterTargetArn":"a","maxReceiveCount":0}"#,
            r#"{"deadLetterTargetArn":"a","maxReceiveCount":1001}"#,
        ] {
            assert_eq!(
                set("RedrivePolicy", bad).unwrap_err().code,
                Code::InvalidParameterValue,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_dead_letter_queue_says_whose_it_is() {
        let by_queue = set(
            "RedriveAllowPolicy",
            r#"{"redrivePermission":"byQueue","sourceQueueArns":["arn:a"]}"#,
        )
        .unwrap();
        assert!(by_queue.allows_redrive_from("arn:a") && !by_queue.allows_redrive_from("arn:b"));
        assert!(
            !set("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#)
                .unwrap()
                .allows_redrive_from("arn:a")
        );
        assert!(Settings::new().allows_redrive_from("arn:a"));
    }

    #[test]
    fn what_was_never_set_is_shown_only_when_it_has_a_default() {
        let shown = shown(&Settings::new());
        assert_eq!(shown["VisibilityTimeout"], "30");
        assert_eq!(shown["SqsManagedSseEnabled"], "true");
        assert!(!shown.contains_key("Policy") && !shown.contains_key("RedrivePolicy"));
    }
}
