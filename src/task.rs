//! The task message: what a producer puts into the queue, and the values the worker makes of it.
//!
//! Owns the contract of the message body (six required fields, unknown ones ignored), its JSON
//! Schema and the task key. Does no I/O. A [`Task`] that exists is valid; a message that is not one
//! yields an [`InvalidTask`] that names the field, what was expected and what came.

pub mod cut;
mod delivery;
mod trigger;
pub mod visible;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use self::delivery::Delivery;
pub use self::trigger::Trigger;

/// The dialect and name of [`schema`], kept as `docs/task-message.schema.json`.
const SCHEMA_DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// GitHub's rules for an account and a repository name, as a pattern: one slash, no `.` or `..` as
/// a repository.
const REPOSITORY_PATTERN: &str =
    r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,37}[A-Za-z0-9])?/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$";

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
            repository: field(
                &fields,
                "repository",
                "a GitHub repository as \"owner/name\"",
                |value| value.as_str()?.parse().ok(),
            )?,
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

    /// What made this task.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        Trigger::IssueLabeled { issue: self.issue_number }
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
        "description": "The body of one message in the queue codingworker-tasks. A reader ignores \
                        fields it does not know.",
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
    /// The number of an issue; `None` for 0, which GitHub gives to none.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number itself, from 1.
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

/// `owner/name` in GitHub's own character set, so it is safe as a path of two segments and in a
/// URL.
///
/// An owner has up to 39 letters, digits and hyphens (and underscores, for managed users), a
/// repository up to 100 letters, digits, `.`, `_` and `-`, and is neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName {
    owner: String,
    name: String,
}

impl RepoName {
    /// The account that owns the repository.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository's name without its owner.
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
    "{0:?} is not a repository name: write it as \"owner/name\", in the letters, digits, \"-\", \
     \"_\" and \".\" that GitHub allows"
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
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && name != "."
        && name != ".."
}

/// `owner/repo#issue@created_at`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(String);

impl TaskKey {
    /// The key as text: `owner/repo#issue@created_at`.
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

/// RFC 3339 asks for a full date, a time with seconds and an offset, and nothing beside them; jiff
/// reads more than that.
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
mod tests;
