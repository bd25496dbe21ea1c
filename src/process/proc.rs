//! The process table of Linux, as proc(5) shows it: which process descends from which, which has
//! which mark, and when each was started.
//!
//! `/proc` is not read at one instant. A process that ends meanwhile is missing, and one that is
//! forked meanwhile may be missing, so callers read again until they find nothing new.

use std::collections::{HashMap, HashSet};
use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, waitid};

use super::mark::{MARK_VARIABLE, Mark};

/// One process. Its parent, group or session is `None` when it is outside of this PID namespace,
/// where the kernel shows it as 0 (`pid_namespaces(7)`). `docker exec` starts such processes.
struct Process {
    pid: Pid,
    parent: Option<Pid>,
    group: Option<Pid>,
    session: Option<Pid>,
    /// Whether it is a zombie, or about to disappear.
    dead: bool,
    /// When it was started, in clock ticks since the boot.
    started: Option<u64>,
    /// Where its environment ends in its memory: 0 while the kernel gives it a new program
    /// (execve(2)), and in a process that this one may not look into.
    environment_end: u64,
}

/// What is left of an invocation.
#[derive(Default)]
pub(super) struct Descendants {
    /// Processes of the invocation that are alive.
    pub(super) living: Vec<Pid>,
    /// Whether a process is about to run another program, so that nobody can tell whose it is.
    pub(super) is_uncertain: bool,
    /// Zombies of any invocation that this process adopted.
    pub(super) adopted_zombies: Vec<Pid>,
}

/// Finds what is left of the invocation with this leader and this mark.
pub(super) fn descendants(leader: Pid, mark: &Mark) -> Descendants {
    // A process without children has no descendants, and waitid(2) shows that with ECHILD. This is
    // much cheaper than reading `/proc`. WNOWAIT reaps nothing.
    let any = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if matches!(waitid(WaitId::All, any), Err(Errno::CHILD)) {
        return Descendants::default();
    }
    let this = getpid();
    let table = table();
    let (living, is_uncertain) = living(this, leader, mark, &table);
    Descendants { living, is_uncertain, adopted_zombies: adopted_zombies(this, &table) }
}

/// Zombies whose parent is this process and that it did not start.
///
/// Only these may be reaped here: tokio waits for the children that this process started, and would
/// get ECHILD (wait(2)). Those are in this process's session, and either in its group or the leader
/// of another one. This process's own group and session are read from the table, because the
/// library's `getsid(2)` can't return the 0 of a session outside of the PID namespace.
fn adopted_zombies(this: Pid, table: &[Process]) -> Vec<Pid> {
    let Some(own) = table.iter().find(|process| process.pid == this) else { return Vec::new() };
    let adopted = |process: &&Process| {
        let member = process.group != own.group && process.group != Some(process.pid);
        process.dead && process.parent == Some(this) && (process.session != own.session || member)
    };
    table.iter().filter(adopted).map(|process| process.pid).collect()
}

/// Processes below this one that have the mark, are in the group of the leader, or descend from
/// such a process; and whether there may be more of them.
///
/// A process has no environment to read while the kernel gives it a new program. On a busy machine
/// that lasts long enough for a program in a session of its own, whose parent has ended, to be
/// taken for somebody else's.
fn living(this: Pid, leader: Pid, mark: &Mark, table: &[Process]) -> (Vec<Pid>, bool) {
    let mut children: HashMap<Pid, Vec<&Process>> = HashMap::new();
    for process in table {
        if let Some(parent) = process.parent {
            children.entry(parent).or_default().push(process);
        }
    }
    let (mut living, mut is_uncertain) = (Vec::new(), false);
    let mut seen = HashSet::new();
    let mut open = vec![(this, false)];
    while let Some((parent, belongs)) = open.pop() {
        for child in
            children.get(&parent).into_iter().flatten().filter(|child| seen.insert(child.pid))
        {
            let marked = if belongs || child.group == Some(leader) {
                MarkFound::Yes
            } else {
                mark_on(child.pid, mark)
            };
            is_uncertain |= marked == MarkFound::Unknown && !child.dead;
            let belongs = marked == MarkFound::Yes;
            if belongs && !child.dead {
                living.push(child.pid);
            }
            open.push((child.pid, belongs));
        }
    }
    (living, is_uncertain)
}

/// All processes in this PID namespace.
fn table() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .filter_map(|pid| parse(pid, &fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?))
        .collect()
}

/// Reads the line of `/proc/PID/stat` (`proc_pid_stat(5)`). The name of the program is in
/// parentheses, and may have any byte, parentheses too, so the fields begin after the last closing
/// one.
fn parse(pid: Pid, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let mut id = || fields.next()?.parse().ok().map(|raw: i32| Pid::from_raw(raw.max(0)));
    let (parent, group, session) = (id()?, id()?, id()?);
    // `starttime` is the 22nd field, and `session`, which was read last, the sixth.
    let started = fields.nth(15).and_then(|ticks| ticks.parse().ok());
    // `env_end` is the 51st.
    let environment_end = fields.nth(28).and_then(|end| end.parse().ok()).unwrap_or_default();
    let dead = matches!(state, "Z" | "X");
    Some(Process { pid, parent, group, session, dead, started, environment_end })
}

/// Whether a process has a mark.
#[derive(Debug, PartialEq, Eq)]
enum MarkFound {
    Yes,
    No,
    /// It is about to run another program (execve(2)).
    Unknown,
}

