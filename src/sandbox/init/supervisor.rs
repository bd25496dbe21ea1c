//! The supervisor: it starts the confined program, forwards its connections to the relays, and ends
//! it when all its processes together use too much.
//!
//! The supervisor is the sandbox's first program. When it ends, bubblewrap ends, and the kernel
//! kills every process in the PID namespace, whatever session or parent it has
//! (`pid_namespaces(7)`). The confined program can't stop the supervisor, which is outside of the
//! Landlock domain that [`exec`](super::exec) makes. Where Landlock does not scope signals, the
//! seccomp filter refuses the signals that stop a process.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, close};
use rustix::process::{getpriority_process, setpriority_process};

use super::{Forward, InitConfig, InitError, ResourceLimits, Role, report};

/// The niceness that puts the supervisor before every other process of the sandbox, as `nice(1)`
/// counts.
const NICENESS: i32 = -20;

/// The niceness of the session that only the supervisor belongs to, as `nice(1)` counts.
///
/// Where the kernel shares the processor between sessions first (autogroups, sched(7)), the
/// niceness of a process counts only within its session. Each process of a fork bomb may open a
/// session of its own, and other programs of the machine may be busy too.
const SESSION_NICENESS: &str = "-20";

/// Where a process sets the niceness of its session (sched(7)).
const SESSION_NICENESS_FILE: &str = "/proc/self/autogroup";

/// For all sessions together, the kernel takes one such setting in a tenth of a second and refuses
/// the others with `EAGAIN` (`proc_sched_autogroup_set_nice` in `kernel/sched/autogroup.c`).
const SESSION_NICENESS_PAUSE: Duration = Duration::from_millis(110);

/// How often a refused setting is tried. That many sandboxes may start at one moment.
const SESSION_NICENESS_TRIES: usize = 20;

/// How often the supervisor counts processes. A fork bomb makes few of them in this time.
const INTERVAL: Duration = Duration::from_millis(20);

/// The supervisor checks memory and disks at every tenth count. Both fill up more slowly than
/// processes multiply, and checking them costs more.
const SLOW_CHECK: u64 = 10;

/// The process id of the supervisor in the sandbox. bubblewrap has 1.
const SUPERVISOR: u32 = 2;

/// How many processes of the sandbox do not belong to the program: bubblewrap and the supervisor.
const OWN_PROCESSES: usize = 2;

/// The exit code of a program that was killed, as shells give it: 128 and the number of `SIGKILL`.
const KILLED: u8 = 137;

/// How long the supervisor waits when it can't accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Runs the program to its end, or kills it when it exceeds a limit. Returns its exit code.
pub(super) fn supervise(
    mut config: InitConfig,
    command: &[OsString],
) -> Result<ExitCode, InitError> {
    close_inherited_files().map_err(InitError::Supervise)?;
    for forward in std::mem::take(&mut config.forwards) {
        let port = forward.port;
        start_forward(forward).map_err(|source| InitError::Forward { port, source })?;
    }
    watch(config, command).map_err(InitError::Supervise)
}

fn watch(mut config: InitConfig, command: &[OsString]) -> io::Result<ExitCode> {
    config.role = Role::Exec;
    config.niceness = getpriority_process(None)?;
    // The kernel allows this where the worker could raise RLIMIT_NICE, which is where it runs as
    // root. For every other user the kernel limits the processes (RLIMIT_NPROC).
    setpriority_process(None, NICENESS).ok();
    thread::spawn(raise_session_priority);
    let mut child = spawn(&config, command)?;
    let (ended, end) = channel();
    thread::spawn(move || ended.send(child.wait()));
    for count in 0_u64.. {
        match end.recv_timeout(INTERVAL) {
            Ok(status) => return Ok(exit_code(status?)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the thread that waits for the program ended"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let slow = count % SLOW_CHECK == 0;
        if let Some(excess) = excessive_processes(&config.limits)
            .or_else(|| slow.then(|| excessive_amount(&config)).flatten())
        {
            kill_all_others();
            report(&format!("killed: {excess}"));
            return Ok(ExitCode::from(KILLED));
        }
    }
    Err(io::Error::other("the counter of the checks overflowed"))
}

/// Puts the supervisor's session before every other one. A kernel without autogroups has no such
/// file, and the niceness of the process is enough there.
fn raise_session_priority() {
    for _ in 0..SESSION_NICENESS_TRIES {
        match fs::write(SESSION_NICENESS_FILE, SESSION_NICENESS) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(SESSION_NICENESS_PAUSE);
            }
            Ok(()) | Err(_) => return,
        }
    }
}

/// Kills all processes of the sandbox before the supervisor reports why, so that their further
/// output does not bury the report.
///
/// `kill(-1)` reaches every process that the caller sees except the caller and process 1 (kill(2)).
/// Outside of a PID namespace, for example when a person starts this role by hand, it would reach
/// all processes of the user, so the process id is checked first.
fn kill_all_others() {
    if std::process::id() == SUPERVISOR {
        kill(Pid::from_raw(-1), Signal::SIGKILL).ok();
    }
}

