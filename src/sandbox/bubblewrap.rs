//! Linux: the walls that bubblewrap builds around one program.
//!
//! Everything is new inside: the root, the processes, the network, the user's identity. Paths keep
//! their names, so what the program prints and what it was told mean the same on both sides.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::inside::probe::Canaries;
use super::inside::{Act, Forward, Orders, SUBCOMMAND};
use super::root::{Part, Root};
use super::{Limits, Reach, View};
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
    /// Lets the wardens come before what they watch. Root's processes the kernel does not count, so
    /// a fork bomb of root's ends when the warden has its turn; and only root may allow this.
    #[cfg(target_os = "linux")]
    pub(super) fn let_wardens_hurry() {
        use rustix::process::{Resource, Rlimit, setrlimit};

        let limit = Rlimit { current: Some(LEAST_NICE), maximum: Some(LEAST_NICE) };
        if let Err(refused) = setrlimit(Resource::Nice, limit) {
            tracing::debug!(%refused, "the kernel counts this user's processes itself");
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn let_wardens_hurry() {}

    /// The invocation with walls around it.
    pub(super) fn around(&self, invocation: Invocation, view: &View) -> Invocation {
        let forward = match view.reach {
            Reach::Nothing => None,
            Reach::Model => Some((MODEL_PORT, &self.sockets.model)),
            Reach::Internet => Some((PROXY_PORT, &self.sockets.proxy)),
        };
        let (helper, relay) = (PathBuf::from(HELPER), PathBuf::from(RELAY));
        let mut walls = Arguments::default();
        walls.flags(&[
            "--unshare-user",
            "--unshare-all",
            "--disable-userns",
            "--die-with-parent",
            "--new-session",
        ]);
        walls.pair("--cap-drop", "ALL");
        walls.pair("--hostname", "sandbox");
        self.root.build(&mut walls, self.limits.temporary);
        walls.bind("--ro-bind", &self.helper, &helper);
        if let Some((_, socket)) = forward {
            walls.bind("--ro-bind", socket, &relay);
        }
        for part in self.root.installation(&invocation.program) {
            match part {
                Part::Bound(path) => walls.bind("--ro-bind-try", &path, &path),
                Part::Link { at, to } => walls.bind("--symlink", &to, &at),
            }
        }
        for path in &view.readable {
            walls.bind("--ro-bind-try", path, path);
        }
        for path in &view.writable {
            walls.bind("--bind", path, path);
        }
        // Last, when every mount has its place.
        walls.pair("--remount-ro", "/");
        walls.pair("--remount-ro", "/dev");
        walls.pair("--chdir", &invocation.directory);
        let orders = Orders {
            act: Act::Watch,
            helper: helper.clone(),
            writable: view.writable.clone(),
            limits: self.limits,
            nice: 0,
            forwards: forward
                .map(|(port, _)| Forward { port, socket: relay })
                .into_iter()
                .collect(),
        };
        let orders = orders.to_argument();
        walls.arguments.extend([
            "--".into(),
            helper.into(),
            SUBCOMMAND.into(),
            orders,
            "--".into(),
        ]);
        walls.arguments.push(invocation.program.into());
        walls.arguments.extend(invocation.arguments);
        Invocation { program: self.executable.clone(), arguments: walls.arguments, ..invocation }
    }

    /// The program that tries to get out, and its arguments.
    pub(super) fn prober(&self, canaries: Canaries) -> (PathBuf, Vec<OsString>) {
        let helper = PathBuf::from(HELPER);
        let orders = Orders::to_probe(canaries, helper.clone(), self.limits);
        (helper, vec![SUBCOMMAND.into(), orders.to_argument()])
    }
}

/// The arguments that build a sandbox, in the order in which it is built.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    arguments: Vec<OsString>,
}

impl Arguments {
    fn flags(&mut self, flags: &[&str]) {
        self.arguments.extend(flags.iter().map(OsString::from));
    }

    pub(super) fn pair(&mut self, option: &str, value: impl Into<OsString>) {
        self.arguments.extend([option.into(), value.into()]);
    }

    pub(super) fn bind(&mut self, option: &str, outside: &Path, inside: &Path) {
        self.arguments.extend([option.into(), outside.into(), inside.into()]);
    }
}
