//! The shape of `codingworker.toml` as it is written, and its validation into a [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    AgentKind, AgentSettings, AiderSettings, CheckSettings, CommandSettings, Config, Environment,
    GitHubSettings, InvalidSetting, KeyPair, Language, LogFormat, LogSettings, PublishSettings,
    QueueSettings,
};
use crate::redaction::Redaction;

/// SQS ends every lease twelve hours after the receive (the SQS Developer Guide, "Amazon SQS
/// visibility timeout").
const LONGEST_LEASE_SECONDS: u64 = 43_200;
/// Below this a heartbeat at a third of the lease leaves no room for a slow answer.
const SHORTEST_LEASE_SECONDS: u64 = 30;
/// What must be free for a task unless the settings say otherwise, in bytes.
pub(super) const FREE_SPACE: u64 = 256 << 20;
/// More agents than this at once are a mistyped number.
const MOST_SLOTS: usize = 64;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) language: Option<Language>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) repositories: Vec<String>,
    worker: Worker,
    pub(super) queue: Queue,
    pub(super) github: GitHub,
    pub(super) agent: Agent,
    checks: Checks,
    sandbox: super::sandbox::Sandbox,
    publish: Publish,
    pub(super) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Worker {
    concurrency: Option<usize>,
    drain_seconds: Option<u64>,
    keep_awake: Option<bool>,
    free_space_mib: Option<u32>,
    health_listen: Option<SocketAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Queue {
    name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) endpoint_url: Option<String>,
    region: Option<String>,
    lease_seconds: Option<u64>,
    retry_delays_seconds: Option<Vec<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GitHub {
    pub(super) api_url: Option<String>,
    pub(super) git_url: Option<String>,
    token_file: Option<PathBuf>,
    timeout_seconds: Option<u64>,
    watch_seconds: Option<u64>,
    trust: super::Trust,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Agent {
    kind: Kind,
    pub(super) models: Option<Vec<String>>,
    pub(super) model_endpoint: Option<String>,
    model_timeout_seconds: Option<u64>,
    call_timeout_seconds: Option<u64>,
    output_limit_bytes: Option<usize>,
    pass_environment: Vec<String>,
    executable: Option<String>,
    edit_format: Option<String>,
    map_tokens: Option<u32>,
    num_ctx: Option<u32>,
    command: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Aider,
    Command,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Checks {
    fix_ups: Option<u32>,
    timeout_seconds: Option<u64>,
    output_limit_bytes: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Publish {
    branch_prefix: Option<String>,
    author_name: Option<String>,
    author_email: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) format: Option<LogFormat>,
    pub(super) filter: Option<String>,
}

/// Every key there is, by section: the example file is held to this list.
#[cfg(test)]
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("", &["language", "data_dir", "repositories"]),
    ("worker", &["concurrency", "drain_seconds", "keep_awake", "free_space_mib", "health_listen"]),
    ("queue", &["name", "url", "endpoint_url", "region", "lease_seconds", "retry_delays_seconds"]),
    ("github", &["api_url", "git_url", "token_file", "timeout_seconds", "watch_seconds", "trust"]),
    (
        "agent",
        &[
            "kind",
            "models",
            "model_endpoint",
            "model_timeout_seconds",
            "call_timeout_seconds",
            "output_limit_bytes",
            "pass_environment",
            "executable",
            "edit_format",
            "map_tokens",
            "num_ctx",
            "command",
        ],
    ),
    ("checks", &["fix_ups", "timeout_seconds", "output_limit_bytes"]),
    ("sandbox", super::sandbox::KEYS),
    ("publish", &["branch_prefix", "author_name", "author_email"]),
    ("log", &["format", "filter"]),
];

impl File {
    pub(super) fn validate(self, environment: &Environment) -> Result<Config, InvalidSetting> {
        let repositories = self.repositories.iter().map(|name| {
            name.parse().map_err(|_| {
                invalid("repositories", format!("{name:?}"), "repositories as \"owner/name\"")
            })
        });
        let retry_delays = retry_delays(self.queue.retry_delays_seconds.as_deref())?;
        let free_space = self.worker.free_space_mib.map_or(FREE_SPACE, |mib| u64::from(mib) << 20);
        Ok(Config {
            language: self.language.unwrap_or_default(),
            data_dir: self
                .data_dir
                .unwrap_or_else(|| environment.data_directory().join("codingworker")),
            repositories: repositories.collect::<Result<_, _>>()?,
            concurrency: concurrency(self.worker.concurrency)?,
            drain: seconds(
                "worker.drain_seconds",
                self.worker.drain_seconds,
                15,
                0..=LONGEST_LEASE_SECONDS,
            )?,
            free_space,
            keep_awake: self.worker.keep_awake.unwrap_or(true),
            health_listen: health_listen(self.worker.health_listen)?,
            queue: self.queue.validate(environment)?,
            retry_delays,
            github: self.github.validate(environment)?,
            agent: self.agent.validate(environment)?,
            checks: CheckSettings {
                fix_ups: self.checks.fix_ups.unwrap_or(3),
                timeout: seconds(
                    "checks.timeout_seconds",
                    self.checks.timeout_seconds,
                    1800,
                    1..=LONGEST_LEASE_SECONDS,
                )?,
                output_limit: self.checks.output_limit_bytes.unwrap_or(4 << 20),
            },
            sandbox: self.sandbox.validate(free_space)?,
            publish: self.publish.validate()?,
            log: LogSettings {
                format: self.log.format.unwrap_or_default(),
                filter: self.log.filter.unwrap_or_else(|| "info".to_owned()),
            },
            queue_keys: queue_keys(environment),
            redaction: Redaction::default(),
            environment: environment.clone(),
        })
    }
}

impl Queue {
    fn validate(self, environment: &Environment) -> Result<QueueSettings, InvalidSetting> {
        let endpoint_url =
            self.endpoint_url.map(|url| base_url("queue.endpoint_url", url)).transpose()?;
        let lease = self.lease_seconds.map(|lease| {
            seconds(
                "queue.lease_seconds",
                Some(lease),
                lease,
                SHORTEST_LEASE_SECONDS..=LONGEST_LEASE_SECONDS,
            )
        });
        Ok(QueueSettings {
            name: self.name.unwrap_or_else(|| "codingworker-tasks".to_owned()),
            url: self.url,
            anonymous: endpoint_url.as_deref().is_some_and(is_loopback)
                && environment.value("AWS_ACCESS_KEY_ID").is_none(),
            endpoint_url,
            region: self.region,
            lease: lease.transpose()?,
        })
    }
}

impl GitHub {
    fn validate(self, environment: &Environment) -> Result<GitHubSettings, InvalidSetting> {
        let api_url = self.api_url.unwrap_or_else(|| "https://api.github.com".to_owned());
        let git_url = self.git_url.unwrap_or_else(|| "https://github.com".to_owned());
        Ok(GitHubSettings {
            api_url: base_url("github.api_url", api_url)?,
            git_url: base_url("github.git_url", git_url)?,
            token: match (environment.value("GITHUB_TOKEN"), self.token_file) {
                (Some(token), _) => Some(token.into()),
                (None, Some(file)) => token_file(&file)?,
                (None, None) => None,
            },
            timeout: seconds("github.timeout_seconds", self.timeout_seconds, 30, 1..=600)?,
            watch_interval: seconds("github.watch_seconds", self.watch_seconds, 30, 1..=3600)?,
            trust: self.trust,
        })
    }
}

impl Agent {
    fn validate(self, environment: &Environment) -> Result<AgentSettings, InvalidSetting> {
        let kind = match self.kind {
            Kind::Aider => AgentKind::Aider(AiderSettings {
                executable: self.executable.unwrap_or_else(|| "aider".to_owned()),
                edit_format: self.edit_format.unwrap_or_else(|| "whole".to_owned()),
                map_tokens: self.map_tokens.unwrap_or(1024),
                num_ctx: self.num_ctx.unwrap_or(16_384),
            }),
            Kind::Command => {
                AgentKind::Command(CommandSettings { argv: self.command.unwrap_or_default() })
            }
        };
        if let AgentKind::Command(CommandSettings { argv }) = &kind
            && !argv.iter().skip(1).any(|argument| argument.contains("{prompt_file}"))
        {
            return Err(invalid(
                "agent.command",
                format!("{argv:?}"),
                "a program and its arguments, one of them with {prompt_file}",
            ));
        }
        let models = self.models.unwrap_or_else(|| vec![default_model().to_owned()]);
        if models.is_empty() || models.iter().any(|model| model.trim().is_empty()) {
            return Err(invalid(
                "agent.models",
                format!("{models:?}"),
                "at least one model, none of them blank",
            ));
        }
        let mut pass_environment = Vec::new();
        for name in self.pass_environment {
            if matches!(name.as_str(), "GITHUB_TOKEN" | "GH_TOKEN") || name.starts_with("AWS_") {
                let expected = "names of variables other than the worker's own credentials";
                return Err(invalid("agent.pass_environment", format!("{name:?}"), expected));
            }
            if let Some(value) = environment.value(&name) {
                pass_environment.push((name.clone(), value.into()));
            }
        }
        let model_timeout = seconds(
            "agent.model_timeout_seconds",
            self.model_timeout_seconds,
            600,
            1..=LONGEST_LEASE_SECONDS,
        )?;
        let thrice = model_timeout.as_secs().saturating_mul(3).min(LONGEST_LEASE_SECONDS);
        Ok(AgentSettings {
            kind,
            models,
            model_endpoint: base_url(
                "agent.model_endpoint",
                self.model_endpoint.unwrap_or_else(|| "http://127.0.0.1:11434".to_owned()),
            )?,
            model_timeout,
            call_timeout: seconds(
                "agent.call_timeout_seconds",
                self.call_timeout_seconds,
                thrice,
                1..=LONGEST_LEASE_SECONDS,
            )?,
            output_limit: self.output_limit_bytes.unwrap_or(4 << 20),
            pass_environment,
        })
    }
}

impl Publish {
    fn validate(self) -> Result<PublishSettings, InvalidSetting> {
        let branch_prefix = self.branch_prefix.unwrap_or_else(|| "codingworker/issue-".to_owned());
        if !is_branch_prefix(&branch_prefix) {
            return Err(invalid(
                "publish.branch_prefix",
                format!("{branch_prefix:?}"),
                "the beginning of a branch name, such as \"codingworker/issue-\"",
            ));
        }
        let author_name = self.author_name.unwrap_or_else(|| "CodingWorker".to_owned());
        let author_email =
            self.author_email.unwrap_or_else(|| "codingworker@users.noreply.github.com".to_owned());
        for (key, value) in
            [("publish.author_name", &author_name), ("publish.author_email", &author_email)]
        {
            if value.trim().is_empty() || value.contains(['<', '>', '\n', '\0']) {
                return Err(invalid(
                    key,
                    format!("{value:?}"),
                    "text without `<`, `>` and line ends, as git asks of an identity",
                ));
            }
        }
        Ok(PublishSettings { branch_prefix, author_name, author_email })
    }
}

/// The models these machines are known to run: a small one for slow hardware, a larger one where
/// the GPU shares the memory.
fn default_model() -> &'static str {
    if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        "ollama_chat/qwen2.5-coder:7b"
    } else {
        "ollama_chat/qwen2.5-coder:1.5b"
    }
}

