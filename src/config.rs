//! The settings: a TOML file and the environment into one validated [`Config`].
//!
//! Owns every default, the names of all environment variables and the reading of them; no other
//! room reads the environment. A setting that is wrong is an error with its place and what would be
//! right, never a guess. Secrets come from the environment alone.

mod environment;
mod file;
mod sandbox;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

pub use environment::{Environment, VARIABLES, Variable};
pub use sandbox::SandboxSettings;

use crate::redaction::Redaction;
use crate::task::RepoName;

/// Where the settings are looked for when `--config` names no file, below the platform's
/// configuration directory.
const FILE_NAME: &str = "codingworker.toml";

/// Everything the program may be told, with defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The language of comments, pull requests and what the program prints.
    pub language: Language,
    /// Where the journal, the repository caches and the runs are kept.
    pub data_dir: PathBuf,
    /// The only repositories that are worked on.
    pub repositories: Vec<RepoName>,
    /// How many tasks are worked on at once; at least 1.
    pub concurrency: usize,
    /// How long runs may go on after the worker was told to stop.
    pub drain: Duration,
    /// How much of the data directory's disk must be free for a task to be taken, in bytes.
    pub free_space: u64,
    /// Whether the machine is kept from sleeping while a task is worked on.
    pub keep_awake: bool,
    /// Where the worker tells over HTTP how it is.
    pub health_listen: Option<SocketAddr>,
    pub queue: QueueSettings,
    /// How long a failed task rests before its next delivery, by the number of deliveries so far;
    /// the last goes on. Never empty.
    pub retry_delays: Vec<Duration>,
    pub github: GitHubSettings,
    pub agent: AgentSettings,
    pub checks: CheckSettings,
    pub sandbox: SandboxSettings,
    pub publish: PublishSettings,
    pub log: LogSettings,
    /// What requests to the embedded queue must be signed with; without it the queue is for this
    /// machine alone.
    pub queue_keys: Option<KeyPair>,
    /// Every secret that this program holds or passes on; more may be learned.
    pub redaction: Redaction,
    /// The variables that settings do not name: where executables and toolchains are.
    pub environment: Environment,
}

#[derive(Debug, Clone)]
pub struct KeyPair {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    Ja,
}

#[derive(Debug, Clone)]
pub struct QueueSettings {
    pub name: String,
    /// Takes the place of the name when set.
    pub url: Option<String>,
    /// An SQS-compatible server; AWS when absent.
    pub endpoint_url: Option<String>,
    pub region: Option<String>,
    /// How long a delivery is leased at a time; the queue's own visibility timeout when absent.
    pub lease: Option<Duration>,
    /// Whether requests carry a placeholder for credentials: a loopback server without keys of its
    /// own accepts any.
    pub anonymous: bool,
}

#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// The REST API's base, without a slash at its end.
    pub api_url: String,
    /// Where repositories are fetched from and pushed to: `{git_url}/owner/name.git`.
    pub git_url: String,
    /// `GITHUB_TOKEN`, else what `token_file` holds; absent for commands that do not need one.
    pub token: Option<SecretString>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How often an issue that is being worked on is looked at: whether it was closed, or its label
    /// taken off.
    pub watch_interval: Duration,
    /// Whose label is worked on.
    pub trust: Trust,
}

/// What whoever sets the label must be allowed to do in the repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    Anybody,
    #[default]
    Write,
    Admin,
}

#[derive(Debug, Clone)]
pub struct AgentSettings {
    pub kind: AgentKind,
    /// Tried in order when one times out; never empty.
    pub models: Vec<String>,
    /// Where Ollama listens.
    pub model_endpoint: String,
    /// How long one call of the model may take.
    pub model_timeout: Duration,
    /// How long one call of the agent may take, in all.
    pub call_timeout: Duration,
    /// How much of an agent's output is kept, in bytes.
    pub output_limit: usize,
    /// Names and values that the user lets through to the agent, such as a model's API key.
    pub pass_environment: Vec<(String, SecretString)>,
}

