//! The supervisor: starts the confined program, and ends it when all that it started use too much
//! together.
//!
//! The supervisor is the sandbox's first program, so with it everything in the sandbox ends,
//! whatever session or parent it has. The confined program can't stop it: it lies outside the
//! Landlock domain that [`enter`](super::enter) makes, and where the kernel does not keep signals
//! in such a domain, the seccomp filter keeps those that stop.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitCode, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{getpriority_process, setpriority_process};

use super::{Limits, Orders, Role, complain, forward};

/// No other process of the sandbox comes before the supervisor, as `nice(1)` counts.
const HURRY: i32 = -20;

/// How often the sandbox is looked over: often enough for a fork bomb.
const LOOK: Duration = Duration::from_millis(20);

/// Every how many looks memory and disks are looked at.
const SLOW: u64 = 10;

/// The supervisor's own number: bubblewrap's is 1.
const FIRST: u32 = 2;

/// Processes of the sandbox that are not the program's: bubblewrap's, and the supervisor.
const OWN: usize = 2;

pub(super) fn watch(mut orders: Orders, command: &[OsString]) -> io::Result<ExitCode> {
    close_what_was_inherited()?;
    for forward in std::mem::take(&mut orders.forwards) {
        forward::start(forward)?;
    }
    orders.role = Role::Enter;
    orders.nice = getpriority_process(None)?;
    // Where the worker may allow it, which is where the kernel does not count processes: root's.
    // Else this one has its turn like others.
    setpriority_process(None, HURRY).ok();
    let mut child = spawn(&orders, command)?;
    let (ended, end) = channel();
    thread::spawn(move || ended.send(child.wait()));
    for look in 0_u64.. {
        match end.recv_timeout(LOOK) {
            Ok(status) => return Ok(code(status?)),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the program was lost track of"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        // Memory and disks fill more slowly than processes multiply, and cost more to look at.
        let slow = look % SLOW == 0;
        if let Some(excess) =
            too_many(&orders.limits).or_else(|| slow.then(|| too_much(&orders)).flatten())
        {
            kill_all_others();
            complain(&format!("killed: {excess}"));
            return Ok(ExitCode::from(137));
        }
    }
    Err(io::Error::other("the supervisor looked more often than it can count"))
}

/// At once, since what they go on to print would bury why. Outside a PID namespace of its own,
/// where somebody may have started this by hand, all others would be everything that the user runs.
fn kill_all_others() {
    if std::process::id() == FIRST {
        kill(Pid::from_raw(-1), Signal::SIGKILL).ok();
    }
}

/// What the worker was started with beside its three streams is nothing to the program; bubblewrap
/// hands it on.
fn close_what_was_inherited() -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // The listing's own is among them, and closed by now.
        nix::unistd::close(number).ok();
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program inside the sandbox is started from within it"
)]
fn spawn(orders: &Orders, command: &[OsString]) -> io::Result<Child> {
    let mut helper = std::process::Command::new(&orders.helper);
    helper.arg(super::SUBCOMMAND).arg(orders.to_argument()).arg("--").args(command).spawn()
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// The limit on processes, in words, when it is exceeded.
fn too_many(limits: &Limits) -> Option<String> {
    let most = limits.processes;
    let exceeded = running().len() > OWN + usize::try_from(most).unwrap_or(usize::MAX);
    exceeded.then(|| format!("it ran more than {most} processes at once"))
}

/// The limit on memory, threads or what must stay free, in words, when it is exceeded.
fn too_much(orders: &Orders) -> Option<String> {
    let Limits { memory, free_space, .. } = orders.limits;
    let running = running();
    // What is shared counts for each that shares it: only when that is too much, the true figure is
    // worth its price.
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let resident = |pid: &u32| second_word(&format!("/proc/{pid}/statm")).unwrap_or(0) * page;
    let shared = shared_segments();
    let more = |of_each: u64| of_each + shared > memory;
    if more(running.iter().map(resident).sum()) && more(running.iter().map(proportional).sum()) {
        return Some(format!("it used more than {} MiB of memory", memory >> 20));
    }
    // The kernel counts them too, but not those of root.
    let threads = orders.limits.threads();
    if running.iter().map(threads_of).sum::<u64>() > threads {
        return Some(format!("it ran more than {threads} threads at once"));
    }
    let full =
        orders.writable.iter().find(|path| available(path).is_some_and(|free| free < free_space));
    full.map(|path| {
        format!("less than {} KiB are free on the disk of {}", free_space >> 10, path.display())
    })
}

fn running() -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// As the kernel tells them (`proc_pid_status(5)`).
fn threads_of(pid: &u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok()).unwrap_or(0)
}

fn second_word(file: &str) -> Option<u64> {
    fs::read_to_string(file).ok()?.split_whitespace().nth(1)?.parse().ok()
}

/// Memory with what is shared divided among those who share it, in bytes.
fn proportional(pid: &u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Segments of System V, which stay when no process has them any more, in bytes (`proc_sysvipc(5)`:
/// the column before the last).
fn shared_segments() -> u64 {
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let resident = |line: &str| line.split_whitespace().rev().nth(1)?.parse::<u64>().ok();
    segments.lines().skip(1).filter_map(resident).sum()
}

fn available(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
