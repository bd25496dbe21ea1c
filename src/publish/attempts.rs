//! The attempts at a task, which the status comment holds where GitHub does not show them.
//!
//! Workers that share a queue share nothing else: each has a journal of its own. What all of them
//! can read is the issue, so the issue says who tried the task, and what came of it.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::reason::Reason;
use super::text;
use crate::redaction::Redaction;

/// How long the attempts may be in a comment, in characters. GitHub's limit for all is 65,536.
const LONGEST_RECORD: usize = 16_000;
/// How much of one text of a reason is kept, in characters.
const LONGEST_TEXT: usize = 1_000;

/// One worker's work on one delivery of a task's message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The name of the worker.
    pub worker: String,
    /// The receive count of the message.
    pub attempt: u32,
    /// When the worker received the message. With the worker's name it tells the attempt from all
    /// others; a message that was redriven has its first attempt again.
    pub received_at: Timestamp,
    /// Why it failed. There is none while it goes on, when it was cut off, and when a later version
    /// wrote one that this version does not know.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub reason: Option<Reason>,
}

impl AttemptRecord {
    /// Whether both are the same attempt, whatever came of it.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.worker == other.worker && self.received_at == other.received_at
    }
}

fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Reason>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// Whether `ours` was followed by another attempt: the queue gave the message to somebody else.
pub(super) fn is_superseded(attempts: &[AttemptRecord], ours: &AttemptRecord) -> bool {
    match attempts.iter().position(|attempt| attempt.is_same_as(ours)) {
        Some(position) => position + 1 < attempts.len(),
        // Ours was never told, for GitHub could not be asked.
        None => attempts.iter().any(|attempt| attempt.attempt > ours.attempt),
    }
}

/// The attempts with `ours` as it is now, which keeps its place or comes last.
pub(super) fn with(mut attempts: Vec<AttemptRecord>, ours: &AttemptRecord) -> Vec<AttemptRecord> {
    match attempts.iter_mut().find(|attempt| attempt.is_same_as(ours)) {
        Some(known) => *known = ours.clone(),
        None => attempts.push(ours.clone()),
    }
    attempts
}

/// The attempts as text that can stand in an HTML comment: without secrets, without an end of the
/// comment, and without anything that GitHub or a program that reads comments acts upon. The
/// oldest attempts are left out when they are too many.
pub(super) fn encode(attempts: &[AttemptRecord], redaction: &Redaction) -> String {
    let mut encoded: Vec<String> =
        attempts.iter().map(|attempt| encode_one(attempt, redaction)).collect();
    let length = |parts: &[String]| parts.iter().map(|part| part.len() + 1).sum::<usize>();
    while encoded.len() > 1 && length(&encoded) > LONGEST_RECORD {
        encoded.remove(0);
    }
    format!("[{}]", encoded.join(","))
}

fn encode_one(attempt: &AttemptRecord, redaction: &Redaction) -> String {
    let mut value = serde_json::to_value(attempt).unwrap_or_default();
    clean(&mut value, redaction);
    let mut encoded = value.to_string();
    if encoded.len() > LONGEST_RECORD {
        // A reason that lists thousands of things. The comment's own text tells it.
        let bare = AttemptRecord { reason: None, ..attempt.clone() };
        encoded = serde_json::to_value(bare).unwrap_or_default().to_string();
    }
    // None of these is part of JSON's own syntax, so each stands in a string.
    let risky = ['<', '>', '&', '@', '#', '`'];
    encoded.chars().fold(String::new(), |mut harmless, character| {
        if risky.contains(&character) {
            harmless.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            harmless.push(character);
        }
        harmless
    })
}

/// Removes the secrets from each string before JSON escapes its characters, and cuts long ones.
fn clean(value: &mut Value, redaction: &Redaction) {
    match value {
        Value::String(string) => *string = text::cut(&redaction.redact(string), LONGEST_TEXT, "…"),
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, redaction)),
        Value::Object(fields) => fields.values_mut().for_each(|field| clean(field, redaction)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Reads what [`encode`] made; nothing when it is damaged.
pub(super) fn decode(text: &str) -> Vec<AttemptRecord> {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(worker: &str, number: u32, reason: Option<Reason>) -> AttemptRecord {
        let received_at = Timestamp::from_second(1_000_000 + i64::from(number)).unwrap();
        AttemptRecord { worker: worker.to_owned(), attempt: number, received_at, reason }
    }

    fn failed(detail: &str) -> Option<Reason> {
        Some(Reason::AgentFailed { detail: detail.to_owned() })
    }

    #[test]
    fn what_is_encoded_is_decoded_and_holds_nothing_that_is_acted_upon() {
        let detail = "--> <!-- @octocat #7 `x` & \"quoted\" \\ 漢字\n/merge";
        let attempts = [attempt("one", 1, failed(detail)), attempt("two", 2, None)];
        let encoded = encode(&attempts, &Redaction::default());
        assert!(!encoded.contains(['<', '>', '@', '#', '`', '\n']), "{encoded}");
        assert_eq!(decode(&encoded), attempts);
    }

    #[test]
    fn a_secret_is_removed_before_its_characters_are_escaped() {
        let redaction = Redaction::new(["correct\"horse<battery".into()]);
        let attempts = [attempt("one", 1, failed("x correct\"horse<battery y"))];
        let encoded = encode(&attempts, &redaction);
        assert!(encoded.contains("x [redacted] y"), "{encoded}");
        assert!(!encoded.contains("horse"), "{encoded}");
    }

    #[test]
    fn too_many_attempts_lose_the_oldest_and_one_that_is_too_long_its_reason() {
        let many: Vec<_> = (1..200).map(|number| attempt("one", number, failed("why"))).collect();
        let encoded = encode(&many, &Redaction::default());
        assert!(encoded.len() <= LONGEST_RECORD + 1, "{}", encoded.len());
        assert_eq!(decode(&encoded).last(), many.last());
        let commands = vec!["make".repeat(100); 100];
        let reason = Reason::ChecksFailed { commands, failures: vec![], branch: None };
        let long = [attempt("one", 1, Some(reason))];
        assert_eq!(decode(&encode(&long, &Redaction::default())), [attempt("one", 1, None)]);
    }

    #[test]
    fn a_reason_of_a_later_version_and_a_damaged_record_are_no_error() {
        let later = r#"[{"worker":"one","attempt":1,"received_at":"2026-01-01T00:00:00Z",
                         "reason":{"moon_is_full":{}},"mood":"good"}]"#;
        assert_eq!(decode(later).len(), 1);
        assert_eq!(decode(later)[0].reason, None);
        assert_eq!(decode("[{"), []);
    }

    #[test]
    fn an_attempt_is_superseded_by_one_that_came_after_it() {
        let (one, two) = (attempt("one", 1, None), attempt("two", 2, None));
        let both = [one.clone(), two.clone()];
        assert!(is_superseded(&both, &one));
        assert!(!is_superseded(&both, &two));
        assert!(!is_superseded(&[], &one));
        assert!(is_superseded(std::slice::from_ref(&two), &one), "ours was never told");
        assert!(!is_superseded(std::slice::from_ref(&one), &two));
        let ended = AttemptRecord { reason: failed("why"), ..one.clone() };
        assert_eq!(with(both.to_vec(), &ended), [ended, two]);
    }
}
