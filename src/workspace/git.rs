//! The only module that builds git commands.
//!
//! It owns the environment in which every git command runs: an absolute executable, no system or
//! user configuration, no hooks, no fsmonitor, no prompts, no network protocol except the requested
//! one, and a fixed locale. Every setting reaches git through the environment of that one command,
//! so no argument and no file ever contains a token: other users of the machine can read the
//! arguments of a process. The callers interpret what git prints.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answer::GitAnswer;
use super::error::WorkspaceError;
use super::remote::Remote;
use crate::language::Phrase;
use crate::process::{self, Ending, Invocation, Streams};
use crate::sandbox::{FsPolicy, Sandbox};

/// The largest output that is read into memory, in bytes. It holds a listing of about 500,000
/// files.
const OUTPUT_LIMIT: usize = 64 * 1024 * 1024;

/// The configuration of every command. It overrides the configuration file of the repository,
/// because git gives `GIT_CONFIG_KEY_n` precedence over every file (git-config(1), ENVIRONMENT).
///
/// `core.fsmonitor` and `core.hooksPath` are off because both name programs that git runs.
/// `protectHFS` and `protectNTFS` refuse the spellings that HFS+ and NTFS treat as `.git`. With
/// `safe.bareRepository=explicit` git does not discover a bare repository that somebody hid inside
/// a tree; it uses only the one in `GIT_DIR`. An empty `credential.helper` clears the list of
/// helpers (gitcredentials(7)). Maintenance does not detach, because a process in the background
/// would outlive the command and its deadline.
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

/// The additional configuration of commands that talk to a remote.
///
/// git does not follow redirects, because it would send the header with the token to the new
/// address. `transfer.fsckObjects` makes git refuse malformed objects and objects with dangerous
/// paths. The `fetch.fsck` settings allow the flaws of dates, names, e-mail addresses and modes
/// that old tools left in the history of many projects, and that forges serve unchanged
/// (git-fsck(1), "FSCK MESSAGES"). They hold for what the forge serves. What an agent made is
/// indexed with `--strict` alone.
const REMOTE_CONFIGURATION: &[(&str, &str)] = &[
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    ("transfer.fsckObjects", "true"),
    ("fetch.fsck.badDate", "ignore"),
    ("fetch.fsck.badDateOverflow", "ignore"),
    ("fetch.fsck.badEmail", "ignore"),
    ("fetch.fsck.badFilemode", "ignore"),
    ("fetch.fsck.badName", "ignore"),
    ("fetch.fsck.badTimezone", "ignore"),
    ("fetch.fsck.missingEmail", "ignore"),
    ("fetch.fsck.missingNameBeforeEmail", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.missingSpaceBeforeEmail", "ignore"),
    ("fetch.fsck.multipleAuthors", "ignore"),
    ("fetch.fsck.nulInCommit", "ignore"),
    ("fetch.fsck.zeroPaddedDate", "ignore"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("push.followTags", "false"),
    ("push.recurseSubmodules", "no"),
];

/// The time after which a command is killed.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// The limit of a command that talks to a remote.
    pub remote: Duration,
    /// The limit of any other command.
    pub local: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { remote: Duration::from_secs(600), local: Duration::from_secs(120) }
    }
}

/// The git executable and the directories that it may use.
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
    /// `executable` is an absolute path, and `search_path` is the list of directories in which git
    /// finds the programs that it starts. `home` is an empty directory of the worker's own, so that
    /// git finds no `.gitconfig` and no `.netrc` in it. Commands that read trees written by others
    /// run in `sandbox`.
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

    /// Begins a git command (`fetch`, `add`, …) that runs in `directory` and has no repository yet.
    /// The caller adds the arguments and then runs it.
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

    /// Begins a git command on the repository at `git_dir`, without a work tree. The command also
    /// runs in `git_dir`: a working directory that somebody else can write could contain a
    /// repository for git to discover.
    pub(super) fn in_repository(&self, git_dir: &Path, name: &'static str) -> GitCommand<'_> {
        self.command(git_dir, name).variable("GIT_DIR", git_dir)
    }
}

/// One git command that is being built.
pub(super) struct GitCommand<'a> {
    installation: &'a Installation,
    directory: PathBuf,
    name: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    configuration: Vec<(String, String)>,
    /// The only transport protocol that the command may use. It may use none when this is empty.
    protocol: &'static str,
    input: Vec<u8>,
    deadline: Duration,
    output_limit: usize,
    /// The files that the command sees when it runs in the sandbox. `None` means that it runs
    /// outside of it.
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

    /// Makes the command run in the sandbox, where it sees only the files of `view`.
    pub(super) fn confined(mut self, view: FsPolicy) -> Self {
        self.view = Some(view);
        self
    }

    /// Allows the command to fetch from a repository in a local directory.
    pub(super) fn local_source(mut self) -> Self {
        self.protocol = "file";
        self
    }

    /// Runs the command against `remote`. It may use only that remote's protocol, and git sends the
    /// token only to that remote's host.
    ///
    /// A remote that does not answer in time counts as unreachable.
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
            // git applies `http.<url>.*` only to addresses that match the URL (git-config(1)), so a
            // request to another host carries no token.
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

    /// Runs the command to its end and returns its answer, whatever the exit code is.
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
        // The command needs no stop signal of its own: when the caller drops this future, the
        // process is killed.
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

    /// Runs the command and returns its whole output. Every exit code except 0 is an error.
    pub(super) async fn output(self) -> Result<Vec<u8>, WorkspaceError> {
        let limit = self.output_limit;
        let answer = self.run().await?;
        if answer.code != 0 {
            return Err(answer.into_error());
        }
        if answer.truncated {
            return Err(WorkspaceError::TooLarge {
                what: Phrase::new(
                    format!("the answer of git {}", answer.name),
                    format!("git {} の出力", answer.name),
                ),
                limit,
            });
        }
        Ok(answer.output)
    }

    /// Runs the command and returns its output as one word, such as an object id.
    pub(super) async fn word(self) -> Result<String, WorkspaceError> {
        let output = self.output().await?;
        Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
    }
}

/// Builds the whole environment of a command, which inherits nothing from the worker.
///
/// `GIT_ALLOW_PROTOCOL` lists the only protocols that git may use, so an empty value forbids all of
/// them (git(1)). `GIT_OPTIONAL_LOCKS=0` keeps commands that only read from taking locks.
/// `GIT_NO_REPLACE_OBJECTS` makes git ignore `refs/replace/`, which would show other content for an
/// object id (git-replace(1)).
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
