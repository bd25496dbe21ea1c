//! `.codingworker.toml`: how a repository wants to be checked.
//!
//! Owns the file's format and its errors, which name the place and what would be right. Leaves to
//! [`super::Plan`] what happens to the kinds that the file is silent on. Invariant: a key without a
//! meaning here is told, so that a misspelt check is not silently a check that never runs. It is
//! not an error: the file may be written for a later version than the worker's.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::{Kind, REPOSITORY_FILE};
use crate::errors::Bilingual;
use crate::language::Language;
use crate::settings;

/// In seconds. No check may take longer than a day, since the lease on a task ends before that.
const LONGEST_TIMEOUT: u64 = 86_400;

/// What a value should have been, and how the sentence about a wrong time begins.
const ANY_COMMANDS: &str =
    "a command, a list of commands, or a table with `command` and `timeout_seconds`";
const COMMANDS: &str = "a command or a list of commands";
const TIMEOUT: &str = "a timeout is between";

/// What is wrong with a repository's file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryFileError {
    #[error("{REPOSITORY_FILE} is not UTF-8: the first byte that is not is at offset {offset}")]
    Encoding { offset: usize },
    /// `line` and `column` count from 1; the column counts characters.
    #[error("{REPOSITORY_FILE}, line {line}, column {column}: {message}")]
    Invalid { line: usize, column: usize, message: String },
}

impl Bilingual for RepositoryFileError {
    fn japanese(&self) -> String {
        match self {
            Self::Encoding { offset } => {
                format!("{REPOSITORY_FILE} がUTF-8ではありません（先頭から{offset}バイト目）")
            }
            Self::Invalid { line, column, message } => {
                format!(
                    "{REPOSITORY_FILE} の{line}行目の{column}文字目に誤りがあります: {}",
                    message_in_japanese(message)
                )
            }
        }
    }
}

/// A key that this version does not know. It has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// With the tables that it is in, such as `checks.tset`.
    pub key: String,
    /// Counts from 1.
    pub line: usize,
    /// The known key that is most like it, with its tables.
    pub suggestion: Option<String>,
}

/// The sentences of this module's own among what the TOML library says, in Japanese.
fn message_in_japanese(message: &str) -> String {
    if let Some((_, seconds)) =
        message.split_once(", not ").filter(|_| message.starts_with(TIMEOUT))
    {
        return format!(
            "時間制限は1〜{LONGEST_TIMEOUT}秒で指定してください（指定された値: {seconds}）"
        );
    }
    let message = settings::message_in_japanese(message);
    message
        .replace(
            ANY_COMMANDS,
            "コマンド、コマンドのリスト、または `command` と `timeout_seconds` のテーブル",
        )
        .replace(COMMANDS, "コマンドまたはコマンドのリスト")
}

impl UnknownKey {
    /// Tells of the key, in a language.
    #[must_use]
    pub fn told(&self, language: Language) -> String {
        let Self { key, line, suggestion } = self;
        let known = suggestion.as_ref().map(|known| format!("（`{known}` の誤りですか）"));
        language.pick(
            self.to_string(),
            format!(
                "{REPOSITORY_FILE} の{line}行目: このバージョンのCodingWorkerは、\
                 キー `{key}` に対応していないため、無視します{}",
                known.unwrap_or_default()
            ),
        )
    }
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, line, suggestion } = self;
        write!(
            formatter,
            "{REPOSITORY_FILE}, line {line}: this version of CodingWorker does not know the key \
             `{key}` and ignores it"
        )?;
        match suggestion {
            Some(known) => write!(formatter, "; did you mean `{known}`?"),
            None => Ok(()),
        }
    }
}

/// A parsed `.codingworker.toml`; the default is that of a repository without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryFile {
    #[serde(default)]
    checks: ChecksTable,
    #[serde(default)]
    gate: GateTable,
    #[serde(skip)]
    unknown: Vec<UnknownKey>,
}

