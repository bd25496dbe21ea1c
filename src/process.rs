//! Running programs: the only module that starts one.
//!
//! This module owns the process tree of an invocation, its deadline, its limited output and its
//! end. The module `sandbox` decides what a program may see. Invariant: when [`run`] returns or its
//! future is dropped, no process that the program started is alive, not even a grandchild that
//! holds a pipe open or, on Linux, one that left the process group. (Without a sandbox, a process
//! that also wiped its environment survives. The PID namespace of a sandbox ends that one too.)

mod capture;
mod mark;
#[cfg(target_os = "linux")]
mod proc;
mod register;
mod tree;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin};
use tokio_util::sync::CancellationToken;

use self::capture::Capture;
pub use self::capture::Log;
use self::mark::{MARK_VARIABLE, Mark};
pub use self::register::kill_leftovers;
use self::tree::Tree;
use crate::errors::Bilingual;

/// How long a program has between `SIGTERM` and `SIGKILL`.
const GRACE: Duration = Duration::from_secs(2);

/// How long the rest of the output is read after all processes that could write it were killed.
const DRAIN: Duration = Duration::from_secs(1);

/// How often a start is repeated because the executable is open for writing.
const BUSY_RETRIES: u32 = 20;

/// One program to run.
#[derive(Clone)]
pub struct Invocation {
    /// The absolute path of the executable, as [`find_executable`] returns it.
    pub program: PathBuf,
    /// The arguments without the program's name.
    pub arguments: Vec<OsString>,
    /// The working directory.
    pub directory: PathBuf,
    /// The whole environment. The program inherits nothing from this process.
    pub environment: Vec<(OsString, OsString)>,
    /// What the program reads from its standard input.
    pub input: Vec<u8>,
    /// How long the program may run.
    pub deadline: Duration,
    /// How much of each stream is kept, in bytes.
    pub output_limit: usize,
    /// Whether standard output and standard error are kept apart.
    pub streams: Streams,
    /// A log for people. When there is one, secrets are redacted in it and in the kept output.
    pub log: Option<Log>,
}

/// The environment and the input are left out, because they may hold secrets.
impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, arguments, directory, deadline, .. } = self;
        let mut invocation = f.debug_struct("Invocation");
        invocation
            .field("program", program)
            .field("arguments", arguments)
            .field("directory", directory);
        invocation.field("deadline", deadline).finish_non_exhaustive()
    }
}

/// Whether standard output and standard error are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// Each stream has a pipe of its own.
    Apart,
    /// Both streams share one pipe, so that the output keeps its order.
    Merged,
}

/// The result of an invocation.
#[derive(Debug)]
pub struct Finished {
    /// How the program ended.
    pub ending: Ending,
    /// Standard output, or both streams when they are merged. When it exceeded the limit, this is
    /// its head and its tail with a note between them.
    pub output: Vec<u8>,
    /// Standard error, when the streams are kept apart.
    pub errors: Vec<u8>,
    /// Whether something was left out of `output` or `errors`.
    pub truncated: bool,
    /// How long the program ran, with its killing.
    pub duration: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The program exited with this code.
    Exited(i32),
    /// A signal with this number killed the program.
    Signaled(i32),
    /// The deadline passed, and the program was killed.
    TimedOut,
    /// The caller stopped the program.
    Stopped,
}

/// Why a program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The executable does not exist.
    #[error("{} was not found: install it, or name its path in the settings", program.display())]
    NotFound {
        /// The executable.
        program: PathBuf,
    },
    /// The kernel refused to start the program.
    #[error("could not start {} in {}", program.display(), directory.display())]
    Spawn {
        /// The executable.
        program: PathBuf,
        /// The working directory.
        directory: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The log of the output can't be written.
    #[error("could not write the log {}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Waiting for the program failed.
    #[error("lost track of {}", program.display())]
    Io {
        /// The executable.
        program: PathBuf,
        /// What failed.
        source: io::Error,
    },
}

impl Bilingual for ProcessError {
    fn japanese(&self) -> String {
        match self {
            Self::NotFound { program } => format!(
                "{} が見つかりません。インストールするか、設定でパスを指定してください",
                program.display()
            ),
            Self::Spawn { program, directory, source: _ } => {
                format!("{} を {} で起動できません", program.display(), directory.display())
            }
            Self::Log { path, source: _ } => {
                format!("ログ {} に書き込めません", path.display())
            }
            Self::Io { program, source: _ } => {
                format!("{} の状態を確認できなくなりました", program.display())
            }
        }
    }
}

/// Runs a program until it ends, its deadline passes or `stop` is cancelled. Then kills every
/// process that is left of it.
///
/// # Errors
/// The program can't be started, or its log can't be written. A failure of the program itself is an
/// [`Ending`].
pub async fn run(
    invocation: Invocation,
    stop: &CancellationToken,
) -> Result<Finished, ProcessError> {
    let started = Instant::now();
    let mut output = Capture::new(invocation.output_limit);
    let mut errors = Capture::new(invocation.output_limit);
    let ending = if stop.is_cancelled() {
        Ending::Stopped
    } else {
        Started::spawn(&invocation)
            .await?
            .finish(&invocation, stop, &mut output, &mut errors)
            .await?
    };
    Ok(Finished {
        ending,
        truncated: output.is_truncated() || errors.is_truncated(),
        output: output.into_bytes(),
        errors: errors.into_bytes(),
        duration: started.elapsed(),
    })
}