#[derive(Debug, Clone)]
pub enum AgentKind {
    Aider(AiderSettings),
    Command(CommandSettings),
}

#[derive(Debug, Clone)]
pub struct AiderSettings {
    /// A name that is looked up on the search path, or a path.
    pub executable: String,
    /// `whole` for small models, `diff` for strong ones.
    pub edit_format: String,
    pub map_tokens: u32,
    /// The context window Ollama loads the model with, pinned so that it does not reload.
    pub num_ctx: u32,
}

#[derive(Debug, Clone)]
pub struct CommandSettings {
    /// The argument vector, with `{prompt_file}`, `{workspace}` and `{model}` in it.
    pub argv: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// How often a pass may answer failed checks.
    pub fix_ups: u32,
    /// How long a check may take unless the repository says otherwise.
    pub timeout: Duration,
    /// How much of a check's output is kept, in bytes.
    pub output_limit: usize,
}

#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// The branch is this and the number.
    pub branch_prefix: String,
    pub author_name: String,
    pub author_email: String,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A `tracing` filter such as `info` or `codingworker=debug`.
    pub filter: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Config {
    /// Reads `file` (or, without one, the platform's configuration file if it is there) and lets
    /// the environment override it.
    ///
    /// # Errors
    /// A file that can't be read, a key that is not known, a value of the wrong type or out of
    /// range: each with its place.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let named = file.map(Path::to_path_buf).or_else(|| environment.path("CODINGWORKER_CONFIG"));
        let (path, required) = match named {
            Some(path) => (path, true),
            None => {
                (environment.configuration_directory().join("codingworker").join(FILE_NAME), false)
            }
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound && !required => {
                String::new()
            }
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        Self::parse(&text, &path, environment)
    }

    /// Makes the settings of a file's text and the environment; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let mut file: file::File = toml::from_str(text)
            .map_err(|source| ConfigError::Malformed { path: path.to_path_buf(), source })?;
        environment::apply(&mut file, environment)?;
        let config = file
            .validate(environment)
            .map_err(|invalid| ConfigError::Invalid { path: path.to_path_buf(), invalid })?;
        config.secrets().for_each(|secret| config.redaction.learn(&secret));
        Ok(config)
    }

    fn secrets(&self) -> impl Iterator<Item = SecretString> {
        let cloud = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
            .map(|name| self.environment.value(name).map(SecretString::from));
        let passed = self.agent.pass_environment.iter().map(|(_, value)| value.clone());
        let queue = self.queue_keys.iter().map(|keys| keys.secret_access_key.clone());
        self.github
            .token
            .iter()
            .cloned()
            .chain(cloud.into_iter().flatten())
            .chain(passed)
            .chain(queue)
    }

    /// Whether the allow list names this repository.
    #[must_use]
    pub fn allows(&self, repository: &RepoName) -> bool {
        self.repositories.iter().any(|allowed| allowed.is_same_as(repository))
    }
}

/// Why there is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("can't read the configuration file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Malformed { path: PathBuf, source: toml::de::Error },
    #[error("{}: {invalid}", path.display())]
    Invalid { path: PathBuf, invalid: InvalidSetting },
    #[error("environment variable {name} is {value:?}, expected {expected}")]
    Variable { name: &'static str, value: String, expected: &'static str },
}

/// A setting whose value has the right type but can't be.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` is {found}, expected {expected}")]
pub struct InvalidSetting {
    key: &'static str,
    found: String,
    expected: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let home = [("HOME", "/home/user"), ("PATH", "/usr/bin")];
        Environment::from_variables(
            home.iter()
                .chain(variables)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        Config::parse(text, Path::new("codingworker.toml"), &environment(variables))
            .map_err(|error| error.to_string())
    }

