//! The only builder of git commands.
//!
//! Owns the environment every git command runs in: an absolute executable, no system or user
//! configuration, no hooks, no fsmonitor, no prompts, no network protocol but the one that is asked
//! for, a fixed locale. What is configured is configured through the environment of that one
//! command, so neither an argument nor a file ever holds a token. Leaves the meaning of what git
//! says to the callers.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answer::GitAnswer;
use super::error::WorkspaceError;
use super::remote::Remote;
use crate::process::{self, Ending, Invocation, Streams};
use crate::sandbox::{FsPolicy, Sandbox};

/// How much of an answer is read into memory: a listing of some 500,000 files.
const OUTPUT_LIMIT: usize = 64 * 1024 * 1024;

/// What every command is configured with, whatever the repository at hand says: configuration from
/// the environment comes last and wins.
///
/// `protectHFS` and `protectNTFS` refuse the spellings of `.git` that other file systems take for
/// it. `safe.bareRepository` keeps git from running in a repository that was planted in a tree.
/// Nothing runs in the background, or it would outlive its command.
const CONFIGURATION: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("core.untrackedCache", "false"),
    ("core.filesRefLockTimeout", "10000"),
    ("core.packedRefsTimeout", "10000"),
    ("safe.bareRepository", "explicit"),
    ("credential.helper", ""),
    ("protocol.version", "2"),
    ("submodule.recurse", "false"),
    ("diff.external", ""),
    ("gc.autoDetach", "false"),
    ("maintenance.autoDetach", "false"),
];

/// What commands that talk to a remote are configured with besides.
///
/// A redirect is not followed, since git would send the header with the token on to wherever it
/// leads. The three `fsck` messages are about harmless flaws in the old history of well-known
/// projects, which GitHub serves as it is.
const REMOTE_CONFIGURATION: &[(&str, &str)] = &[
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    ("transfer.fsckObjects", "true"),
    ("fetch.fsck.badTimezone", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("push.followTags", "false"),
    ("push.recurseSubmodules", "no"),
];

/// How long a command may take before it is killed.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// A command that talks to a remote.
    pub remote: Duration,
    /// Any other.
    pub local: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { remote: Duration::from_secs(600), local: Duration::from_secs(120) }
    }
}

/// The git executable, and where it may look.
#[derive(Debug, Clone)]
pub struct Git(Arc<Installation>);

#[derive(Debug)]
struct Installation {
    executable: PathBuf,
    search_path: OsString,
    home: PathBuf,
    deadlines: Deadlines,
    sandbox: Sandbox,
}

impl Git {
    /// `executable` is an absolute path, `search_path` is where git finds what it starts itself,
    /// and `home` a directory of our own with nothing in it. `sandbox` is where git looks at trees
    /// that others wrote.
    #[must_use]
    pub fn new(
        executable: PathBuf,
        search_path: &OsStr,
        home: &Path,
        deadlines: Deadlines,
        sandbox: &Sandbox,
    ) -> Self {
        Self(Arc::new(Installation {
            executable,
            search_path: search_path.to_owned(),
            home: home.to_owned(),
            deadlines,
            sandbox: sandbox.clone(),
        }))
    }