/// Finds the absolute path of an executable. A name without a slash is looked up on the search
/// path; a name with a slash is a path.
///
/// Relative entries of the search path are skipped, so that a program in a work tree never replaces
/// a tool.
#[must_use]
pub fn find_executable(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    if name.contains('/') {
        return std::path::absolute(name).ok().filter(|path| is_executable(path));
    }
    std::env::split_paths(search_path)
        .filter(|directory| directory.is_absolute() && !name.is_empty())
        .map(|directory| directory.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// A running program and this process's ends of its pipes.
struct Started {
    child: Child,
    tree: Tree,
    input: Option<ChildStdin>,
    output: pipe::Receiver,
    errors: Option<pipe::Receiver>,
}

impl Started {
    async fn spawn(invocation: &Invocation) -> Result<Self, ProcessError> {
        let mut retries = 0;
        loop {
            match Self::try_spawn(invocation) {
                // execve(2) fails with ETXTBSY while any process has the file open for writing.
                // When this process has just written the file, a child that another thread forked
                // holds a copy of the descriptor until its own execve(2) closes it.
                Err(busy)
                    if busy.kind() == io::ErrorKind::ExecutableFileBusy
                        && retries < BUSY_RETRIES =>
                {
                    retries += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(missing)
                    if missing.kind() == io::ErrorKind::NotFound
                        && !invocation.program.exists() =>
                {
                    return Err(ProcessError::NotFound { program: invocation.program.clone() });
                }
                Err(source) => {
                    let (program, directory) =
                        (invocation.program.clone(), invocation.directory.clone());
                    return Err(ProcessError::Spawn { program, directory, source });
                }
                Ok(started) => return Ok(started),
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the module that starts programs")]
    fn try_spawn(invocation: &Invocation) -> io::Result<Self> {
        tree::adopt_orphans();
        let mark = Mark::unique();
        let (output, output_writer) = io::pipe()?;
        let (errors, errors_writer) = match invocation.streams {
            Streams::Merged => (None, output_writer.try_clone()?),
            Streams::Apart => io::pipe().map(|(reader, writer)| (Some(reader), writer))?,
        };
        let mut child = tokio::process::Command::new(&invocation.program)
            .args(&invocation.arguments)
            .current_dir(&invocation.directory)
            .env_clear()
            .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
            .env(MARK_VARIABLE, mark.as_os_str())
            .process_group(0)
            .stdin(if invocation.input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(output_writer)
            .stderr(errors_writer)
            .spawn()?;
        Ok(Self {
            tree: Tree::of(&child, mark)?,
            input: child.stdin.take(),
            child,
            output: pipe::Receiver::from_owned_fd(output.into())?,
            errors: errors
                .map(|reader| pipe::Receiver::from_owned_fd(reader.into()))
                .transpose()?,
        })
    }

    /// Writes the input, reads the output and supervises the program, all at the same time. When
    /// the program has ended, the rest of the output is read for at most [`DRAIN`].
    async fn finish(
        mut self,
        invocation: &Invocation,
        stop: &CancellationToken,
        output: &mut Capture,
        errors: &mut Capture,
    ) -> Result<Ending, ProcessError> {
        let log = invocation.log.as_ref();
        let mut streams = pin!(async {
            tokio::join!(
                feed(self.input, &invocation.input),
                output.read(Some(self.output), log),
                errors.read(self.errors, log)
            )
        });
        let mut supervision =
            pin!(supervise(&mut self.child, &mut self.tree, invocation.deadline, stop));
        let mut read = None;
        let ending = loop {
            tokio::select! {
                ending = &mut supervision => break ending,
                done = &mut streams, if read.is_none() => read = Some(done),
            }
        };
        let ending = ending
            .map_err(|source| ProcessError::Io { program: invocation.program.clone(), source })?;
        if read.is_none() {
            read = tokio::time::timeout(DRAIN, streams).await.ok();
        }
        if let Some(((), output, errors)) = read {
            output.and(errors)?;
        }
        Ok(ending)
    }
}

/// Waits for the end of the program, and kills the tree.
async fn supervise(
    child: &mut Child,
    tree: &mut Tree,
    deadline: Duration,
    stop: &CancellationToken,
) -> io::Result<Ending> {
    let ending = tokio::select! {
        status = child.wait() => Ending::of(status?),
        () = tokio::time::sleep(deadline) => Ending::TimedOut,
        () = stop.cancelled() => Ending::Stopped,
    };
    if matches!(ending, Ending::TimedOut | Ending::Stopped) {
        tree.terminate();
        if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
            status?;
        }
    }
    tree.kill(child).await?;
    Ok(ending)
}

/// Writes the input. A program may close the pipe without reading all of it.
async fn feed(pipe: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut pipe) = pipe
        && let Err(closed) = pipe.write_all(input).await
    {
        tracing::debug!(%closed, "the program did not read all of its input");
    }
}

impl Ending {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signaled(signal.unwrap_or_default()),
        }
    }

    /// Whether the program exited with code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

#[cfg(test)]
mod tests;
