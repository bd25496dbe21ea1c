//! Every git process of the forge: built here, without the system's or a user's configuration,
//! hooks or prompts.
//!
//! Owns the commands and the reading of their output. What a branch or a merge means for a pull
//! request is `forge`'s. Invariant: names from outside reach git as full refs (`refs/heads/…`) or
//! object names, never where an option could stand.
#![expect(
    clippy::disallowed_methods,
    reason = "the one module of the crate that starts programs, and only git"
)]

mod commit;
mod diff;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use commit::{Commit, Signature};
pub(crate) use diff::ChangedFile;

/// Why git did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("can't start git at {}: install git or name its executable", path.display())]
    Start { path: PathBuf, source: io::Error },
    #[error("git {command} failed in {}: {stderr}", repository.display())]
    Failed { command: String, repository: PathBuf, stderr: String },
    #[error("git {command} answered what this program can't read: {output:?}")]
    Unreadable { command: String, output: String },
}

/// Configuration that every git process gets on top of nothing: repositories of others are data,
/// never instructions.
const CONFIGURATION: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.quotePath", "false"),
    ("gc.auto", "0"),
    ("receive.autogc", "false"),
    ("receive.fsckObjects", "true"),
    ("receive.advertisePushOptions", "false"),
    // GitHub's own limit for a push ("About large files on GitHub").
    ("receive.maxInputSize", "2g"),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowAnySHA1InWant", "true"),
    ("http.receivepack", "true"),
    ("http.getanyfile", "false"),
];

/// The identity of the commits that the forge makes itself, as the merge button does.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) at: jiff::Timestamp,
}

/// A git executable and the place of its subcommands.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    executable: PathBuf,
    http_backend: PathBuf,
}

