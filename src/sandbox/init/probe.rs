//! Attempts to get out, made inside a sandbox that is about to be relied on.
//!
//! A version or a flag says what a sandbox should do; an attempt that fails says what it does. Each
//! attempt is harmless where it succeeds.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the probes try to reach: it is there, outside, and the worker sees that it was not touched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Canaries {
    pub(in crate::sandbox) file: PathBuf,
    /// Where somebody listens on this machine's loopback address.
    pub(in crate::sandbox) address: SocketAddr,
    /// A socket in the abstract namespace, by its name.
    pub(in crate::sandbox) abstract_socket: String,
}

/// What a sandbox is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// Files of the user's can't be read.
    Reading,
    /// Nor written.
    Writing,
    /// Processes outside are not seen.
    Processes,
    /// Nor is the network, not even this machine's own.
    Network,
    /// No socket of the desktop or of a daemon is reached.
    Sockets,
    /// No namespace can be made, in which there would be rights again.
    Namespaces,
    /// No other process can be taken hold of.
    Tracing,
    /// The kernel's rarer interfaces are closed.
    Kernel,
    /// Whoever keeps the limits can't be stopped.
    Limits,
}

/// Tells, as JSON on standard output, which backend held.
#[expect(clippy::print_stdout, reason = "this is how the program inside answers the one outside")]
pub(super) fn tell(canaries: &Canaries) -> io::Result<ExitCode> {
    println!("{}", serde_json::to_string(&attempts(canaries))?);
    Ok(ExitCode::SUCCESS)
}

fn attempts(canaries: &Canaries) -> Vec<(Boundary, bool)> {
    let everywhere = vec![
        (Boundary::Reading, fs::read(&canaries.file).is_err()),
        (Boundary::Writing, fs::write(&canaries.file, "broken").is_err()),
        (
            Boundary::Network,
            TcpStream::connect_timeout(&canaries.address, Duration::from_millis(500)).is_err(),
        ),
    ];
    [everywhere, platform::attempts(canaries)].concat()
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

    use nix::sched::CloneFlags;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType};
    use nix::unistd::{Pid, getppid};

    use super::{Boundary, Canaries};

    /// bubblewrap, the supervisor and this; and one to spare.
    const FEW: usize = 4;

    /// The supervisor, who goes on when it was stopped.
    fn is_refused_to_stop(supervisor: Pid) -> bool {
        let refused = kill(supervisor, Signal::SIGSTOP).is_err();
        kill(supervisor, Signal::SIGCONT).ok();
        refused
    }

    pub(super) fn attempts(canaries: &Canaries) -> Vec<(Boundary, bool)> {
        let seen = fs::read_dir("/proc").into_iter().flatten().flatten();
        let seen = seen.filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok())
        });
        let socket = SocketAddr::from_abstract_name(&canaries.abstract_socket);
        let vsock = nix::sys::socket::socket(
            AddressFamily::Vsock,
            SockType::Stream,
            SockFlag::empty(),
            None,
        );
        vec![
            (Boundary::Processes, seen.count() <= FEW),
            (Boundary::Sockets, socket.and_then(|name| UnixStream::connect_addr(&name)).is_err()),
            (Boundary::Tracing, nix::sys::ptrace::traceme().is_err()),
            (Boundary::Kernel, vsock.is_err()),
            (Boundary::Limits, is_refused_to_stop(getppid())),
            // The last, since it changes what this process is where it succeeds.
            (Boundary::Namespaces, nix::sched::unshare(CloneFlags::CLONE_NEWUSER).is_err()),
        ]
    }
}
