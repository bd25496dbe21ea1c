//! The configuration: a TOML file and the environment into one validated [`Config`].
//!
//! Each owner has its settings in its own `settings.rs`; this module collects the sections and
//! loads them. A wrong setting is an error with its place and what would be right. Secrets come
//! from the environment alone, or from a file that a setting names.

mod error;
mod file;
mod language;
pub(crate) mod reference;

use std::path::{Path, PathBuf};

use secrecy::SecretString;

pub use self::error::{ConfigError, MalformedFile};
use self::file::ConfigFile;
use crate::agent::settings::{self as agent, AgentSettings};
use crate::checks::settings::{self as checks, CheckSettings};
use crate::environment::Environment;
use crate::gate::settings::{self as gate, GateSettings};
use crate::github::settings::{self as github, GitHubSettings};
use crate::language::{Language, Phrase};
use crate::publish::settings::{self as publish, PublishSettings};
use crate::queue::settings::{self as queue, KeyPair, QueueSettings};
use crate::redaction::Redaction;
use crate::sandbox::settings::{self as sandbox, SandboxSettings};
use crate::settings::{InvalidSetting, Setting, Text, ValueKind};
use crate::task::RepoName;
use crate::telemetry::settings::{self as telemetry, LogSettings};
use crate::worker::settings::{self as worker, WorkerSettings};

/// The file that is read when `--config` names none, below the platform's configuration directory.
const FILE_NAME: &str = "codingworker.toml";

/// Everything that the program can be told, with defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The configuration file, which may be missing when nobody named it.
    pub file: PathBuf,
    /// The language of comments, pull requests and what the program prints.
    pub language: Language,
    /// Where the journal, the repository caches and the runs are kept.
    pub data_dir: PathBuf,
    /// The only repositories that the worker works on.
    pub repositories: Vec<RepoName>,
    /// How the worker takes tasks.
    pub worker: WorkerSettings,
    /// Where tasks come from.
    pub queue: QueueSettings,
    /// Where repositories, issues and pull requests are.
    pub github: GitHubSettings,
    /// What works on a task.
    pub agent: AgentSettings,
    /// How changes are checked.
    pub checks: CheckSettings,
    /// How much a change may hold.
    pub gate: GateSettings,
    /// What encloses agents and checks.
    pub sandbox: SandboxSettings,
    /// How branches and commits are named.
    pub publish: PublishSettings,
    /// What is logged.
    pub log: LogSettings,
    /// What requests to the embedded queue must be signed with; without it the queue is for this
    /// machine alone.
    pub queue_keys: Option<KeyPair>,
    /// Every secret that this program holds or passes on; it learns more later.
    pub redaction: Redaction,
    /// The variables that no setting stands for: where executables and toolchains are.
    pub environment: Environment,
    /// What whoever keeps the configuration should change, though it still works.
    pub warnings: Vec<Phrase>,
}

impl Config {
    /// Reads `file` (or, without one, the platform's configuration file if it is there) and lets
    /// the environment override it.
    ///
    /// # Errors
    /// A file that can't be read, a key that is not known, a value of the wrong type or out of
    /// range: each with its place.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let (path, required) = Self::path(file, environment);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound && !required => {
                String::new()
            }
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        Self::parse(&text, &path, environment)
    }

    /// Where the configuration file is, and whether somebody named it, so that it has to be there.
    fn path(file: Option<&Path>, environment: &Environment) -> (PathBuf, bool) {
        let named = file.map(Path::to_path_buf).or_else(|| environment.path("CODINGWORKER_CONFIG"));
        match named {
            Some(path) => (path, true),
            None => {
                (environment.configuration_directory().join("codingworker").join(FILE_NAME), false)
            }
        }
    }

    /// Makes the settings of a file's text and the environment; errors and warnings name `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let (file, warnings) = ConfigFile::read(text, path, environment, registry())?;
        let config = file.validate(environment).map_err(|invalid| ConfigError::Invalid {
            place: place(path, &invalid, environment),
            source: Box::new(invalid),
        })?;
        let config = Self { warnings, file: path.to_path_buf(), ..config };
        config.secrets().for_each(|secret| config.redaction.learn(&secret));
        Ok(config)
    }

    fn secrets(&self) -> impl Iterator<Item = SecretString> {
        let cloud = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
            .map(|name| self.environment.value(name).map(SecretString::from));
        let passed = self.agent.pass_environment.iter().map(|(_, value)| value.clone());
        let queue = self.queue_keys.iter().map(|keys| keys.secret_access_key.clone());
        self.github
            .secret()
            .into_iter()
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

/// Where a value comes from: its variable when that is set, else the file.
fn place(path: &Path, invalid: &InvalidSetting, environment: &Environment) -> Phrase {
    let variable = registry()
        .find(|setting| setting.key == invalid.key())
        .and_then(|setting| setting.variable)
        .filter(|name| environment.value(name).is_some());
    match variable {
        Some(name) => {
            Phrase::new(format!("the environment variable {name}"), format!("環境変数 {name} "))
        }
        None => Phrase::new(
            format!("the configuration file {}", path.display()),
            format!("設定ファイル {} ", path.display()),
        ),
    }
}

/// Every key that the configuration file may have, section by section.
fn registry() -> impl Iterator<Item = &'static Setting> {
    let sections = [
        DOCUMENTATION,
        worker::DOCUMENTATION,
        queue::DOCUMENTATION,
        github::DOCUMENTATION,
        agent::DOCUMENTATION,
        checks::DOCUMENTATION,
        gate::DOCUMENTATION,
        sandbox::DOCUMENTATION,
        publish::DOCUMENTATION,
        telemetry::DOCUMENTATION,
    ];
    sections.into_iter().flatten()
}

