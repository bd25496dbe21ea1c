//! The reference page of every key and every environment variable, in Markdown.
//!
//! The defaults are read from the sections themselves, so that the page can't differ from them.

use super::file::ConfigFile;
use super::registry;
use crate::environment::{VARIABLES, Variable};
use crate::language::Language;
use crate::settings::{FormerKey, Setting, Text, Unit, ValueKind};

const TITLE: Text = Text { en: "# Configuration reference", ja: "# 設定リファレンス" };

const INTRODUCTION: Text = Text {
    en: "\
日本語: [configuration.ja.md](configuration.ja.md). `codingworker config reference` prints this page.

CodingWorker reads one TOML file: the one that `--config` names, else the one that
`CODINGWORKER_CONFIG` names, else `codingworker/codingworker.toml` in the platform's configuration
directory (`~/.config`, on macOS `~/Library/Application Support`). Every key may be left out;
[codingworker.example.toml](../codingworker.example.toml) has all of them.

An environment variable overrides the key that it belongs to. The items of a list are separated by
commas there, and a variable that is set to nothing counts as not set. An unknown key, or a value
that is not allowed, is an error that names its place. A key that was renamed still works under its
old name, with a warning.

Secrets do not belong into the file: the GitHub token comes from `GITHUB_TOKEN` or a file of its
own, AWS credentials come from where the AWS SDK finds them.",
    ja: "\
English: [configuration.md](configuration.md)。このページは `codingworker config reference` で表示できます。

CodingWorkerはTOMLファイルを1つ読み込みます。`--config` で指定したファイル、なければ環境変数
`CODINGWORKER_CONFIG` のファイル、それもなければプラットフォームの設定ディレクトリ（`~/.config`、macOSでは
`~/Library/Application Support`）の `codingworker/codingworker.toml` です。どのキーも省略できます。
すべてのキーの例が [codingworker.example.toml](../codingworker.example.toml) にあります。

環境変数は、対応するキーより優先されます。環境変数ではリストの項目をコンマで区切ります。\
空の環境変数は未設定として扱います。
未知のキーや許可されない値は、その場所を示すエラーになります。\
名前が変わったキーは、警告とともに古い名前でも使えます。

秘密の値はファイルに書きません。GitHubのトークンは `GITHUB_TOKEN` または専用のファイルから、\
AWSの認証情報はAWS SDKが見つける場所から読み込みます。",
};

const TOP_LEVEL: Text = Text { en: "## Outside of the sections", ja: "## セクションの外" };
const IN_THE_ENVIRONMENT: Text = Text { en: "## Environment variables", ja: "## 環境変数" };
const KEY: Text = Text { en: "Key", ja: "キー" };
const NAME: Text = Text { en: "Variable", ja: "環境変数" };
const COLUMNS: [Text; 6] = [
    Text { en: "Type", ja: "型" },
    Text { en: "Unit", ja: "単位" },
    Text { en: "Allowed", ja: "許可される値" },
    Text { en: "Default", ja: "デフォルト" },
    Text { en: "Since", ja: "導入バージョン" },
    Text { en: "Meaning", ja: "意味" },
];
const OF_THE_KEY: Text = Text { en: "the key's value", ja: "キーの値" };
const TOOLCHAIN: Text = Text {
    en: "Where a toolchain of the checks is. The sandbox shows it to them.",
    ja: "チェックに使うツールチェーンの場所です。サンドボックスの中から見えるようになります。",
};
const TOOLCHAIN_DEFAULT: Text = Text {
    en: "the tool's own place in the home directory, if it has one",
    ja: "ホームディレクトリでツール自身が使う場所（ある場合）",
};

/// The page in one of its languages. `toolchains` are the environment variables that name
/// toolchains.
///
/// # Errors
/// A default can't be written as TOML.
pub(crate) fn page(language: Language, toolchains: &[&str]) -> Result<String, toml::ser::Error> {
    let defaults = toml::Table::try_from(ConfigFile::default())?;
    let page = Page { language };
    let mut text = format!("{}\n\n{}\n", page.say(TITLE), page.say(INTRODUCTION));
    let mut section = None;
    for setting in registry() {
        let (of, key) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if section != Some(of) {
            let heading = match of {
                "" => page.say(TOP_LEVEL).to_owned(),
                section => format!("## `[{section}]`"),
            };
            text.push_str(&format!("\n{heading}\n\n{}", page.header(KEY, Some(NAME))));
            section = Some(of);
        }
        text.push_str(&page.setting(key, setting, &defaults));
    }
    let heading = page.say(IN_THE_ENVIRONMENT);
    text.push_str(&format!("\n{heading}\n\n{}", page.header(NAME, None)));
    text.extend(registry().filter_map(|setting| page.overriding(setting)));
    text.extend(VARIABLES.iter().map(|variable| page.variable(variable)));
    text.extend(toolchains.iter().map(|name| page.toolchain(name)));
    Ok(text)
}

/// What is written in one language.
struct Page {
    language: Language,
}

