//! Linux: the backend that confines a program by bubblewrap.
//!
//! bubblewrap(1) starts the program in new namespaces (namespaces(7)): a root directory, process
//! ids, a network and users of its own. Paths have the same names inside and outside, so a path in
//! a prompt, in the output of a program and in a log means the same file.

use std::ffi::OsString;
use std::path::PathBuf;

use super::arguments::BubblewrapArguments;
use super::init::probe::Canaries;
use super::init::{Forward, InitConfig, Role, SUBCOMMAND};
use super::root::{Root, RootEntry};
use super::{FsPolicy, NetworkPolicy, ResourceLimits};
use crate::process::Invocation;

/// Where the sandbox has this program and the socket of the relay.
const HELPER: &str = "/run/codingworker/codingworker";
const RELAY: &str = "/run/codingworker/relay";

/// The port of the model's relay inside. It is Ollama's default port, so that a program finds the
/// model without any setting.
pub(super) const MODEL_PORT: u16 = 11434;

/// The port of the proxy inside.
pub(super) const PROXY_PORT: u16 = 3128;

/// bubblewrap, and what it needs to confine a program.
#[derive(Debug, Clone)]
pub(super) struct Bubblewrap {
    /// The path of `bwrap`.
    pub(super) executable: PathBuf,
    /// The executable of this program, which also runs inside.
    pub(super) helper: PathBuf,
    pub(super) root: Root,
    pub(super) limits: ResourceLimits,
    pub(super) sockets: Sockets,
}

/// The sockets at which the relays listen outside.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    pub(super) model: PathBuf,
    pub(super) proxy: PathBuf,
}

/// The value of `RLIMIT_NICE` that allows a niceness of -20: the ceiling is 20 minus the limit
/// (getrlimit(2)).
#[cfg(target_os = "linux")]
const LOWEST_NICENESS: u64 = 40;

impl Bubblewrap {
    /// Lets the supervisors inside raise their priority.
    ///
    /// The kernel does not enforce `RLIMIT_NPROC` for root (getrlimit(2)), so only the supervisor
    /// stops a fork bomb of root, and it needs processor time to do so. Only a privileged process
    /// may raise this limit. For other users the kernel limits the processes, so a refusal is
    /// harmless.
    #[cfg(target_os = "linux")]
    pub(super) fn raise_supervisor_priority() {
        use rustix::process::{Resource, Rlimit, setrlimit};

        let limit = Rlimit { current: Some(LOWEST_NICENESS), maximum: Some(LOWEST_NICENESS) };
        if let Err(refused) = setrlimit(Resource::Nice, limit) {
            tracing::debug!(%refused, "supervisors keep the worker's priority");
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn raise_supervisor_priority() {}

    /// The invocation that runs the given one confined.
    pub(super) fn wrap(&self, invocation: Invocation, policy: &FsPolicy) -> Invocation {
        let forward = match policy.network {
            NetworkPolicy::Nothing => None,
            NetworkPolicy::Model => Some((MODEL_PORT, &self.sockets.model)),
            NetworkPolicy::Internet => Some((PROXY_PORT, &self.sockets.proxy)),
        };
        let (helper, relay) = (PathBuf::from(HELPER), PathBuf::from(RELAY));
        let mut arguments = BubblewrapArguments::default();
        arguments.flags(&[
            // `--unshare-all` goes on without a user namespace where the kernel has none, and
            // `--disable-userns` needs one.
            "--unshare-user",
            "--unshare-all",
            // A program that makes a user namespace has all capabilities in it
            // (user_namespaces(7)), and reaches more of the kernel.
            "--disable-userns",
            // bubblewrap sets PR_SET_PDEATHSIG, so the kernel kills it when the thread that started
            // it ends (PR_SET_PDEATHSIG(2const)). That thread is one of the runtime's, which live
            // as long as the worker. bubblewrap takes the PID namespace with it.
            "--die-with-parent",
            // A program without the worker's terminal can't type into it by TIOCSTI.
            "--new-session",
        ]);
        arguments.pair("--cap-drop", "ALL");
        arguments.pair("--hostname", "sandbox");
        self.root.build(&mut arguments, self.limits.temporary);
        arguments.bind("--ro-bind", &self.helper, &helper);
        if let Some((_, socket)) = forward {
            arguments.bind("--ro-bind", socket, &relay);
        }
        for entry in self.root.installation(&invocation.program) {
            match entry {
                RootEntry::Mount(path) => arguments.bind("--ro-bind-try", &path, &path),
                RootEntry::Symlink { at, target } => arguments.bind("--symlink", &target, &at),
            }
        }
        for path in &policy.readable {
            arguments.bind("--ro-bind-try", path, path);
        }
        for path in &policy.writable {
            arguments.bind("--bind", path, path);
        }
        // The mounts above create their mount points, so these directories become read-only last.
        arguments.pair("--remount-ro", "/");
        arguments.pair("--remount-ro", "/dev");
        arguments.pair("--chdir", &invocation.directory);
        let config = InitConfig {
            role: Role::Supervise,
            helper: helper.clone(),
            writable: policy.writable.clone(),
            limits: self.limits,
            niceness: 0,
            forwards: forward
                .map(|(port, _)| Forward { port, socket: relay })
                .into_iter()
                .collect(),
        };
        let command = [helper.into(), SUBCOMMAND.into(), config.to_argument(), "--".into()]
            .into_iter()
            .chain([invocation.program.into()])
            .chain(invocation.arguments);
        let arguments = arguments.with_command(command);
        Invocation { program: self.executable.clone(), arguments, ..invocation }
    }

    /// The program that runs the probes inside, and its arguments.
    pub(super) fn probe_command(&self, canaries: Canaries) -> (PathBuf, Vec<OsString>) {
        let helper = PathBuf::from(HELPER);
        let config = InitConfig::to_probe(canaries, helper.clone(), self.limits);
        (helper, vec![SUBCOMMAND.into(), config.to_argument()])
    }
}