    /// A command of git (`fetch`, `add`, …) in no repository yet, run in `directory`.
    pub(super) fn command(&self, directory: &Path, name: &'static str) -> GitCommand<'_> {
        GitCommand {
            installation: &self.0,
            directory: directory.to_owned(),
            name,
            arguments: Vec::new(),
            environment: Vec::new(),
            configuration: CONFIGURATION
                .iter()
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            protocol: "",
            input: Vec::new(),
            deadline: self.0.deadlines.local,
            output_limit: OUTPUT_LIMIT,
            view: None,
        }
    }

    /// A command of git on the repository at `git_dir`, without a work tree. It also runs there:
    /// never in a tree that somebody else may write.
    pub(super) fn in_repository(&self, git_dir: &Path, name: &'static str) -> GitCommand<'_> {
        self.command(git_dir, name).variable("GIT_DIR", git_dir)
    }
}

/// One git command being put together.
pub(super) struct GitCommand<'a> {
    installation: &'a Installation,
    directory: PathBuf,
    name: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    configuration: Vec<(String, String)>,
    /// The one protocol it may use; none when empty.
    protocol: &'static str,
    input: Vec<u8>,
    deadline: Duration,
    output_limit: usize,
    /// What it sees, when it runs in the sandbox.
    view: Option<FsPolicy>,
}

impl GitCommand<'_> {
    pub(super) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(super) fn arguments<A: AsRef<OsStr>>(
        mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub(super) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    pub(super) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    pub(super) fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Runs in the sandbox, where it sees no more than this.
    pub(super) fn confined(mut self, view: FsPolicy) -> Self {
        self.view = Some(view);
        self
    }

    /// Lets the command read from the repository in a local directory.
    pub(super) fn local_source(mut self) -> Self {
        self.protocol = "file";
        self
    }

    /// Runs the command, which talks to `remote`: by its protocol only, and with its token for its
    /// host only.
    ///
    /// A remote that does not answer in time is one that can't be reached.
    pub(super) async fn run_against(
        mut self,
        remote: &Remote,
    ) -> Result<GitAnswer, WorkspaceError> {
        let address = remote.address()?;
        self.protocol = address.protocol;
        self.deadline = self.installation.deadlines.remote;
        self.configuration.extend(
            REMOTE_CONFIGURATION.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())),
        );
        if let (Some(origin), Some(authorization)) = (address.origin, remote.authorization()) {
            self.configuration.push((format!("http.{origin}/.extraHeader"), authorization));
        }
        let (command, deadline) = (self.name, self.deadline);
        self.run().await.map_err(|error| {
            if let WorkspaceError::TimedOut { .. } = error {
                let detail = format!("git {command} had no answer within {} s", deadline.as_secs());
                WorkspaceError::Unreachable { url: remote.url.clone(), detail }
            } else {
                error
            }
        })
    }

    /// Runs the command to its end, whatever its exit code is.
    pub(super) async fn run(self) -> Result<GitAnswer, WorkspaceError> {
        let Self {
            installation,
            directory,
            name,
            arguments,
            environment,
            configuration,
            protocol,
            input,
            deadline,
            output_limit,
            view,
        } = self;
        let invocation = Invocation {
            program: installation.executable.clone(),
            arguments: std::iter::once(OsString::from(name)).chain(arguments).collect(),
            directory,
            environment: complete(installation, protocol, configuration, environment),
            input,
            deadline,
            output_limit,
            streams: Streams::Apart,
            log: None,
        };
        let invocation = match view {
            Some(view) => installation.sandbox.confine(invocation, &view),
            None => invocation,
        };
        // A caller that no longer wants the command drops the future, which kills it.
        let finished = process::run(invocation, &CancellationToken::new()).await?;
        let code = match finished.ending {
            Ending::Exited(code) => code,
            Ending::TimedOut => return Err(WorkspaceError::TimedOut { command: name, deadline }),
            Ending::Signaled(signal) => {
                return Err(WorkspaceError::Killed { command: name, signal });
            }
            Ending::Stopped => return Err(WorkspaceError::Killed { command: name, signal: 0 }),
        };
        Ok(GitAnswer {
            name,
            code,
            output: finished.output,
            errors: finished.errors,
            truncated: finished.truncated,
        })
    }

    /// Runs the command and gives its whole output; any exit code but 0 is an error.
    pub(super) async fn output(self) -> Result<Vec<u8>, WorkspaceError> {
        let limit = self.output_limit;
        let answer = self.run().await?;
        if answer.code != 0 {
            return Err(answer.into_error());
        }
        if answer.truncated {
            return Err(WorkspaceError::TooLarge {
                what: format!("the answer of git {}", answer.name),
                limit,
            });
        }
        Ok(answer.output)
    }

    /// The output as one word, such as the name of an object.
    pub(super) async fn word(self) -> Result<String, WorkspaceError> {
        let output = self.output().await?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }
}

/// The whole environment of a command; nothing is inherited.
fn complete(
    installation: &Installation,
    protocol: &str,
    configuration: Vec<(String, String)>,
    own: Vec<(OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), installation.search_path.clone()),
        ("HOME".into(), installation.home.clone().into()),
        ("LC_ALL".into(), "C".into()),
        ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
        ("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()),
        ("GIT_ATTR_NOSYSTEM".into(), "1".into()),
        ("GIT_NO_REPLACE_OBJECTS".into(), "1".into()),
        ("GIT_TERMINAL_PROMPT".into(), "0".into()),
        ("GIT_OPTIONAL_LOCKS".into(), "0".into()),
        ("GIT_ALLOW_PROTOCOL".into(), protocol.into()),
        ("GIT_CONFIG_COUNT".into(), configuration.len().to_string().into()),
    ];
    for (position, (key, value)) in configuration.into_iter().enumerate() {
        environment.push((format!("GIT_CONFIG_KEY_{position}").into(), key.into()));
        environment.push((format!("GIT_CONFIG_VALUE_{position}").into(), value.into()));
    }
    environment.extend(own);
    environment
}
