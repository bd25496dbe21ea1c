//! What a process gives up for good before it becomes the confined program.
//!
//! Resource limits first, then Landlock (what may be written, and no signals or abstract sockets
//! beyond its own domain), then seccomp. All three stay with everything that the program starts.
//! The backend of bubblewrap already hold files and networks; these hold when a wall has a hole,
//! and hold what backend do not: the kernel's own surface.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};

use super::{Limits, Orders, seccomp};

/// How much more the program yields to others than the worker does, and the most that there is, as
/// `nice(1)` counts.
const NICER: i32 = 10;
const NICEST: i32 = 19;

/// Written to beside the given paths: the temporary directories of the sandbox, and the devices
/// that swallow or give everything.
const ALWAYS_WRITABLE: [&str; 9] = [
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/tty",
    "/dev/random",
    "/dev/urandom",
];

#[expect(clippy::disallowed_methods, reason = "this process becomes the program, and starts none")]
pub(super) fn enter(orders: &Orders, command: &[OsString]) -> io::Result<ExitCode> {
    let [program, arguments @ ..] = command else {
        return Err(io::Error::other("there is no program to run"));
    };
    limit(&orders.limits)?;
    // So that the supervisor has its turn however many of them want theirs.
    setpriority_process(None, orders.nice.saturating_add(NICER).min(NICEST))?;
    landlock(orders).map_err(io::Error::other)?;
    seccomp::apply(signals_are_scoped())?;
    let refused = std::process::Command::new(program).args(arguments).exec();
    Err(io::Error::new(refused.kind(), format!("can't start {}: {refused}", program.display())))
}

fn limit(limits: &Limits) -> io::Result<()> {
    let each = [
        (Resource::Core, 0),
        (Resource::Fsize, limits.file_size),
        // Not the address space: Java, Go and Node reserve much of it and use little.
        (Resource::Data, limits.memory),
        (Resource::Nproc, limits.threads()),
        // What let the supervisor hurry.
        (Resource::Nice, 0),
    ];
    for (resource, wanted) in each {
        let hard = getrlimit(resource).maximum;
        let value = Some(hard.map_or(wanted, |hard| hard.min(wanted)));
        setrlimit(resource, Rlimit { current: value, maximum: value })?;
    }
    Ok(())
}

/// Whether Landlock keeps signals in, as it does from Linux 6.12 on.
fn signals_are_scoped() -> bool {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal).is_ok()
}

/// As much as the kernel knows of.
fn landlock(orders: &Orders) -> Result<(), landlock::RulesetError> {
    let files = ABI::V3;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(files))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(files)))?
        .add_rules(path_beneath_rules(ALWAYS_WRITABLE, AccessFs::from_all(files)))?
        .add_rules(path_beneath_rules(&orders.writable, AccessFs::from_all(files)))?
        .restrict_self()?;
    Ok(())
}
