//! The part of this program that runs inside a sandbox, between the backend and the confined
//! program.
//!
//! The worker's executable is started inside in one of three roles (`Role`). The supervisor
//! enforces the limits that the kernel can't enforce for several processes together, and forwards
//! connections from the loopback address to the sockets of the relays. The exec role gives up what
//! the kernel lets a process give up, and becomes the confined program. The probe tries to get out.

#[cfg(target_os = "linux")]
mod exec;
pub(super) mod probe;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(target_os = "linux")]
mod supervisor;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use self::probe::Canaries;
use crate::errors;

/// The subcommand by which this executable is started inside.
pub const SUBCOMMAND: &str = "confined";

/// The exit code for a failure of the sandbox itself. Shells use it for a command that was found
/// and could not be executed.
const SANDBOX_FAILED: u8 = 126;

/// The configuration of the part inside. The worker passes it as one argument in JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InitConfig {
    pub(super) role: Role,
    /// The path of this executable inside.
    pub(super) helper: PathBuf,
    /// Paths that the program may write, beside the temporary directories.
    pub(super) writable: Vec<PathBuf>,
    pub(super) limits: ResourceLimits,
    pub(super) forwards: Vec<Forward>,
    /// The niceness of the worker, as `nice(1)` counts.
    pub(super) niceness: i32,
}

/// What the part inside does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Role {
    /// Start the confined program and enforce the limits.
    Supervise,
    /// Give up rights and become the confined program.
    Exec,
    /// Try to get out.
    Probe(Canaries),
}

/// What one confined program may use, together with all processes that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// How many processes may run at once.
    pub processes: u32,
    /// Memory of all processes together, and of each alone, in bytes.
    pub memory: u64,
    /// The size of one file, in bytes.
    pub file_size: u64,
    /// The size of each temporary directory, which is kept in memory, in bytes.
    pub temporary: u64,
    /// What must stay free on the disks that the program writes to, in bytes.
    pub free_space: u64,
}

/// Threads per allowed process. The product is the limit on all threads together.
#[cfg(target_os = "linux")]
const THREADS_PER_PROCESS: u64 = 16;

#[cfg(target_os = "linux")]
impl ResourceLimits {
    pub(super) fn threads(&self) -> u64 {
        u64::from(self.processes).saturating_mul(THREADS_PER_PROCESS)
    }
}

/// A port of the loopback address inside that leads to the socket of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Forward {
    pub(super) port: u16,
    pub(super) socket: PathBuf,
}

/// Why the part inside could not do its work.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("can't read the configuration of the sandbox")]
    Config(#[source] serde_json::Error),
    #[error("can't write the results of the probes")]
    Probe(#[source] serde_json::Error),
    #[cfg(target_os = "linux")]
    #[error("there is no program to run")]
    NoProgram,
    #[cfg(target_os = "linux")]
    #[error("can't forward port {port}")]
    Forward { port: u16, source: std::io::Error },
    #[cfg(target_os = "linux")]
    #[error("can't supervise the program")]
    Supervise(#[source] std::io::Error),
    #[cfg(target_os = "linux")]
    #[error("can't take rights from the program")]
    Restrict(#[source] std::io::Error),
    #[cfg(target_os = "linux")]
    #[error("can't start {}", program.display())]
    Start { program: PathBuf, source: std::io::Error },
    #[cfg(not(target_os = "linux"))]
    #[error("there is no supervisor on this platform")]
    NoSupervisor,
}

/// Does what the configuration says, and returns the exit code of this process.
///
/// A failure of the sandbox itself is written to standard error, and its exit code is 126.
#[must_use]
pub fn run(config: &str, command: &[OsString]) -> ExitCode {
    let done = serde_json::from_str(config)
        .map_err(InitError::Config)
        .and_then(|config: InitConfig| config.carry_out(command));
    done.unwrap_or_else(|error| {
        report(&format!("the sandbox failed: {}", errors::chain(&error)));
        ExitCode::from(SANDBOX_FAILED)
    })
}

impl InitConfig {
    /// The configuration of the probes.
    pub(super) fn to_probe(canaries: Canaries, helper: PathBuf, limits: ResourceLimits) -> Self {
        Self {
            role: Role::Probe(canaries),
            helper,
            writable: Vec::new(),
            limits,
            forwards: Vec::new(),
            niceness: 0,
        }
    }

    /// The configuration as the argument of [`SUBCOMMAND`].
    pub(super) fn to_argument(&self) -> OsString {
        serde_json::to_string(self)
            .expect("Sandbox::find refuses directories whose names are not UTF-8")
            .into()
    }

    #[cfg(target_os = "linux")]
    fn carry_out(self, command: &[OsString]) -> Result<ExitCode, InitError> {
        match &self.role {
            Role::Supervise => supervisor::supervise(self, command),
            Role::Exec => exec::exec(&self, command).map(|never| match never {}),
            Role::Probe(canaries) => probe::run(canaries),
        }
    }

    /// Other platforms confine a program by themselves, so only the probes run inside.
    #[cfg(not(target_os = "linux"))]
    fn carry_out(self, _: &[OsString]) -> Result<ExitCode, InitError> {
        match &self.role {
            Role::Probe(canaries) => probe::run(canaries),
            Role::Supervise | Role::Exec => Err(InitError::NoSupervisor),
        }
    }
}

/// Writes to standard error, which becomes part of the run's log. A log that can't be written ends
/// nothing.
fn report(text: &str) {
    writeln!(std::io::stderr(), "codingworker: {text}").ok();
}
