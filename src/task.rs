//! The task message that a producer puts into the queue, and the values that the worker reads from
//! it.
//!
//! This module owns the contract of the message body (six required fields; unknown fields are
//! ignored), its JSON Schema and the task key. It does no I/O. Every [`Task`] is valid. A message
//! that is not a task yields an [`InvalidTask`] that names the field, the expected value and the
//! actual one.

pub mod cut;
mod delivery;
mod markdown;
mod trigger;
pub mod visible;

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use self::delivery::Delivery;
pub use self::trigger::Trigger;
use crate::errors::Bilingual;
use crate::language::{Phrase, Text};

/// The dialect of [`schema`], which `docs/task-message.schema.json` repeats.
const SCHEMA_DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// GitHub's rules for the names of accounts and repositories as a pattern: one slash, and neither
/// `.` nor `..` as the repository.
const REPOSITORY_PATTERN: &str =
    r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,37}[A-Za-z0-9])?/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$";

/// The number of characters of a wrong value that an error repeats.
const SHOWN_CHARACTERS: usize = 60;

/// The task that one message describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub issue_number: IssueNumber,
    pub repository: RepoName,
    pub title: String,
    /// The text of the issue; it may be empty.
    pub body: String,
    pub labels: Vec<String>,
    /// The time at which the producer made the message. Together with the repository and the issue
    /// it identifies the task.
    pub created_at: Timestamp,
}

impl Task {
    /// Reads a message body.
    ///
    /// # Errors
    /// The error names the first field that is missing or wrong. The function never panics,
    /// whatever the bytes are.
    pub fn decode(body: &[u8]) -> Result<Self, InvalidTask> {
        let message: Value = serde_json::from_slice(body).map_err(InvalidTask::NotJson)?;
        let Value::Object(fields) = message else {
            return Err(InvalidTask::NotAnObject { found: describe(&message) });
        };
        Ok(Self {
            issue_number: field(
                &fields,
                "issue_number",
                Text { en: "an integer of at least 1", ja: "1以上の整数" },
                |value| value.as_u64().and_then(IssueNumber::new),
            )?,
            repository: field(
                &fields,
                "repository",
                Text {
                    en: "a GitHub repository as \"owner/name\"",
                    ja: "\"owner/name\" の形式のGitHubのリポジトリ",
                },
                |value| value.as_str()?.parse().ok(),
            )?,
            title: field(
                &fields,
                "title",
                Text { en: "a string that is not blank", ja: "空白以外を含む文字列" },
                |value| value.as_str().filter(|title| !title.trim().is_empty()).map(str::to_owned),
            )?,
            body: field(
                &fields,
                "body",
                Text {
                    en: "a string (empty when the issue has no text)",
                    ja: "文字列（Issueに本文がない場合は空）",
                },
                |value| value.as_str().map(str::to_owned),
            )?,
            labels: field(
                &fields,
                "labels",
                Text { en: "an array of strings", ja: "文字列の配列" },
                |value| {
                    value
                        .as_array()?
                        .iter()
                        .map(|label| label.as_str().map(str::to_owned))
                        .collect()
                },
            )?,
            created_at: field(
                &fields,
                "created_at",
                Text {
                    en: "an RFC 3339 date and time, such as \"2025-01-26T00:00:00Z\"",
                    ja: "RFC 3339形式の日時（例: \"2025-01-26T00:00:00Z\"）",
                },
                |value| parse_date_time(value.as_str()?),
            )?,
        })
    }

    /// Returns the event that made this task.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        Trigger::IssueLabeled { issue: self.issue_number }
    }

    /// Returns the message body for this task.
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

    /// Returns the identity of the task. It stays the same after a redelivery and after a redrive.
    /// The message id and the receive count do not: a redrive gives the message a new id.
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

/// The number of an issue in its repository. Numbers start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssueNumber(NonZeroU64);