/// The keys that belong to no section.
const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "language",
        "0.1.0",
        ValueKind::OneOf(&["en", "ja"]),
        Text {
            en: "The language of comments, pull requests and what the program prints: results, \
                 questions, errors and help. The log is always in English, so that it can be \
                 searched; so are other programs' messages.",
            ja: "コメント、プルリクエスト、プログラムの表示（結果、質問、エラー、ヘルプ）に使う言語です。\
                 ログは検索しやすいよう常に英語です。他のプログラムのメッセージもそのまま表示します。",
        },
    )
    .variable("CODINGWORKER_LANGUAGE"),
    Setting::new(
        "data_dir",
        "0.1.0",
        ValueKind::Path,
        Text {
            en: "Where the journal, the repository caches and the runs are kept.",
            ja: "ジャーナル、リポジトリのキャッシュ、実行の記録を置くディレクトリです。",
        },
    )
    .default_in_words(Text {
        en: "`codingworker` in `$XDG_DATA_HOME`, else in `~/.local/share` (macOS: \
             `~/Library/Application Support`)",
        ja: "`$XDG_DATA_HOME` の `codingworker`。未設定の場合は `~/.local/share`\
            （macOSでは `~/Library/Application Support`）の `codingworker`",
    })
    .variable("CODINGWORKER_DATA_DIR"),
    Setting::new(
        "repositories",
        "0.1.0",
        ValueKind::Texts,
        Text {
            en: "The only repositories that the worker works on.",
            ja: "ワーカーが処理するリポジトリです。ここにないリポジトリは処理しません。",
        },
    )
    .allowed(Text { en: "names as `owner/name`", ja: "`owner/name` の形式の名前" })
    .variable("CODINGWORKER_REPOSITORIES"),
];

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::time::Duration;

    use super::*;
    use crate::agent::settings::AgentKind;
    use crate::queue::settings::CredentialSource;

    pub(super) fn chain(error: &dyn Error) -> String {
        error
            .source()
            .map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
    }

    pub(super) fn environment(variables: &[(&str, &str)]) -> Environment {
        let home = [("HOME", "/home/user"), ("PATH", "/usr/bin")];
        Environment::from_variables(
            home.iter()
                .chain(variables)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        Config::parse(text, Path::new("codingworker.toml"), &environment(variables))
            .map_err(|error| chain(&error))
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
            "environment variable CODINGWORKER_LANGUAGE is \"fr\", expected `en` or `ja`: \
             correct it, or unset it"
        );
    }

    #[test]
    fn a_wrong_value_of_a_variable_is_told_with_the_variable() {
        let variables = [("CODINGWORKER_QUEUE_ENDPOINT_URL", "http://example.com")];
        let error = parse("[queue]\nendpoint_url = \"https://right\"\n", &variables).unwrap_err();
        for part in ["variable CODINGWORKER_QUEUE_ENDPOINT_URL", "`queue.endpoint_url`", "https"] {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn a_token_file_that_can_not_be_read_is_an_error_with_its_cause() {
        let directory = tempfile::tempdir().unwrap();
        let file = format!("[github]\ntoken_file = {:?}\n", directory.path());
        let error = parse(&file, &[]).unwrap_err();
        for part in ["`github.token_file`", "holds a token", "Is a directory"] {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn a_loopback_queue_needs_no_credentials() {
        let file = "[queue]\nendpoint_url = \"http://127.0.0.1:9324\"\n";
        assert_eq!(parse(file, &[]).unwrap().queue.credentials, CredentialSource::Anonymous);
        let named = parse(file, &[("AWS_ACCESS_KEY_ID", "id")]).unwrap().queue.credentials;
        assert_eq!(named, CredentialSource::Environment);
        let profile = parse("", &[("AWS_PROFILE", "work")]).unwrap().queue.credentials;
        assert_eq!(profile, CredentialSource::Profile("work".to_owned()));
        assert_eq!(parse("", &[]).unwrap().queue.credentials, CredentialSource::Found);
    }

    #[test]
    fn a_command_that_chooses_its_model_itself_asks_for_no_ollama() {
        let models = |command: &str| {
            let file = format!("[agent]\nkind = \"command\"\ncommand = {command}\n");
            parse(&file, &[]).unwrap().agent.models
        };
        assert_eq!(models(r#"["claude", "{prompt_file}"]"#), ["none"]);
        let told = models(r#"["run", "{prompt_file}", "{model}"]"#);
        assert!(told[0].starts_with("ollama_chat/"), "{told:?}");
    }
}
