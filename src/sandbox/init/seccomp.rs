//! System calls that no agent, build or test needs, and that lead to rarely tested parts of the
//! kernel or to other processes.
//!
//! The filter is a list of refused calls, as container runtimes have it, because the programs are
//! not known in advance. A refused call fails with `EPERM`, as if the user had no right to make it.
//! A call for which programs have a fallback on older kernels fails with `ENOSYS`.

use std::collections::BTreeMap;
use std::io;

use nix::libc::{self, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op,
    SeccompCondition as Condition, SeccompFilter, SeccompRule as Rule, TargetArch, apply_filter,
};

/// The bit that marks a call of the x32 interface. On x86-64 every call also has a number with this
/// bit, which a filter has to refuse separately (seccomp(2), "Caveats").
const X32_SYSCALL_BIT: c_long = 0x4000_0000;

/// Calls that fail with `EPERM`, whatever their arguments are.
const REFUSED: &[c_long] = &[
    // Other processes' memory and files.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Large interfaces of the kernel with a history of vulnerabilities.
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

/// Calls that fail with `ENOSYS`, as on an older kernel.
///
/// `clone3(2)` takes its flags from memory, which a filter can't read (seccomp(2)). The C libraries
/// fall back to `clone(2)`. Memory behind the file descriptor of `memfd_create(2)` belongs to no
/// process, so the limit on memory would not count it. A file in `/dev/shm`, which has a limited
/// size, serves the same purpose.
const UNKNOWN: [c_long; 3] = [libc::SYS_clone3, libc::SYS_memfd_create, libc::SYS_memfd_secret];

/// Signals that stop a process without ending it. A stopped supervisor would enforce no limit. A
/// killed one is harmless, because the sandbox ends with it.
const STOPPING: [i32; 4] = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// Calls that send a signal, each with the index of the argument that is the signal.
const SENDING: [(c_long, u8); 6] = [
    (libc::SYS_kill, 1),
    (libc::SYS_tkill, 1),
    (libc::SYS_tgkill, 2),
    (libc::SYS_rt_sigqueueinfo, 1),
    (libc::SYS_rt_tgsigqueueinfo, 2),
    (libc::SYS_pidfd_send_signal, 1),
];

/// The command of `fcntl(2)` that replaces `SIGIO` with another signal. `F_SETOWN` sends that
/// signal to any process.
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

/// The requests `TIOCSTI` and `TIOCLINUX` of `ioctl(2)`. Both can type into the terminal from which
/// the worker was started (`TIOCSTI(2const)`, `TIOCLINUX(2const)`).
const TERMINAL_INJECTION: [u64; 2] = [0x5412, 0x541c];

/// The socket families that a program may use. All others are refused, such as `AF_VSOCK`, which
/// reaches the hypervisor, `AF_PACKET` and `AF_ALG`.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Refuses the calls to this process and to all processes that it starts.
///
/// Where Landlock does not keep signals inside its domain (`signals_are_scoped` is false), a
/// further filter refuses the signals that stop a process.
pub(super) fn apply(signals_are_scoped: bool) -> io::Result<()> {
    let refused =
        refused_rules().and_then(|rules| filter(rules, libc::EPERM)).map_err(io::Error::other)?;
    let unknown = filter(calls(UNKNOWN.map(|call| (call, vec![]))), libc::ENOSYS)
        .map_err(io::Error::other)?;
    apply_filter(&unknown).and_then(|()| apply_filter(&refused)).map_err(io::Error::other)?;
    if signals_are_scoped { Ok(()) } else { refuse_stop_signals() }
}

fn refuse_stop_signals() -> io::Result<()> {
    let stopping = stop_signal_rules()
        .and_then(|rules| filter(rules, libc::EPERM))
        .map_err(io::Error::other)?;
    apply_filter(&stopping).map_err(io::Error::other)
}

fn stop_signal_rules() -> Result<BTreeMap<c_long, Vec<Rule>>, BackendError> {
    let any_of = |argument: u8, values: &[u64]| {
        let rule =
            |value: &u64| Rule::new(vec![Condition::new(argument, Length::Dword, Op::Eq, *value)?]);
        values.iter().map(rule).collect::<Result<Vec<_>, _>>()
    };
    let signals = STOPPING.map(|signal| u64::from(signal.unsigned_abs()));
    let sending = SENDING.iter().map(|(call, argument)| Ok((*call, any_of(*argument, &signals)?)));
    let set_signal = std::iter::once(any_of(1, &[F_SETSIG]).map(|rules| (libc::SYS_fcntl, rules)));
    Ok(calls(sending.chain(set_signal).collect::<Result<Vec<_>, _>>()?))
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

fn refused_rules() -> Result<BTreeMap<c_long, Vec<Rule>>, BackendError> {
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
    // Programs look up addresses and interfaces by NETLINK_ROUTE (netlink(7)). The other netlink
    // protocols configure the kernel.
    let no_route =
        Condition::new(2, Length::Dword, Op::Ne, u64::from(libc::NETLINK_ROUTE.unsigned_abs()))?;
    let netlink = Rule::new(vec![family(Op::Eq, libc::AF_NETLINK)?, no_route])?;
    rules.push((libc::SYS_socket, vec![other.clone(), netlink]));
    rules.push((libc::SYS_socketpair, vec![other]));
    Ok(calls(rules))
}

/// The rules for each call, and on x86-64 also for its x32 number.
fn calls(rules: impl IntoIterator<Item = (c_long, Vec<Rule>)>) -> BTreeMap<c_long, Vec<Rule>> {
    let both = |(call, rules): (c_long, Vec<Rule>)| {
        let x32 = cfg!(target_arch = "x86_64").then(|| (call | X32_SYSCALL_BIT, rules.clone()));
        std::iter::once((call, rules)).chain(x32)
    };
    rules.into_iter().flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_for_this_machine() {
        assert!(filter(refused_rules().unwrap(), libc::EPERM).unwrap().len() > 100);
    }

    /// A filter applies to one thread, so the test starts one.
    #[test]
    fn the_fallback_refuses_signals_that_stop_and_allows_those_that_end() {
        use rustix::io::Errno;
        use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};

        #[expect(clippy::disallowed_methods, reason = "a process to send signals to")]
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(other.id()).unwrap()).unwrap();
        let filtered = std::thread::spawn(move || {
            kill_process(pid, Signal::CONT).unwrap();
            refuse_stop_signals().unwrap();
            for signal in [Signal::STOP, Signal::TSTP, Signal::TTIN, Signal::TTOU] {
                assert_eq!(kill_process(pid, signal), Err(Errno::PERM), "{signal:?}");
                assert_eq!(kill_process_group(getpid(), signal), Err(Errno::PERM), "{signal:?}");
            }
            kill_process(pid, Signal::KILL).unwrap();
        });
        filtered.join().unwrap();
        assert!(!other.wait().unwrap().success());
    }
}
