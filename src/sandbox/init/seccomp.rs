//! The system calls that no agent, build or test needs, and that lead to the kernel's less tested
//! parts or to other processes.
//!
//! A list of what is refused, as container runtimes keep it, since the programs are anybody's: what
//! is refused fails with `EPERM`, as if the user had no right to it. What programs do in another
//! way when a kernel does not know a call yet fails with `ENOSYS`.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op,
    SeccompCondition as Condition, SeccompFilter, SeccompRule as Rule, TargetArch, apply_filter,
};

/// On x86-64 each call has a second number, of the x32 interface, which means the same and is not
/// the same to a filter.
const X32: c_long = 0x4000_0000;

const REFUSED: &[c_long] = &[
    // Other processes' memory and files.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Large kernel interfaces with a history of holes.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The machine itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

/// What fails as if the kernel were older. `clone3` passes its flags in memory, where a filter
/// can't look; the C libraries use `clone` then. Memory behind a descriptor is nobody's, so that no
/// limit on memory finds it; a file in a sized `/dev/shm` does the same.
const UNKNOWN: [c_long; 3] = [libc::SYS_clone3, libc::SYS_memfd_create, libc::SYS_memfd_secret];

/// Signals that stop a process without ending it. A stopped supervisor keeps no limit, and one that
/// is killed takes the sandbox with it.
const STOPPING: [i32; 4] = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// The calls that send a signal, and which argument it is.
const SENDING: [(c_long, u8); 6] = [
    (libc::SYS_kill, 1),
    (libc::SYS_tkill, 1),
    (libc::SYS_tgkill, 2),
    (libc::SYS_rt_sigqueueinfo, 1),
    (libc::SYS_rt_tgsigqueueinfo, 2),
    (libc::SYS_pidfd_send_signal, 1),
];

/// `fcntl(2)`'s request for another signal than `SIGIO` at the end of input and output, which then
/// goes to any process.
const F_SETSIG: u64 = 10;

/// The flags of `clone(2)` that make a namespace.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// `ioctl(2)` requests that type into the terminal which the worker was started from.
const TERMINAL_INJECTION: [u64; 2] = [0x5412, 0x541c];

/// What programs of any kind talk by. Not among them: `AF_VSOCK`, which leads to the hypervisor,
/// `AF_PACKET`, `AF_ALG` and the rest.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Takes the calls away from this process and all that it starts. Where Landlock does not keep
/// signals in, those that stop others go too.
pub(super) fn apply(signals_are_scoped: bool) -> io::Result<()> {
    let refused =
        refused().and_then(|rules| filter(rules, libc::EPERM)).map_err(io::Error::other)?;
    let unknown = filter(calls(UNKNOWN.map(|call| (call, vec![]))), libc::ENOSYS)
        .map_err(io::Error::other)?;
    apply_filter(&unknown).and_then(|()| apply_filter(&refused)).map_err(io::Error::other)?;
    if signals_are_scoped { Ok(()) } else { keep_signals_in() }
}

fn keep_signals_in() -> io::Result<()> {
    let stopping =
        stopping().and_then(|rules| filter(rules, libc::EPERM)).map_err(io::Error::other)?;
    apply_filter(&stopping).map_err(io::Error::other)
}

fn stopping() -> Result<BTreeMap<c_long, Vec<Rule>>, BackendError> {
    let any_of = |argument: u8, values: &[u64]| {
        let rule =
            |value: &u64| Rule::new(vec![Condition::new(argument, Length::Dword, Op::Eq, *value)?]);
        values.iter().map(rule).collect::<Result<Vec<_>, _>>()
    };
    let signals = STOPPING.map(|signal| u64::from(signal.unsigned_abs()));
    let sending = SENDING.iter().map(|(call, argument)| Ok((*call, any_of(*argument, &signals)?)));
    let asking = std::iter::once(any_of(1, &[F_SETSIG]).map(|rules| (libc::SYS_fcntl, rules)));
    Ok(calls(sending.chain(asking).collect::<Result<Vec<_>, _>>()?))
}

fn filter(rules: BTreeMap<c_long, Vec<Rule>>, error: i32) -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(error.unsigned_abs()),
        architecture,
    )?
    .try_into()
}

fn refused() -> Result<BTreeMap<c_long, Vec<Rule>>, BackendError> {
    let mut rules: Vec<(c_long, Vec<Rule>)> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let flag = |flag: i32| {
        let bit = u64::from(flag.unsigned_abs());
        Rule::new(vec![Condition::new(0, Length::Dword, Op::MaskedEq(bit), bit)?])
    };
    rules.push((libc::SYS_clone, NAMESPACES.into_iter().map(flag).collect::<Result<_, _>>()?));
    let request = |request| Rule::new(vec![Condition::new(1, Length::Dword, Op::Eq, request)?]);
    rules.push((
        libc::SYS_ioctl,
        TERMINAL_INJECTION.into_iter().map(request).collect::<Result<_, _>>()?,
    ));
    let family = |operation, family: i32| {
        Condition::new(0, Length::Dword, operation, u64::from(family.unsigned_abs()))
    };
    let other = FAMILIES
        .map(|known| family(Op::Ne, known))
        .into_iter()
        .collect::<Result<_, _>>()
        .and_then(Rule::new)?;
    // Of the kernel's own families of messages, the one by which programs ask for addresses.
    let no_route =
        Condition::new(2, Length::Dword, Op::Ne, u64::from(libc::NETLINK_ROUTE.unsigned_abs()))?;
    let netlink = Rule::new(vec![family(Op::Eq, libc::AF_NETLINK)?, no_route])?;
    rules.push((libc::SYS_socket, vec![other.clone(), netlink]));
    rules.push((libc::SYS_socketpair, vec![other]));
    Ok(calls(rules))
}

fn calls(rules: impl IntoIterator<Item = (c_long, Vec<Rule>)>) -> BTreeMap<c_long, Vec<Rule>> {
    let both = |(call, rules): (c_long, Vec<Rule>)| {
        let x32 = cfg!(target_arch = "x86_64").then(|| (call | X32, rules.clone()));
        std::iter::once((call, rules)).chain(x32)
    };
    rules.into_iter().flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_for_this_machine() {
        assert!(filter(refused().unwrap(), libc::EPERM).unwrap().len() > 100);
    }

    /// In a thread of its own, which is all that the filter is for.
    #[test]
    fn where_signals_are_not_kept_in_nothing_is_stopped_and_everything_may_be_ended() {
        use nix::sys::signal::{Signal, kill};
        use nix::unistd::{Pid, getpid};

        #[expect(clippy::disallowed_methods, reason = "a process to send signals to")]
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(other.id()).unwrap());
        let filtered = std::thread::spawn(move || {
            kill(pid, Signal::SIGCONT).unwrap();
            keep_signals_in().unwrap();
            for signal in [Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
                assert_eq!(kill(pid, signal), Err(nix::Error::EPERM), "{signal}");
                assert_eq!(
                    kill(Pid::from_raw(-getpid().as_raw()), signal),
                    Err(nix::Error::EPERM),
                    "{signal}"
                );
            }
            kill(pid, Signal::SIGKILL).unwrap();
        });
        filtered.join().unwrap();
        assert!(!other.wait().unwrap().success());
    }
}
