//! The environment variables: the only place that reads them, and the registry of those that do not
//! override a key of the configuration file. (Those that do are registered with their key.)

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::settings::{Text, Unit, ValueKind};

/// A snapshot of the process's environment, taken once at start.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    search_path: OsString,
    executable: Option<PathBuf>,
}

impl Environment {
    /// Takes the snapshot. It leaves out variables that are not UTF-8: the program has none.
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

    /// A variable's value as a path; one that is set to nothing counts as not set.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    /// `$PATH`: where executables are looked for.
    #[must_use]
    pub fn search_path(&self) -> &OsString {
        &self.search_path
    }

    /// Where this program itself is.
    #[must_use]
    pub fn executable(&self) -> Option<&Path> {
        self.executable.as_deref()
    }

    /// `$HOME`, else the root directory.
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

/// An environment variable that the program reads, and that overrides no key.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    /// The version that read the variable first.
    pub(crate) since: &'static str,
    pub(crate) kind: ValueKind,
    /// What applies when the variable is not set.
    pub(crate) default: Text,
    pub(crate) description: Text,
}

const NONE: Text = Text { en: "none", ja: "なし" };

/// Every variable that the program itself reads, and those that the libraries it is made of read.
pub(crate) const VARIABLES: &[Variable] = &[
    Variable {
        name: "CODINGWORKER_CONFIG",
        since: "0.1.0",
        kind: ValueKind::Path,
        default: Text {
            en: "`codingworker/codingworker.toml` in the platform's configuration directory",
            ja: "プラットフォームの設定ディレクトリの `codingworker/codingworker.toml`",
        },
        description: Text {
            en: "The configuration file. `--config` takes precedence.",
            ja: "設定ファイルです。`--config` の指定が優先されます。",
        },
    },
    Variable {
        name: "GITHUB_TOKEN",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: Text {
            en: "what the file `github.token_file` holds",
            ja: "`github.token_file` のファイルの内容",
        },
        description: Text {
            en: "The token for GitHub's API and for git.",
            ja: "GitHubのAPIとgitに使うトークンです。",
        },
    },
    Variable {
        name: "CODINGWORKER_QUEUE_ACCESS_KEY_ID",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: NONE,
        description: Text {
            en: "For `codingworker queue serve`: the access key ID that requests must be signed \
                 with. Without it the queue only listens on loopback.",
            ja: "`codingworker queue serve` で、要求の署名に必要なアクセスキーIDです。\
                 未設定の場合、キューはループバックでのみ待ち受けます。",
        },
    },
    Variable {
        name: "CODINGWORKER_QUEUE_SECRET_ACCESS_KEY",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: NONE,
        description: Text {
            en: "The secret access key that belongs to `CODINGWORKER_QUEUE_ACCESS_KEY_ID`.",
            ja: "`CODINGWORKER_QUEUE_ACCESS_KEY_ID` に対応するシークレットアクセスキーです。",
        },
    },
    Variable {
        name: "AWS_PROFILE",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: Text { en: "`default`", ja: "`default`" },
        description: Text {
            en: "The profile in `~/.aws/config` and `~/.aws/credentials`.",
            ja: "`~/.aws/config` と `~/.aws/credentials` のプロファイルです。",
        },
    },
    Variable {
        name: "AWS_REGION",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: Text { en: "the profile's region", ja: "プロファイルのリージョン" },
        description: Text {
            en: "The queue's region, where `queue.region` does not name it.",
            ja: "キューのリージョンです。`queue.region` の指定が優先されます。",
        },
    },
    Variable {
        name: "AWS_ACCESS_KEY_ID",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: Text { en: "the profile's credentials", ja: "プロファイルの認証情報" },
        description: Text {
            en: "The access key ID for the queue. When it is set, requests to a queue on loopback \
                 are signed with it too.",
            ja: "キューに使うアクセスキーIDです。\
                 設定されている場合は、ループバックのキューへの要求にもこれで署名します。",
        },
    },
    Variable {
        name: "AWS_SECRET_ACCESS_KEY",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: Text { en: "the profile's credentials", ja: "プロファイルの認証情報" },
        description: Text {
            en: "The secret access key that belongs to `AWS_ACCESS_KEY_ID`.",
            ja: "`AWS_ACCESS_KEY_ID` に対応するシークレットアクセスキーです。",
        },
    },
    Variable {
        name: "AWS_SESSION_TOKEN",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: NONE,
        description: Text {
            en: "The session token of temporary credentials.",
            ja: "一時的な認証情報のセッショントークンです。",
        },
    },
    Variable {
        name: "AWS_*",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: NONE,
        description: Text {
            en: "All other variables that the AWS SDK for Rust reads; its page \
                 <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html> lists \
                 them.",
            ja: "その他、AWS SDK for Rustが読み取る変数です。一覧は \
                 <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html> \
                 にあります。",
        },
    },
    Variable {
        name: "HOME",
        since: "0.1.0",
        kind: ValueKind::Path,
        default: Text { en: "`/`", ja: "`/`" },
        description: Text {
            en: "The home directory. It is where the configuration, the data and the toolchains \
                 are looked for, and what the sandbox hides.",
            ja: "ホームディレクトリです。設定、データ、ツールチェーンをここで探します。\
                 サンドボックスの中からは見えません。",
        },
    },
    Variable {
        name: "PATH",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: NONE,
        description: Text {
            en: "Where git, the agent, bubblewrap and the tools of the checks are looked for.",
            ja: "git、エージェント、bubblewrap、チェックに使うツールを探す場所です。",
        },
    },
    Variable {
        name: "XDG_CONFIG_HOME",
        since: "0.1.0",
        kind: ValueKind::Path,
        default: Text {
            en: "`~/.config` (macOS: `~/Library/Application Support`)",
            ja: "`~/.config`（macOSでは `~/Library/Application Support`）",
        },
        description: Text {
            en: "The platform's configuration directory.",
            ja: "プラットフォームの設定ディレクトリです。",
        },
    },
    Variable {
        name: "XDG_DATA_HOME",
        since: "0.1.0",
        kind: ValueKind::Path,
        default: Text {
            en: "`~/.local/share` (macOS: `~/Library/Application Support`)",
            ja: "`~/.local/share`（macOSでは `~/Library/Application Support`）",
        },
        description: Text {
            en: "The platform's data directory.",
            ja: "プラットフォームのデータディレクトリです。",
        },
    },
    Variable {
        name: "TMPDIR",
        since: "0.1.0",
        kind: ValueKind::Path,
        default: Text { en: "`/tmp`", ja: "`/tmp`" },
        description: Text {
            en: "Where `demo` and `doctor` make their temporary directories.",
            ja: "`demo` と `doctor` が一時ディレクトリを作る場所です。",
        },
    },
    Variable {
        name: "HTTPS_PROXY",
        since: "0.1.0",
        kind: ValueKind::Url,
        default: NONE,
        description: Text {
            en: "The proxy for requests to GitHub's API and to the queue; git and the model's API \
                 are reached without it. `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are read too.",
            ja: "GitHubのAPIとキューへの要求に使うプロキシです。gitとモデルのAPIには使いません。\
                 `HTTP_PROXY`、`ALL_PROXY`、`NO_PROXY` も読み取ります。",
        },
    },
    Variable {
        name: "SSL_CERT_FILE",
        since: "0.1.0",
        kind: ValueKind::Path,
        default: Text { en: "the system's certificates", ja: "システムの証明書" },
        description: Text {
            en: "The certificates that AWS's servers, and on Linux also GitHub's, are checked \
                 with. `SSL_CERT_DIR` names a directory of them.",
            ja: "AWSのサーバー（LinuxではGitHubのサーバーも）の検証に使う証明書のファイルです。\
                 `SSL_CERT_DIR` ではディレクトリを指定できます。",
        },
    },
    Variable {
        name: "NO_COLOR",
        since: "0.1.0",
        kind: ValueKind::Text,
        default: Text { en: "colors on a terminal", ja: "端末では色を付けます" },
        description: Text {
            en: "With any value, logs, progress and help have no colors. `CLICOLOR`, \
                 `CLICOLOR_FORCE` and `TERM` are read too.",
            ja: "値があれば、ログ、進捗表示、ヘルプに色を付けません。\
                 `CLICOLOR`、`CLICOLOR_FORCE`、`TERM` も読み取ります。",
        },
    },
    Variable {
        name: "LC_ALL",
        since: "0.2.0",
        kind: ValueKind::Text,
        default: Text {
            en: "`LC_MESSAGES`, else `LANG`", ja: "`LC_MESSAGES`、なければ `LANG`"
        },
        description: Text {
            en: "The locale. One that begins with `ja` makes help, errors of the arguments and of \
                 the configuration file, and `init` Japanese, where neither \
                 `CODINGWORKER_LANGUAGE` nor a configuration file decides.",
            ja: "ロケールです。`CODINGWORKER_LANGUAGE` も設定ファイルもない場合に、\
                 `ja` で始まる値であれば、ヘルプ、引数と設定ファイルのエラー、`init` を\
                 日本語で表示します。",
        },
    },
    Variable {
        name: "LC_MESSAGES",
        since: "0.2.0",
        kind: ValueKind::Text,
        default: Text { en: "`LANG`", ja: "`LANG`" },
        description: Text {
            en: "The locale of messages; see `LC_ALL`.",
            ja: "メッセージのロケールです（`LC_ALL` の説明を参照）。",
        },
    },
    Variable {
        name: "LANG",
        since: "0.2.0",
        kind: ValueKind::Text,
        default: Text { en: "English", ja: "英語" },
        description: Text {
            en: "The locale, where no other variable names it; see `LC_ALL`.",
            ja: "他の変数で指定されていない場合のロケールです（`LC_ALL` の説明を参照）。",
        },
    },
    Variable {
        name: "COLUMNS",
        since: "0.1.0",
        kind: ValueKind::Number { unit: Unit::Count, range: 1..=100 },
        default: Text { en: "the terminal's width", ja: "端末の幅" },
        description: Text {
            en: "The width of `--help` where it is not printed on a terminal.",
            ja: "`--help` を端末以外に出力するときの幅です。",
        },
    },
];

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn sources(directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
        found
    }

    #[test]
    fn every_variable_that_the_code_names_is_registered() {
        let read = Regex::new(r#"\.(?:value|path)\(\s*"([A-Z][A-Z0-9_]+)""#).unwrap();
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut seen = 0;
        for path in sources(&src) {
            let text = std::fs::read_to_string(&path).unwrap();
            for (_, [name]) in read.captures_iter(&text).map(|found| found.extract()) {
                seen += 1;
                let registered = VARIABLES.iter().any(|variable| variable.name == name);
                assert!(registered, "{name}, which {} reads, is not registered", path.display());
            }
        }
        assert!(seen > 5, "the pattern finds what is read");
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_counts_as_not_set() {
        let environment = Environment::from_variables([
            ("HOME".to_owned(), String::new()),
            ("XDG_DATA_HOME".to_owned(), "/data".to_owned()),
        ]);
        assert_eq!(environment.value("HOME"), None);
        assert_eq!(environment.home(), Path::new("/"));
        assert_eq!(environment.data_directory(), Path::new("/data"));
    }

    #[test]
    fn the_values_of_variables_are_not_shown() {
        let environment =
            Environment::from_variables([("GITHUB_TOKEN".to_owned(), "the-token".to_owned())]);
        assert_eq!(format!("{environment:?}"), "{\"GITHUB_TOKEN\"}");
    }
}
