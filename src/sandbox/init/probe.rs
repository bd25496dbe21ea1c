//! Probes: attempts to get out, made inside a sandbox before the worker relies on it.
//!
//! A version number or a flag says what a sandbox should do. An attempt that fails shows what it
//! does. Each attempt is harmless if it succeeds.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::InitError;

/// How long the probe waits for a connection. The listener is on this machine.
const CONNECT: Duration = Duration::from_millis(500);

/// Things outside that the probes try to reach. The worker makes them, and checks afterwards that
/// they were not changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Canaries {
    /// A file that a sandboxed program must neither read nor write.
    pub(in crate::sandbox) file: PathBuf,
    /// An address on the loopback interface of this machine at which the worker listens.
    pub(in crate::sandbox) address: SocketAddr,
    /// The name of a socket in the abstract namespace (unix(7)) at which the worker listens.
    pub(in crate::sandbox) abstract_socket: String,
}

/// A boundary that a sandbox keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// The program can't read the user's files.
    Reading,
    /// The program can't write the user's files.
    Writing,
    /// The program sees no process outside.
    Processes,
    /// The program reaches no network, not even the loopback interface of this machine.
    Network,
    /// The program reaches no abstract socket, such as those of a desktop session.
    Sockets,
    /// The program can't make a namespace, in which it would have capabilities again.
    Namespaces,
    /// The program can't trace other processes.
    Tracing,
    /// The program can't use rare interfaces of the kernel.
    Kernel,
    /// The program can't stop the supervisor, which enforces the limits.
    Limits,
}

/// Makes all attempts and writes to standard output, as JSON, which boundaries held.
#[expect(clippy::print_stdout, reason = "the worker reads the results from standard output")]
pub(super) fn run(canaries: &Canaries) -> Result<ExitCode, InitError> {
    println!("{}", serde_json::to_string(&attempts(canaries)).map_err(InitError::Probe)?);
    Ok(ExitCode::SUCCESS)
}

fn attempts(canaries: &Canaries) -> Vec<(Boundary, bool)> {
    let on_every_platform = vec![
        (Boundary::Reading, fs::read(&canaries.file).is_err()),
        (Boundary::Writing, fs::write(&canaries.file, "broken").is_err()),
        (Boundary::Network, TcpStream::connect_timeout(&canaries.address, CONNECT).is_err()),
    ];
    [on_every_platform, platform::attempts(canaries)].concat()
}

/// Other platforms have no attempts of their own yet.
#[cfg(not(target_os = "linux"))]
mod platform {
    pub(super) fn attempts(_: &super::Canaries) -> Vec<(super::Boundary, bool)> {
        Vec::new()
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};

    use nix::sched::{CloneFlags, unshare};
    use nix::sys::ptrace;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    use rustix::process::{Pid, Signal, getppid, kill_process};

    use super::{Boundary, Canaries};

    /// A sandbox has three processes while the probe runs: bubblewrap, the supervisor and the
    /// probe. One more is allowed.
    const MOST_PROCESSES: usize = 4;

    /// Whether `SIGSTOP` to the supervisor was refused. If it was not, the supervisor continues.
    fn is_stop_refused(supervisor: Option<Pid>) -> bool {
        // Without a parent in this PID namespace there is nothing to stop (getppid(2)).
        let Some(supervisor) = supervisor else { return true };
        let refused = kill_process(supervisor, Signal::STOP).is_err();
        kill_process(supervisor, Signal::CONT).ok();
        refused
    }

    pub(super) fn attempts(canaries: &Canaries) -> Vec<(Boundary, bool)> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries.filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok())
        });
        let abstract_socket = SocketAddr::from_abstract_name(&canaries.abstract_socket);
        let vsock = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::empty(), None);
        vec![
            (Boundary::Processes, processes.count() <= MOST_PROCESSES),
            (
                Boundary::Sockets,
                abstract_socket.and_then(|name| UnixStream::connect_addr(&name)).is_err(),
            ),
            (Boundary::Tracing, ptrace::traceme().is_err()),
            (Boundary::Kernel, vsock.is_err()),
            (Boundary::Limits, is_stop_refused(getppid())),
            // This attempt is the last one, because a success changes the rights of this process.
            (Boundary::Namespaces, unshare(CloneFlags::CLONE_NEWUSER).is_err()),
        ]
    }
}
