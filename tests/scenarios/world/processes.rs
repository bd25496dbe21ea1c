//! The process table, as proc(5) shows it to everybody. Elsewhere than on Linux it is empty.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, getpid, kill_process};

/// The variable by which the worker finds what it started.
const MARK_VARIABLE: &str = "CODINGWORKER_MARK";

/// The command lines in the process table that have `text` in them.
pub fn commands_with(text: &str) -> Vec<String> {
    let with_text = others().filter(|process| process.command.contains(text));
    with_text.map(|process| process.command).collect()
}

/// Ends the processes whose command line has `text` in it: what a scenario let get away.
pub fn kill_commands_with(text: &str) {
    others().filter(|process| process.command.contains(text)).for_each(|process| process.kill());
}

/// A process that lives. One that is dead and not yet reaped has no command line, and is none.
pub struct Process {
    pub pid: Pid,
    pub command: String,
}

impl Process {
    pub fn kill(&self) {
        // One that is gone by now needs no signal.
        kill_process(self.pid, Signal::KILL).ok();
    }
}

/// The processes that name the directory in their command line or in a variable, work in it, run a
/// program of it, or have a mark in their environment that begins with one of `mark_prefixes`.
pub fn processes_of(directory: &Path, mark_prefixes: &[String]) -> Vec<Process> {
    let name = directory.to_string_lossy();
    let marks: Vec<String> =
        mark_prefixes.iter().map(|prefix| format!("{MARK_VARIABLE}={prefix}")).collect();
    let belongs = |process: &Process| {
        let files = PathBuf::from(format!("/proc/{}", process.pid.as_raw_pid()));
        let leads_there = |link: &str| {
            std::fs::read_link(files.join(link)).is_ok_and(|target| target.starts_with(directory))
        };
        // Those of another user's processes can't be read, and belong to no scenario.
        let environment = std::fs::read(files.join("environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        let mut variables = environment.split('\0');
        process.command.contains(&*name)
            || environment.contains(&*name)
            || variables.any(|variable| marks.iter().any(|mark| variable.starts_with(mark)))
            || leads_there("cwd")
            || leads_there("exe")
    };
    others().filter(belongs).collect()
}

/// Every living process but this one.
fn others() -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned();
        (pid != getpid() && !command.is_empty()).then_some(Process { pid, command })
    })
}
