//! The task message: what a producer puts into the queue, and the values the worker makes of it.
//!
//! Owns the contract of the message body (six required fields, unknown ones ignored), its JSON Schema and the task key. Does no I/O.
//! A [`Task`] that exists is valid; a message that is not one yields an [`InvalidTask`] that names the field, what was expected and what came.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The dialect and name of [`schema`], kept as `docs/task-message.schema.json`.
const SCHEMA_DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// GitHub's rules for an account and a repository name, as a pattern: one slash, no `.` or `..` as a repository.
const REPOSITORY_PATTERN: &str = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,37}[A-Za-z0-9])?/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$";

/// How much of an offending value an error repeats.
const SHOWN_CHARACTERS: usize = 60;

/// What one message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub issue_number: IssueNumber,
    pub repository: RepoName,
    pub title: String,
    /// The task in the issue's words; may be empty.
    pub body: String,
    pub labels: Vec<String>,
    /// When the message was made; with repository and issue it is the task's identity.
    pub created_at: Timestamp,
}

impl Task {
    /// Reads a message body.
    ///
    /// # Errors
    /// Names the first field that is missing or wrong; never panics, whatever the bytes.
    pub fn decode(body: &[u8]) -> Result<Self, InvalidTask> {
        let message: Value = serde_json::from_slice(body).map_err(InvalidTask::NotJson)?;
        let Value::Object(fields) = message else {
            return Err(InvalidTask::NotAnObject { found: describe(&message) });
        };
        Ok(Self {
            issue_number: field(&fields, "issue_number", "an integer of at least 1", |value| {
                value.as_u64().and_then(IssueNumber::new)
            })?,
            repository: field(&fields, "repository", "a GitHub repository as \"owner/name\"", |value| {
                value.as_str()?.parse().ok()
            })?,
            title: field(&fields, "title", "a string that is not blank", |value| {
                value.as_str().filter(|title| !title.trim().is_empty()).map(str::to_owned)
            })?,
            body: field(&fields, "body", "a string (empty when the issue has no text)", |value| {
                value.as_str().map(str::to_owned)
            })?,
            labels: field(&fields, "labels", "an array of strings", |value| {
                value.as_array()?.iter().map(|label| label.as_str().map(str::to_owned)).collect()
            })?,
            created_at: field(
                &fields,
                "created_at",
                "an RFC 3339 date and time, such as \"2025-01-26T00:00:00Z\"",
                |value| parse_date_time(value.as_str()?),
            )?,
        })
    }

    /// The message body for this task.
    #[must_use]
    pub fn encode(&self) -> String {
        json!({
            "issue_number": self.issue_number.value(),
            "repository": self.repository.to_string(),
            "title": self.title,
            "body": self.body,
            "labels": self.labels,
            "created_at": self.created_at.to_string(),
        })
        .to_string()
    }

    /// The identity that survives redelivery and redrive, when message id and receive count do not.
    #[must_use]
    pub fn key(&self) -> TaskKey {
        TaskKey(format!("{}#{}@{}", self.repository, self.issue_number, self.created_at))
    }
}

/// The JSON Schema (2020-12) of the message body.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": SCHEMA_DIALECT,
        "title": "CodingWorker task message",
        "description": "The body of one message in the queue codingworker-tasks. A reader ignores fields it does not know.",
        "type": "object",
        "required": ["issue_number", "repository", "title", "body", "labels", "created_at"],
        "properties": {
            "issue_number": {
                "description": "The number of the GitHub issue.",
                "type": "integer", "minimum": 1, "maximum": u64::MAX
            },
            "repository": {
                "description": "The GitHub repository, as owner/name.",
                "type": "string", "pattern": REPOSITORY_PATTERN
            },
            "title": {
                "description": "The title of the issue.",
                "type": "string", "pattern": r"\S"
            },
            "body": {
                "description": "The text of the issue: the task. Empty when the issue has none.",
                "type": "string"
            },
            "labels": {
                "description": "All labels of the issue.",
                "type": "array", "items": { "type": "string" }
            },
            "created_at": {
                "description": "When the message was made, as RFC 3339.",
                "type": "string", "format": "date-time"
            }
        }
    })
}

/// The number of an issue in its repository, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssueNumber(NonZeroU64);

