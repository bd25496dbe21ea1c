//! The sandbox's settings: the section `[sandbox]`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::init::ResourceLimits;
use super::level::Level;
use crate::settings::{InvalidSetting, Setting, Text, Unit, ValueKind, bytes, mebibytes, number};

/// How much of the disk is free for a task unless the settings say otherwise.
pub(crate) const DEFAULT_FREE_SPACE_MIB: u32 = 256;

/// With fewer processes a build can't start its compilers.
const PROCESSES: RangeInclusive<u64> = 16..=u32::MAX as u64;
const AMOUNT_MIB: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// How strong the sandbox must be, and what it lets through.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// A worker does not start with a weaker sandbox.
    pub require: Level,
    /// Whether the user accepted by `--unsafe` that there is no sandbox at all.
    pub accept_none: bool,
    /// What every confined program may read, beside the system's programs and its own tree.
    pub readable: Vec<PathBuf>,
    /// What every confined program may write, beside its own tree.
    pub writable: Vec<PathBuf>,
    /// What one program may use, together with all that it starts.
    pub limits: ResourceLimits,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        SandboxSection::default().unchecked(bytes(DEFAULT_FREE_SPACE_MIB))
    }
}

/// The section as it is written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SandboxSection {
    require: Level,
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    processes: u32,
    memory_mib: u32,
    file_size_mib: u32,
    temporary_mib: u32,
}

impl Default for SandboxSection {
    fn default() -> Self {
        Self {
            require: Level::Full,
            readable: Vec::new(),
            writable: Vec::new(),
            processes: 512,
            memory_mib: 8192,
            file_size_mib: 4096,
            temporary_mib: 1024,
        }
    }
}

impl SandboxSection {
    /// Checks the section. `free_space` is how many bytes must be free for a task: the sandbox ends
    /// a program when a quarter of them is left.
    ///
    /// # Errors
    /// A value is out of its range, or a path is relative.
    pub(crate) fn validate(self, free_space: u64) -> Result<SandboxSettings, InvalidSetting> {
        for (key, paths) in
            [("sandbox.readable", &self.readable), ("sandbox.writable", &self.writable)]
        {
            if let Some(relative) =
                paths.iter().find(|path| !path.is_absolute() || path.to_str().is_none())
            {
                let expected = Text { en: "absolute paths", ja: "絶対パス" };
                return Err(InvalidSetting::new(key, relative, expected));
            }
        }
        number("sandbox.processes", self.processes, &PROCESSES)?;
        mebibytes("sandbox.memory_mib", self.memory_mib, &AMOUNT_MIB)?;
        mebibytes("sandbox.file_size_mib", self.file_size_mib, &AMOUNT_MIB)?;
        mebibytes("sandbox.temporary_mib", self.temporary_mib, &AMOUNT_MIB)?;
        Ok(self.unchecked(free_space))
    }

    fn unchecked(self, free_space: u64) -> SandboxSettings {
        SandboxSettings {
            require: self.require,
            accept_none: false,
            readable: self.readable,
            writable: self.writable,
            limits: ResourceLimits {
                processes: self.processes,
                memory: bytes(self.memory_mib),
                file_size: bytes(self.file_size_mib),
                temporary: bytes(self.temporary_mib),
                free_space: free_space / 4,
            },
        }
    }
}

/// The keys of the section.
pub(crate) const DOCUMENTATION: &[Setting] = &[
    Setting::new(
        "sandbox.require",
        "0.1.0",
        ValueKind::OneOf(&["none", "degraded", "full"]),
        Text {
            en: "How strong the sandbox around agents and checks must be. A worker does not start \
                 with a weaker one; `none` also needs `--unsafe`.",
            ja: "エージェントとチェックを囲むサンドボックスに必要な強さです。\
                 これより弱い場合、ワーカーは起動しません。`none` には `--unsafe` も必要です。",
        },
    ),
    Setting::new(
        "sandbox.readable",
        "0.1.0",
        ValueKind::Paths,
        Text {
            en: "What every confined program may read, beside the system's programs and its own \
                 tree. Each path is a hole in the sandbox.",
            ja: "システムのプログラムと自身の作業ツリー以外に、サンドボックス内の\
                 プログラムが読み取れるパスです。指定するたびに保護が弱くなります。",
        },
    )
    .allowed(ABSOLUTE),
    Setting::new(
        "sandbox.writable",
        "0.1.0",
        ValueKind::Paths,
        Text {
            en: "What every confined program may write, beside its own tree. Each path is a hole \
                 in the sandbox.",
            ja: "自身の作業ツリー以外に、サンドボックス内のプログラムが書き込めるパスです。\
                 指定するたびに保護が弱くなります。",
        },
    )
    .allowed(ABSOLUTE),
    Setting::new(
        "sandbox.processes",
        "0.1.0",
        ValueKind::Number { unit: Unit::Count, range: PROCESSES },
        Text {
            en: "How many processes one program may have at once, with all that it starts.",
            ja: "1つのプログラムが、子孫プロセスを含めて同時に持てるプロセスの数です。",
        },
    ),
    Setting::new(
        "sandbox.memory_mib",
        "0.1.0",
        ValueKind::Number { unit: Unit::Mebibytes, range: AMOUNT_MIB },
        Text {
            en: "How much memory one program may use, with all that it starts.",
            ja: "1つのプログラムが、子孫プロセスを含めて使えるメモリーの量です。",
        },
    ),
    Setting::new(
        "sandbox.file_size_mib",
        "0.1.0",
        ValueKind::Number { unit: Unit::Mebibytes, range: AMOUNT_MIB },
        Text {
            en: "How large one file may become.", ja: "1つのファイルの大きさの上限です。"
        },
    ),
    Setting::new(
        "sandbox.temporary_mib",
        "0.1.0",
        ValueKind::Number { unit: Unit::Mebibytes, range: AMOUNT_MIB },
        Text {
            en: "The size of `/tmp`, which is kept in memory.",
            ja: "`/tmp` の大きさです。メモリー上に置かれます。",
        },
    ),
];

const ABSOLUTE: Text = Text { en: "absolute paths", ja: "絶対パス" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_ask_for_a_whole_sandbox() {
        let free_space = bytes(DEFAULT_FREE_SPACE_MIB);
        let settings = SandboxSection::default().validate(free_space).unwrap();
        assert_eq!(settings.require, Level::Full);
        assert!(!settings.accept_none);
        assert_eq!(settings.limits.free_space, 64 << 20);
    }

    #[test]
    fn a_relative_path_is_refused() {
        let section = SandboxSection { readable: vec!["sdk".into()], ..SandboxSection::default() };
        let error = section.validate(0).unwrap_err();
        assert_eq!(error.to_string(), "`sandbox.readable` is \"sdk\", expected absolute paths");
    }
}
