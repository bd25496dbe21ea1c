//! Running one check and reading what it said.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Check, Kind, failures, missing, output};
use crate::config::CheckSettings;
use crate::process::{self, Invocation, ProcessError, Streams};

/// Settings for plain and brief output, and against what is not to be had twice: Python takes bytecode for current when a source was changed
/// within a second without changing its size, as one edit of an agent can.
const QUIET: &[(&str, &str)] = &[
    ("NO_COLOR", "1"),
    ("CARGO_TERM_COLOR", "never"),
    ("CARGO_TERM_PROGRESS_WHEN", "never"),
    ("RUST_BACKTRACE", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("npm_config_audit", "false"),
    ("npm_config_fund", "false"),
    ("npm_config_update_notifier", "false"),
];

/// Runs checks, each in a process tree of its own with a deadline.
#[derive(Debug, Clone)]
pub struct Checker {
    environment: Vec<(OsString, OsString)>,
    output_limit: usize,
}

/// What came of running a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    pub kind: Kind,
    pub command: String,
    pub ending: Ending,
    pub duration: Duration,
    /// Plain text, as much as the settings allow; [`Ran::excerpt`] is what people and models are shown.
    pub output: String,
    /// The tests that failed and the errors that were reported, named so that the same failure has the same name in another run.
    pub failures: BTreeSet<String>,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    Passed,
    /// The code is the command's own; a command that a signal ended has 128 and the signal's number, as shells say it.
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
    #[error("the check `{command}` could not be started")]
    Process {
        command: String,
        #[source]
        source: ProcessError,
    },
}

impl Checker {
    /// `environment` is all that a check gets to see, with `PATH`, `HOME` and `TMPDIR`; what keeps tools quiet and trees clean is added to it.
    pub fn new(settings: &CheckSettings, environment: Vec<(OsString, OsString)>) -> Self {
        let mut all: Vec<(OsString, OsString)> =
            QUIET.iter().map(|(name, value)| (name.into(), value.into())).collect();
        all.retain(|(name, _)| !environment.iter().any(|(given, _)| given == name));
        all.extend(environment);
        Self { environment: all, output_limit: settings.output_limit }
    }

    /// Runs a check at the root of `tree`; what it prints is appended to `log` as it comes.
    pub async fn run(
        &self,
        check: &Check,
        tree: &Path,
        log: &Path,
        stop: &CancellationToken,
    ) -> Result<Ran, CheckError> {
        let mut environment = self.environment.clone();
        // A check that asks git must not find a repository that happens to lie around the tree.
        environment.push(("GIT_CEILING_DIRECTORIES".into(), tree.parent().unwrap_or(tree).into()));
        let invocation = Invocation {
            program: PathBuf::from("/bin/sh"),
            arguments: [OsStr::new("-c"), OsStr::new(&check.command)].map(OsStr::to_owned).to_vec(),
            directory: tree.to_owned(),
            environment,
            input: Vec::new(),
            deadline: check.timeout,
            output_limit: self.output_limit,
            streams: Streams::Merged,
            log: Some(log.to_owned()),
        };
        let command = check.command.clone();
        let finished = match process::run(invocation, stop).await {
            Ok(finished) => finished,
            Err(source) => return Err(CheckError::Process { command, source }),
        };
        let output = output::clean(&finished.output, tree);
        let ending = match finished.ending {
            process::Ending::Exited(0) => Ending::Passed,
            process::Ending::Exited(_) if check.kind == Kind::Setup && missing::network(&output) => Ending::Offline,
            process::Ending::Exited(code) => match missing::tool(&command, code, &output) {
                Some(tool) => Ending::Missing { tool },
                None => Ending::Failed { code },
            },
            process::Ending::Signaled(signal) => Ending::Failed { code: 128 + signal },
            process::Ending::TimedOut => Ending::TimedOut,
            process::Ending::Stopped => return Err(CheckError::Stopped { command }),
        };
        let failures = if ending == Ending::Passed { BTreeSet::new() } else { failures::named(&output) };
        Ok(Ran { kind: check.kind, command, ending, duration: finished.duration, output, failures })
    }
}

impl Ran {
    /// The part of the output that tells most about a failure, in at most `limit` bytes: for a fix-up prompt or a report.
    pub fn excerpt(&self, limit: usize) -> String {
        output::excerpt(&self.output, limit)
    }
}

#[cfg(test)]
mod tests;