/// Looks for a mark in the environment of a process.
///
/// While the kernel gives a process a new program, there is no environment to read, not even an
/// empty one, whose place `/proc/PID/stat` would show. The same is read when the memory of the
/// process is replaced between the opening of the file and the reading, and then there is an
/// environment the next time. Another user's process is not readable (`proc_pid_environ(5)`), and
/// has no mark.
fn mark_on(pid: Pid, mark: &Mark) -> MarkFound {
    let entry = [MARK_VARIABLE.as_bytes(), b"=", mark.as_os_str().as_encoded_bytes()].concat();
    let Ok(environment) = environment(pid) else { return MarkFound::No };
    if !environment.is_empty() {
        let is_marked = environment.split(|byte| *byte == 0).any(|variable| variable == entry);
        return if is_marked { MarkFound::Yes } else { MarkFound::No };
    }
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok();
    let Some(process) = stat.and_then(|stat| parse(pid, &stat)) else { return MarkFound::No };
    let is_empty = self::environment(pid).is_ok_and(|environment| environment.is_empty());
    if process.environment_end > 0 && is_empty { MarkFound::No } else { MarkFound::Unknown }
}

fn environment(pid: Pid) -> std::io::Result<Vec<u8>> {
    fs::read(format!("/proc/{}/environ", pid.as_raw_pid()))
}

/// Whether a variable in the environment of a process matches. Another user's process is not
/// readable (`proc_pid_environ(5)`), and matches nothing.
fn any_variable(pid: Pid, matches: impl Fn(&[u8]) -> bool) -> bool {
    environment(pid).is_ok_and(|environment| environment.split(|byte| *byte == 0).any(matches))
}

/// What distinguishes a living process from all others that ever had its id: the id of the boot
/// (`/proc/sys/kernel/random/boot_id`, random(4)), and when the process was started since then.
pub(super) fn identity(pid: Pid) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let process = parse(pid, &fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?)?;
    process.started.filter(|_| !process.dead).map(|started| format!("{} {started}", boot.trim()))
}

/// Processes that a dead worker left running: these leaders and their groups, every process whose
/// mark begins with the prefix, and all descendants of these.
pub(super) fn orphans(leaders: &[Pid], mark_prefix: &str) -> Vec<Pid> {
    let prefix = [MARK_VARIABLE.as_bytes(), b"=", mark_prefix.as_bytes()].concat();
    let marked = |pid| {
        !mark_prefix.is_empty() && any_variable(pid, |variable| variable.starts_with(&prefix))
    };
    let table = table();
    let mut orphans: HashSet<Pid> = HashSet::new();
    loop {
        let found = table.iter().filter(|process| {
            !process.dead
                && !orphans.contains(&process.pid)
                && (leaders.contains(&process.pid)
                    || process.group.is_some_and(|group| leaders.contains(&group))
                    || process.parent.is_some_and(|parent| orphans.contains(&parent))
                    || marked(process.pid))
        });
        let found: Vec<Pid> = found.map(|process| process.pid).collect();
        if found.is_empty() {
            return orphans.into_iter().collect();
        }
        orphans.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_may_have_parentheses_and_blanks() {
        let pid = Pid::from_raw(7).unwrap();
        let process = parse(pid, b"7 (a) Z 1 (b) S 5 6 4 0 -1 4194560").unwrap();
        assert_eq!(process.parent, Pid::from_raw(5));
        assert_eq!(process.group, Pid::from_raw(6));
        assert_eq!(process.session, Pid::from_raw(4));
        assert!(!process.dead);
        assert!(parse(pid, b"7 (a").is_none());
    }

    fn check(stats: &[(i32, &str)], adopted: &[i32]) {
        let table: Vec<Process> = stats
            .iter()
            .map(|(id, stat)| parse(pid(*id), format!("{id} (x) {stat}").as_bytes()).unwrap())
            .collect();
        let found: Vec<i32> =
            adopted_zombies(pid(1), &table).into_iter().map(Pid::as_raw_pid).collect();
        assert_eq!(found, adopted);
    }

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    #[test]
    fn only_zombies_that_this_process_did_not_start_are_reaped() {
        check(
            &[
                (1, "S 0 1 1"),
                (2, "Z 1 1 1"),
                (3, "Z 1 3 1"),
                (4, "Z 1 3 1"),
                (5, "S 1 3 1"),
                (6, "Z 1 6 6"),
            ],
            &[4, 6],
        );
        check(&[(2, "Z 1 3 1")], &[]);
    }

    #[test]
    fn a_session_outside_the_pid_namespace_counts_as_a_session() {
        check(
            &[(1, "S 0 0 0"), (2, "Z 1 0 0"), (3, "Z 1 3 0"), (4, "Z 1 3 0"), (5, "Z 1 5 5")],
            &[4, 5],
        );
    }
    /// The control for what a process in the midst of execve(2) looks like: one that has an empty
    /// environment has a place for it all the same.
    #[test]
    fn a_program_without_environment_is_not_about_to_run_another() {
        #[expect(clippy::disallowed_methods, reason = "nothing of it is to be found later")]
        let mut program =
            std::process::Command::new("/bin/sleep").arg("60").env_clear().spawn().unwrap();
        let child = pid(i32::try_from(program.id()).unwrap());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let process = loop {
            let found = table().into_iter().find(|process| process.pid == child).unwrap();
            let name = fs::read_to_string(format!("/proc/{}/comm", child.as_raw_pid())).unwrap();
            if name.trim() == "sleep" && found.environment_end != 0 {
                break found;
            }
            assert!(std::time::Instant::now() < deadline, "it is not started");
        };
        let environment = fs::read(format!("/proc/{}/environ", child.as_raw_pid())).unwrap();
        assert!(environment.is_empty());
        assert_eq!(mark_on(process.pid, &Mark::unique()), MarkFound::No);
        program.kill().unwrap();
        program.wait().unwrap();
    }
}