/// The keys of each table; `table` is the empty string for the whole file.
///
/// The types below refuse any other key, so that one that is missing there is found by a test.
fn known_keys(table: &str) -> &'static [&'static str] {
    match table {
        "" => &["checks", "gate"],
        "checks" => &[
            "setup",
            "format",
            "build",
            "lint",
            "test",
            "tests",
            "setup_network",
            "timeout_seconds",
            "untested",
        ],
        "gate" => &["protected", "unprotected"],
        // All other tables are those of one kind of check.
        _ => &["command", "timeout_seconds"],
    }
}

/// What the gate protects in this repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateTable {
    /// Patterns of paths that no agent may change, besides those that are protected everywhere.
    pub protected: Vec<String>,
    /// Patterns of those that are protected by default, which it may.
    pub unprotected: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ChecksTable {
    setup: Option<KindCommands>,
    format: Option<KindCommands>,
    build: Option<KindCommands>,
    lint: Option<KindCommands>,
    test: Option<KindCommands>,
    tests: bool,
    setup_network: bool,
    #[serde(deserialize_with = "timeout")]
    timeout_seconds: Option<Duration>,
    untested: UntestedChange,
}

/// What becomes of a change that no test was run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UntestedChange {
    /// Its pull request is a draft.
    #[default]
    Draft,
    /// Its pull request is ready for review, and says that it was not tested.
    Ready,
}

impl Default for ChecksTable {
    fn default() -> Self {
        Self {
            setup: None,
            format: None,
            build: None,
            lint: None,
            test: None,
            tests: true,
            setup_network: false,
            timeout_seconds: None,
            untested: UntestedChange::Draft,
        }
    }
}

/// The commands of one kind; none at all turns the kind off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KindCommands {
    pub(super) lines: Vec<String>,
    pub(super) timeout: Option<Duration>,
}

impl RepositoryFile {
    /// Reads the file. Keys that are unknown are passed over, and told by
    /// [`unknown_keys`](Self::unknown_keys).
    ///
    /// # Errors
    /// The file is not UTF-8 or not TOML, or a known key has a value that it can't have.
    pub fn parse(bytes: &[u8]) -> Result<Self, RepositoryFileError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| RepositoryFileError::Encoding { offset: error.valid_up_to() })?;
        let mut document = DeTable::parse(text).map_err(|error| invalid(text, &error))?;
        let mut unknown = Vec::new();
        take_unknown(document.get_mut(), "", text, &mut unknown);
        unknown.sort_by_key(|key| key.line);
        let file = Self::deserialize(toml::Deserializer::from(document))
            .map_err(|error| invalid(text, &error))?;
        Ok(Self { unknown, ..file })
    }

    /// The keys that this version does not know, in the order of their lines.
    pub fn unknown_keys(&self) -> &[UnknownKey] {
        &self.unknown
    }

    /// What agents may change in this repository.
    pub fn gate(&self) -> &GateTable {
        &self.gate
    }

    /// What the file says on one kind; `None` leaves the kind to detection.
    pub(super) fn commands(&self, kind: Kind) -> Option<&KindCommands> {
        match kind {
            Kind::Setup => self.checks.setup.as_ref(),
            Kind::Format => self.checks.format.as_ref(),
            Kind::Build => self.checks.build.as_ref(),
            Kind::Lint => self.checks.lint.as_ref(),
            Kind::Test => self.checks.test.as_ref(),
        }
    }

    /// The time that each check has, unless it names one of its own.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.checks.timeout_seconds
    }

    /// Whether a kind of check may reach public addresses.
    pub(super) fn network(&self, kind: Kind) -> bool {
        kind == Kind::Setup && self.checks.setup_network
    }

    pub(super) fn tests_pass(&self) -> bool {
        self.checks.tests
    }

    pub(super) fn untested_is_ready(&self) -> bool {
        self.checks.untested == UntestedChange::Ready
    }
}