    fn check_refused(text: &str, expected: &[&str]) {
        let error = parse(text, &[]).expect_err("the settings are wrong");
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn nothing_need_be_said() {
        let config = parse("", &[]).unwrap();
        assert_eq!(config.queue.name, "codingworker-tasks");
        assert_eq!(config.github.api_url, "https://api.github.com");
        assert_eq!(config.data_dir, Path::new("/home/user/.local/share/codingworker"));
        assert_eq!(config.agent.model_timeout, Duration::from_secs(600));
        assert!(matches!(config.agent.kind, AgentKind::Aider(_)));
        assert!(config.repositories.is_empty());
    }

    #[test]
    fn the_example_documents_every_key_with_its_default() {
        let example = include_str!("../codingworker.example.toml");
        parse(example, &[]).unwrap();
        let uncommented: String = example
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        let every: toml::Table = toml::from_str(&uncommented).unwrap();
        for (section, keys) in file::KEYS {
            let table = if section.is_empty() {
                Some(&every)
            } else {
                every.get(*section).and_then(toml::Value::as_table)
            };
            for key in *keys {
                assert!(
                    table.is_some_and(|table| table.contains_key(*key)),
                    "[{section}] {key} is not in the example"
                );
            }
        }
        parse(&uncommented, &[]).unwrap();
    }

    #[test]
    fn a_wrong_setting_is_an_error_with_its_place_and_what_would_be_right() {
        check_refused(
            "[agent]\nmodle = \"x\"\n",
            &["codingworker.toml: ", "line 2", "unknown field `modle`", "`models`"],
        );
        check_refused("language = \"fr\"\n", &["line 1", "unknown variant `fr`", "`en` or `ja`"]);
        check_refused("[checks]\nfix_ups = \"three\"\n", &["line 2", "invalid type", "three"]);
        check_refused(
            "repositories = [\"codingworker\"]\n",
            &["`repositories`", "\"codingworker\"", "owner/name"],
        );
        check_refused(
            "[queue]\nlease_seconds = 10\n",
            &["`queue.lease_seconds`", "10", "30 to 43200"],
        );
        check_refused("[worker]\nconcurrency = 0\n", &["`worker.concurrency`", "1 to 64"]);
        check_refused(
            "[worker]\nhealth_listen = \"0.0.0.0:80\"\n",
            &["`worker.health_listen`", "loopback"],
        );
        check_refused("[agent]\nkind = \"command\"\n", &["`agent.command`", "{prompt_file}"]);
        check_refused(
            "[github]\napi_url = \"http://example.com\"\n",
            &["`github.api_url`", "https"],
        );
        check_refused(
            "[publish]\nbranch_prefix = \"a..b\"\n",
            &["`publish.branch_prefix`", "branch"],
        );
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let variables = [
            ("CODINGWORKER_LANGUAGE", "ja"),
            ("CODINGWORKER_REPOSITORIES", "o/a, o/b"),
            ("GITHUB_TOKEN", "token-of-the-forge"),
        ];
        let config = parse("language = \"en\"\nrepositories = [\"o/c\"]\n", &variables).unwrap();
        assert_eq!(config.language, Language::Ja);
        assert!(config.allows(&"O/A".parse().unwrap()) && !config.allows(&"o/c".parse().unwrap()));
        assert!(config.github.token.is_some());
        assert!(!format!("{config:?}").contains("token-of-the-forge"));
        assert_eq!(config.redaction.redact("token-of-the-forge"), "[redacted]");
        let error = parse("", &[("CODINGWORKER_LANGUAGE", "fr")]).unwrap_err();
        assert_eq!(
            error,
            "environment variable CODINGWORKER_LANGUAGE is \"fr\", expected `en` or `ja`"
        );
    }

    #[test]
    fn a_loopback_queue_needs_no_credentials() {
        let file = "[queue]\nendpoint_url = \"http://127.0.0.1:9324\"\n";
        assert!(parse(file, &[]).unwrap().queue.anonymous);
        assert!(!parse(file, &[("AWS_ACCESS_KEY_ID", "id")]).unwrap().queue.anonymous);
        assert!(!parse("", &[]).unwrap().queue.anonymous);
    }
}
