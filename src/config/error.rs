//! Why there is no configuration.

use std::path::PathBuf;

use crate::errors::Bilingual;
use crate::language::Phrase;
use crate::settings::{self, InvalidSetting};

/// Why there is no [`Config`](super::Config).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error(
        "can't read the configuration file {}: correct its path or its permissions",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML, has a key that is not known or a value of the wrong type.
    #[error(
        "can't understand the configuration file {}: correct it; `codingworker config reference` \
         describes every key",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
        source: MalformedFile,
    },
    /// A value of the right type is not allowed.
    #[error(
        "can't use a setting of {}: correct it; `codingworker config reference` describes \
         every key",
        place.en
    )]
    Invalid {
        /// The file, or the variable that overrides it.
        place: Phrase,
        /// The key, and what is wrong with its value.
        source: Box<InvalidSetting>,
    },
    /// A key is there under its old name and under its new one.
    #[error(
        "the configuration file {} has both `{former}` and `{key}`, which is its new name: remove \
         `{former}`",
        path.display()
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// The old name.
        former: &'static str,
        /// The new name.
        key: &'static str,
    },
    /// A variable's value can't be that of the key which it overrides.
    #[error(
        "environment variable {name} is {value:?}, expected {}: correct it, or unset it",
        expected.en
    )]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: Phrase,
    },
}

/// What the TOML library says of a file.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct MalformedFile(Box<toml::de::Error>);

impl From<toml::de::Error> for MalformedFile {
    fn from(error: toml::de::Error) -> Self {
        Self(Box::new(error))
    }
}

impl Bilingual for MalformedFile {
    fn japanese(&self) -> String {
        settings::error_in_japanese(&self.0)
    }
}

impl Bilingual for ConfigError {
    fn japanese(&self) -> String {
        let reference = "すべてのキーの説明は `codingworker config reference` で表示できます";
        match self {
            Self::Unreadable { path, source: _ } => format!(
                "設定ファイル {} を読み取れません。パスまたはアクセス権を確認してください",
                path.display()
            ),
            Self::Malformed { path, source: _ } => format!(
                "設定ファイル {} を解釈できません。内容を修正してください（{reference}）",
                path.display()
            ),
            Self::Invalid { place, source: _ } => {
                format!("{}に使用できない値があります。修正してください（{reference}）", place.ja)
            }
            Self::Twice { path, former, key } => format!(
                "設定ファイル {} に `{former}` と、その新しい名前 `{key}` の両方があります。\
                 `{former}` を削除してください",
                path.display()
            ),
            Self::Variable { name, value, expected } => format!(
                "環境変数 {name} の値は {value:?} です（正しい値: {}）。\
                 修正するか、未設定にしてください",
                expected.ja
            ),
        }
    }

    fn own_cause(&self) -> Option<&dyn Bilingual> {
        match self {
            Self::Invalid { source, .. } => Some(&**source),
            Self::Malformed { source, .. } => Some(source),
            Self::Unreadable { .. } | Self::Twice { .. } | Self::Variable { .. } => None,
        }
    }
}
