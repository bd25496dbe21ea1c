//! `.codingworker.toml`: how a repository says itself how it is checked.
//!
//! Owns the file's format and its errors, which name the place and what would be right. Leaves to
//! [`super::Plan`] what happens to the kinds that the file is silent on. Invariant: a key that
//! means nothing here is an error, so that a misspelt check is not a check that never runs.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Kind, REPOSITORY_FILE};

/// No check may take longer than a day: the lease on a task is over by then.
const LONGEST_TIMEOUT: u64 = 86_400;

/// What is wrong with a repository's file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryFileError {
    #[error("{REPOSITORY_FILE} is not UTF-8: the first byte that is not is at offset {offset}")]
    Encoding { offset: usize },
    /// `line` and `column` count from 1; the column counts characters.
    #[error("{REPOSITORY_FILE}, line {line}, column {column}: {message}")]
    Invalid { line: usize, column: usize, message: String },
}

/// A parsed `.codingworker.toml`; the default is that of a repository without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryFile {
    #[serde(default)]
    checks: Checks,
    #[serde(default)]
    gate: Gate,
}

/// What the gate protects in this repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// Patterns of paths that no agent may change, besides those that are protected everywhere.
    pub protected: Vec<String>,
    /// Patterns of those that are protected by default, which it may.
    pub unprotected: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Checks {
    setup: Option<Commands>,
    format: Option<Commands>,
    build: Option<Commands>,
    lint: Option<Commands>,
    test: Option<Commands>,
    tests: bool,
    setup_network: bool,
    #[serde(deserialize_with = "timeout")]
    timeout_seconds: Option<Duration>,
}

impl Default for Checks {
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
        }
    }
}

/// The commands of one kind; none at all turns the kind off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) lines: Vec<String>,
    pub(super) timeout: Option<Duration>,
}

impl RepositoryFile {
    pub fn parse(bytes: &[u8]) -> Result<Self, RepositoryFileError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| RepositoryFileError::Encoding { offset: error.valid_up_to() })?;
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            RepositoryFileError::Invalid {
                line: before.matches('\n').count() + 1,
                column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
                message: error.message().replace('\n', ", "),
            }
        })
    }

    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What the file says on one kind; `None` leaves the kind to detection.
    pub(super) fn commands(&self, kind: Kind) -> Option<&Commands> {
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
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = i64::deserialize(deserializer)?;
    match u64::try_from(seconds) {
        Ok(seconds @ 1..=LONGEST_TIMEOUT) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(de::Error::custom(format!(
            "a timeout is between 1 and {LONGEST_TIMEOUT} seconds, not {seconds}"
        ))),
    }
}

/// A command line, several of them, or a table of either with a timeout. Written by hand since
/// serde's untagged enums can't say what was expected.
impl<'de> Deserialize<'de> for Commands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CommandsVisitor)
    }
}

struct CommandsVisitor;

