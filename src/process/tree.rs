//! Everything that descends from one started program, and its end.
//!
//! A process group holds most of it. What leaves the group (`setsid`, a shell's job control) is found on Linux: this process adopts its
//! orphaned descendants, so all of them hang below it in `/proc`, and belong to the program whose mark their environment bears or that
//! one of their ancestors belongs to. Elsewhere only the group is known.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::Child;

/// The environment variable that tells to which invocation a process belongs.
pub(super) const MARK_VARIABLE: &str = "CODINGWORKER_INVOCATION";

/// How long killed processes have to disappear; only one stuck in the kernel takes longer.
const DISAPPEAR: Duration = Duration::from_secs(5);

/// How often killing looks for processes that were forked while it looked.
const SWEEPS: u32 = 50;

/// The value of [`MARK_VARIABLE`], another for each invocation of this process.
pub(super) struct Mark(OsString);

impl Mark {
    pub(super) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)).into())
    }

    pub(super) fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

/// Makes this process the parent of its orphaned descendants. That is for good, and does no harm twice.
pub(super) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(refused) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%refused, "programs that leave their process group will not be found");
    }
}

/// The processes of one invocation; dropping it kills them.
pub(super) struct Tree {
    leader: Pid,
    mark: Mark,
    dead: bool,
}

impl Tree {
    pub(super) fn of(child: &Child, mark: Mark) -> io::Result<Self> {
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let leader = leader.ok_or_else(|| io::Error::other("a started program has no process id"))?;
        Ok(Self { leader, mark, dead: false })
    }

    /// Asks all of them to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM, &mut HashSet::new());
    }

    /// Kills all of them and waits until they are gone.
    pub(super) async fn kill(&mut self, child: &mut Child) -> io::Result<()> {
        let give_up = Instant::now() + DISAPPEAR;
        while child.try_wait()?.is_none() || self.sweep() {
            if Instant::now() > give_up {
                tracing::warn!(leader = self.leader.as_raw_pid(), "killed processes do not disappear");
                break;
            }
            self.sweep();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.dead = true;
        Ok(())
    }

    /// Kills until no process is found that was not killed already; tells whether one was found at all.
    fn sweep(&self) -> bool {
        let mut killed = HashSet::new();
        for _ in 0..SWEEPS {
            if !self.signal(Signal::KILL, &mut killed) {
                break;
            }
        }
        !killed.is_empty()
    }

    /// Signals the processes that were not signaled yet; tells whether there were any. Adopted ones that are dead are laid to rest.
    #[cfg(target_os = "linux")]
    fn signal(&self, signal: Signal, signaled: &mut HashSet<Pid>) -> bool {
        use rustix::process::{WaitOptions, kill_process, waitpid};

        let family = proc::look(self.leader, &self.mark);
        let mut found = false;
        for pid in family.living.into_iter().filter(|pid| signaled.insert(*pid)) {
            found = true;
            // One that is gone by now needs no signal.
            kill_process(pid, signal).ok();
        }
        for pid in family.dead_adopted {
            waitpid(Some(pid), WaitOptions::NOHANG).ok();
        }
        found
    }

    #[cfg(not(target_os = "linux"))]
    fn signal(&self, signal: Signal, signaled: &mut HashSet<Pid>) -> bool {
        rustix::process::kill_process_group(self.leader, signal).is_ok() && signaled.insert(self.leader)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.dead {
            self.sweep();
        }
    }
}

/// The process table, as `proc(5)` shows it.
#[cfg(target_os = "linux")]
mod proc {
    use std::collections::{HashMap, HashSet};
    use std::fs;

    use rustix::io::Errno;
    use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, waitid};

    use super::{MARK_VARIABLE, Mark};

    /// Its parent, group and session are `None` where they lie outside this PID namespace, which shows them as 0: for instance those of
    /// what `docker exec` starts.
    struct Process {
        pid: Pid,
        parent: Option<Pid>,
        group: Option<Pid>,
        session: Option<Pid>,
        dead: bool,
    }

    /// What is left of an invocation.
    #[derive(Default)]
    pub(super) struct Family {
        pub(super) living: Vec<Pid>,
        /// Dead children of this process that it did not start, of any invocation: what it starts is in its session, and either in its
        /// group or the leader of another.
        pub(super) dead_adopted: Vec<Pid>,
    }

    pub(super) fn look(leader: Pid, mark: &Mark) -> Family {
        // Nobody is left to be found below a process without children, and this is cheaper than to look.
        let any = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if matches!(waitid(WaitId::All, any), Err(Errno::CHILD)) {
            return Family::default();
        }
        let this = getpid();
        let table = table();
        Family { living: living(this, leader, mark, &table), dead_adopted: dead_adopted(this, &table) }
    }

    /// This process' own group and session are read where those of the others are, since `getsid(2)` has no word for 0.
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
            for child in children.get(&parent).into_iter().flatten().filter(|child| seen.insert(child.pid)) {
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

    /// Reads a line of `/proc/PID/stat`, in which the program's name is in parentheses and may hold any byte.
    fn parse(pid: Pid, stat: &[u8]) -> Option<Process> {
        let name_end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace();
        let state = fields.next()?;
        let mut id = || fields.next()?.parse().ok().map(|raw: i32| Pid::from_raw(raw.max(0)));
        Some(Process { pid, parent: id()?, group: id()?, session: id()?, dead: matches!(state, "Z" | "X") })
    }

    fn bears(pid: Pid, mark: &Mark) -> bool {
        let entry = [MARK_VARIABLE.as_bytes(), b"=", mark.as_os_str().as_encoded_bytes()].concat();
        fs::read(format!("/proc/{}/environ", pid.as_raw_pid()))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == entry))
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
            let found: Vec<i32> = dead_adopted(pid(1), &table).into_iter().map(Pid::as_raw_pid).collect();
            assert_eq!(found, adopted);
        }

        fn pid(raw: i32) -> Pid {
            Pid::from_raw(raw).unwrap()
        }

        #[test]
        fn only_dead_children_that_others_started_are_laid_to_rest() {
            check(
                &[(1, "S 0 1 1"), (2, "Z 1 1 1"), (3, "Z 1 3 1"), (4, "Z 1 3 1"), (5, "S 1 3 1"), (6, "Z 1 6 6")],
                &[4, 6],
            );
            check(&[(2, "Z 1 3 1")], &[]);
        }

        #[test]
        fn a_session_outside_the_pid_namespace_is_one_like_another() {
            check(&[(1, "S 0 0 0"), (2, "Z 1 0 0"), (3, "Z 1 3 0"), (4, "Z 1 3 0"), (5, "Z 1 5 5")], &[4, 5]);
        }
    }
}
