//! The environment: the one place that reads it, and the registry of the variables that mean
//! something.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::file::File;

/// A snapshot of the process's environment, taken once at start.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    search_path: OsString,
    executable: Option<PathBuf>,
}

/// An environment variable that overrides a setting.
pub struct Variable {
    pub name: &'static str,
    /// The setting it overrides, as in the file.
    pub key: &'static str,
    expected: &'static str,
    apply: fn(&mut File, &str) -> Option<()>,
}

/// Every override there is; docs/configuration.md lists them from here.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "CODINGWORKER_LANGUAGE",
        key: "language",
        expected: "`en` or `ja`",
        apply: |file, value| {
            file.language = Some(match value {
                "en" => super::Language::En,
                "ja" => super::Language::Ja,
                _ => return None,
            });
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_DATA_DIR",
        key: "data_dir",
        expected: "a directory",
        apply: |file, value| {
            file.data_dir = Some(PathBuf::from(value));
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_REPOSITORIES",
        key: "repositories",
        expected: "repositories as \"owner/name\", separated by commas",
        apply: |file, value| {
            file.repositories = list(value);
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_QUEUE_URL",
        key: "queue.url",
        expected: "a queue's URL",
        apply: |file, value| {
            file.queue.url = Some(value.to_owned());
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_QUEUE_ENDPOINT_URL",
        key: "queue.endpoint_url",
        expected: "a URL",
        apply: |file, value| {
            file.queue.endpoint_url = Some(value.to_owned());
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_GITHUB_API_URL",
        key: "github.api_url",
        expected: "a URL",
        apply: |file, value| {
            file.github.api_url = Some(value.to_owned());
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_GITHUB_GIT_URL",
        key: "github.git_url",
        expected: "a URL",
        apply: |file, value| {
            file.github.git_url = Some(value.to_owned());
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_MODELS",
        key: "agent.models",
        expected: "models, separated by commas",
        apply: |file, value| {
            file.agent.models = Some(list(value));
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_MODEL_ENDPOINT",
        key: "agent.model_endpoint",
        expected: "a URL",
        apply: |file, value| {
            file.agent.model_endpoint = Some(value.to_owned());
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_LOG",
        key: "log.filter",
        expected: "a filter such as `info` or `codingworker=debug`",
        apply: |file, value| {
            file.log.filter = Some(value.to_owned());
            Some(())
        },
    },
    Variable {
        name: "CODINGWORKER_LOG_FORMAT",
        key: "log.format",
        expected: "`text` or `json`",
        apply: |file, value| {
            file.log.format = Some(match value {
                "text" => super::LogFormat::Text,
                "json" => super::LogFormat::Json,
                _ => return None,
            });
            Some(())
        },
    },
];

impl Environment {
    /// Takes the snapshot. Variables that are not UTF-8 are none of ours.
    #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
    #[must_use]
    pub fn capture() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            variables: variables.collect(),
            executable: std::env::current_exe().ok(),
        }
    }

    /// An environment of just these variables.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: BTreeMap<_, _> = variables.into_iter().collect();
        let search_path = variables.get("PATH").map(OsString::from).unwrap_or_default();
        Self { search_path, variables, executable: None }
    }

    /// A variable's value; one that is set to nothing counts as not set.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    #[must_use]
    pub fn search_path(&self) -> &OsString {
        &self.search_path
    }

    /// Where this program itself is.
    #[must_use]
    pub fn executable(&self) -> Option<&Path> {
        self.executable.as_deref()
    }

    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path("HOME").unwrap_or_else(|| PathBuf::from("/"))
    }

    /// `$XDG_CONFIG_HOME`, else the platform's own.
    #[must_use]
    pub fn configuration_directory(&self) -> PathBuf {
        self.path("XDG_CONFIG_HOME")
            .unwrap_or_else(|| self.home().join(platform(".config", "Library/Application Support")))
    }

    /// `$XDG_DATA_HOME`, else the platform's own.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.path("XDG_DATA_HOME").unwrap_or_else(|| {
            self.home().join(platform(".local/share", "Library/Application Support"))
        })
    }
}

/// Values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

fn platform(linux: &'static str, macos: &'static str) -> &'static str {
    if cfg!(target_os = "macos") { macos } else { linux }
}

pub(super) fn apply(file: &mut File, environment: &Environment) -> Result<(), ConfigError> {
    for Variable { name, expected, apply, .. } in VARIABLES {
        if let Some(value) = environment.value(name) {
            apply(file, value).ok_or_else(|| ConfigError::Variable {
                name,
                value: value.to_owned(),
                expected,
            })?;
        }
    }
    Ok(())
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