impl Page {
    fn say(&self, text: Text) -> &'static str {
        match self.language {
            Language::En => text.en,
            Language::Ja => text.ja,
        }
    }

    /// The first lines of a table. The variable's column is there for keys only.
    fn header(&self, first: Text, variable: Option<Text>) -> String {
        let titles: Vec<_> = [first]
            .into_iter()
            .chain(variable)
            .chain(COLUMNS)
            .map(|title| self.say(title))
            .collect();
        let rule = vec!["---"; titles.len()];
        row(&titles) + &row(&rule)
    }

    fn setting(&self, key: &str, setting: &Setting, defaults: &toml::Table) -> String {
        let default = match setting.default {
            Some(words) => self.say(words).to_owned(),
            None => written(defaults, setting.key).map(|value| code(&value)).unwrap_or_default(),
        };
        let mut meaning = self.say(setting.description).to_owned();
        for former in setting.former_keys {
            let FormerKey { key, renamed_in } = former;
            meaning.push_str(&match self.language {
                Language::En => format!(" It was called `{key}` before version {renamed_in}."),
                Language::Ja => {
                    format!("バージョン{renamed_in}より前の名前は `{key}` です。")
                }
            });
        }
        row(&[
            &code(key),
            &setting.variable.map(code).unwrap_or_default(),
            self.kind(&setting.kind),
            self.unit(&setting.kind),
            &self.allowed(setting),
            &default,
            setting.since,
            &meaning,
        ])
    }

    fn overriding(&self, setting: &Setting) -> Option<String> {
        let meaning = match self.language {
            Language::En => format!("Overrides `{}`.", setting.key),
            Language::Ja => format!("`{}` より優先されます。", setting.key),
        };
        Some(row(&[
            &code(setting.variable?),
            self.kind(&setting.kind),
            self.unit(&setting.kind),
            &self.allowed(setting),
            self.say(OF_THE_KEY),
            setting.since,
            &meaning,
        ]))
    }

    fn variable(&self, variable: &Variable) -> String {
        row(&[
            &code(variable.name),
            self.kind(&variable.kind),
            self.unit(&variable.kind),
            &self.range(&variable.kind),
            self.say(variable.default),
            variable.since,
            self.say(variable.description),
        ])
    }

    fn toolchain(&self, name: &str) -> String {
        row(&[
            &code(name),
            self.kind(&ValueKind::Path),
            "",
            "",
            self.say(TOOLCHAIN_DEFAULT),
            "0.1.0",
            self.say(TOOLCHAIN),
        ])
    }

    fn kind(&self, kind: &ValueKind) -> &'static str {
        self.say(match kind {
            ValueKind::Text => Text { en: "text", ja: "文字列" },
            ValueKind::Texts => Text { en: "list of texts", ja: "文字列のリスト" },
            ValueKind::Path => Text { en: "path", ja: "パス" },
            ValueKind::Paths => Text { en: "list of paths", ja: "パスのリスト" },
            ValueKind::Url => Text { en: "URL", ja: "URL" },
            ValueKind::Address => {
                Text { en: "IP address and port", ja: "IPアドレスとポート" }
            }
            ValueKind::Boolean => Text { en: "boolean", ja: "真偽値" },
            ValueKind::OneOf(_) => Text { en: "word", ja: "語" },
            ValueKind::Number { .. } => Text { en: "integer", ja: "整数" },
            ValueKind::Numbers { .. } => Text { en: "list of integers", ja: "整数のリスト" },
        })
    }

    fn unit(&self, kind: &ValueKind) -> &'static str {
        let (ValueKind::Number { unit, .. } | ValueKind::Numbers { unit, .. }) = kind else {
            return "";
        };
        match unit {
            Unit::Count => "",
            Unit::Seconds => self.say(Text { en: "seconds", ja: "秒" }),
            Unit::Bytes => self.say(Text { en: "bytes", ja: "バイト" }),
            Unit::Mebibytes => "MiB",
            Unit::Tokens => self.say(Text { en: "tokens", ja: "トークン" }),
        }
    }

    fn allowed(&self, setting: &Setting) -> String {
        match setting.allowed {
            Some(words) => self.say(words).to_owned(),
            None => self.range(&setting.kind),
        }
    }

    fn range(&self, kind: &ValueKind) -> String {
        match kind {
            ValueKind::Text
            | ValueKind::Texts
            | ValueKind::Path
            | ValueKind::Paths
            | ValueKind::Url
            | ValueKind::Address => String::new(),
            ValueKind::Boolean => "`true`, `false`".to_owned(),
            ValueKind::OneOf(words) => {
                words.iter().map(|word| code(word)).collect::<Vec<_>>().join(", ")
            }
            ValueKind::Number { range, .. } => self.span(range.start(), range.end()),
            ValueKind::Numbers { range, .. } => {
                let one =
                    self.say(Text { en: "at least one, each ", ja: "1つ以上、それぞれ" });
                format!("{one}{}", self.span(range.start(), range.end()))
            }
        }
    }

    fn span(&self, least: &u64, most: &u64) -> String {
        format!("{least}{}{most}", self.say(Text { en: " to ", ja: "〜" }))
    }
}

/// The value that a table of the whole file has for a key, as it is written in the file.
fn written(table: &toml::Table, key: &str) -> Option<String> {
    let value = match key.split_once('.') {
        Some((section, key)) => table.get(section)?.get(key)?,
        None => table.get(key)?,
    };
    Some(value.to_string())
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A bar within a cell would end it.
fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests;
