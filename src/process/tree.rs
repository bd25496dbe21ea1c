//! Everything that descends from one started program, and its end.
//!
//! A process group holds most of it. What leaves the group (`setsid`, a shell's job control) is
//! found on Linux: this process adopts its orphaned descendants, so all of them hang below it in
//! `/proc`, and belong to the program whose mark their environment bears or that one of their
//! ancestors belongs to. Elsewhere only the group is known.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::Child;

use super::mark::Mark;
#[cfg(target_os = "linux")]
use super::proc;
use super::register::Note;

/// How long killed processes have to disappear; only one stuck in the kernel takes longer.
const DISAPPEAR: Duration = Duration::from_secs(5);

/// How often killing looks for processes that were forked while it looked.
const SWEEPS: u32 = 50;

/// Makes this process the parent of its orphaned descendants. That is for good, and does no harm
/// twice.
pub(super) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(refused) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%refused, "programs that leave their process group will not be found");
    }
}

/// The processes of one invocation; dropping it kills them.
pub(super) struct Tree {
    leader: Pid,
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only there it can be looked for")
    )]
    mark: Mark,
    dead: bool,
    _note: Note,
}

impl Tree {
    pub(super) fn of(child: &Child, mark: Mark) -> io::Result<Self> {
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let leader =
            leader.ok_or_else(|| io::Error::other("a started program has no process id"))?;
        Ok(Self { leader, mark, dead: false, _note: Note::of(leader) })
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

    /// Kills until no process is found that was not killed already; tells whether one was found at
    /// all.
    fn sweep(&self) -> bool {
        let mut killed = HashSet::new();
        for _ in 0..SWEEPS {
            if !self.signal(Signal::KILL, &mut killed) {
                break;
            }
        }
        !killed.is_empty()
    }

    /// Signals the processes that were not signaled yet; tells whether there were any. Adopted ones
    /// that are dead are reaped.
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