fn invalid(text: &str, error: &toml::de::Error) -> RepositoryFileError {
    let (line, column) = position(text, error.span().map_or(0, |span| span.start));
    RepositoryFileError::Invalid { line, column, message: error.message().replace('\n', ", ") }
}

/// The line and the column of the byte at `offset`, as [`RepositoryFileError::Invalid`] has them.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Moves the keys that are unknown from `table`, whose name is `name`, to `unknown`.
fn take_unknown(table: &mut DeTable<'_>, name: &str, text: &str, unknown: &mut Vec<UnknownKey>) {
    for (key, mut value) in std::mem::take(table) {
        let path = in_table(name, key.get_ref());
        if known_keys(name).contains(&key.get_ref().as_ref()) {
            if let DeValue::Table(inner) = value.get_mut() {
                take_unknown(inner, &path, text, unknown);
            }
            table.insert(key, value);
        } else {
            let (line, _) = position(text, key.span().start);
            let suggestion = suggestion(name, key.get_ref());
            unknown.push(UnknownKey { key: path, line, suggestion });
        }
    }
}

fn in_table(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// The known key that is most like `key`: of the same table, or the very name in another one.
fn suggestion(table: &str, key: &str) -> Option<String> {
    /// clap suggests options from this likeness on.
    const ALIKE: f64 = 0.7;
    let alike = known_keys(table).iter().map(|known| (strsim::jaro(known, key), *known));
    let best = alike.filter(|(likeness, _)| *likeness > ALIKE);
    let best = best.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, known)| in_table(table, known)).or_else(|| {
        let other = ["checks", "gate"].into_iter().find(|other| known_keys(other).contains(&key));
        other.map(|other| in_table(other, key))
    })
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = i64::deserialize(deserializer)?;
    match u64::try_from(seconds) {
        Ok(seconds @ 1..=LONGEST_TIMEOUT) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(de::Error::custom(format!(
            "{TIMEOUT} 1 and {LONGEST_TIMEOUT} seconds, not {seconds}"
        ))),
    }
}

/// A command line, several of them, or a table of either with a timeout. Written by hand since
/// serde's untagged enums can't say what was expected.
impl<'de> Deserialize<'de> for KindCommands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindCommandsVisitor)
    }
}

struct KindCommandsVisitor;

impl<'de> Visitor<'de> for KindCommandsVisitor {
    type Value = KindCommands;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(ANY_COMMANDS)
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<KindCommands, E> {
        Ok(KindCommands { lines: CommandLines::from(line).0, timeout: None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<KindCommands, A::Error> {
        Ok(KindCommands { lines: CommandLinesVisitor.visit_seq(sequence)?.0, timeout: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KindCommands, A::Error> {
        let table = CommandTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(KindCommands { lines: table.command.0, timeout: table.timeout_seconds })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandTable {
    command: CommandLines,
    #[serde(default, deserialize_with = "timeout")]
    timeout_seconds: Option<Duration>,
}

/// One command line or a list of them; blank ones are none.
struct CommandLines(Vec<String>);

impl From<&str> for CommandLines {
    fn from(line: &str) -> Self {
        Self(
            Some(line.trim())
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .into_iter()
                .collect(),
        )
    }
}

impl<'de> Deserialize<'de> for CommandLines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CommandLinesVisitor)
    }
}

struct CommandLinesVisitor;

impl<'de> Visitor<'de> for CommandLinesVisitor {
    type Value = CommandLines;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(COMMANDS)
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<CommandLines, E> {
        Ok(CommandLines::from(line))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<CommandLines, A::Error> {
        let mut lines = Vec::new();
        while let Some(line) = sequence.next_element::<String>()? {
            lines.extend(CommandLines::from(line.as_str()).0);
        }
        Ok(CommandLines(lines))
    }
}

#[cfg(test)]
mod tests;
