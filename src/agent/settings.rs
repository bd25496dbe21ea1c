//! The agent's settings: the section `[agent]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::settings::{
    ANY_NUMBER, InvalidSetting, LONGEST_SECONDS, PlainHttp, Setting, Text, Unit, ValueKind,
    base_url, seconds,
};

const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=LONGEST_SECONDS;

/// Which agent works on tasks, with which models, and how long it may take.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The agent's CLI.
    pub kind: AgentKind,
    /// The models, in the order in which they are tried when one times out; never empty.
    pub models: Vec<String>,
    /// Where Ollama listens.
    pub model_endpoint: String,
    /// How long one call of the model may take.
    pub model_timeout: Duration,
    /// How long one call of the agent may take, in all.
    pub call_timeout: Duration,
    /// How many bytes of an agent's output are kept.
    pub output_limit: usize,
    /// Names and values of the variables that the user lets through to the agent, such as a model's
    /// API key.
    pub pass_environment: Vec<(String, SecretString)>,
}

/// An agent's CLI with its own settings.
#[derive(Debug, Clone)]
pub enum AgentKind {
    /// Aider.
    Aider(AiderSettings),
    /// Any other CLI.
    Command(CommandSettings),
}

impl AgentKind {
    /// Returns the program that is started: a name that is looked up on the search path, or a path.
    #[must_use]
    pub fn program(&self) -> &str {
        match self {
            Self::Aider(aider) => &aider.executable,
            Self::Command(command) => command.argv.first().map_or("", String::as_str),
        }
    }

    /// Returns the command that installs the agent, when it is one that this program knows.
    #[must_use]
    pub fn install_command(&self) -> Option<&'static str> {
        match self {
            Self::Aider(_) => Some("python3 -m pip install aider-chat==0.86.2"),
            Self::Command(_) => None,
        }
    }
}

/// What Aider is started with.
#[derive(Debug, Clone)]
pub struct AiderSettings {
    /// A name that is looked up on the search path, or a path.
    pub executable: String,
    /// `whole` for small models, `diff` for strong ones.
    pub edit_format: String,
    /// The size of the repository map in tokens.
    pub map_tokens: u32,
    /// The context window in tokens that Ollama loads the model with. It is always the same, since
    /// Ollama loads the model again when it changes.
    pub num_ctx: u32,
}

/// What another CLI is started with.
#[derive(Debug, Clone)]
pub struct CommandSettings {
    /// The program and its arguments, with `{prompt_file}`, `{workspace}` and `{model}` in them.
    pub argv: Vec<String>,
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AgentSection {
    kind: KindName,
    models: Option<Vec<String>>,
    model_endpoint: String,
    model_timeout_seconds: u64,
    call_timeout_seconds: Option<u64>,
    output_limit_bytes: u32,
    pass_environment: Vec<String>,
    executable: String,
    edit_format: String,
    map_tokens: u32,
    num_ctx: u32,
    command: Vec<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    #[default]
    Aider,
    Command,
}

impl Default for AgentSection {
    fn default() -> Self {
        Self {
            kind: KindName::default(),
            models: None,
            model_endpoint: "http://127.0.0.1:11434".to_owned(),
            model_timeout_seconds: 600,
            call_timeout_seconds: None,
            output_limit_bytes: 4 << 20,
            pass_environment: Vec::new(),
            executable: "aider".to_owned(),
            edit_format: "whole".to_owned(),
            map_tokens: 1024,
            num_ctx: 16_384,
            command: Vec::new(),
        }
    }
}

/// What stands for the model of a command that chooses it itself. Nobody is asked whether it is
/// there.
const UNNAMED_MODEL: &str = "none";

/// A model that usual machines can run: a small one for slow hardware, a larger one where the GPU
/// shares the memory.
fn default_model() -> &'static str {
    if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        "ollama_chat/qwen2.5-coder:7b"
    } else {
        "ollama_chat/qwen2.5-coder:1.5b"
    }
}