impl IssueNumber {
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    #[must_use]
    pub fn value(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for IssueNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `owner/name` in GitHub's own character set, so it is safe as a path of two segments and in a URL.
///
/// An owner has up to 39 letters, digits and hyphens (and underscores, for managed users), a repository up to 100 letters, digits, `.`, `_`
/// and `-`, and is neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName {
    owner: String,
    name: String,
}

impl RepoName {
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both name the same repository: GitHub's names do not differ by case.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.owner.eq_ignore_ascii_case(&other.owner) && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Why a text is not a repository's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a repository name: write it as \"owner/name\", in the letters, digits, \"-\", \"_\" and \".\" that GitHub allows"
)]
pub struct InvalidRepoName(String);

impl FromStr for RepoName {
    type Err = InvalidRepoName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((owner, name)) if is_owner(owner) && is_repository(name) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(InvalidRepoName(shorten(text))),
        }
    }
}

fn is_owner(owner: &str) -> bool {
    (1..=39).contains(&owner.len())
        && owner.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && owner.starts_with(|first: char| first.is_ascii_alphanumeric())
        && owner.ends_with(|last: char| last.is_ascii_alphanumeric())
}

fn is_repository(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && name != "."
        && name != ".."
}

/// `owner/repo#issue@created_at`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(String);

impl TaskKey {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a message is not a task.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTask {
    #[error("the message is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    #[error("the message is {found}, expected a JSON object")]
    NotAnObject { found: String },
    #[error("field `{field}` is missing, expected {expected}")]
    Missing { field: &'static str, expected: &'static str },
    #[error("field `{field}` is {found}, expected {expected}")]
    Wrong { field: &'static str, expected: &'static str, found: String },
}

fn field<T>(
    fields: &Map<String, Value>,
    field: &'static str,
    expected: &'static str,
    parse: impl FnOnce(&Value) -> Option<T>,
) -> Result<T, InvalidTask> {
    let value = fields.get(field).ok_or(InvalidTask::Missing { field, expected })?;
    parse(value).ok_or_else(|| InvalidTask::Wrong { field, expected, found: describe(value) })
}

/// RFC 3339 asks for a full date, a time with seconds and an offset, and nothing beside them; jiff reads more than that.
fn parse_date_time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let plain = bytes.len() >= "2025-01-26T00:00:00Z".len()
        && bytes.get(10).is_some_and(|separator| matches!(separator, b'T' | b't'))
        && bytes.get(4) == Some(&b'-')
        && bytes.get(13) == Some(&b':')
        && bytes.get(16) == Some(&b':')
        && !text.contains('[')
        && !text.contains(',');
    if plain { text.parse().ok() } else { None }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {:?}", shorten(text)),
        Value::Array(items) => format!("an array of {} items", items.len()),
        Value::Object(fields) => format!("an object of {} fields", fields.len()),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> Value {
        json!({
            "issue_number": 123,
            "repository": "owner/repo",
            "title": "Add FizzBuzz function",
            "body": "Create a function that prints FizzBuzz from 1 to 100",
            "labels": ["ai-task"],
            "created_at": "2025-01-26T00:00:00Z"
        })
    }

    fn with(field: &str, value: Value) -> Vec<u8> {
        let mut message = message();
        message[field] = value;
        message.to_string().into_bytes()
    }

    fn check_refused(body: &[u8], error: &str) {
        let refused = Task::decode(body).expect_err("the message is not a task");
        assert_eq!(refused.to_string(), error);
    }

    #[test]
    fn the_contract_message_is_a_task() {
        let task = Task::decode(message().to_string().as_bytes()).unwrap();
        assert_eq!(task.issue_number.value(), 123);
        assert_eq!(task.repository.to_string(), "owner/repo");
        assert_eq!(task.key().as_str(), "owner/repo#123@2025-01-26T00:00:00Z");
        assert_eq!(Task::decode(task.encode().as_bytes()).unwrap(), task);
    }

    #[test]
    fn unknown_fields_are_ignored_and_an_empty_body_is_allowed() {
        assert!(Task::decode(&with("priority", json!({"high": true}))).is_ok());
        assert_eq!(Task::decode(&with("body", json!(""))).unwrap().body, "");
    }

    #[test]
    fn the_key_names_the_instant_not_its_spelling() {
        let utc = Task::decode(&with("created_at", json!("2025-01-26T00:00:00Z"))).unwrap();
        let tokyo = Task::decode(&with("created_at", json!("2025-01-26T09:00:00+09:00"))).unwrap();
        assert_eq!(utc.key(), tokyo.key());
    }

