//! The part of this program that runs inside a sandbox, between its backend and the program that is
//! confined.
//!
//! Three acts, each a start of this executable in there: the `Watch` of a supervisor, who keeps the
//! limits that no single process can be held to and carries bytes between the loopback address and
//! the relays' sockets; the `Enter` of the confined program, which takes from itself what the
//! kernel lets a process give up, and then becomes that program; and the `Probe`, which tries to
//! get out.

#[cfg(target_os = "linux")]
mod enter;
#[cfg(target_os = "linux")]
mod forward;
pub(super) mod probe;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(target_os = "linux")]
mod supervisor;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use self::probe::Canaries;

/// The subcommand by which this executable is started inside.
pub const SUBCOMMAND: &str = "confined";

/// What the part inside is told, as one argument in JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    pub(super) role: Role,
    /// Where this executable is, inside.
    pub(super) helper: PathBuf,
    /// What may be written, beside the temporary directories.
    pub(super) writable: Vec<PathBuf>,
    pub(super) limits: Limits,
    pub(super) forwards: Vec<Forward>,
    /// How much the worker yields to others, as `nice(1)` counts.
    pub(super) nice: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Role {
    Watch,
    Enter,
    Probe(Canaries),
}

/// What one confined program may use, with all that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub processes: u32,
    /// Of all its processes together, and of each alone, in bytes.
    pub memory: u64,
    /// Of one file, in bytes.
    pub file_size: u64,
    /// Of each temporary directory that lives in memory, in bytes.
    pub temporary: u64,
    /// What must stay free on the disk that it writes to, in bytes.
    pub free_space: u64,
}

/// How many threads a process has, as a limit for all of them together.
#[cfg(target_os = "linux")]
const THREADS_EACH: u64 = 16;

#[cfg(target_os = "linux")]
impl Limits {
    pub(super) fn threads(&self) -> u64 {
        u64::from(self.processes).saturating_mul(THREADS_EACH)
    }
}

/// A port of the loopback address inside that leads to a relay outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Forward {
    pub(super) port: u16,
    pub(super) socket: PathBuf,
}

/// Does what the orders say. An error of the backend themselves is told on standard error.
#[must_use]
pub fn run(orders: &str, command: &[OsString]) -> ExitCode {
    let done = serde_json::from_str(orders)
        .map_err(|error| std::io::Error::other(format!("its orders can't be read: {error}")))
        .and_then(|orders: Orders| orders.carry_out(command));
    match done {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("the sandbox failed: {error}"));
            // What shells say of a command that can't be executed.
            ExitCode::from(126)
        }
    }
}

impl Orders {
    pub(super) fn to_probe(canaries: Canaries, helper: PathBuf, limits: Limits) -> Self {
        Self {
            role: Role::Probe(canaries),
            helper,
            writable: Vec::new(),
            limits,
            forwards: Vec::new(),
            nice: 0,
        }
    }

    pub(super) fn to_argument(&self) -> OsString {
        serde_json::to_string(self)
            .expect("the paths are UTF-8, which the sandbox is opened with")
            .into()
    }

    #[cfg(target_os = "linux")]
    fn carry_out(self, command: &[OsString]) -> std::io::Result<ExitCode> {
        match &self.role {
            Role::Watch => supervisor::watch(self, command),
            Role::Enter => enter::enter(&self, command),
            Role::Probe(canaries) => probe::tell(canaries),
        }
    }

    /// Elsewhere the backend are the platform's own, and nothing is left to do inside.
    #[cfg(not(target_os = "linux"))]
    fn carry_out(self, _: &[OsString]) -> std::io::Result<ExitCode> {
        match &self.role {
            Role::Probe(canaries) => probe::tell(canaries),
            Role::Watch | Role::Enter => {
                Err(std::io::Error::other("there is no supervisor on this platform"))
            }
        }
    }
}

/// Standard error is the run's log here.
#[expect(clippy::print_stderr, reason = "the confined program's streams are the only way out")]
fn complain(text: &str) {
    eprintln!("codingworker: {text}");
}
