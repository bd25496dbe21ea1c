//! The process table, as `proc(5)` shows it: who descends from whom, who bears whose mark, and when
//! each was started.

use std::collections::{HashMap, HashSet};
use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, waitid};

use super::mark::{MARK_VARIABLE, Mark};

/// Its parent, group and session are `None` where they lie outside this PID namespace, which shows
/// them as 0: for instance those of what `docker exec` starts.
struct Process {
    pid: Pid,
    parent: Option<Pid>,
    group: Option<Pid>,
    session: Option<Pid>,
    dead: bool,
    /// In clock ticks since the boot.
    started: Option<u64>,
}

/// What is left of an invocation.
#[derive(Default)]
pub(super) struct Family {
    pub(super) living: Vec<Pid>,
    /// Dead children of this process that it did not start, of any invocation: what it starts is in
    /// its session, and either in its group or the leader of another.
    pub(super) dead_adopted: Vec<Pid>,
}

pub(super) fn look(leader: Pid, mark: &Mark) -> Family {
    // Nobody is left to be found below a process without children, and this is cheaper than to
    // look.
    let any = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if matches!(waitid(WaitId::All, any), Err(Errno::CHILD)) {
        return Family::default();
    }
    let this = getpid();
    let table = table();
    Family { living: living(this, leader, mark, &table), dead_adopted: dead_adopted(this, &table) }
}

/// This process' own group and session are read where those of the others are, since `getsid(2)`
/// has no word for 0.
fn dead_adopted(this: Pid, table: &[Process]) -> Vec<Pid> {
    let Some(own) = table.iter().find(|process| process.pid == this) else { return Vec::new() };
    let adopted = |process: &&Process| {
        let member = process.group != own.group && process.group != Some(process.pid);
        process.dead && process.parent == Some(this) && (process.session != own.session || member)
    };
    table.iter().filter(adopted).map(|process| process.pid).collect()
}

/// Those below this process that bear the mark, are in the group, or descend from one that is.
fn living(this: Pid, leader: Pid, mark: &Mark, table: &[Process]) -> Vec<Pid> {
    let mut children: HashMap<Pid, Vec<&Process>> = HashMap::new();
    for process in table {
        if let Some(parent) = process.parent {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut living = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![(this, false)];
    while let Some((parent, belongs)) = open.pop() {
        for child in
            children.get(&parent).into_iter().flatten().filter(|child| seen.insert(child.pid))
        {
            let belongs = belongs || child.group == Some(leader) || bears(child.pid, mark);
            if belongs && !child.dead {
                living.push(child.pid);
            }
            open.push((child.pid, belongs));
        }
    }
    living
}

fn table() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .filter_map(|pid| parse(pid, &fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?))
        .collect()
}

/// Reads a line of `/proc/PID/stat`, in which the program's name is in parentheses and may hold any
/// byte.
fn parse(pid: Pid, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let mut id = || fields.next()?.parse().ok().map(|raw: i32| Pid::from_raw(raw.max(0)));
    let (parent, group, session) = (id()?, id()?, id()?);
    // The 22nd field of the line; `session` is the sixth.
    let started = fields.nth(15).and_then(|ticks| ticks.parse().ok());
    Some(Process { pid, parent, group, session, dead: matches!(state, "Z" | "X"), started })
}

fn bears(pid: Pid, mark: &Mark) -> bool {
    let entry = [MARK_VARIABLE.as_bytes(), b"=", mark.as_os_str().as_encoded_bytes()].concat();
    any_variable(pid, |variable| variable == entry)
}

fn any_variable(pid: Pid, matches: impl Fn(&[u8]) -> bool) -> bool {
    fs::read(format!("/proc/{}/environ", pid.as_raw_pid()))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(matches))
}

/// What tells a living process from every other that ever had its number: the boot, and when in it
/// the process was started.
pub(super) fn identity(pid: Pid) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let process = parse(pid, &fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?)?;
    process.started.filter(|_| !process.dead).map(|started| format!("{} {started}", boot.trim()))
}

/// What a process that died left running: these leaders with their groups, whoever bears a mark
/// that begins with its prefix, and all that descend from one of them.
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
    fn a_program_name_with_parentheses_and_blanks_does_not_confuse() {
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
            dead_adopted(pid(1), &table).into_iter().map(Pid::as_raw_pid).collect();
        assert_eq!(found, adopted);
    }

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    #[test]
    fn only_dead_children_that_others_started_are_laid_to_rest() {
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
    fn a_session_outside_the_pid_namespace_is_one_like_another() {
        check(
            &[(1, "S 0 0 0"), (2, "Z 1 0 0"), (3, "Z 1 3 0"), (4, "Z 1 3 0"), (5, "Z 1 5 5")],
            &[4, 5],
        );
    }
}