impl AgentSection {
    /// Checks the section, and takes the values of the variables that it lets through.
    ///
    /// # Errors
    /// A value is out of its range, the command has no place for the prompt, no model is named, or
    /// a credential of the worker would be let through.
    pub(crate) fn validate(
        self,
        environment: &Environment,
    ) -> Result<AgentSettings, InvalidSetting> {
        let models = self.models.unwrap_or_else(|| match self.kind {
            // A command that is not told which model to use has chosen one itself.
            KindName::Command if !self.command.iter().any(|part| part.contains("{model}")) => {
                vec![UNNAMED_MODEL.to_owned()]
            }
            KindName::Command | KindName::Aider => vec![default_model().to_owned()],
        });
        if models.is_empty() || models.iter().any(|model| model.trim().is_empty()) {
            let expected = Text {
                en: "at least one model, none of them blank",
                ja: "1つ以上のモデル名（空の名前は使えません）",
            };
            return Err(InvalidSetting::new("agent.models", &models, expected));
        }
        let model_timeout =
            seconds("agent.model_timeout_seconds", self.model_timeout_seconds, &TIMEOUT_SECONDS)?;
        let call_timeout_seconds = self
            .call_timeout_seconds
            .unwrap_or_else(|| self.model_timeout_seconds.saturating_mul(3).min(LONGEST_SECONDS));
        Ok(AgentSettings {
            pass_environment: passed(self.pass_environment, environment)?,
            model_endpoint: base_url(
                "agent.model_endpoint",
                &self.model_endpoint,
                PlainHttp::Anywhere,
            )?,
            model_timeout,
            call_timeout: seconds(
                "agent.call_timeout_seconds",
                call_timeout_seconds,
                &TIMEOUT_SECONDS,
            )?,
            output_limit: usize::try_from(self.output_limit_bytes).unwrap_or(usize::MAX),
            models,
            kind: match self.kind {
                KindName::Aider => AgentKind::Aider(AiderSettings {
                    executable: self.executable,
                    edit_format: self.edit_format,
                    map_tokens: self.map_tokens,
                    num_ctx: self.num_ctx,
                }),
                KindName::Command => AgentKind::Command(command(self.command)?),
            },
        })
    }
}

fn command(argv: Vec<String>) -> Result<CommandSettings, InvalidSetting> {
    if argv.iter().skip(1).any(|argument| argument.contains("{prompt_file}")) {
        Ok(CommandSettings { argv })
    } else {
        Err(InvalidSetting::new(
            "agent.command",
            &argv,
            Text {
                en: "a program and its arguments, one of them with {prompt_file}",
                ja: "プログラムとその引数（いずれかの引数に {prompt_file} が必要です）",
            },
        ))
    }
}