    #[test]
    fn every_field_is_required() {
        for field in ["issue_number", "repository", "title", "body", "labels", "created_at"] {
            let mut message = message();
            message.as_object_mut().unwrap().remove(field);
            let refused = Task::decode(message.to_string().as_bytes()).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("field `{field}` is missing, expected ")), "{refused}");
        }
    }

    #[test]
    fn an_error_names_the_field_what_was_expected_and_what_came() {
        check_refused(
            &with("issue_number", json!(0)),
            "field `issue_number` is the number 0, expected an integer of at least 1",
        );
        check_refused(
            &with("issue_number", json!(1.5)),
            "field `issue_number` is the number 1.5, expected an integer of at least 1",
        );
        check_refused(
            &with("title", json!("  ")),
            "field `title` is the string \"  \", expected a string that is not blank",
        );
        check_refused(
            &with("body", Value::Null),
            "field `body` is null, expected a string (empty when the issue has no text)",
        );
        check_refused(
            &with("labels", json!(["ai-task", 1])),
            "field `labels` is an array of 2 items, expected an array of strings",
        );
        check_refused(b"[]", "the message is an array of 0 items, expected a JSON object");
        assert!(Task::decode(b"{").unwrap_err().to_string().starts_with("the message is not JSON: "));
    }

    #[test]
    fn a_repository_is_named_as_github_names_it() {
        for good in ["o/r", "Okada-Satoshi/codingworker", "a1/.github", "o/...", "o_corp/r", "o/-r"] {
            assert!(good.parse::<RepoName>().is_ok(), "{good}");
        }
        for bad in
            ["", "o", "/r", "o/", "o/.", "o/..", "o/r/x", "-o/r", "o-/r", "o/r r", "o/リポ", "../r", "o\n/r", "o/r\0"]
        {
            assert!(bad.parse::<RepoName>().is_err(), "{bad:?}");
        }
        assert!(format!("{}/r", "o".repeat(40)).parse::<RepoName>().is_err());
        assert!(format!("o/{}", "r".repeat(101)).parse::<RepoName>().is_err());
    }

    #[test]
    fn created_at_is_rfc_3339() {
        for good in
            ["2025-01-26T00:00:00Z", "2025-01-26T00:00:00.123456Z", "2025-01-26t00:00:00z", "2025-01-26T09:00:00+09:00"]
        {
            assert!(Task::decode(&with("created_at", json!(good))).is_ok(), "{good}");
        }
        for bad in [
            "",
            "yesterday",
            "2025-01-26",
            "20250126T000000Z",
            "2025-01-26T00:00Z",
            "2025-01-26T00:00:00",
            "2025-13-26T00:00:00Z",
            "2025-01-26T00:00:00Z[UTC]",
        ] {
            assert!(Task::decode(&with("created_at", json!(bad))).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_kept_schema_is_the_schema() {
        let kept: Value = serde_json::from_str(include_str!("../docs/task-message.schema.json")).unwrap();
        assert_eq!(kept, schema(), "run `codingworker schema > docs/task-message.schema.json`");
    }

    #[test]
    fn the_schema_and_the_decoder_agree() {
        let validator = jsonschema::options().should_validate_formats(true).build(&schema()).unwrap();
        let fields = ["issue_number", "repository", "title", "body", "labels", "created_at"];
        let values = [
            json!(null),
            json!(true),
            json!(0),
            json!(1),
            json!(-1),
            json!(1.5),
            json!(u64::MAX),
            json!(""),
            json!(" "),
            json!("text"),
            json!("owner/repo"),
            json!("owner/.."),
            json!("owner/..."),
            json!("a/b/c"),
            json!([]),
            json!(["ai-task"]),
            json!([1]),
            json!({}),
            json!("2025-01-26T00:00:00Z"),
            json!("2025-01-26"),
            json!("2025-01-26T09:00:00+09:00"),
        ];
        for field in fields {
            for value in &values {
                let mut message = message();
                message[field] = value.clone();
                let decoded = Task::decode(message.to_string().as_bytes());
                assert_eq!(validator.is_valid(&message), decoded.is_ok(), "{field} = {value}: {decoded:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop(Task::decode(&body));
        }

        #[test]
        fn any_title_and_body_survive_the_wire(title in "\\PC*[a-z]\\PC*", body in any::<String>()) {
            let task = Task { title, body, ..Task::decode(message().to_string().as_bytes()).unwrap() };
            prop_assert_eq!(Task::decode(task.encode().as_bytes()).unwrap(), task);
        }
    }
}
