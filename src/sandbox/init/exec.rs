//! What a process gives up for good before it becomes the confined program.
//!
//! The process first lowers its resource limits. Then Landlock restricts which files it may write,
//! and keeps its signals and abstract sockets inside its domain. Last, seccomp takes system calls
//! away. Every process that the program starts inherits all three. bubblewrap already confines
//! files and the network. Landlock holds where bubblewrap fails, and seccomp protects the kernel
//! itself, which the namespaces do not.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit, setsid};

use super::{InitConfig, InitError, ResourceLimits, seccomp};

/// How much the niceness of the program exceeds that of the worker, as `nice(1)` counts.
const ADDED_NICENESS: i32 = 10;

/// The highest niceness that there is.
const HIGHEST_NICENESS: i32 = 19;

/// Paths that every program may write: the temporary directories of the sandbox, and devices that
/// hold no data.
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

/// Restricts this process and replaces it with the confined program. Returns only on failure.
#[expect(clippy::disallowed_methods, reason = "this process becomes the program, and starts none")]
pub(super) fn exec(config: &InitConfig, command: &[OsString]) -> Result<Infallible, InitError> {
    let [program, arguments @ ..] = command else { return Err(InitError::NoProgram) };
    restrict(config).map_err(InitError::Restrict)?;
    let source = std::process::Command::new(program).args(arguments).exec();
    Err(InitError::Start { program: program.into(), source })
}

fn restrict(config: &InitConfig) -> io::Result<()> {
    limit(&config.limits)?;
    // The supervisor needs processor time, however many processes the program starts.
    let niceness = config.niceness.saturating_add(ADDED_NICENESS).min(HIGHEST_NICENESS);
    setpriority_process(None, niceness)?;
    // A session of its own, since the supervisor raises the priority of its whole session.
    setsid()?;
    landlock(config).map_err(io::Error::other)?;
    // seccomp comes last: its filter refuses calls that the steps above might need.
    seccomp::apply(landlock_scopes_signals())
}

fn limit(limits: &ResourceLimits) -> io::Result<()> {
    let values = [
        (Resource::Core, 0),
        (Resource::Fsize, limits.file_size),
        // RLIMIT_DATA also counts private anonymous mappings since Linux 4.7 (getrlimit(2)).
        // RLIMIT_AS would refuse Java, Go and Node, which reserve much more address space than they
        // use.
        (Resource::Data, limits.memory),
        // The kernel counts threads, for all processes of a user, and not for root (getrlimit(2)).
        (Resource::Nproc, limits.threads()),
        // The program does not inherit the right to raise its priority, which the supervisor has.
        (Resource::Nice, 0),
    ];
    for (resource, wanted) in values {
        // A process without privileges can lower its hard limit, and can't raise it again.
        let hard = getrlimit(resource).maximum;
        let value = Some(hard.map_or(wanted, |hard| hard.min(wanted)));
        setrlimit(resource, Rlimit { current: value, maximum: value })?;
    }
    Ok(())
}

/// Whether Landlock can keep signals inside its domain: `LANDLOCK_SCOPE_SIGNAL` is part of ABI 6,
/// which Linux 6.12 brought (landlock(7)).
fn landlock_scopes_signals() -> bool {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal).is_ok()
}

/// Restricts writes, signals and abstract sockets as far as the kernel supports it.
///
/// ABI 3 is the first one that can refuse `truncate(2)`, ABI 6 the first one with scopes
/// (landlock(7)). With [`CompatLevel::BestEffort`] the crate leaves out what an older kernel does
/// not know.
fn landlock(config: &InitConfig) -> Result<(), landlock::RulesetError> {
    let files = ABI::V3;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(files))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(files)))?
        .add_rules(path_beneath_rules(ALWAYS_WRITABLE, AccessFs::from_all(files)))?
        .add_rules(path_beneath_rules(&config.writable, AccessFs::from_all(files)))?
        .restrict_self()?;
    Ok(())
}