/// A file that is not there yet is no token: `codingworker up` writes it.
fn token_file(file: &Path) -> Result<Option<SecretString>, InvalidSetting> {
    match std::fs::read_to_string(file) {
        Ok(token) => Ok(Some(token.trim().into())),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(invalid(
            "github.token_file",
            format!("{file:?} ({error})"),
            "a file that holds a token and can be read",
        )),
    }
}

fn queue_keys(environment: &Environment) -> Option<KeyPair> {
    Some(KeyPair {
        access_key_id: environment.value("CODINGWORKER_QUEUE_ACCESS_KEY_ID")?.to_owned(),
        secret_access_key: environment.value("CODINGWORKER_QUEUE_SECRET_ACCESS_KEY")?.into(),
    })
}

fn concurrency(slots: Option<usize>) -> Result<usize, InvalidSetting> {
    let slots = slots.unwrap_or(1);
    if (1..=MOST_SLOTS).contains(&slots) {
        Ok(slots)
    } else {
        Err(invalid("worker.concurrency", slots.to_string(), format!("1 to {MOST_SLOTS}")))
    }
}

/// What a worker is busy with is nobody's business but this machine's.
fn health_listen(address: Option<SocketAddr>) -> Result<Option<SocketAddr>, InvalidSetting> {
    match address {
        Some(address) if !address.ip().is_loopback() => Err(invalid(
            "worker.health_listen",
            format!("\"{address}\""),
            "an address and port of this machine's loopback, such as \"127.0.0.1:9326\"",
        )),
        loopback => Ok(loopback),
    }
}

