//! GitHub's settings: the section `[github]`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Token;
use crate::environment::Environment;
use crate::settings::{
    InvalidSetting, PlainHttp, SAFE_URL, Setting, Text, Unit, ValueKind, base_url, seconds,
};

const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=600;
const WATCH_SECONDS: RangeInclusive<u64> = 1..=3600;

/// Where GitHub is, and what the program may assume of it.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// The REST API's base, without a slash at its end.
    pub api_url: String,
    /// Where repositories are fetched from and pushed to: `{git_url}/owner/name.git`.
    pub git_url: String,
    /// `GITHUB_TOKEN`, else what the token file holds; commands that need none work without.
    pub token: Option<Token>,
    /// The file that the settings name for the token, whether it is there or not.
    pub token_file: Option<PathBuf>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How often the worker checks whether the issue it works on was closed or lost its label.
    pub watch_interval: Duration,
    /// Whose label the worker acts on.
    pub trust: Trust,
}

impl GitHubSettings {
    /// Returns the token as it is now.
    #[must_use]
    pub fn secret(&self) -> Option<SecretString> {
        self.token.as_ref().map(Token::secret)
    }
}

/// What the person who sets the label must be allowed to do in the repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Nothing: everybody who can set a label is trusted.
    Anybody,
    /// To write.
    #[default]
    Write,
    /// To administer it.
    Admin,
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GitHubSection {
    api_url: String,
    git_url: String,
    token_file: Option<PathBuf>,
    timeout_seconds: u64,
    watch_seconds: u64,
    trust: Trust,
}

impl Default for GitHubSection {
    fn default() -> Self {
        Self {
            api_url: "https://api.github.com".to_owned(),
            git_url: "https://github.com".to_owned(),
            token_file: None,
            timeout_seconds: 30,
            watch_seconds: 30,
            trust: Trust::default(),
        }
    }
}

impl GitHubSection {
    /// Checks the section, and reads the token from the environment or its file.
    ///
    /// # Errors
    /// A value is out of its range, a URL may not be used, or the token file can't be read.
    pub(crate) fn validate(
        self,
        environment: &Environment,
    ) -> Result<GitHubSettings, InvalidSetting> {
        Ok(GitHubSettings {
            api_url: base_url("github.api_url", &self.api_url, PlainHttp::OnLoopback)?,
            git_url: base_url("github.git_url", &self.git_url, PlainHttp::OnLoopback)?,
            token: match (environment.value("GITHUB_TOKEN"), &self.token_file) {
                (Some(token), _) => Some(SecretString::from(token).into()),
                (None, Some(file)) => read_token(file.clone())?,
                (None, None) => None,
            },
            token_file: self.token_file,
            timeout: seconds("github.timeout_seconds", self.timeout_seconds, &TIMEOUT_SECONDS)?,
            watch_interval: seconds("github.watch_seconds", self.watch_seconds, &WATCH_SECONDS)?,
            trust: self.trust,
        })
    }
}

fn read_token(file: PathBuf) -> Result<Option<Token>, InvalidSetting> {
    Token::of_file(file.clone()).map_err(|error| {
        let expected = Text {
            en: "a file that holds a token and can be read",
            ja: "トークンを含む読み取り可能なファイル",
        };
        InvalidSetting::new("github.token_file", &file, expected).caused_by(error)
    })
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "github.api_url",
        "0.1.0",
        ValueKind::Url,
        Text {
            en: "The base of the REST API. For GitHub Enterprise Server: `https://HOST/api/v3`.",
            ja: "REST APIの起点です。GitHub Enterprise Serverでは `https://HOST/api/v3` です。",
        },
    )
    .allowed(SAFE_URL)
    .variable("CODINGWORKER_GITHUB_API_URL"),
    Setting::new(
        "github.git_url",
        "0.1.0",
        ValueKind::Url,
        Text {
            en: "Where repositories are fetched from and pushed to. For GitHub Enterprise Server: \
                 `https://HOST`.",
            ja: "リポジトリの取得元とプッシュ先です。\
                 GitHub Enterprise Serverでは `https://HOST` です。",
        },
    )
    .allowed(SAFE_URL)
    .variable("CODINGWORKER_GITHUB_GIT_URL"),
    Setting::new(
        "github.token_file",
        "0.1.0",
        ValueKind::Path,
        Text {
            en: "A file that holds the token when `GITHUB_TOKEN` is not set. A file that does not \
                 exist counts as no token. When GitHub refuses the token, the worker reads the \
                 file again.",
            ja: "`GITHUB_TOKEN` が設定されていないときに使うトークンのファイルです。\
                 存在しないファイルは、トークンなしとして扱います。\
                 GitHubがトークンを拒否すると、ワーカーはこのファイルを読み直します。",
        },
    )
    .default_in_words(Text { en: "none", ja: "なし" }),
    Setting::new(
        "github.timeout_seconds",
        "0.1.0",
        ValueKind::Number { unit: Unit::Seconds, range: TIMEOUT_SECONDS },
        Text {
            en: "How long one answer of the API may take.",
            ja: "APIの1回の応答を待つ時間の上限です。",
        },
    ),
    Setting::new(
        "github.watch_seconds",
        "0.1.0",
        ValueKind::Number { unit: Unit::Seconds, range: WATCH_SECONDS },
        Text {
            en: "How often the worker looks at the issue that it works on. It cancels the task \
                 when the issue was closed or its label was removed.",
            ja: "処理中のIssueを確認する間隔です。\
                 Issueが閉じられるかラベルが外されると、タスクを取り消します。",
        },
    ),
    Setting::new(
        "github.trust",
        "0.1.0",
        ValueKind::OneOf(&["anybody", "write", "admin"]),
        Text {
            en: "What the person who sets the label must be allowed to do in the repository; \
                 `anybody` for no condition.",
            ja: "ラベルを付けた人に必要なリポジトリの権限です。`anybody` は条件なしを意味します。",
        },
    ),
];
