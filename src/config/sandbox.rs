//! The settings of the sandbox.

use std::path::PathBuf;

use serde::Deserialize;

use super::InvalidSetting;
use super::file::invalid;
use crate::sandbox::{Level, Limits};

/// Fewer than this, and a build can't start its compilers.
const FEWEST_PROCESSES: u32 = 16;

#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Below this nothing is run.
    pub require: Level,
    /// Whether the user said by `--unsafe` that no sandbox at all is wanted.
    pub accept_none: bool,
    /// What every confined program may read besides, and what it may write.
    pub readable: Vec<PathBuf>,
    pub writable: Vec<PathBuf>,
    pub limits: Limits,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Sandbox::default()
            .validate(super::file::FREE_SPACE)
            .expect("the defaults are valid, as a test shows")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sandbox {
    require: Option<Level>,
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    processes: Option<u32>,
    memory_mib: Option<u32>,
    file_size_mib: Option<u32>,
    temporary_mib: Option<u32>,
}

#[cfg(test)]
pub(super) const KEYS: &[&str] = &[
    "require",
    "readable",
    "writable",
    "processes",
    "memory_mib",
    "file_size_mib",
    "temporary_mib",
];

impl Sandbox {
    /// `free_space` is what a worker wants to be free for a task, in bytes: a program is ended when
    /// a quarter of it is left.
    pub(super) fn validate(self, free_space: u64) -> Result<SandboxSettings, InvalidSetting> {
        for (key, paths) in
            [("sandbox.readable", &self.readable), ("sandbox.writable", &self.writable)]
        {
            if let Some(relative) =
                paths.iter().find(|path| !path.is_absolute() || path.to_str().is_none())
            {
                return Err(invalid(key, format!("{relative:?}"), "absolute paths"));
            }
        }
        let mib = |key, value: Option<u32>, default: u32| match value.unwrap_or(default) {
            0 => Err(invalid(key, "0".to_owned(), "at least 1")),
            mib => Ok(u64::from(mib) << 20),
        };
        let processes = self.processes.unwrap_or(512);
        if processes < FEWEST_PROCESSES {
            return Err(invalid("sandbox.processes", processes.to_string(), "at least 16"));
        }
        Ok(SandboxSettings {
            require: self.require.unwrap_or(Level::Full),
            accept_none: false,
            readable: self.readable,
            writable: self.writable,
            limits: Limits {
                processes,
                memory: mib("sandbox.memory_mib", self.memory_mib, 8192)?,
                file_size: mib("sandbox.file_size_mib", self.file_size_mib, 4096)?,
                temporary: mib("sandbox.temporary_mib", self.temporary_mib, 1024)?,
                free_space: free_space / 4,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_asks_for_a_whole_sandbox() {
        let settings = SandboxSettings::default();
        assert_eq!(settings.require, Level::Full);
        assert!(!settings.accept_none);
    }
}