/// Closes all files but the three standard streams.
///
/// A file descriptor without `FD_CLOEXEC` that the worker got from its own parent is passed on to
/// bubblewrap and to this process (execve(2)). The program must not get it.
fn close_inherited_files() -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // The list also has the descriptor of the directory itself, which is closed by now.
        close(number).ok();
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program inside the sandbox is started from within it"
)]
fn spawn(config: &InitConfig, command: &[OsString]) -> io::Result<Child> {
    let mut helper = std::process::Command::new(&config.helper);
    helper.arg(super::SUBCOMMAND).arg(config.to_argument()).arg("--").args(command).spawn()
}

/// The exit code of the program, or 128 and the number of the signal that ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Listens on the loopback address inside and carries each connection to the socket of a relay.
///
/// The port is open when this returns, so the program never finds it closed.
fn start_forward(forward: Forward) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, forward.port))?;
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(connection) = connection else {
                // Too many files are open, until one of the connections ends.
                thread::sleep(ACCEPT_PAUSE);
                continue;
            };
            let socket: PathBuf = forward.socket.clone();
            // An unreachable relay closes the connection, which the program notices.
            thread::spawn(move || carry(&connection, &socket).ok());
        }
    });
    Ok(())
}

/// Copies bytes in both directions until both have ended.
fn carry(inside: &TcpStream, socket: &Path) -> io::Result<()> {
    let outside = UnixStream::connect(socket)?;
    let (mut from_inside, mut to_outside) = (inside.try_clone()?, outside.try_clone()?);
    let outward = thread::spawn(move || {
        let copied = io::copy(&mut from_inside, &mut to_outside);
        to_outside.shutdown(Shutdown::Write).and(copied)
    });
    let (mut from_outside, mut to_inside) = (outside, inside);
    let copied = io::copy(&mut from_outside, &mut to_inside);
    inside.shutdown(Shutdown::Write).ok();
    outward.join().map_err(|_| io::Error::other("a thread panicked"))?.and(copied).map(drop)
}

/// Says how the limit on processes is exceeded, if it is.
fn excessive_processes(limits: &ResourceLimits) -> Option<String> {
    let most = limits.processes;
    let exceeded = running().len() > OWN_PROCESSES + usize::try_from(most).unwrap_or(usize::MAX);
    exceeded.then(|| format!("it ran more than {most} processes at once"))
}

/// Says how the limit on memory, threads or free disk space is exceeded, if one is.
fn excessive_amount(config: &InitConfig) -> Option<String> {
    let ResourceLimits { memory, free_space, .. } = config.limits;
    let running = running();
    // The resident size counts shared memory once for each process that shares it. Only when that
    // sum is too large, the proportional size is worth the time that the kernel takes to find it.
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let resident = |pid: &u32| resident_pages(pid).unwrap_or(0) * page;
    let shared = shared_segments();
    let exceeds = |of_processes: u64| of_processes + shared > memory;
    if exceeds(running.iter().map(resident).sum())
        && exceeds(running.iter().map(proportional_size).sum())
    {
        return Some(format!("it used more than {} MiB of memory", memory >> 20));
    }
    // RLIMIT_NPROC limits threads too, but not those of root (getrlimit(2)).
    let threads = config.limits.threads();
    if running.iter().map(threads_of).sum::<u64>() > threads {
        return Some(format!("it ran more than {threads} threads at once"));
    }
    let full =
        config.writable.iter().find(|path| available(path).is_some_and(|free| free < free_space));
    full.map(|path| {
        format!("less than {} KiB are free on the disk of {}", free_space >> 10, path.display())
    })
}

// A process may end between the listing of `/proc` and the reading of its files. It then counts as
// nothing.

/// The ids of all processes in the PID namespace (proc(5)).
fn running() -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The number of threads of a process (`proc_pid_status(5)`).
fn threads_of(pid: &u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok()).unwrap_or(0)
}

/// The resident size of a process in pages: the second field of `proc_pid_statm(5)`.
fn resident_pages(pid: &u32) -> Option<u64> {
    let sizes = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    sizes.split_whitespace().nth(1)?.parse().ok()
}

/// The proportional size of a process in bytes: shared memory is divided by the number of processes
/// that share it (`proc_pid_smaps(5)`).
fn proportional_size(pid: &u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// The resident size of all System V shared memory segments in bytes.
///
/// A segment stays when no process is attached to it any more. The size is the column before the
/// last of `/proc/sysvipc/shm` (`proc_sysvipc(5)`).
fn shared_segments() -> u64 {
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let resident = |line: &str| line.split_whitespace().rev().nth(1)?.parse::<u64>().ok();
    segments.lines().skip(1).filter_map(resident).sum()
}

/// The bytes that a user without privileges can still write to the file system of a path
/// (statvfs(3)).
fn available(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
