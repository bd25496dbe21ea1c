//! Records of the running programs, by which the next worker finds what this one left running.
//!
//! A worker that is killed leaves its programs running. For each leader of a process group there is
//! a file named after its process id. The file says which process that is: on Linux the id of the
//! boot and the start time, elsewhere the start time that `ps` shows. A file of the worker itself
//! holds the prefix of its marks. By that prefix Linux finds programs without a record.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[cfg(not(target_os = "linux"))]
use rustix::process::kill_process_group;
use rustix::process::{Pid, Signal, kill_process};

use super::mark::mark_prefix;
#[cfg(target_os = "linux")]
use super::proc::{identity, orphans};

/// The name of the file with the prefix of the worker's marks.
const WORKER: &str = "worker";

/// How long to wait for killed orphans to disappear.
const DISAPPEAR: Duration = Duration::from_secs(5);

/// The directory of the records. One process is one worker, and has one data directory.
static RECORDS: OnceLock<PathBuf> = OnceLock::new();

/// Kills the processes that the previous worker left running, which it finds by the records in
/// `directory`, and keeps this worker's records there from now on.
///
/// Returns how many processes were killed. The caller owns the directory: no other living worker
/// keeps records in it.
///
/// # Errors
/// The directory can't be made, read or written.
pub fn kill_leftovers(directory: &Path) -> io::Result<usize> {
    fs::create_dir_all(directory)?;
    let killed = kill_recorded(directory)?;
    fs::write(directory.join(WORKER), mark_prefix())?;
    // A second worker in the same process, as tests have it, keeps its records beside those of the
    // first.
    RECORDS.set(directory.to_owned()).ok();
    Ok(killed)
}

/// The record of a running program. Dropping it removes the file.
pub(super) struct ProcessRecord(Option<PathBuf>);

impl ProcessRecord {
    /// Writes the record of a leader. When this fails, the program runs without a record.
    pub(super) fn of(leader: Pid) -> Self {
        let path = RECORDS.get().map(|directory| directory.join(leader.as_raw_pid().to_string()));
        let written = path.filter(|path| {
            let identity = identity(leader).unwrap_or_default();
            fs::write(path, identity)
                .inspect_err(|error| tracing::warn!(%error, "a program runs without a record"))
                .is_ok()
        });
        Self(written)
    }
}

impl Drop for ProcessRecord {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            fs::remove_file(path).ok();
        }
    }
}

fn kill_recorded(directory: &Path) -> io::Result<usize> {
    let mark_prefix = fs::read_to_string(directory.join(WORKER)).unwrap_or_default();
    let mut records = Vec::new();
    let mut leaders = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let id =
            path.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = id else { continue };
        let recorded = fs::read_to_string(&path).unwrap_or_default();
        // Another process may have the id by now, which must not be killed.
        if !recorded.is_empty() && identity(pid).is_some_and(|identity| identity == recorded) {
            leaders.push(pid);
        }
        records.push(path);
    }
    let killed = kill(&leaders, &mark_prefix);
    for record in records {
        fs::remove_file(record)?;
    }
    Ok(killed)
}

/// Kills orphans until none is found. A process that is forked meanwhile is found the next time.
fn kill(leaders: &[Pid], mark_prefix: &str) -> usize {
    let mut killed = std::collections::HashSet::new();
    let give_up = Instant::now() + DISAPPEAR;
    loop {
        let found = orphans(leaders, mark_prefix);
        if found.is_empty() || Instant::now() > give_up {
            return killed.len();
        }
        for pid in found {
            // The process may have ended since it was found.
            kill_process(pid, Signal::KILL).ok();
            killed.insert(pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Other systems have no `/proc`, so only the process groups are known.
#[cfg(not(target_os = "linux"))]
fn orphans(leaders: &[Pid], _mark_prefix: &str) -> Vec<Pid> {
    leaders
        .iter()
        .copied()
        .filter(|leader| kill_process_group(*leader, Signal::KILL).is_ok())
        .collect()
}

/// When a process was started, to the second, as `ps` shows it.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the module that starts programs")]
fn identity(pid: Pid) -> Option<String> {
    let asked = std::process::Command::new("/bin/ps")
        .args(["-o", "lstart=", "-p", &pid.as_raw_pid().to_string()])
        .env_clear()
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let started = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    (!started.is_empty()).then_some(started)
}