/// The variables of these names that are set, with their values.
fn passed(
    names: Vec<String>,
    environment: &Environment,
) -> Result<Vec<(String, SecretString)>, InvalidSetting> {
    let own = |name: &String| {
        matches!(name.as_str(), "GITHUB_TOKEN" | "GH_TOKEN") || name.starts_with("AWS_")
    };
    if let Some(credential) = names.iter().find(|name| own(name)) {
        return Err(InvalidSetting::new(
            "agent.pass_environment",
            credential,
            Text {
                en: "names of variables other than the worker's own credentials",
                ja: "ワーカー自身の認証情報以外の環境変数の名前",
            },
        ));
    }
    let values = names.into_iter().filter_map(|name| {
        let value = environment.value(&name)?.into();
        Some((name, value))
    });
    Ok(values.collect())
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "agent.kind",
        "0.1.0",
        ValueKind::OneOf(&["aider", "command"]),
        Text {
            en: "The agent: `aider`, or `command` for any other CLI.",
            ja: "エージェントです。`aider`、またはその他のCLIを使う `command` を指定します。",
        },
    ),
    Setting::new(
        "agent.models",
        "0.1.0",
        ValueKind::Texts,
        Text {
            en: "The models, in the order in which they are tried when one times out.",
            ja: "モデルです。タイムアウトした場合は、次のモデルを順に試します。",
        },
    )
    .allowed(Text { en: "at least one", ja: "1つ以上" })
    .default_in_words(Text {
        en: "`[\"ollama_chat/qwen2.5-coder:7b\"]` on Apple silicon, else \
             `[\"ollama_chat/qwen2.5-coder:1.5b\"]`; `[\"none\"]` for a command without `{model}`",
        ja: "Appleシリコンでは `[\"ollama_chat/qwen2.5-coder:7b\"]`、\
             それ以外では `[\"ollama_chat/qwen2.5-coder:1.5b\"]`。\
             `{model}` を含まないコマンドでは `[\"none\"]`",
    })
    .variable("CODINGWORKER_MODELS"),
    Setting::new(
        "agent.model_endpoint",
        "0.1.0",
        ValueKind::Url,
        Text {
            en: "Where Ollama listens, or the address of another model's API. The agent in its \
                 sandbox reaches nothing else.",
            ja: "Ollamaのアドレス、または他のモデルのAPIのアドレスです。\
                 サンドボックス内のエージェントは、これ以外に接続できません。",
        },
    )
    .allowed(Text {
        en: "an http or https URL without user, password and query",
        ja: "ユーザー名、パスワード、クエリーを含まないhttpまたはhttpsのURL",
    })
    .variable("CODINGWORKER_MODEL_ENDPOINT"),
    Setting::new(
        "agent.model_timeout_seconds",
        "0.1.0",
        ValueKind::Number { unit: Unit::Seconds, range: TIMEOUT_SECONDS },
        Text {
            en: "How long one answer of the model may take.",
            ja: "モデルの1回の応答を待つ時間の上限です。",
        },
    ),
    Setting::new(
        "agent.call_timeout_seconds",
        "0.1.0",
        ValueKind::Number { unit: Unit::Seconds, range: TIMEOUT_SECONDS },
        Text {
            en: "How long one call of the agent may take, with all answers of the model.",
            ja: "モデルの応答をすべて含めて、エージェントの1回の呼び出しにかけられる時間の上限です。",
        },
    )
    .default_in_words(Text {
        en: "three times `agent.model_timeout_seconds`",
        ja: "`agent.model_timeout_seconds` の3倍",
    }),
    Setting::new(
        "agent.output_limit_bytes",
        "0.1.0",
        ValueKind::Number { unit: Unit::Bytes, range: ANY_NUMBER },
        Text {
            en: "How much of the agent's output is kept.",
            ja: "保存するエージェントの出力の上限です。",
        },
    ),
    Setting::new(
        "agent.pass_environment",
        "0.1.0",
        ValueKind::Texts,
        Text {
            en: "Names of environment variables that the agent may see, such as the key of a \
                 hosted model.",
            ja: "エージェントに渡す環境変数の名前です（ホスト型モデルのAPIキーなど）。",
        },
    )
    .allowed(Text {
        en: "any but `GITHUB_TOKEN`, `GH_TOKEN` and `AWS_*`",
        ja: "`GITHUB_TOKEN`、`GH_TOKEN`、`AWS_*` 以外",
    }),
    Setting::new(
        "agent.executable",
        "0.1.0",
        ValueKind::Text,
        Text {
            en: "For `aider`: the name of its executable on the `PATH`, or its path.",
            ja: "`aider` の場合：`PATH` にある実行ファイルの名前、またはそのパスです。",
        },
    ),
    Setting::new(
        "agent.edit_format",
        "0.1.0",
        ValueKind::Text,
        Text {
            en: "For `aider`: its edit format, `whole` for small models, `diff` for strong ones.",
            ja: "`aider` の場合：編集形式です。小さなモデルでは `whole`、\
                 強力なモデルでは `diff` にします。",
        },
    ),
    Setting::new(
        "agent.map_tokens",
        "0.1.0",
        ValueKind::Number { unit: Unit::Tokens, range: ANY_NUMBER },
        Text {
            en: "For `aider`: the size of its repository map.",
            ja: "`aider` の場合：リポジトリマップの大きさです。",
        },
    ),
    Setting::new(
        "agent.num_ctx",
        "0.1.0",
        ValueKind::Number { unit: Unit::Tokens, range: ANY_NUMBER },
        Text {
            en: "For `aider`: the context window that Ollama loads the model with.",
            ja: "`aider` の場合：Ollamaがモデルを読み込むときのコンテキストウィンドウです。",
        },
    ),
    Setting::new(
        "agent.command",
        "0.1.0",
        ValueKind::Texts,
        Text {
            en: "For `command`: the program and its arguments; the worker fills in \
                 `{prompt_file}`, `{workspace}` and `{model}`.",
            ja: "`command` の場合：プログラムと引数です。`{prompt_file}`、`{workspace}`、\
                 `{model}` はワーカーが置き換えます。",
        },
    )
    .allowed(Text {
        en: "a program and its arguments, one of them with `{prompt_file}`",
        ja: "プログラムと引数（いずれかの引数に `{prompt_file}` が必要です）",
    }),
];
