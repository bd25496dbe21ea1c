//! Linux: the backend that bubblewrap builds around one program.
//!
//! Everything is new inside: the root, the processes, the network, the user's identity. Paths keep
//! their names, so what the program prints and what it was told mean the same on both sides.

use std::ffi::OsString;
use std::path::PathBuf;

use super::arguments::BubblewrapArguments;
use super::init::probe::Canaries;
use super::init::{Forward, Orders, Role, SUBCOMMAND};
use super::root::{Part, Root};
use super::{FsPolicy, Limits, NetworkPolicy};
use crate::process::Invocation;

/// Where this program and the relay's socket are inside.
const HELPER: &str = "/run/codingworker/codingworker";
const RELAY: &str = "/run/codingworker/relay";

/// The ports inside that lead to the relays. Ollama's own, so that programs which know only that
/// one find it.
pub(super) const MODEL_PORT: u16 = 11434;
pub(super) const PROXY_PORT: u16 = 3128;

/// bubblewrap, and what it builds with.
#[derive(Debug, Clone)]
pub(super) struct Bubblewrap {
    pub(super) executable: PathBuf,
    /// This program, which goes inside too.
    pub(super) helper: PathBuf,
    pub(super) root: Root,
    pub(super) limits: Limits,
    pub(super) sockets: Sockets,
}

/// The relays' sockets outside.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    pub(super) model: PathBuf,
    pub(super) proxy: PathBuf,
}

/// The lowest niceness, as `RLIMIT_NICE` counts it (getrlimit(2)).
#[cfg(target_os = "linux")]
const LEAST_NICE: u64 = 40;

impl Bubblewrap {
    /// Lets the supervisors come before what they watch. Root's processes the kernel does not
    /// count, so a fork bomb of root's ends when the supervisor has its turn; and only root may
    /// allow this.
    #[cfg(target_os = "linux")]
    pub(super) fn raise_supervisor_priority() {
        use rustix::process::{Resource, Rlimit, setrlimit};

        let limit = Rlimit { current: Some(LEAST_NICE), maximum: Some(LEAST_NICE) };
        if let Err(refused) = setrlimit(Resource::Nice, limit) {
            tracing::debug!(%refused, "the kernel counts this user's processes itself");
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn raise_supervisor_priority() {}

    /// The invocation with backend around it.
    pub(super) fn around(&self, invocation: Invocation, view: &FsPolicy) -> Invocation {
        let forward = match view.reach {
            NetworkPolicy::Nothing => None,
            NetworkPolicy::Model => Some((MODEL_PORT, &self.sockets.model)),
            NetworkPolicy::Internet => Some((PROXY_PORT, &self.sockets.proxy)),
        };
        let (helper, relay) = (PathBuf::from(HELPER), PathBuf::from(RELAY));
        let mut backend = BubblewrapArguments::default();
        backend.flags(&[
            "--unshare-user",
            "--unshare-all",
            "--disable-userns",
            "--die-with-parent",
            "--new-session",
        ]);
        backend.pair("--cap-drop", "ALL");
        backend.pair("--hostname", "sandbox");
        self.root.build(&mut backend, self.limits.temporary);
        backend.bind("--ro-bind", &self.helper, &helper);
        if let Some((_, socket)) = forward {
            backend.bind("--ro-bind", socket, &relay);
        }
        for part in self.root.installation(&invocation.program) {
            match part {
                Part::Bound(path) => backend.bind("--ro-bind-try", &path, &path),
                Part::Link { at, to } => backend.bind("--symlink", &to, &at),
            }
        }
        for path in &view.readable {
            backend.bind("--ro-bind-try", path, path);
        }
        for path in &view.writable {
            backend.bind("--bind", path, path);
        }
        // Last, when every mount has its place.
        backend.pair("--remount-ro", "/");
        backend.pair("--remount-ro", "/dev");
        backend.pair("--chdir", &invocation.directory);
        let orders = Orders {
            role: Role::Watch,
            helper: helper.clone(),
            writable: view.writable.clone(),
            limits: self.limits,
            nice: 0,
            forwards: forward
                .map(|(port, _)| Forward { port, socket: relay })
                .into_iter()
                .collect(),
        };
        let command = [helper.into(), SUBCOMMAND.into(), orders.to_argument(), "--".into()]
            .into_iter()
            .chain([invocation.program.into()])
            .chain(invocation.arguments);
        let arguments = backend.with_command(command);
        Invocation { program: self.executable.clone(), arguments, ..invocation }
    }

    /// The program that tries to get out, and its arguments.
    pub(super) fn prober(&self, canaries: Canaries) -> (PathBuf, Vec<OsString>) {
        let helper = PathBuf::from(HELPER);
        let orders = Orders::to_probe(canaries, helper.clone(), self.limits);
        (helper, vec![SUBCOMMAND.into(), orders.to_argument()])
    }
}
