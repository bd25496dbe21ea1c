//! The configuration file as it is written, below the environment variables that override it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::{Config, ConfigError};
use crate::agent::settings::AgentSection;
use crate::checks::settings::CheckSection;
use crate::environment::Environment;
use crate::github::settings::GitHubSection;
use crate::publish::settings::{Language, PublishSection};
use crate::queue::settings::{KeyPair, QueueSection};
use crate::redaction::Redaction;
use crate::sandbox::settings::SandboxSection;
use crate::settings::{InvalidSetting, Kind, Setting};
use crate::telemetry::settings::LogSettings;
use crate::worker::settings::WorkerSection;

/// The whole file: the sections of all owners.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    language: Language,
    data_dir: Option<PathBuf>,
    repositories: Vec<String>,
    worker: WorkerSection,
    queue: QueueSection,
    github: GitHubSection,
    agent: AgentSection,
    checks: CheckSection,
    sandbox: SandboxSection,
    publish: PublishSection,
    log: LogSettings,
}

impl ConfigFile {
    /// Reads the file's text, and lets the variables of `registry` override it; `path` is only
    /// named in errors.
    ///
    /// # Errors
    /// The text is not TOML, has a key that is not known or a value of the wrong type, or a
    /// variable's value is of the wrong type.
    pub(super) fn read<'s>(
        text: &str,
        path: &Path,
        environment: &Environment,
        registry: impl Iterator<Item = &'s Setting>,
    ) -> Result<Self, ConfigError> {
        let malformed = |mut source: toml::de::Error| {
            source.set_input(Some(text));
            ConfigError::Malformed { path: path.to_path_buf(), source: Box::new(source) }
        };
        let mut document = DeTable::parse(text).map_err(malformed)?;
        for setting in registry {
            let set = setting.variable.and_then(|name| Some((name, environment.value(name)?)));
            if let Some((name, value)) = set {
                let value = typed(&setting.kind, value).ok_or_else(|| ConfigError::Variable {
                    name,
                    value: value.to_owned(),
                    expected: setting.kind.expected(),
                })?;
                insert(document.get_mut(), setting.key, value);
            }
        }
        Self::deserialize(Deserializer::from(document)).map_err(malformed)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A value is not allowed.
    pub(super) fn validate(self, environment: &Environment) -> Result<Config, InvalidSetting> {
        let repositories = self.repositories.iter().map(|name| {
            name.parse().map_err(|_| {
                InvalidSetting::new("repositories", name, "repositories as \"owner/name\"")
            })
        });
        let worker = self.worker.validate()?;
        Ok(Config {
            language: self.language,
            data_dir: self
                .data_dir
                .unwrap_or_else(|| environment.data_directory().join("codingworker")),
            repositories: repositories.collect::<Result<_, _>>()?,
            queue: self.queue.validate(environment)?,
            github: self.github.validate(environment)?,
            agent: self.agent.validate(environment)?,
            checks: self.checks.validate()?,
            sandbox: self.sandbox.validate(worker.free_space)?,
            worker,
            publish: self.publish.validate()?,
            log: self.log,
            queue_keys: KeyPair::from_environment(environment),
            redaction: Redaction::default(),
            environment: environment.clone(),
        })
    }
}

/// A variable's value as the TOML value of its kind, if it is one.
fn typed<'v>(kind: &Kind, value: &'v str) -> Option<DeValue<'v>> {
    let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
    match kind {
        Kind::OneOf(words) if !words.contains(&value) => None,
        Kind::Address if value.parse::<std::net::SocketAddr>().is_err() => None,
        Kind::Text | Kind::Path | Kind::Url | Kind::OneOf(_) | Kind::Address => Some(text(value)),
        Kind::Texts | Kind::Paths => Some(array(items().map(text))),
        Kind::Boolean => literal(value).filter(DeValue::is_bool),
        Kind::Number { .. } => literal(value).filter(DeValue::is_integer),
        Kind::Numbers { .. } => {
            let numbers: Option<Vec<_>> =
                items().map(|item| literal(item).filter(DeValue::is_integer)).collect();
            Some(array(numbers?.into_iter()))
        }
    }
}

fn text(value: &str) -> DeValue<'_> {
    DeValue::String(Cow::Borrowed(value))
}

fn array<'v>(values: impl Iterator<Item = DeValue<'v>>) -> DeValue<'v> {
    let mut array = DeArray::new();
    values.for_each(|value| array.push(outside_of_the_text(value)));
    DeValue::Array(array)
}

fn literal(value: &str) -> Option<DeValue<'_>> {
    DeValue::parse(value).ok().map(Spanned::into_inner)
}

/// Puts a value in place of the one that the document has for a key. A section that is not a table
/// stays as it is: reading the document fails at it.
fn insert<'v>(document: &mut DeTable<'v>, key: &'static str, value: DeValue<'v>) {
    let value = outside_of_the_text(value);
    let Some((section, key)) = key.split_once('.') else {
        document.insert(outside_of_the_text(Cow::Borrowed(key)), value);
        return;
    };
    let section = document
        .entry(outside_of_the_text(Cow::Borrowed(section)))
        .or_insert_with(|| outside_of_the_text(DeValue::Table(DeTable::new())));
    if let DeValue::Table(section) = section.get_mut() {
        section.insert(outside_of_the_text(Cow::Borrowed(key)), value);
    }
}

/// What a variable brings has no place in the file's text.
fn outside_of_the_text<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