impl IssueNumber {
    /// Makes the number of an issue. Returns `None` for 0, because GitHub numbers issues from 1.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// Returns the number, which is at least 1.
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

/// A repository as `owner/name` in GitHub's character set, so it is safe as a path of two segments
/// and in a URL.
///
/// The owner has 1 to 39 letters, digits and hyphens, and underscores for managed users. The
/// repository has 1 to 100 letters, digits, `.`, `_` and `-`, and is neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName {
    owner: String,
    name: String,
}

impl RepoName {
    /// Returns the account that owns the repository.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns the name of the repository without its owner.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether both names mean the same repository. GitHub ignores the case of letters in
    /// them.
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

/// Why a text is not the name of a repository.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a repository name: write it as \"owner/name\", in the letters, digits, \"-\", \
     \"_\" and \".\" that GitHub allows"
)]
pub struct InvalidRepoName(String);

impl Bilingual for InvalidRepoName {
    fn japanese(&self) -> String {
        format!(
            "{:?} はリポジトリ名ではありません。GitHubで使える文字（英数字、\"-\"、\"_\"、\".\"）で \
             \"owner/name\" の形式で指定してください",
            self.0
        )
    }
}

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

/// The identity of a task as `owner/repo#issue@created_at`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(String);

impl TaskKey {
    /// Returns the key as text: `owner/repo#issue@created_at`.
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
    #[error("the message is {}, expected a JSON object", found.en)]
    NotAnObject { found: Phrase },
    #[error("field `{field}` is missing, expected {}", expected.en)]
    Missing { field: &'static str, expected: Text },
    #[error("field `{field}` is {}, expected {}", found.en, expected.en)]
    Wrong { field: &'static str, expected: Text, found: Phrase },
}

impl Bilingual for InvalidTask {
    fn japanese(&self) -> String {
        match self {
            Self::NotJson(error) => format!("メッセージがJSONではありません: {error}"),
            Self::NotAnObject { found } => {
                format!("メッセージが{}です（JSONのオブジェクトが必要です）", found.ja)
            }
            Self::Missing { field, expected } => {
                format!("フィールド `{field}` がありません（必要な値: {}）", expected.ja)
            }
            Self::Wrong { field, expected, found } => {
                format!("フィールド `{field}` の値は{}です（正しい値: {}）", found.ja, expected.ja)
            }
        }
    }
}

fn field<T>(
    fields: &Map<String, Value>,
    field: &'static str,
    expected: Text,
    parse: impl FnOnce(&Value) -> Option<T>,
) -> Result<T, InvalidTask> {
    let value = fields.get(field).ok_or(InvalidTask::Missing { field, expected })?;
    parse(value).ok_or_else(|| InvalidTask::Wrong { field, expected, found: describe(value) })
}

/// Reads a date and time in the format of RFC 3339, section 5.6: a full date, a time with seconds,
/// and an offset. jiff also reads other formats, such as a time zone in brackets, so the function
/// first checks the form of the text.
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

fn describe(value: &Value) -> Phrase {
    match value {
        Value::Null => Phrase::same("null"),
        Value::Bool(flag) => Phrase::new(format!("the boolean {flag}"), format!("真偽値 {flag} ")),
        Value::Number(number) => {
            Phrase::new(format!("the number {number}"), format!("数値 {number} "))
        }
        Value::String(text) => {
            let text = shorten(text);
            Phrase::new(format!("the string {text:?}"), format!("文字列 {text:?} "))
        }
        Value::Array(items) => {
            let count = items.len();
            Phrase::new(format!("an array of {count} items"), format!("要素が{count}個の配列"))
        }
        Value::Object(fields) => {
            let count = fields.len();
            Phrase::new(
                format!("an object of {count} fields"),
                format!("フィールドが{count}個のオブジェクト"),
            )
        }
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        // `end` is the byte position of a character, so the cut never splits a UTF-8 sequence.
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
