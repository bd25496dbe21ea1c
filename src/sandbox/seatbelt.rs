//! macOS: the backend that confines a program by Seatbelt, the kernel's sandbox.
//!
//! `/usr/bin/sandbox-exec` runs a program under a profile, which denies everything that it does not
//! allow. macOS has no namespaces, so the program sees other processes and shares the loopback
//! interface of this machine, where the profile opens only the port of one relay. Nothing limits
//! processes and memory. The level is therefore never [`Level::Full`](super::Level::Full).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::init::probe::Canaries;
use super::init::{InitConfig, SUBCOMMAND};
use super::root::{Root, RootEntry};
use super::{FsPolicy, NetworkPolicy, ResourceLimits};
use crate::process::Invocation;

const EXECUTABLE: &str = "/usr/bin/sandbox-exec";

/// The rules that every program needs to start other programs, to read the system, and to find the
/// time and its user's name. Apple does not document the language of profiles; those in
/// `/System/Library/Sandbox/Profiles` are examples of it.
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
(allow file-read* file-write*
  (literal "/dev/null")
  (literal "/dev/zero")
  (literal "/dev/dtracehelper")
  (subpath "/dev/fd"))
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

/// Seatbelt, and what a profile is made from.
#[derive(Debug, Clone)]
pub(super) struct Seatbelt {
    /// The executable of this program, which runs the probes inside.
    pub(super) helper: PathBuf,
    pub(super) root: Root,
    pub(super) limits: ResourceLimits,
    pub(super) ports: Ports,
}

/// The ports at which the relays listen on the loopback address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) model: u16,
    pub(super) proxy: u16,
}

impl Seatbelt {
    /// Whether this machine has `sandbox-exec`.
    pub(super) fn is_available() -> bool {
        Path::new(EXECUTABLE).is_file()
    }

    /// The invocation that runs the given one confined.
    pub(super) fn wrap(&self, invocation: Invocation, policy: &FsPolicy) -> Invocation {
        let mut arguments: Vec<OsString> =
            vec!["-p".into(), self.profile(&invocation.program, policy).into()];
        arguments.push(invocation.program.into());
        arguments.extend(invocation.arguments);
        Invocation { program: EXECUTABLE.into(), arguments, ..invocation }
    }

    /// The program that runs the probes inside, and its arguments.
    pub(super) fn probe_command(&self, canaries: Canaries) -> (PathBuf, Vec<OsString>) {
        let config = InitConfig::to_probe(canaries, self.helper.clone(), self.limits);
        (self.helper.clone(), vec![SUBCOMMAND.into(), config.to_argument()])
    }

    fn profile(&self, program: &Path, policy: &FsPolicy) -> String {
        let mut profile = BASE.to_owned();
        let entries = self.root.installation(program);
        let installed = entries.into_iter().filter_map(|entry| match entry {
            RootEntry::Mount(path) => Some(path),
            // The target of a link is metadata, which BASE allows to read everywhere.
            RootEntry::Symlink { .. } => None,
        });
        let system = SYSTEM.iter().map(PathBuf::from);
        let readable = system
            .chain(self.root.tools().iter().cloned())
            .chain(installed)
            .chain(policy.readable.iter().cloned());
        for path in readable.filter_map(|path| real(&path)) {
            allow(&mut profile, "file-read*", &path);
        }
        for path in policy.writable.iter().filter_map(|path| real(path)) {
            allow(&mut profile, "file-read* file-write*", &path);
        }
        let port = match policy.network {
            NetworkPolicy::Nothing => None,
            NetworkPolicy::Model => Some(self.ports.model),
            NetworkPolicy::Internet => Some(self.ports.proxy),
        };
        if let Some(port) = port {
            writeln!(profile, "(allow network-outbound (remote ip \"localhost:{port}\"))")
                .expect("writing to a string does not fail");
        }
        profile
    }
}

/// Adds a rule for everything below a path.
fn allow(profile: &mut String, operations: &str, path: &str) {
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    writeln!(profile, "(allow {operations} (subpath \"{path}\"))")
        .expect("writing to a string does not fail");
}

/// The path without links: the kernel compares rules with resolved paths, and `/tmp` is a link.
fn real(path: &Path) -> Option<String> {
    path.canonicalize().ok()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn profile(network: NetworkPolicy) -> String {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        for made in ["home", "data", "tree \"x\"", "etc"] {
            fs::create_dir(base.join(made)).unwrap();
        }
        std::os::unix::fs::symlink(base.join("tree \"x\""), base.join("link")).unwrap();
        let root = Root::new(
            "/usr/bin".as_ref(),
            &base.join("home"),
            &base.join("data"),
            &base.join("etc"),
        )
        .unwrap();
        let limits = super::super::settings::SandboxSettings::default().limits;
        let ports = Ports { model: 4001, proxy: 4002 };
        let seatbelt = Seatbelt { helper: "/opt/codingworker".into(), root, limits, ports };
        let policy = FsPolicy {
            readable: vec![base.join("none")],
            writable: vec![base.join("link")],
            network,
        };
        let profile = seatbelt.profile(Path::new("/usr/bin/env"), &policy);
        profile.strip_prefix(BASE).unwrap().replace(base.to_str().unwrap(), "~")
    }

    #[test]
    fn the_profile_allows_only_what_the_policy_names() {
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
    fn the_profile_opens_one_port_for_a_network() {
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
