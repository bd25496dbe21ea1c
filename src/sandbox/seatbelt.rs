//! macOS: a profile for the kernel's Seatbelt, which `/usr/bin/sandbox-exec` puts a program under.
//! Everything is denied that it does not name.
//!
//! There are no namespaces: the program sees that others run, and shares this machine's loopback
//! address, of which the profile opens the one port that leads to a relay. Nobody counts processes
//! and memory. So the level is never [`Level::Full`](super::Level::Full).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::init::probe::Canaries;
use super::init::{Orders, SUBCOMMAND};
use super::root::{Part, Root};
use super::{FsPolicy, Limits, NetworkPolicy};
use crate::process::Invocation;

const EXECUTABLE: &str = "/usr/bin/sandbox-exec";

/// What every program needs: to start others like it, to read the system, to know the time and its
/// user's name.
const BASE: &str = r#"(version 1)
(deny default)
(allow process-exec process-fork)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow sysctl-read)
(allow ipc-posix-sem)
(allow file-read-metadata)
(allow mach-lookup
  (global-name "com.apple.system.opendirectoryd.libinfo")
  (global-name "com.apple.system.opendirectoryd.membership")
  (global-name "com.apple.system.notification_center")
  (global-name "com.apple.system.logger")
  (global-name "com.apple.logd"))
(allow file-read* file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/dtracehelper") (subpath "/dev/fd"))
(allow file-read* (literal "/") (literal "/dev/random") (literal "/dev/urandom"))
"#;

/// Where the system, its developer tools and the package managers keep programs and libraries.
const SYSTEM: &[&str] = &[
    "/Applications/Xcode.app",
    "/Library/Developer",
    "/Library/Frameworks",
    "/Library/Java",
    "/System",
    "/bin",
    "/nix/store",
    "/opt/homebrew",
    "/opt/local",
    "/private/etc/localtime",
    "/private/etc/ssl",
    "/private/var/db/dyld",
    "/private/var/db/timezone",
    "/private/var/select",
    "/sbin",
    "/usr",
];

/// Seatbelt, and what a profile is made of.
#[derive(Debug, Clone)]
pub(super) struct Seatbelt {
    /// This program, which tries to get out.
    pub(super) helper: PathBuf,
    pub(super) root: Root,
    pub(super) limits: Limits,
    pub(super) ports: Ports,
}

/// The relays' ports on this machine's loopback address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) model: u16,
    pub(super) proxy: u16,
}

impl Seatbelt {
    pub(super) fn is_here() -> bool {
        Path::new(EXECUTABLE).is_file()
    }

    /// The invocation under a profile.
    pub(super) fn around(&self, invocation: Invocation, view: &FsPolicy) -> Invocation {
        let mut arguments: Vec<OsString> =
            vec!["-p".into(), self.profile(&invocation.program, view).into()];
        arguments.push(invocation.program.into());
        arguments.extend(invocation.arguments);
        Invocation { program: EXECUTABLE.into(), arguments, ..invocation }
    }

    pub(super) fn prober(&self, canaries: Canaries) -> (PathBuf, Vec<OsString>) {
        let orders = Orders::to_probe(canaries, self.helper.clone(), self.limits);
        (self.helper.clone(), vec![SUBCOMMAND.into(), orders.to_argument()])
    }

    fn profile(&self, program: &Path, view: &FsPolicy) -> String {
        let mut profile = BASE.to_owned();
        let installed = self.root.installation(program).into_iter().filter_map(|part| match part {
            Part::Bound(path) => Some(path),
            // Where a link leads is metadata, which may be read everywhere.
            Part::Link { .. } => None,
        });
        let system = SYSTEM.iter().map(PathBuf::from);
        let readable = system
            .chain(self.root.tools().iter().cloned())
            .chain(installed)
            .chain(view.readable.iter().cloned());
        for path in readable.filter_map(|path| real(&path)) {
            allow(&mut profile, "file-read*", &path);
        }
        for path in view.writable.iter().filter_map(|path| real(path)) {
            allow(&mut profile, "file-read* file-write*", &path);
        }
        let port = match view.reach {
            NetworkPolicy::Nothing => None,
            NetworkPolicy::Model => Some(self.ports.model),
            NetworkPolicy::Internet => Some(self.ports.proxy),
        };
        if let Some(port) = port {
            writeln!(profile, "(allow network-outbound (remote ip \"localhost:{port}\"))")
                .expect("a string takes all");
        }
        profile
    }
}

fn allow(profile: &mut String, what: &str, path: &str) {
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    writeln!(profile, "(allow {what} (subpath \"{path}\"))").expect("a string takes all");
}

/// Profiles are held against names without links in them, and `/tmp` is one.
fn real(path: &Path) -> Option<String> {
    path.canonicalize().ok()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn profile(reach: NetworkPolicy) -> String {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().canonicalize().unwrap();
        for made in ["home", "data", "tree \"x\"", "etc"] {
            fs::create_dir(place.join(made)).unwrap();
        }
        std::os::unix::fs::symlink(place.join("tree \"x\""), place.join("link")).unwrap();
        let root = Root::new(
            "/usr/bin".as_ref(),
            &place.join("home"),
            &place.join("data"),
            &place.join("etc"),
        )
        .unwrap();
        let limits = super::super::settings::SandboxSettings::default().limits;
        let ports = Ports { model: 4001, proxy: 4002 };
        let seatbelt = Seatbelt { helper: "/opt/codingworker".into(), root, limits, ports };
        let view = FsPolicy {
            readable: vec![place.join("none")],
            writable: vec![place.join("link")],
            reach,
        };
        let profile = seatbelt.profile(Path::new("/usr/bin/env"), &view);
        profile.strip_prefix(BASE).unwrap().replace(place.to_str().unwrap(), "~")
    }

    #[test]
    fn what_is_not_named_is_denied() {
        assert!(BASE.contains("\n(deny default)\n"));
        let named = profile(NetworkPolicy::Nothing);
        assert!(named.contains("(allow file-read* (subpath \"/usr\"))\n"), "{named}");
        assert!(
            named.contains("(allow file-read* file-write* (subpath \"~/tree \\\"x\\\"\"))\n"),
            "{named}"
        );
        for never in ["home", "data", "none", "network", "(subpath \"/\")"] {
            assert!(!named.contains(never), "{never} is in {named}");
        }
    }

    #[test]
    fn one_port_is_opened_for_what_is_granted() {
        assert!(
            profile(NetworkPolicy::Model)
                .ends_with("(allow network-outbound (remote ip \"localhost:4001\"))\n")
        );
        assert!(
            profile(NetworkPolicy::Internet)
                .ends_with("(allow network-outbound (remote ip \"localhost:4002\"))\n")
        );
    }
}