fn retry_delays(delays: Option<&[u64]>) -> Result<Vec<Duration>, InvalidSetting> {
    let delays = delays.unwrap_or(&[30, 60, 120]);
    if delays.is_empty() || delays.iter().any(|delay| *delay > LONGEST_LEASE_SECONDS) {
        let expected = format!("at least one number of seconds from 0 to {LONGEST_LEASE_SECONDS}");
        return Err(invalid("queue.retry_delays_seconds", format!("{delays:?}"), expected));
    }
    Ok(delays.iter().copied().map(Duration::from_secs).collect())
}

pub(super) fn invalid(
    key: &'static str,
    found: String,
    expected: impl Into<String>,
) -> InvalidSetting {
    InvalidSetting { key, found, expected: expected.into() }
}

fn seconds(
    key: &'static str,
    value: Option<u64>,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Duration, InvalidSetting> {
    let value = value.unwrap_or(default);
    if range.contains(&value) {
        Ok(Duration::from_secs(value))
    } else {
        Err(invalid(key, value.to_string(), format!("{} to {}", range.start(), range.end())))
    }
}

/// Plain HTTP would show the token to the network; on loopback there is none.
fn base_url(key: &'static str, url: String) -> Result<String, InvalidSetting> {
    let parsed = reqwest::Url::parse(&url).ok().filter(|parsed| {
        parsed.has_host()
            && parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none()
    });
    match parsed {
        Some(parsed)
            if parsed.scheme() == "https"
                || (parsed.scheme() == "http"
                    && (is_loopback(&url) || key == "agent.model_endpoint")) =>
        {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(invalid(
            key,
            format!("{url:?}"),
            "an https URL without user, password and query (http only on this machine's loopback)",
        )),
    }
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// Git's rules for a ref name (`git check-ref-format`), for a prefix that a number follows.
fn is_branch_prefix(prefix: &str) -> bool {
    let forbidden = |c: char| {
        c.is_ascii_control()
            || c.is_whitespace()
            || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\')
    };
    !prefix.is_empty()
        && !prefix.starts_with(['-', '/', '.'])
        && !prefix.contains("..")
        && !prefix.contains("//")
        && !prefix.contains("/.")
        && !prefix.contains("@{")
        && !prefix.contains(".lock/")
        && !prefix.contains(forbidden)
}
