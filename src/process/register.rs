//! Which programs run, written down where the next worker finds it.
//!
//! A worker that was killed leaves running what it had started. A note for each leader, named by
//! its process id, tells which process it was: on Linux by boot id and start time, elsewhere by the
//! time `ps` gives. A note of the worker itself tells the beginning of its marks, by which Linux
//! finds what was started without a note.

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

const WORKER: &str = "worker";

/// How long killed orphans have to disappear.
const DISAPPEAR: Duration = Duration::from_secs(5);

/// One process is one worker, and has one data directory.
static NOTES: OnceLock<PathBuf> = OnceLock::new();

/// Kills what the worker before this one left running, by its notes in `directory`, and from now on
/// keeps notes there.
///
/// Returns how many processes were killed. Whoever calls this owns the directory: no other worker
/// lives that keeps notes in it.
///
/// # Errors
/// The directory can't be made, read or written.
pub fn kill_leftovers(directory: &Path) -> io::Result<usize> {
    fs::create_dir_all(directory)?;
    let killed = reap(directory)?;
    fs::write(directory.join(WORKER), mark_prefix())?;
    // A second worker in one process, as in a test, has its notes beside those of the first.
    NOTES.set(directory.to_owned()).ok();
    Ok(killed)
}

/// A note that is taken down when it is dropped.
pub(super) struct Note(Option<PathBuf>);

impl Note {
    /// A program runs without a note rather than not at all.
    pub(super) fn of(leader: Pid) -> Self {
        let path = NOTES.get().map(|directory| directory.join(leader.as_raw_pid().to_string()));
        let written = path.filter(|path| {
            let identity = identity(leader).unwrap_or_default();
            fs::write(path, identity)
                .inspect_err(|error| tracing::warn!(%error, "a program runs unnoted"))
                .is_ok()
        });
        Self(written)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            fs::remove_file(path).ok();
        }
    }
}

fn reap(directory: &Path) -> io::Result<usize> {
    let mark_prefix = fs::read_to_string(directory.join(WORKER)).unwrap_or_default();
    let mut notes = Vec::new();
    let mut leaders = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let named =
            path.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = named else { continue };
        let noted = fs::read_to_string(&path).unwrap_or_default();
        if !noted.is_empty() && identity(pid).is_some_and(|identity| identity == noted) {
            leaders.push(pid);
        }
        notes.push(path);
    }
    let killed = kill(&leaders, &mark_prefix);
    for note in notes {
        fs::remove_file(note)?;
    }
    Ok(killed)
}

/// Kills until nothing is found any more; what forks meanwhile is found by the next look.
fn kill(leaders: &[Pid], mark_prefix: &str) -> usize {
    let mut killed = std::collections::HashSet::new();
    let give_up = Instant::now() + DISAPPEAR;
    loop {
        let found = orphans(leaders, mark_prefix);
        if found.is_empty() || Instant::now() > give_up {
            return killed.len();
        }
        for pid in found {
            // One that is gone by now needs no signal.
            kill_process(pid, Signal::KILL).ok();
            killed.insert(pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Without a process table to look into, a group is all there is to find.
#[cfg(not(target_os = "linux"))]
fn orphans(leaders: &[Pid], _mark_prefix: &str) -> Vec<Pid> {
    leaders
        .iter()
        .copied()
        .filter(|leader| kill_process_group(*leader, Signal::KILL).is_ok())
        .collect()
}

/// When a process was started, to the second, as `ps` has it on every Unix.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the room that starts programs")]
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
