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
use crate::gate::settings::GateSection;
use crate::github::settings::GitHubSection;
use crate::language::{Language, Phrase};
use crate::publish::settings::PublishSection;
use crate::queue::settings::{KeyPair, QueueSection};
use crate::redaction::Redaction;
use crate::sandbox::settings::SandboxSection;
use crate::settings::{FormerKey, InvalidSetting, Setting, Text, ValueKind};
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
    gate: GateSection,
    sandbox: SandboxSection,
    publish: PublishSection,
    log: LogSettings,
}

impl ConfigFile {
    /// Reads the file's text, takes keys under their old names too, and lets the variables of
    /// `registry` override the file. Returns what it warns of as well; errors and warnings name
    /// `path`.
    ///
    /// # Errors
    /// The text is not TOML, has a key that is not known or a value of the wrong type, has a key
    /// under two names, or a variable's value is of the wrong type.
    pub(super) fn read<'s>(
        text: &str,
        path: &Path,
        environment: &Environment,
        registry: impl Iterator<Item = &'s Setting>,
    ) -> Result<(Self, Vec<Phrase>), ConfigError> {
        let malformed = |mut source: toml::de::Error| {
            source.set_input(Some(text));
            ConfigError::Malformed { path: path.to_path_buf(), source: source.into() }
        };
        let mut document = DeTable::parse(text).map_err(malformed)?;
        let mut warnings = Vec::new();
        for setting in registry {
            for former in setting.former_keys {
                warnings.extend(rename(document.get_mut(), former, setting.key, path)?);
            }
            let set = setting.variable.and_then(|name| Some((name, environment.value(name)?)));
            if let Some((name, value)) = set {
                let value = typed(&setting.kind, value).ok_or_else(|| ConfigError::Variable {
                    name,
                    value: value.to_owned(),
                    expected: setting.kind.expected(),
                })?;
                insert(document.get_mut(), setting.key, outside_of_the_text(value));
            }
        }
        let file = Self::deserialize(Deserializer::from(document)).map_err(malformed)?;
        Ok((file, warnings))
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A value is not allowed.
    pub(super) fn validate(self, environment: &Environment) -> Result<Config, InvalidSetting> {
        let repositories = self.repositories.iter().map(|name| {
            name.parse().map_err(|_| {
                let expected = Text {
                    en: "repositories as \"owner/name\"",
                    ja: "\"owner/name\" の形式のリポジトリ名",
                };
                InvalidSetting::new("repositories", name, expected)
            })
        });
        let worker = self.worker.validate()?;
        Ok(Config {
            file: PathBuf::new(),
            language: self.language,
            data_dir: self
                .data_dir
                .unwrap_or_else(|| environment.data_directory().join("codingworker")),
            repositories: repositories.collect::<Result<_, _>>()?,
            queue: self.queue.validate(environment)?,
            github: self.github.validate(environment)?,
            agent: self.agent.validate(environment)?,
            checks: self.checks.validate()?,
            gate: self.gate.validate()?,
            sandbox: self.sandbox.validate(worker.free_space)?,
            worker,
            publish: self.publish.validate()?,
            log: self.log,
            queue_keys: KeyPair::from_environment(environment),
            redaction: Redaction::default(),
            environment: environment.clone(),
            warnings: Vec::new(),
        })
    }
}

/// Gives a key that the document has under a former name its name of today, and returns a warning
/// of it.
fn rename(
    document: &mut DeTable<'_>,
    former: &FormerKey,
    key: &'static str,
    path: &Path,
) -> Result<Option<Phrase>, ConfigError> {
    let Some(value) = take(document, former.key) else { return Ok(None) };
    if insert(document, key, value).is_some() {
        let path = path.to_path_buf();
        return Err(ConfigError::Twice { path, former: former.key, key });
    }
    let (FormerKey { key: former, renamed_in }, path) = (former, path.display());
    Ok(Some(Phrase::new(
        format!(
            "the setting `{former}` in {path} is called `{key}` since version {renamed_in}: \
             rename it, the old name will not work forever"
        ),
        format!(
            "{path} の設定 `{former}` は、バージョン{renamed_in}から `{key}` という名前です。\
             古い名前は将来使えなくなるため、変更してください"
        ),
    )))
}

/// Takes a key's value out of the document. A section that holds nothing else goes too, since it
/// may be known under its old name only.
fn take<'v>(document: &mut DeTable<'v>, key: &str) -> Option<Spanned<DeValue<'v>>> {
    let Some((section_name, key)) = key.split_once('.') else { return document.remove(key) };
    let DeValue::Table(section) = document.get_mut(section_name)?.get_mut() else { return None };
    let value = section.remove(key)?;
    if section.is_empty() {
        document.remove(section_name);
    }
    Some(value)
}

