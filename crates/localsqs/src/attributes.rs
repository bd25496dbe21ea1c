//! The attributes of a queue: which there are, what values they may have, and how AWS returns
//! them.
//!
//! A queue keeps the texts that were set, because a policy must be returned as it was given.
//! [`QueueSettings`] holds those texts together with what they mean, and can only be made from
//! texts that obey the rules. The rules are those of the SQS API Reference, `SetQueueAttributes`
//! and `CreateQueue`. This module does no I/O.

mod redrive;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Code, Error};
use crate::message;

use self::redrive::RedriveAllowPolicy;

pub(crate) use self::redrive::RedrivePolicy;

/// Attributes or tags as requests, answers and the disk have them: texts by name.
pub(crate) type Texts = BTreeMap<String, String>;

/// The names of attributes that a caller may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
enum Name {
    VisibilityTimeout,
    MessageRetentionPeriod,
    DelaySeconds,
    ReceiveMessageWaitTimeSeconds,
    MaximumMessageSize,
    Policy,
    RedrivePolicy,
    RedriveAllowPolicy,
    SqsManagedSseEnabled,
    KmsMasterKeyId,
    KmsDataKeyReusePeriodSeconds,
    // The server computes these. Nobody can set them.
    QueueArn,
    CreatedTimestamp,
    LastModifiedTimestamp,
    ApproximateNumberOfMessages,
    ApproximateNumberOfMessagesNotVisible,
    ApproximateNumberOfMessagesDelayed,
    // FIFO queues have these. A standard queue knows their names and never has a value for them.
    FifoQueue,
    ContentBasedDeduplication,
    DeduplicationScope,
    FifoThroughputLimit,
}

/// An attribute whose value is a whole number.
struct Number {
    name: Name,
    default: u64,
    range: RangeInclusive<u64>,
}

const VISIBILITY_TIMEOUT: Number =
    Number { name: Name::VisibilityTimeout, default: 30, range: 0..=43_200 };
const RETENTION: Number =
    Number { name: Name::MessageRetentionPeriod, default: 345_600, range: 60..=1_209_600 };
const DELAY: Number = Number { name: Name::DelaySeconds, default: 0, range: 0..=900 };
const RECEIVE_WAIT: Number =
    Number { name: Name::ReceiveMessageWaitTimeSeconds, default: 0, range: 0..=20 };
const MAXIMUM_MESSAGE_SIZE: Number = Number {
    name: Name::MaximumMessageSize,
    default: message::LARGEST as u64,
    range: 1_024..=message::LARGEST as u64,
};
const KMS_REUSE: Number =
    Number { name: Name::KmsDataKeyReusePeriodSeconds, default: 300, range: 60..=86_400 };

/// The numbers that AWS returns for every queue, with their defaults when they were not set.
const ALWAYS_SHOWN: [&Number; 5] =
    [&VISIBILITY_TIMEOUT, &RETENTION, &DELAY, &RECEIVE_WAIT, &MAXIMUM_MESSAGE_SIZE];

/// What was set for a queue, checked against AWS's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueSettings {
    texts: Texts,
    visibility_timeout: Duration,
    retention: Duration,
    delay: Duration,
    receive_wait: Duration,
    maximum_message_size: usize,
    redrive: Option<RedrivePolicy>,
    redrive_allow: RedriveAllowPolicy,
}

impl QueueSettings {
    /// Checks attributes against AWS's rules and brings each into the form in which AWS returns
    /// it.
    ///
    /// # Errors
    /// The first attribute that is not known or has a value that it can't have.
    pub(crate) fn parse(texts: &Texts) -> Result<Self, Error> {
        let has = |name: Name, is: &dyn Fn(&str) -> bool| text(texts, name).is_some_and(is);
        if has(Name::SqsManagedSseEnabled, &|value| value == "true")
            && has(Name::KmsMasterKeyId, &|key| !key.is_empty())
        {
            return Err(Error::new(
                Code::InvalidAttributeValue,
                "You can use one type of server-side encryption (SSE) at one time: \
                 either KMS SSE or SQS SSE.",
            ));
        }
        let texts: Texts = texts
            .iter()
            .map(|(name, value)| Ok((name.clone(), canonical(name, value)?)))
            .collect::<Result<_, Error>>()?;
        let seconds = |number: &Number| number.of(&texts).map(Duration::from_secs);
        let set = |name: Name| text(&texts, name).filter(|text| !text.is_empty());
        Ok(Self {
            visibility_timeout: seconds(&VISIBILITY_TIMEOUT)?,
            retention: seconds(&RETENTION)?,
            delay: seconds(&DELAY)?,
            receive_wait: seconds(&RECEIVE_WAIT)?,
            maximum_message_size: usize::try_from(MAXIMUM_MESSAGE_SIZE.of(&texts)?)
                .unwrap_or(message::LARGEST),
            redrive: set(Name::RedrivePolicy).map(RedrivePolicy::parse).transpose()?,
            redrive_allow: set(Name::RedriveAllowPolicy)
                .map_or(Ok(RedriveAllowPolicy::All), RedriveAllowPolicy::parse)?,
            texts,
        })
    }

