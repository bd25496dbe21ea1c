//! Running programs: the only room that starts one.
//!
//! Owns the process tree of an invocation, its deadline, its output within a limit and its end.
//! Leaves what a program may see to `sandbox`. Invariant: when [`run`] returns, or its future is
//! dropped, nothing of what it started is left alive: neither a grandchild that holds a pipe open
//! nor, on Linux, one that left the process group. (One that also wiped its environment gets away;
//! a PID namespace holds that.)

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

/// How long a program has between the polite signal and the one it can't refuse.
const GRACE: Duration = Duration::from_secs(2);

/// How long the rest of the output is read after everything that could write it was killed.
const DRAIN: Duration = Duration::from_secs(1);

/// How often a start is tried again because the executable is still open for writing.
const BUSY_RETRIES: u32 = 20;

/// One program to run.
#[derive(Clone)]
pub struct Invocation {
    /// An absolute path, as [`find_executable`] gives it.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub directory: PathBuf,
    /// The whole environment: nothing is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// What the program reads from its standard input.
    pub input: Vec<u8>,
    pub deadline: Duration,
    /// How much of each stream is kept, in bytes.
    pub output_limit: usize,
    pub streams: Streams,
    /// Where output is told to people, who are told no secret.
    pub log: Option<Log>,
}

/// Without the environment and the input: they may hold secrets.
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

/// Whether standard output and standard error are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    Apart,
    /// One pipe for both, so that what was written stays in its order.
    Merged,
}

/// What became of an invocation.
#[derive(Debug)]
pub struct Finished {
    pub ending: Ending,
    /// Standard output, or both streams merged: head and tail when it was over the limit, with a
    /// mark between them.
    pub output: Vec<u8>,
    /// Standard error, when it was kept apart.
    pub errors: Vec<u8>,
    /// Whether something was left out of `output` or `errors`.
    pub truncated: bool,
    pub duration: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exited(i32),
    Signaled(i32),
    /// The deadline passed, and it was killed.
    TimedOut,
    /// It was asked to stop, and was killed if it didn't.
    Stopped,
}

/// Why a program could not be run to an end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("{} was not found: install it, or name its path in the settings", program.display())]
    NotFound { program: PathBuf },
    #[error("could not start {} in {}", program.display(), directory.display())]
    Spawn { program: PathBuf, directory: PathBuf, source: io::Error },
    #[error("could not write the log {}", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("lost track of {}", program.display())]
    Io { program: PathBuf, source: io::Error },
}

/// Runs a program to its end, its deadline or the call to stop, whichever comes first, and leaves
/// nothing of it behind.
///
/// # Errors
/// When the program can't be started or its log can't be written; a failure of the program itself
/// is an [`Ending`].
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

/// The absolute path of an executable: a bare name is looked up on the search path, a name with a
/// slash is taken as it is.
///
/// Relative entries of the search path are passed over, so that a program in a work tree never
/// takes the place of a tool.
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

/// A program that runs, with our ends of its pipes.
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
                // A fork elsewhere in this process may hold a script that was just written open for
                // a moment longer.
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

    #[expect(clippy::disallowed_methods, reason = "this is the room that starts programs")]
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

    /// Reads, feeds and supervises at once; what is still unread when the tree is dead has
    /// [`DRAIN`] to come.
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

/// A program that does not read its input closes the pipe; that is its right.
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

    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

#[cfg(test)]
mod tests;