impl Git {
    /// Asks git where it keeps `git-http-backend`.
    pub(crate) fn open(executable: PathBuf) -> Result<Self, GitError> {
        let output = Command::new(&executable)
            .arg("--exec-path")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| GitError::Start { path: executable.clone(), source })?;
        let exec_path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let http_backend = Path::new(&exec_path).join("git-http-backend");
        if !output.status.success() || !http_backend.is_file() {
            return Err(GitError::Unreadable {
                command: "--exec-path".to_owned(),
                output: exec_path,
            });
        }
        Ok(Self { executable, http_backend })
    }

    /// `git http-backend`, to which the caller adds the request as CGI variables.
    pub(crate) fn http_backend(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.http_backend);
        command.env_clear().envs(environment()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn command(&self, repository: &Path) -> Command {
        let mut command = Command::new(&self.executable);
        command.env_clear().envs(environment()).env("GIT_DIR", repository).current_dir(repository);
        command
    }

    /// Runs git in the repository and returns what it printed.
    pub(crate) fn run<S: AsRef<OsStr>>(
        &self,
        repository: &Path,
        arguments: &[S],
    ) -> Result<Vec<u8>, GitError> {
        self.run_with(repository, arguments, &[], b"")
            .and_then(|finished| finished.expect_success())
    }

    fn run_with<S: AsRef<OsStr>>(
        &self,
        repository: &Path,
        arguments: &[S],
        variables: &[(&str, &str)],
        input: &[u8],
    ) -> Result<Finished, GitError> {
        let start = |source| GitError::Start { path: self.executable.clone(), source };
        let mut child = self
            .command(repository)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        if let Some(mut stdin) = child.stdin.take() {
            // Inputs here are short messages, smaller than a pipe; a git that does not read them
            // says why on stderr.
            let _written = stdin.write_all(input);
        }
        let output = child.wait_with_output().map_err(start)?;
        let command = arguments
            .first()
            .map_or_else(String::new, |first| first.as_ref().to_string_lossy().into_owned());
        Ok(Finished { command, repository: repository.to_owned(), output })
    }

    /// Makes an empty bare repository whose HEAD names `default_branch`.
    pub(crate) fn init(&self, repository: &Path, default_branch: &str) -> Result<(), GitError> {
        std::fs::create_dir_all(repository)
            .map_err(|source| GitError::Start { path: self.executable.clone(), source })?;
        let initial = format!("--initial-branch={default_branch}");
        self.run(repository, &["init", "--bare", "--quiet", "--template=", &initial])?;
        Ok(())
    }

    pub(crate) fn set_head(&self, repository: &Path, branch: &str) -> Result<(), GitError> {
        self.run(repository, &["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")])?;
        Ok(())
    }

    /// The object that a full ref names; `None` when there is no such ref.
    pub(crate) fn resolve(
        &self,
        repository: &Path,
        full_ref: &str,
    ) -> Result<Option<String>, GitError> {
        let finished = self.run_with(
            repository,
            &["rev-parse", "--verify", "--quiet", "--end-of-options", full_ref],
            &[],
            b"",
        )?;
        if finished.output.status.success() { finished.line().map(Some) } else { Ok(None) }
    }

    pub(crate) fn branch(
        &self,
        repository: &Path,
        branch: &str,
    ) -> Result<Option<String>, GitError> {
        self.resolve(repository, &format!("refs/heads/{branch}"))
    }

    pub(crate) fn object_type(&self, repository: &Path, sha: &str) -> Result<String, GitError> {
        self.run_with(repository, &["cat-file", "-t", sha], &[], b"")?.line()
    }

    /// The newest common ancestor; `None` when the two share no history.
    pub(crate) fn merge_base(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<Option<String>, GitError> {
        let finished = self.run_with(repository, &["merge-base", base, head], &[], b"")?;
        if finished.output.status.success() { finished.line().map(Some) } else { Ok(None) }
    }

    /// How many commits `head` has that `base` has not.
    pub(crate) fn commits_between(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<u64, GitError> {
        let finished = self.run_with(
            repository,
            &["rev-list", "--count", &format!("{base}..{head}")],
            &[],
            b"",
        )?;
        let line = finished.line()?;
        line.parse()
            .map_err(|_| GitError::Unreadable { command: "rev-list".to_owned(), output: line })
    }

    /// The tree of a merge without conflicts; `None` when it has some, or when the two share no
    /// history.
    pub(crate) fn merge_tree(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<Option<String>, GitError> {
        if self.merge_base(repository, base, head)?.is_none() {
            return Ok(None);
        }
        let finished = self.run_with(
            repository,
            &["merge-tree", "--write-tree", "--no-messages", base, head],
            &[],
            b"",
        )?;
        match finished.output.status.code() {
            Some(0) => finished.line().map(Some),
            // git-merge-tree(1): 1 is a merge with conflicts, anything else is a failure.
            Some(1) => Ok(None),
            Some(_) | None => finished.expect_success().map(|_| None),
        }
    }

    pub(crate) fn commit_tree(
        &self,
        repository: &Path,
        tree: &str,
        parents: &[&str],
        message: &str,
        identity: &Identity,
    ) -> Result<String, GitError> {
        let date = format!("@{} +0000", identity.at.as_second());
        let variables = [
            ("GIT_AUTHOR_NAME", identity.name.as_str()),
            ("GIT_AUTHOR_EMAIL", identity.email.as_str()),
            ("GIT_AUTHOR_DATE", date.as_str()),
            ("GIT_COMMITTER_NAME", identity.name.as_str()),
            ("GIT_COMMITTER_EMAIL", identity.email.as_str()),
            ("GIT_COMMITTER_DATE", date.as_str()),
        ];
        let mut arguments = vec!["commit-tree", tree];
        arguments.extend(parents.iter().flat_map(|parent| ["-p", *parent]));
        self.run_with(repository, &arguments, &variables, message.as_bytes())?.line()
    }

    /// Moves a branch from `old` to `new`, and refuses when it no longer stands at `old`.
    pub(crate) fn move_branch(
        &self,
        repository: &Path,
        branch: &str,
        new: &str,
        old: &str,
    ) -> Result<(), GitError> {
        self.run(repository, &["update-ref", &format!("refs/heads/{branch}"), new, old])?;
        Ok(())
    }
}

/// A git that ended, well or not.
struct Finished {
    command: String,
    repository: PathBuf,
    output: std::process::Output,
}

impl Finished {
    fn expect_success(self) -> Result<Vec<u8>, GitError> {
        if self.output.status.success() {
            return Ok(self.output.stdout);
        }
        let stderr = String::from_utf8_lossy(&self.output.stderr).trim().to_owned();
        Err(GitError::Failed { command: self.command, repository: self.repository, stderr })
    }

    fn line(self) -> Result<String, GitError> {
        let command = self.command.clone();
        let stdout = self.expect_success()?;
        let text = String::from_utf8_lossy(&stdout);
        match text.lines().next() {
            Some(line) => Ok(line.to_owned()),
            None => Err(GitError::Unreadable { command, output: text.into_owned() }),
        }
    }
}

/// What every git process sees of the environment: nothing of the caller's.
fn environment() -> Vec<(String, String)> {
    let fixed = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LC_ALL", "C"),
    ];
    let mut variables: Vec<_> =
        fixed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables.push(("GIT_CONFIG_COUNT".to_owned(), CONFIGURATION.len().to_string()));
    for (index, (key, value)) in CONFIGURATION.iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{index}"), (*key).to_owned()));
        variables.push((format!("GIT_CONFIG_VALUE_{index}"), (*value).to_owned()));
    }
    variables
}