    /// The settings after `change`. An empty value removes an attribute, and each of the two kinds
    /// of encryption replaces the other.
    ///
    /// # Errors
    /// The two together break a rule that each of them obeys.
    pub(crate) fn changed(&self, change: &Self) -> Result<Self, Error> {
        let mut texts = self.texts.clone();
        if text(&change.texts, Name::KmsMasterKeyId).is_some_and(|key| !key.is_empty()) {
            texts.remove(<&str>::from(Name::SqsManagedSseEnabled));
        }
        if text(&change.texts, Name::SqsManagedSseEnabled).is_some_and(|on| on == "true") {
            texts.remove(<&str>::from(Name::KmsMasterKeyId));
            texts.remove(<&str>::from(Name::KmsDataKeyReusePeriodSeconds));
        }
        texts.extend(change.texts.clone());
        texts.retain(|_, value| !value.is_empty());
        Self::parse(&texts)
    }

    /// The settings with every ARN of the policies on dead letters put through `rename`. A `Policy`
    /// stays as it was given.
    pub(crate) fn with_arns(&self, rename: impl Fn(&str) -> String) -> Self {
        let mut renamed = self.clone();
        let mut policies = Vec::new();
        if let Some(policy) = &mut renamed.redrive {
            policy.target_arn = rename(&policy.target_arn);
            policies.push((Name::RedrivePolicy, policy.text()));
        }
        if let RedriveAllowPolicy::Queues(arns) = &mut renamed.redrive_allow {
            arns.iter_mut().for_each(|arn| *arn = rename(arn));
            policies.push((Name::RedriveAllowPolicy, renamed.redrive_allow.text()));
        }
        let policies = policies.into_iter();
        renamed.texts.extend(policies.map(|(name, text)| (<&str>::from(name).to_owned(), text)));
        renamed
    }

    /// The attributes that were set, as AWS returns them.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// How long a received message is hidden when the receiver does not say.
    pub(crate) fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }

    /// How long a message is kept, counted from its first send.
    pub(crate) fn retention(&self) -> Duration {
        self.retention
    }

    /// How long after its send a message becomes visible when the sender does not say.
    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    /// How long a receive waits for a message when the receiver does not say.
    pub(crate) fn receive_wait(&self) -> Duration {
        self.receive_wait
    }

    /// The largest message that may be sent, in bytes with its attributes.
    pub(crate) fn maximum_message_size(&self) -> usize {
        self.maximum_message_size
    }

    /// What happens to a message that was received too often; nothing when there is no policy.
    pub(crate) fn redrive(&self) -> Option<&RedrivePolicy> {
        self.redrive.as_ref()
    }

    /// The text of the redrive policy, for an error that quotes it.
    pub(crate) fn redrive_text(&self) -> &str {
        text(&self.texts, Name::RedrivePolicy).unwrap_or_default()
    }

    /// Whether the queue with this ARN may name this one as its dead-letter queue.
    pub(crate) fn allows_redrive_from(&self, source_arn: &str) -> bool {
        self.redrive_allow.allows(source_arn)
    }

    /// The attributes as AWS returns them: numbers with their defaults, the others only when they
    /// are set.
    pub(crate) fn shown(&self) -> Texts {
        let mut shown: Texts = ALWAYS_SHOWN
            .iter()
            .map(|number| (<&str>::from(number.name).to_owned(), number.default.to_string()))
            .collect();
        let mut put = |name: Name, value: String| {
            shown.insert(<&str>::from(name).to_owned(), value);
        };
        let key = text(&self.texts, Name::KmsMasterKeyId).is_some_and(|key| !key.is_empty());
        put(Name::SqsManagedSseEnabled, (!key).to_string());
        if key {
            put(Name::KmsDataKeyReusePeriodSeconds, KMS_REUSE.default.to_string());
        }
        let set = self.texts.iter().filter(|(_, value)| !value.is_empty());
        shown.extend(set.map(|(name, value)| (name.clone(), value.clone())));
        shown
    }
}

/// Whether a caller may ask for an attribute of this name.
pub(crate) fn is_known(name: &str) -> bool {
    name.parse::<Name>().is_ok()
}

impl Number {
    /// The number among attributes, or its default.
    fn of(&self, texts: &Texts) -> Result<u64, Error> {
        text(texts, self.name).map_or(Ok(self.default), |text| self.parse(text))
    }

    fn parse(&self, text: &str) -> Result<u64, Error> {
        let number = text.parse::<u64>().ok().filter(|number| self.range.contains(number));
        number.ok_or_else(|| invalid(self.name))
    }
}

fn text(texts: &Texts, name: Name) -> Option<&str> {
    texts.get(<&str>::from(name)).map(String::as_str)
}

