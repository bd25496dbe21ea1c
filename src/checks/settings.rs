//! The checks' settings: the section `[checks]` of the worker's configuration file. What one
//! repository wants is in its own `.codingworker.toml`.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::{
    ANY_NUMBER, InvalidSetting, LONGEST_SECONDS, Setting, Text, Unit, ValueKind, seconds,
};

const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=LONGEST_SECONDS;

/// How checks are run.
#[derive(Debug, Clone)]
pub struct CheckSettings {
    /// How often the agent may be called again in one pass because a check failed.
    pub fix_ups: u32,
    /// How long a check may take unless the repository says otherwise.
    pub timeout: Duration,
    /// How many bytes of a check's output are kept.
    pub output_limit: usize,
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CheckSection {
    fix_ups: u32,
    timeout_seconds: u64,
    output_limit_bytes: u32,
}

impl Default for CheckSection {
    fn default() -> Self {
        Self { fix_ups: 3, timeout_seconds: 1800, output_limit_bytes: 4 << 20 }
    }
}

impl CheckSection {
    /// # Errors
    /// A value is out of its range.
    pub(crate) fn validate(self) -> Result<CheckSettings, InvalidSetting> {
        Ok(CheckSettings {
            fix_ups: self.fix_ups,
            timeout: seconds("checks.timeout_seconds", self.timeout_seconds, &TIMEOUT_SECONDS)?,
            output_limit: usize::try_from(self.output_limit_bytes).unwrap_or(usize::MAX),
        })
    }
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "checks.fix_ups",
        "0.1.0",
        ValueKind::Number { unit: Unit::Count, range: ANY_NUMBER },
        Text {
            en: "How often the agent may be called again in one pass because a check failed.",
            ja: "1つのパスで、失敗したチェックの修正をエージェントに依頼できる回数です。",
        },
    ),
    Setting::new(
        "checks.timeout_seconds",
        "0.1.0",
        ValueKind::Number { unit: Unit::Seconds, range: TIMEOUT_SECONDS },
        Text {
            en: "How long a check may take unless the repository's `.codingworker.toml` says \
                 otherwise.",
            ja: "チェックにかかる時間の上限です。\
                 リポジトリの `.codingworker.toml` の指定が優先されます。",
        },
    ),
    Setting::new(
        "checks.output_limit_bytes",
        "0.1.0",
        ValueKind::Number { unit: Unit::Bytes, range: ANY_NUMBER },
        Text {
            en: "How much of a check's output is kept.",
            ja: "保存するチェックの出力の上限です。",
        },
    ),
];