/// A variable's value as the TOML value of its kind, if it is one.
fn typed<'v>(kind: &ValueKind, value: &'v str) -> Option<DeValue<'v>> {
    let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
    match kind {
        ValueKind::OneOf(words) if !words.contains(&value) => None,
        ValueKind::Address if value.parse::<std::net::SocketAddr>().is_err() => None,
        ValueKind::Text
        | ValueKind::Path
        | ValueKind::Url
        | ValueKind::OneOf(_)
        | ValueKind::Address => Some(text(value)),
        ValueKind::Texts | ValueKind::Paths => Some(array(items().map(text))),
        ValueKind::Boolean => literal(value).filter(DeValue::is_bool),
        ValueKind::Number { .. } => literal(value).filter(DeValue::is_integer),
        ValueKind::Numbers { .. } => {
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

/// Puts a value in place of the one that the document has for a key, and returns that one. A
/// section that is not a table stays as it is: reading the document fails at it.
fn insert<'v>(
    document: &mut DeTable<'v>,
    key: &'static str,
    value: Spanned<DeValue<'v>>,
) -> Option<Spanned<DeValue<'v>>> {
    let name = |name| outside_of_the_text(Cow::Borrowed(name));
    let Some((section, key)) = key.split_once('.') else {
        return document.insert(name(key), value);
    };
    let section = document
        .entry(name(section))
        .or_insert_with(|| outside_of_the_text(DeValue::Table(DeTable::new())));
    let DeValue::Table(section) = section.get_mut() else { return None };
    section.insert(name(key), value)
}

/// What a variable brings has no place in the file's text.
fn outside_of_the_text<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{chain, environment};
    use crate::settings::Unit;

    const NOTHING: Text = Text { en: "", ja: "" };

    /// Keys that have old names, one of them in a section that is no longer there.
    const RENAMED: &[Setting] = &[
        Setting::new("worker.drain_seconds", "0.1.0", ValueKind::Text, NOTHING)
            .formerly(&[FormerKey { key: "shutdown.patience", renamed_in: "0.2.0" }]),
        Setting::new("data_dir", "0.1.0", ValueKind::Path, NOTHING)
            .formerly(&[FormerKey { key: "directory", renamed_in: "0.3.0" }])
            .variable("CODINGWORKER_DATA_DIR"),
    ];

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<(Config, Vec<Phrase>), String> {
        let environment = environment(variables);
        let (file, warnings) =
            ConfigFile::read(text, Path::new("here.toml"), &environment, RENAMED.iter())
                .map_err(|error| chain(&error))?;
        Ok((file.validate(&environment).unwrap(), warnings))
    }

    #[test]
    fn a_key_works_under_its_old_name_with_a_warning_that_names_the_new_one() {
        let text = "directory = \"/old\"\n[shutdown]\npatience = 77\n";
        let (config, warnings) = read(text, &[]).unwrap();
        assert_eq!(config.worker.drain.as_secs(), 77);
        assert_eq!(config.data_dir, Path::new("/old"));
        let [drain, data_dir] = warnings.as_slice() else { panic!("two warnings: {warnings:?}") };
        for part in ["`shutdown.patience`", "here.toml", "`worker.drain_seconds`", "0.2.0"] {
            assert!(drain.ja.contains(part), "{part:?} is not in: {}", drain.ja);
        }
        let (drain, data_dir) = (&drain.en, &data_dir.en);
        for part in ["`shutdown.patience`", "here.toml", "`worker.drain_seconds`", "0.2.0"] {
            assert!(drain.contains(part), "{part:?} is not in: {drain}");
        }
        assert!(data_dir.contains("`directory`") && data_dir.contains("`data_dir`"), "{data_dir}");
    }

    #[test]
    fn nothing_is_warned_of_where_the_new_names_are_used() {
        let (config, warnings) = read("[worker]\ndrain_seconds = 77\n", &[]).unwrap();
        assert_eq!((config.worker.drain.as_secs(), warnings), (77, Vec::new()));
    }

    #[test]
    fn a_key_under_both_names_is_refused() {
        let error = read("directory = \"/old\"\ndata_dir = \"/new\"\n", &[]).unwrap_err();
        assert!(error.contains("has both `directory` and `data_dir`"), "{error}");
    }

    #[test]
    fn a_variable_overrides_a_key_under_its_old_name() {
        let variables = [("CODINGWORKER_DATA_DIR", "/variable")];
        let (config, warnings) = read("directory = \"/old\"\n", &variables).unwrap();
        assert_eq!(config.data_dir, Path::new("/variable"));
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn an_error_shows_the_line_in_the_file_when_a_key_has_its_old_name() {
        let error = read("[shutdown]\npatience = \"long\"\n", &[]).unwrap_err();
        assert!(error.contains("line 2") && error.contains("patience = \"long\""), "{error}");
    }

    #[test]
    fn a_variable_has_a_value_of_the_kind_of_its_key_or_none() {
        let number = ValueKind::Number { unit: Unit::Count, range: 0..=9 };
        let numbers = ValueKind::Numbers { unit: Unit::Count, range: 0..=9 };
        let good = [
            (&ValueKind::Boolean, "true"),
            (&number, "7"),
            (&numbers, "7, 8"),
            (&ValueKind::Address, "127.0.0.1:1"),
            (&ValueKind::OneOf(&["a"]), "a"),
            (&ValueKind::Paths, "/a,/b"),
        ];
        for (kind, value) in good {
            assert!(typed(kind, value).is_some(), "{kind:?} {value}");
        }
        let bad = [
            (&ValueKind::Boolean, "yes"),
            (&number, "seven"),
            (&number, "7\n[x]"),
            (&numbers, "7, eight"),
            (&ValueKind::Address, "localhost"),
            (&ValueKind::OneOf(&["a"]), "b"),
        ];
        for (kind, value) in bad {
            assert!(typed(kind, value).is_none(), "{kind:?} {value}");
        }
    }
}