/// The form in which AWS returns a value.
fn canonical(name: &str, value: &str) -> Result<String, Error> {
    let unknown = || Error::new(Code::InvalidAttributeName, format!("Unknown Attribute {name}."));
    let number = |number: &Number| number.parse(value).map(|number| number.to_string());
    let as_it_is = || Ok(value.to_owned());
    let name: Name = name.parse().map_err(|_| unknown())?;
    match name {
        Name::VisibilityTimeout => number(&VISIBILITY_TIMEOUT),
        Name::MessageRetentionPeriod => number(&RETENTION),
        Name::DelaySeconds => number(&DELAY),
        Name::ReceiveMessageWaitTimeSeconds => number(&RECEIVE_WAIT),
        Name::MaximumMessageSize => number(&MAXIMUM_MESSAGE_SIZE),
        Name::KmsDataKeyReusePeriodSeconds => number(&KMS_REUSE),
        Name::KmsMasterKeyId => as_it_is(),
        Name::SqsManagedSseEnabled if matches!(value, "true" | "false") => as_it_is(),
        Name::Policy if value.is_empty() || is_json_object(value) => as_it_is(),
        Name::SqsManagedSseEnabled | Name::Policy => Err(invalid(name)),
        Name::RedrivePolicy | Name::RedriveAllowPolicy if value.is_empty() => as_it_is(),
        Name::RedrivePolicy => RedrivePolicy::parse(value).map(|policy| policy.text()),
        Name::RedriveAllowPolicy => RedriveAllowPolicy::parse(value).map(|policy| policy.text()),
        Name::QueueArn
        | Name::CreatedTimestamp
        | Name::LastModifiedTimestamp
        | Name::ApproximateNumberOfMessages
        | Name::ApproximateNumberOfMessagesNotVisible
        | Name::ApproximateNumberOfMessagesDelayed
        | Name::FifoQueue
        | Name::ContentBasedDeduplication
        | Name::DeduplicationScope
        | Name::FifoThroughputLimit => Err(unknown()),
    }
}

fn is_json_object(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
}

fn invalid(name: Name) -> Error {
    let name = <&str>::from(name);
    Error::new(Code::InvalidAttributeValue, format!("Invalid value for the parameter {name}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<QueueSettings, Error> {
        QueueSettings::parse(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
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
    fn a_redrive_policy_is_returned_without_blanks_and_with_a_number() {
        for count in ["3", r#""3""#] {
            let given = format!(r#"{{ "maxReceiveCount": {count}, "deadLetterTargetArn": "a" }}"#);
            let settings = set("RedrivePolicy", &given).unwrap();
            assert_eq!(
                settings.texts()["RedrivePolicy"],
                r#"{"deadLetterTargetArn":"a","maxReceiveCount":3}"#
            );
            assert_eq!(settings.redrive().unwrap().max_receive_count, 3);
        }
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
    fn the_arns_of_the_policies_on_dead_letters_can_be_renamed() {
        let given = Texts::from(
            [
                ("Policy", r#"{"Resource":"here:q"}"#),
                ("RedrivePolicy", r#"{"deadLetterTargetArn":"here:dlq","maxReceiveCount":3}"#),
                (
                    "RedriveAllowPolicy",
                    r#"{"redrivePermission":"byQueue","sourceQueueArns":["here:a","else:b"]}"#,
                ),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let settings = QueueSettings::parse(&given).unwrap();
        let renamed = settings.with_arns(|arn| arn.replace("here:", "there:"));
        assert_eq!(renamed.redrive().unwrap().target_arn, "there:dlq");
        assert!(renamed.allows_redrive_from("there:a") && renamed.allows_redrive_from("else:b"));
        assert_eq!(renamed.texts()["Policy"], given["Policy"]);
        assert_eq!(QueueSettings::parse(renamed.texts()).as_ref(), Ok(&renamed));
        assert_eq!(renamed.with_arns(|arn| arn.replace("there:", "here:")), settings);
    }

    #[test]
    fn a_dead_letter_queue_says_which_queues_may_use_it() {
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
        assert!(QueueSettings::parse(&Texts::new()).unwrap().allows_redrive_from("arn:a"));
    }

    #[test]
    fn an_attribute_that_was_never_set_is_shown_only_when_it_has_a_default() {
        let shown = QueueSettings::parse(&Texts::new()).unwrap().shown();
        assert_eq!(shown["VisibilityTimeout"], "30");
        assert_eq!(shown["SqsManagedSseEnabled"], "true");
        assert!(!shown.contains_key("Policy") && !shown.contains_key("RedrivePolicy"));
    }

    #[test]
    fn settings_that_were_written_are_read_as_the_same() {
        for (name, value) in [
            ("VisibilityTimeout", "077"),
            ("Policy", ""),
            ("Policy", "{ }"),
            ("RedrivePolicy", ""),
            ("RedrivePolicy", r#"{ "deadLetterTargetArn": "arn:x", "maxReceiveCount": "3" }"#),
            ("RedriveAllowPolicy", r#"{ "redrivePermission": "denyAll" }"#),
            ("KmsMasterKeyId", ""),
            ("SqsManagedSseEnabled", "false"),
        ] {
            let settings = set(name, value).unwrap();
            assert_eq!(QueueSettings::parse(settings.texts()), Ok(settings), "{name} {value}");
        }
    }
}
