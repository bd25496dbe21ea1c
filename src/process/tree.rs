//! All processes that descend from one started program, and how they are killed.
//!
//! A process group has most of them. A process that left the group (by `setsid(1)` or the job
//! control of a shell) is found only on Linux. There this process is a subreaper: the kernel makes
//! it the parent of its orphaned descendants (`PR_SET_CHILD_SUBREAPER(2const)`), so that `/proc`
//! shows all of them below it. A process belongs to the program whose mark is in its environment,
//! or to the same program as one of its ancestors.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::Child;

use super::mark::Mark;
#[cfg(target_os = "linux")]
use super::proc;
use super::register::ProcessRecord;

/// How long to wait for killed processes to disappear. Only a process in uninterruptible sleep
/// takes longer.
const DISAPPEAR: Duration = Duration::from_secs(5);

/// How often a kill is repeated for processes that were forked after `/proc` was read.
const SWEEPS: u32 = 50;

/// Makes this process the parent of its orphaned descendants. This lasts until the process ends,
/// and a second call changes nothing.
pub(super) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(refused) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%refused, "programs that leave their process group will not be found");
    }
}

/// The processes of one invocation. Dropping it kills them.
pub(super) struct Tree {
    leader: Pid,
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only Linux shows the environment of other processes")
    )]
    mark: Mark,
    dead: bool,
    _record: ProcessRecord,
}

impl Tree {
    /// The tree of a program that was just started with this mark, as the leader of its group.
    pub(super) fn of(child: &Child, mark: Mark) -> io::Result<Self> {
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let leader =
            leader.ok_or_else(|| io::Error::other("a started program has no process id"))?;
        Ok(Self { leader, mark, dead: false, _record: ProcessRecord::of(leader) })
    }

    /// Sends `SIGTERM` to all of them.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM, &mut HashSet::new());
    }

    /// Kills all of them and waits until they are gone.
    pub(super) async fn kill(&mut self, child: &mut Child) -> io::Result<()> {
        let give_up = Instant::now() + DISAPPEAR;
        while child.try_wait()?.is_none() || self.sweep() {
            if Instant::now() > give_up {
                tracing::warn!(
                    leader = self.leader.as_raw_pid(),
                    "killed processes do not disappear"
                );
                break;
            }
            self.sweep();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.dead = true;
        Ok(())
    }

    /// Kills until every process that is found was killed before. Returns whether one was found,
    /// or may be found the next time.
    fn sweep(&self) -> bool {
        let mut killed = HashSet::new();
        let mut may_be_more = false;
        for _ in 0..SWEEPS {
            may_be_more = self.signal(Signal::KILL, &mut killed);
            if !may_be_more {
                break;
            }
            std::thread::yield_now();
        }
        may_be_more || !killed.is_empty()
    }

    /// Signals the processes that are not in `signaled`, and returns whether there were any or may
    /// be more. Also reaps adopted zombies, since this process is their parent now and nobody else
    /// waits for them.
    #[cfg(target_os = "linux")]
    fn signal(&self, signal: Signal, signaled: &mut HashSet<Pid>) -> bool {
        use rustix::process::{WaitOptions, kill_process, waitpid};

        let descendants = proc::descendants(self.leader, &self.mark);
        let mut found = false;
        for pid in descendants.living.into_iter().filter(|pid| signaled.insert(*pid)) {
            found = true;
            // The process may have ended since `/proc` was read.
            kill_process(pid, signal).ok();
        }
        for pid in descendants.adopted_zombies {
            waitpid(Some(pid), WaitOptions::NOHANG).ok();
        }
        found || descendants.is_uncertain
    }

    #[cfg(not(target_os = "linux"))]
    fn signal(&self, signal: Signal, signaled: &mut HashSet<Pid>) -> bool {
        rustix::process::kill_process_group(self.leader, signal).is_ok()
            && signaled.insert(self.leader)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.dead {
            self.sweep();
        }
    }
}
