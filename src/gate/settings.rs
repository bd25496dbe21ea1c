//! The gate's settings: the section `[gate]` of the worker's configuration file. Which paths are
//! protected is in a repository's own `.codingworker.toml`.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::settings::{InvalidSetting, Setting, Text, Unit, ValueKind, mebibytes, number};

const FILES: RangeInclusive<u64> = 1..=100_000;
const BYTES: RangeInclusive<u64> = 1..=1 << 30;
/// What is new is held in memory while it is taken over.
const FILE_MEBIBYTES: RangeInclusive<u64> = 1..=1024;

/// How much a change may hold.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// How many files a change may touch. A renamed file counts once.
    pub files: usize,
    /// How many bytes a change may add.
    pub size: u64,
    /// How many bytes a new or changed binary file may have.
    pub binary_size: u64,
    /// How many bytes a new or changed file may have for git to read it at all, and all of them
    /// together, compressed.
    pub file_size: u64,
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GateSection {
    files_limit: u32,
    size_limit_bytes: u32,
    binary_limit_bytes: u32,
    file_limit_mib: u32,
}

impl Default for GateSection {
    fn default() -> Self {
        Self {
            files_limit: 200,
            size_limit_bytes: 5 << 20,
            binary_limit_bytes: 1 << 20,
            file_limit_mib: 64,
        }
    }
}

impl GateSection {
    /// # Errors
    /// A value is out of its range.
    pub(crate) fn validate(self) -> Result<GateSettings, InvalidSetting> {
        let files = number("gate.files_limit", self.files_limit, &FILES)?;
        let size = number("gate.size_limit_bytes", self.size_limit_bytes, &BYTES)?;
        let binary_size = number("gate.binary_limit_bytes", self.binary_limit_bytes, &BYTES)?;
        Ok(GateSettings {
            files: usize::try_from(files).unwrap_or(usize::MAX),
            size: size.into(),
            binary_size: binary_size.into(),
            file_size: mebibytes("gate.file_limit_mib", self.file_limit_mib, &FILE_MEBIBYTES)?,
        })
    }
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "gate.files_limit",
        "0.2.0",
        ValueKind::Number { unit: Unit::Count, range: FILES },
        Text {
            en: "How many files a change may touch. A renamed file counts once.",
            ja: "1つの変更で変えてよいファイルの数です。名前の変更は1個と数えます。",
        },
    ),
    Setting::new(
        "gate.size_limit_bytes",
        "0.2.0",
        ValueKind::Number { unit: Unit::Bytes, range: BYTES },
        Text {
            en: "How much a change may add: its new lines, and new or changed binary files as a \
                 whole.",
            ja: "1つの変更で追加してよい量です。\
                 追加した行と、追加または変更したバイナリファイル全体を数えます。",
        },
    ),
    Setting::new(
        "gate.binary_limit_bytes",
        "0.2.0",
        ValueKind::Number { unit: Unit::Bytes, range: BYTES },
        Text {
            en: "How large a new or changed binary file may be.",
            ja: "追加または変更したバイナリファイルの大きさの上限です。",
        },
    ),
    Setting::new(
        "gate.file_limit_mib",
        "0.2.0",
        ValueKind::Number { unit: Unit::Mebibytes, range: FILE_MEBIBYTES },
        Text {
            en: "How large a new or changed file may be for the worker to read it at all, and all \
                 of them together, compressed. Files that the agent did not touch may be larger.",
            ja: "ワーカーが読み取る、追加または変更されたファイルの大きさの上限です。\
                 圧縮後の合計にも適用します。エージェントが触れていないファイルには適用しません。",
        },
    ),
];
