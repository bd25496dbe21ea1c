//! Running one check and reading what it said.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::settings::CheckSettings;
use super::{Check, Kind, Toolchains, failures, missing, output};
use crate::process::{self, Invocation, Log, ProcessError, Streams};
use crate::redaction::Redaction;
use crate::sandbox::{self, FsPolicy, NetworkPolicy, Sandbox};

/// Settings for plain and brief output, and against what is not to be had twice: Python takes
/// bytecode for current when a source was changed within a second without changing its size, as one
/// edit of an agent can.
const QUIET: &[(&str, &str)] = &[
    ("CARGO_TERM_COLOR", "never"),
    ("CARGO_TERM_PROGRESS_WHEN", "never"),
    ("RUST_BACKTRACE", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("npm_config_audit", "false"),
    ("npm_config_fund", "false"),
    ("npm_config_update_notifier", "false"),
];

/// Runs checks, each in a sandbox and a process tree of its own with a deadline.
#[derive(Debug, Clone)]
pub struct Checker {
    search_path: OsString,
    toolchains: Toolchains,
    output_limit: usize,
    sandbox: Sandbox,
    redaction: Redaction,
}

/// Where a check runs.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub tree: &'a Path,
    /// The run's own, for the home and the temporary files of its checks.
    pub scratch: &'a Path,
    /// The repository's own, for what tools download.
    pub cache: &'a Path,
    /// What a check prints is appended to it as it comes.
    pub log: &'a Path,
}

/// What came of running a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    pub kind: Kind,
    pub command: String,
    pub ending: Ending,
    pub duration: Duration,
    /// Plain text, as much as the settings allow; [`Ran::excerpt`] is what people and models are
    /// shown.
    pub output: String,
    /// The tests that failed and the errors that were reported, named so that the same failure has
    /// the same name in another run.
    pub failures: BTreeSet<String>,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    Passed,
    /// The code is the command's own; a command that a signal ended has 128 and the signal's
    /// number, as shells say it.
    Failed {
        code: i32,
    },
    TimedOut,
    /// The check could not run for lack of a tool.
    Missing {
        tool: String,
    },
    /// Setup could not fetch for lack of a network.
    Offline,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("the check `{command}` was stopped before it ended")]
    Stopped { command: String },
    #[error("can't make the directory {} for a check: {source}", path.display())]
    Place { path: PathBuf, source: std::io::Error },
    #[error("the check `{command}` could not be started")]
    Process {
        command: String,
        #[source]
        source: ProcessError,
    },
}

impl Checker {
    pub fn new(
        settings: &CheckSettings,
        search_path: &OsStr,
        toolchains: Toolchains,
        sandbox: &Sandbox,
        redaction: &Redaction,
    ) -> Self {
        let (search_path, sandbox, redaction) =
            (search_path.to_owned(), sandbox.clone(), redaction.clone());
        Self { search_path, toolchains, output_limit: settings.output_limit, sandbox, redaction }
    }

    /// Runs a check at the root of the site's tree.
    pub async fn run(
        &self,
        check: &Check,
        site: Site<'_>,
        stop: &CancellationToken,
    ) -> Result<Ran, CheckError> {
        let tree = site.tree;
        let invocation = Invocation {
            program: PathBuf::from("/bin/sh"),
            arguments: [OsStr::new("-c"), OsStr::new(&check.command)].map(OsStr::to_owned).to_vec(),
            directory: tree.to_owned(),
            environment: self.environment(check, site)?,
            input: Vec::new(),
            deadline: check.timeout,
            output_limit: self.output_limit,
            streams: Streams::Merged,
            log: Some(Log { file: site.log.to_owned(), redaction: self.redaction.clone() }),
        };
        let view = FsPolicy {
            readable: self.toolchains.directories().map(Path::to_path_buf).collect(),
            writable: [tree, site.scratch, site.cache].map(Path::to_path_buf).to_vec(),
            network: if check.network { NetworkPolicy::Internet } else { NetworkPolicy::Nothing },
        };
        let invocation = self.sandbox.confine(invocation, &view);
        let command = check.command.clone();
        let finished = match process::run(invocation, stop).await {
            Ok(finished) => finished,
            Err(source) => return Err(CheckError::Process { command, source }),
        };
        let output = output::clean(&finished.output, tree);
        let ending = match finished.ending {
            process::Ending::Exited(0) => Ending::Passed,
            process::Ending::Exited(_)
                if check.kind == Kind::Setup && missing::network(&output) =>
            {
                Ending::Offline
            }
            process::Ending::Exited(code) => match missing::tool(&command, code, &output) {
                Some(tool) => Ending::Missing { tool },
                None => Ending::Failed { code },
            },
            process::Ending::Signaled(signal) => Ending::Failed { code: 128 + signal },
            process::Ending::TimedOut => Ending::TimedOut,
            process::Ending::Stopped => return Err(CheckError::Stopped { command }),
        };
        let failures =
            if ending == Ending::Passed { BTreeSet::new() } else { failures::named(&output) };
        Ok(Ran { kind: check.kind, command, ending, duration: finished.duration, output, failures })
    }

    /// All that a check gets to see, with what keeps tools quiet and trees clean.
    fn environment(
        &self,
        check: &Check,
        site: Site<'_>,
    ) -> Result<Vec<(OsString, OsString)>, CheckError> {
        let (home, temporary) = (site.scratch.join("home"), site.scratch.join("tmp"));
        for directory in [&home, &temporary, &site.cache.to_path_buf()] {
            std::fs::create_dir_all(directory)
                .map_err(|source| CheckError::Place { path: directory.clone(), source })?;
        }
        let mut environment = sandbox::clean_environment(&self.search_path, &home, &temporary);
        environment.extend(self.toolchains.environment(site.cache));
        environment.extend(QUIET.iter().map(|(name, value)| (name.into(), value.into())));
        // A check that asks git must not find a repository that happens to lie around the tree.
        environment.push((
            "GIT_CEILING_DIRECTORIES".into(),
            site.tree.parent().unwrap_or(site.tree).into(),
        ));
        if check.network {
            environment.extend(self.sandbox.proxy_environment());
        }
        Ok(environment)
    }
}

impl Ran {
    /// The part of the output that tells most about a failure, in at most `limit` bytes: for a
    /// fix-up prompt or a report.
    pub fn excerpt(&self, limit: usize) -> String {
        output::excerpt(&self.output, limit)
    }
}

#[cfg(test)]
mod tests;
