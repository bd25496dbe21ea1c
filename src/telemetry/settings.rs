//! The settings of the logs: the section `[log]`.

use serde::{Deserialize, Serialize};

use crate::settings::{Setting, Text, ValueKind};

/// What is logged, and how.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// A `tracing` filter such as `info` or `codingworker=debug`.
    pub filter: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: the time, the issue, the stage, and what happened.
    #[default]
    Text,
    /// For people who want all: the whole time, and each span with its fields.
    Full,
    /// For programs: one object a line.
    Json,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".to_owned() }
    }
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "log.format",
        "0.1.0",
        ValueKind::OneOf(&["text", "full", "json"]),
        Text {
            en: "The form of the logs: `text` for people (time, issue, stage, what happened), \
                 `full` for all that is known of a line, `json` for programs.",
            ja: "ログの形式です。人が読む場合は `text`（時刻、Issue、段階、できごと）、\
                 すべての情報が必要な場合は `full`、プログラムが読む場合は `json` にします。",
        },
    )
    .variable("CODINGWORKER_LOG_FORMAT"),
    Setting::new(
        "log.filter",
        "0.1.0",
        ValueKind::Text,
        Text {
            en: "What is logged, as a `tracing` filter such as `info` or `codingworker=debug`.",
            ja: "記録する内容です。`info` や `codingworker=debug` のような `tracing` の\
                 フィルターで指定します。",
        },
    )
    .allowed(Text { en: "a `tracing` filter", ja: "`tracing` のフィルター" })
    .variable("CODINGWORKER_LOG"),
];
