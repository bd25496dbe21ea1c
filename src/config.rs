//! The settings: a TOML file and the environment into one validated [`Config`].
//!
//! Owns every default, the names of all environment variables and the reading of them; no other room reads the environment. A setting that
//! is wrong is an error with its place and what would be right, never a guess. Secrets come from the environment alone.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::task::RepoName;

/// Everything the program may be told, with defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The language of comments, pull requests and what the program prints.
    pub language: Language,
    /// Where the journal, the repository caches and the runs are kept.
    pub data_dir: PathBuf,
    /// The only repositories that are worked on.
    pub repositories: Vec<RepoName>,
    pub queue: QueueSettings,
    pub github: GitHubSettings,
    pub agent: AgentSettings,
    pub checks: CheckSettings,
    pub publish: PublishSettings,
    pub log: LogSettings,
    /// `PATH`: where executables are looked up, and what checks find their tools in.
    pub search_path: OsString,
    /// The user's home, which toolchains are found in.
    pub home: PathBuf,
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
    /// Whether the AWS chain has credentials of its own to look for. A loopback server without keys accepts any.
    pub anonymous: bool,
}

#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// The REST API's base, without a slash at its end.
    pub api_url: String,
    /// Where repositories are fetched from and pushed to: `{git_url}/owner/name.git`.
    pub git_url: String,
    /// `GITHUB_TOKEN`; absent for commands that do not need one.
    pub token: Option<SecretString>,
    /// How long one answer may take.
    pub timeout: Duration,
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