impl<'de> Visitor<'de> for CommandsVisitor {
    type Value = Commands;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "a command, a list of commands, or a table with `command` and `timeout_seconds`",
        )
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<Commands, E> {
        Ok(Commands { lines: Lines::from(line).0, timeout: None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Commands, A::Error> {
        Ok(Commands { lines: LinesVisitor.visit_seq(sequence)?.0, timeout: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Commands, A::Error> {
        let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Commands { lines: table.command.0, timeout: table.timeout_seconds })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    command: Lines,
    #[serde(default, deserialize_with = "timeout")]
    timeout_seconds: Option<Duration>,
}

/// One command line or a list of them; blank ones are none.
struct Lines(Vec<String>);

impl From<&str> for Lines {
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

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LinesVisitor)
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a command or a list of commands")
    }

    fn visit_str<E: de::Error>(self, line: &str) -> Result<Lines, E> {
        Ok(Lines::from(line))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(line) = sequence.next_element::<String>()? {
            lines.extend(Lines::from(line.as_str()).0);
        }
        Ok(Lines(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = RepositoryFile::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn each_form_of_a_command_is_read() {
        let file = RepositoryFile::parse(
            b"[checks]\ntests = false\nbuild = \" make \"\nlint = [\"a\", \"\", \"b\"]\nformat = ''\n\
              [checks.test]\ncommand = [\"c\", \"d\"]\ntimeout_seconds = 5\n",
        )
        .unwrap();
        let lines = |kind| file.commands(kind).map(|commands| commands.lines.clone());
        assert_eq!(lines(Kind::Build), Some(vec!["make".to_owned()]));
        assert_eq!(lines(Kind::Lint), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(lines(Kind::Format), Some(Vec::new()));
        assert_eq!(lines(Kind::Test), Some(vec!["c".to_owned(), "d".to_owned()]));
        assert_eq!(
            file.commands(Kind::Test).and_then(|commands| commands.timeout),
            Some(Duration::from_secs(5))
        );
        assert_eq!(lines(Kind::Setup), None);
        assert!(!file.tests_pass());
    }

    #[test]
    fn an_empty_file_is_that_of_a_repository_without_one() {
        assert_eq!(RepositoryFile::parse(b"").unwrap(), RepositoryFile::default());
        assert_eq!(
            RepositoryFile::parse(b"# nothing\n[checks]\n").unwrap(),
            RepositoryFile::default()
        );
        assert!(RepositoryFile::default().tests_pass());
    }

    #[test]
    fn a_misspelt_key_is_refused_with_its_place_and_the_right_ones() {
        refused(
            "[checks]\ntset = \"make\"\n",
            ".codingworker.toml, line 2, column 1: unknown field `tset`, expected one of `setup`, `format`, `build`, `lint`, \
             `test`, `tests`, `setup_network`, `timeout_seconds`",
        );
        refused(
            "\n[check]\n",
            ".codingworker.toml, line 2, column 2: unknown field `check`, expected `checks` or `gate`",
        );
        refused(
            "[checks]\ntest = { command = \"a\", timeout = 3 }\n",
            ".codingworker.toml, line 2, column 25: unknown field `timeout`, expected `command` or `timeout_seconds`",
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_place_and_the_right_one() {
        refused(
            "[checks]\nbuild = 7\n",
            ".codingworker.toml, line 2, column 9: invalid type: integer `7`, expected a command, a list of commands, or a table \
             with `command` and `timeout_seconds`",
        );
        refused(
            "[checks]\nbuild = [\"a\", 7]\n",
            ".codingworker.toml, line 2, column 15: invalid type: integer `7`, expected a string",
        );
        refused(
            "[checks]\ntests = \"no\"\n",
            ".codingworker.toml, line 2, column 9: invalid type: string \"no\", expected a boolean",
        );
        refused(
            "[checks]\nbuild = { timeout_seconds = 3 }\n",
            ".codingworker.toml, line 2, column 9: missing field `command`",
        );
    }

    #[test]
    fn a_timeout_out_of_range_is_refused() {
        for (value, shown) in [("0", "0"), ("-5", "-5"), ("86401", "86401")] {
            refused(
                &format!("[checks]\ntimeout_seconds = {value}\n"),
                &format!(
                    ".codingworker.toml, line 2, column 19: a timeout is between 1 and 86400 seconds, not {shown}"
                ),
            );
        }
    }

    #[test]
    fn what_is_not_toml_or_not_utf8_is_refused_with_its_place() {
        let error = RepositoryFile::parse(b"[checks]\nbuild = \"\xff\"\n").unwrap_err();
        assert_eq!(error, RepositoryFileError::Encoding { offset: 18 });
        let RepositoryFileError::Invalid { line, .. } =
            RepositoryFile::parse(b"[checks]\nbuild =\n").unwrap_err()
        else {
            panic!("not TOML")
        };
        assert_eq!(line, 2);
        let RepositoryFileError::Invalid { line, column, .. } =
            RepositoryFile::parse("[checks]\nbuild = \"ビルド\" x\n".as_bytes()).unwrap_err()
        else {
            panic!("not TOML")
        };
        assert_eq!((line, column), (2, 15));
    }
}
