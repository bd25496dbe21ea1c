//! Every git process of the forge. It is started here, without configuration of the system or of a
//! user, without hooks, and without prompts.
//!
//! This module owns the commands and reads their output. What a branch or a merge means for a pull
//! request is `forge`'s.
//!
//! # Invariants
//!
//! - Text from outside reaches git only as a full ref (`refs/heads/…`) or as an object name, so
//!   that git can't take it for an option.
//! - These calls block, for as long as git takes. They are made on tokio's blocking threads (see
//!   `Hub::run`), and outside of database transactions (see `store`).
#![expect(
    clippy::disallowed_methods,
    reason = "this is the crate's one module that starts programs, and it starts only git"
)]

mod commit;
mod diff;

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use commit::{Branches, Commit, Identity, Signature};
pub(crate) use diff::ChangedFile;

/// Why git did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The executable could not be run, or its pipes broke.
    #[error("can't start git at {}: install git or name its executable", path.display())]
    Start {
        /// The executable.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory of a repository could not be made or moved to its place.
    #[error(
        "can't make the repository directory {}: check that the disk has room and that its \
         parent may be written",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Git ended with a failure.
    #[error("git {command} failed in {}: {stderr}", repository.display())]
    Failed {
        /// The subcommand.
        command: String,
        /// The bare repository.
        repository: PathBuf,
        /// What git printed.
        stderr: String,
    },
    /// Git printed something that this program does not understand.
    #[error(
        "git {command} answered what this program can't read: {output:?}; it needs git 2.38 or \
         newer"
    )]
    Unreadable {
        /// The subcommand.
        command: String,
        /// What git printed.
        output: String,
    },
}

/// The configuration of every git process. `GIT_CONFIG_GLOBAL=/dev/null` and its like (see
/// [`environment`]) leave nothing else but a repository's own.
const CONFIGURATION: &[(&str, &str)] = &[
    // A pushed repository must not be able to run anything here.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    // Paths are printed as they are and not with octal escapes.
    ("core.quotePath", "false"),
    // A collection in the background would outlive the request, and could remove the commits that
    // a closed pull request still names.
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

/// A git executable and the place of its subcommands.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    executable: PathBuf,
    http_backend: PathBuf,
}

impl Git {
    /// Asks the executable where it keeps `git-http-backend`.
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

    /// `git http-backend`. The caller adds the request as CGI variables.
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

    /// Runs git in the repository, which must succeed, and returns what it printed.
    fn run<S: AsRef<OsStr>>(
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
            // A commit message may be larger than a pipe. It can be written before the output is
            // read, because `commit-tree` prints nothing until it has read all of it. When git
            // ends early, the write fails, and git's stderr says why.
            let _written = stdin.write_all(input);
        }
        let output = child.wait_with_output().map_err(start)?;
        let command = arguments
            .first()
            .map_or_else(String::new, |first| first.as_ref().to_string_lossy().into_owned());
        Ok(Finished { command, repository: repository.to_owned(), output })
    }

    /// Makes a bare repository in an empty directory. Its HEAD names `default_branch`, which does
    /// not exist yet.
    pub(crate) fn init(&self, repository: &Path, default_branch: &str) -> Result<(), GitError> {
        let initial = format!("--initial-branch={default_branch}");
        self.run(repository, &["init", "--bare", "--quiet", "--template=", &initial])?;
        Ok(())
    }

    /// Makes HEAD name a branch, which is what a clone checks out.
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
        self.run_with(
            repository,
            &["rev-parse", "--verify", "--quiet", "--end-of-options", full_ref],
            &[],
            b"",
        )?
        // git-rev-parse(1): with --quiet, what does not exist is the exit code 1.
        .line_unless(1)
    }

    /// The commit at the tip of a branch; `None` when there is no such branch.
    pub(crate) fn branch(
        &self,
        repository: &Path,
        branch: &str,
    ) -> Result<Option<String>, GitError> {
        self.resolve(repository, &format!("refs/heads/{branch}"))
    }

    /// Whether an object is a commit, a tree, a blob or a tag.
    pub(crate) fn object_type(&self, repository: &Path, sha: &str) -> Result<String, GitError> {
        self.run_with(repository, &["cat-file", "-t", sha], &[], b"")?.line()
    }

    /// The newest common ancestor; `None` when the two have no history in common.
    pub(crate) fn merge_base(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<Option<String>, GitError> {
        self.run_with(repository, &["merge-base", base, head], &[], b"")?.line_unless(1)
    }

    /// Whether `ancestor` is a commit of the history that ends at `descendant`.
    pub(crate) fn is_ancestor(
        &self,
        repository: &Path,
        ancestor: &str,
        descendant: &str,
    ) -> Result<bool, GitError> {
        let arguments = ["merge-base", "--is-ancestor", ancestor, descendant];
        let finished = self.run_with(repository, &arguments, &[], b"")?;
        match finished.output.status.code() {
            // git-merge-base(1): 0 is yes, 1 is no, and anything else is an error.
            Some(1) => Ok(false),
            Some(_) | None => finished.expect_success().map(|_| true),
        }
    }

    /// How many commits `head` has that `base` does not have.
    pub(crate) fn commits_between(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<u64, GitError> {
        let range = format!("{base}..{head}");
        let arguments = ["rev-list", "--count", &range];
        let line = self.run_with(repository, &arguments, &[], b"")?.line()?;
        line.parse()
            .map_err(|_| GitError::Unreadable { command: "rev-list".to_owned(), output: line })
    }

    /// The tree of a merge; `None` when it has conflicts, or when the two have no history in
    /// common.
    pub(crate) fn merge_tree(
        &self,
        repository: &Path,
        base: &str,
        head: &str,
    ) -> Result<Option<String>, GitError> {
        // For unrelated histories merge-tree fails with 128, as it does for any other error.
        if self.merge_base(repository, base, head)?.is_none() {
            return Ok(None);
        }
        let arguments = ["merge-tree", "--write-tree", "--no-messages", base, head];
        // git-merge-tree(1): 1 is a merge with conflicts. It prints a tree, too, which has the
        // conflict markers in it.
        self.run_with(repository, &arguments, &[], b"")?.line_unless(1)
    }
}

/// A git process that has ended.
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

    /// The first line of the output.
    fn line(self) -> Result<String, GitError> {
        let command = self.command.clone();
        let stdout = self.expect_success()?;
        let text = String::from_utf8_lossy(&stdout);
        match text.lines().next() {
            Some(line) => Ok(line.to_owned()),
            None => Err(GitError::Unreadable { command, output: text.into_owned() }),
        }
    }

    /// The first line of the output; `None` when git ended with `absent`, by which the command
    /// tells that there is nothing to print. Every other exit code is a failure.
    fn line_unless(self, absent: i32) -> Result<Option<String>, GitError> {
        if self.output.status.code() == Some(absent) { Ok(None) } else { self.line().map(Some) }
    }
}

/// The environment of every git process. It has nothing of this process's own.
fn environment() -> Vec<(String, String)> {
    let fixed = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        // A pushed refs/replace/… would otherwise show another object in place of a real one.
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
