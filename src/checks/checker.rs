//! Running one check, and reading its output.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::not_run::FailedCheck;
use super::obstacle::Obstacle;
use super::settings::CheckSettings;
use super::test_counts::{self, TestCounts};
use super::{Check, Kind, Toolchains, languages, output};
use crate::errors::Bilingual;
use crate::process::{self, Invocation, Log, ProcessError, Streams};
use crate::redaction::Redaction;
use crate::sandbox::{self, FsPolicy, NetworkPolicy, Sandbox};

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
    /// A directory of the run's own, for the home and the temporary files of its checks.
    pub scratch: &'a Path,
    /// A directory of the repository's own, for what tools download.
    pub cache: &'a Path,
    /// The file to which the output of a check is appended while the check runs.
    pub log: &'a Path,
}

/// The result of running a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    pub kind: Kind,
    pub command: String,
    pub ending: CheckEnding,
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
#[serde(from = "StoredEnding")]
pub enum CheckEnding {
    Passed,
    /// The exit code of the command. A command that a signal ended has 128 plus the number of the
    /// signal, as in shells.
    Failed {
        code: i32,
    },
    TimedOut,
    /// Something of this machine kept the check from running.
    NotRun {
        obstacle: Obstacle,
    },
}

/// An ending as journals hold it. Version 0.1.0 knew two obstacles.
#[derive(Deserialize)]
enum StoredEnding {
    Passed,
    Failed { code: i32 },
    TimedOut,
    NotRun { obstacle: Obstacle },
    Missing { tool: String },
    Offline,
}

impl From<StoredEnding> for CheckEnding {
    fn from(stored: StoredEnding) -> Self {
        match stored {
            StoredEnding::Passed => Self::Passed,
            StoredEnding::Failed { code } => Self::Failed { code },
            StoredEnding::TimedOut => Self::TimedOut,
            StoredEnding::NotRun { obstacle } => Self::NotRun { obstacle },
            StoredEnding::Missing { tool } => Self::NotRun { obstacle: Obstacle::Missing { tool } },
            StoredEnding::Offline => Self::NotRun { obstacle: Obstacle::Offline },
        }
    }
}

/// Why a check has no result.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("the check `{command}` was stopped before it ended")]
    Stopped { command: String },
    #[error("can't make the directory {} for a check", path.display())]
    Place {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the check `{command}` could not be started")]
    Process {
        command: String,
        #[source]
        source: ProcessError,
    },
}

impl Bilingual for CheckError {
    fn japanese(&self) -> String {
        match self {
            Self::Stopped { command } => {
                format!("チェック `{command}` は完了前に停止されました")
            }
            Self::Place { path, source: _ } => {
                format!("チェック用のディレクトリ {} を作成できません", path.display())
            }
            Self::Process { command, source: _ } => {
                format!("チェック `{command}` を開始できません")
            }
        }
    }

    fn own_cause(&self) -> Option<&dyn Bilingual> {
        match self {
            Self::Process { source, .. } => Some(source),
            Self::Stopped { .. } | Self::Place { .. } => None,
        }
    }
}

impl Checker {
    /// Makes a checker that looks for programs in `search_path`.
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
    ///
    /// # Errors
    /// `stop` was cancelled, a directory can't be made, or the command can't be started. A check
    /// that fails is no error.
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
        let failures = match finished.ending {
            process::Ending::Exited(0) => BTreeSet::new(),
            process::Ending::Exited(_)
            | process::Ending::Signaled(_)
            | process::Ending::TimedOut
            | process::Ending::Stopped => languages::failures_named_in(&output),
        };
        let ending = match finished.ending {
            process::Ending::Exited(0) => CheckEnding::Passed,
            process::Ending::Exited(code) => {
                let failed = FailedCheck {
                    kind: check.kind,
                    command: &command,
                    network: check.network,
                    ran_tests: test_counts::counted_in(&output).any(),
                    names_failures: !failures.is_empty(),
                    code,
                    output: &output,
                };
                match failed.obstacle() {
                    Some(obstacle) => CheckEnding::NotRun { obstacle },
                    None => CheckEnding::Failed { code },
                }
            }
            process::Ending::Signaled(signal) => CheckEnding::Failed { code: 128 + signal },
            process::Ending::TimedOut => CheckEnding::TimedOut,
            process::Ending::Stopped => return Err(CheckError::Stopped { command }),
        };
        Ok(Ran { kind: check.kind, command, ending, duration: finished.duration, output, failures })
    }

    /// All environment variables of a check.
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
        // What CI runners set, and what they have by default. A program under test behaves
        // otherwise when it is told about colors, so colors are taken out of the output instead.
        environment.push(("CI".into(), "true".into()));
        environment.extend(self.toolchains.environment(site.cache));
        // A check that calls git must not find a repository in a directory above the tree.
        environment.push((
            "GIT_CEILING_DIRECTORIES".into(),
            site.tree.parent().unwrap_or(site.tree).into(),
        ));
        if check.network {
            environment.extend(self.sandbox.proxy_environment());
        } else {
            environment.extend(languages::without_network());
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

    /// The tests that the output shows to have run.
    pub fn tests(&self) -> TestCounts {
        test_counts::counted_in(&self.output)
    }
}

#[cfg(test)]
mod tests;
