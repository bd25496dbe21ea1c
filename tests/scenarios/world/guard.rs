//! What a scenario must not leave behind, looked at when its world is dropped.
//!
//! The guard fails a scenario that leaves a message in a queue, a run that still holds the lease of
//! its delivery, a process, a directory of a run or a temporary file, a comment of the worker that
//! the scenario never read in its last form, or the forge's token in a file. What a scenario leaves
//! on purpose it declares, with the reason, before its world is dropped; a declaration that does
//! not come true fails it as well. A scenario that is failing already is left alone.
//!
//! The guard asks the queue and the forge over their wires, from a thread of its own. They are
//! served by the scenario's runtime, so the scenario needs the `multi_thread` flavor: on a runtime
//! with one thread nobody would answer while the drop blocks it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::forge::Comment;
use super::processes::{Process, processes_of};
use super::{TOKEN, World, entries, files_with};

/// How long a process that was killed may take to disappear from the process table.
const DISAPPEAR: Duration = Duration::from_secs(10);

/// How long the queue and the forge may take to answer.
const ANSWER: Duration = Duration::from_secs(60);

const JOURNAL: &str = "journal.sqlite3";

/// A worker's notes of what it started, a file for each, beside its journal; the note of this name
/// is about the worker itself.
const NOTES: &str = "processes";
const WORKER_NOTE: &str = "worker";

/// What can be left behind by the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Countable {
    Messages,
    DeadLetters,
    OpenLeases,
}

impl Countable {
    fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages that wait or are in flight",
            Self::DeadLetters => "messages in the dead-letter queue",
            Self::OpenLeases => "runs that hold the lease of their delivery",
        }
    }
}

/// What a scenario declared and read so far.
#[derive(Default)]
pub(super) struct Guard {
    declared: Mutex<BTreeMap<Countable, (u64, &'static str)>>,
    unread_is_fine: Mutex<Option<&'static str>>,
    read: Mutex<HashSet<Comment>>,
    worker_was_started: AtomicBool,
    is_closed: AtomicBool,
}

impl Guard {
    pub(super) fn a_worker_was_started(&self) {
        self.worker_was_started.store(true, Ordering::Relaxed);
    }

    pub(super) fn comments_were_read(&self, comments: &[Comment]) {
        self.read.lock().unwrap().extend(comments.iter().cloned());
    }

    fn declare(&self, what: Countable, count: u64, reason: &'static str) {
        self.declared.lock().unwrap().insert(what, (count, reason));
    }

    /// Compares a count with what was declared.
    fn judge(&self, what: Countable, count: u64) -> Option<String> {
        let declared = self.declared.lock().unwrap().get(&what).copied();
        let (expected, reason) = declared.unwrap_or((0, ""));
        let name = what.name();
        match declared {
            _ if count == expected => None,
            None => Some(format!("{count} {name}, and the scenario declares none")),
            Some(_) => Some(format!("{count} {name}, and not {expected} as declared ({reason})")),
        }
    }
}

impl World {
    /// Declares that so many messages wait in the queue or are in flight at the end.
    pub fn leaves_messages(&self, count: u64, reason: &'static str) {
        self.guard.declare(Countable::Messages, count, reason);
    }

    /// Declares that so many messages are in the dead-letter queue at the end.
    pub fn leaves_in_dead_letters(&self, count: u64, reason: &'static str) {
        self.guard.declare(Countable::DeadLetters, count, reason);
    }

    /// Declares that so many runs still hold the lease of their delivery at the end. Their
    /// directories and their notes of processes may be there too.
    pub fn leaves_open_leases(&self, count: u64, reason: &'static str) {
        self.guard.declare(Countable::OpenLeases, count, reason);
    }

    /// Declares that the scenario is not about what the worker writes on issues.
    pub fn leaves_comments_unread(&self, reason: &'static str) {
        *self.guard.unread_is_fine.lock().unwrap() = Some(reason);
    }

    /// Ends the world as a drop does, but returns what was left behind instead of failing.
    pub fn close(self) -> Vec<String> {
        self.guard.is_closed.store(true, Ordering::Relaxed);
        self.leftovers()
    }

    /// What is left behind and was not declared, a sentence each.
    fn leftovers(&self) -> Vec<String> {
        let data_dirs = data_dirs(self.path());
        // First, since what still runs may change the rest.
        let mut left = self.processes_left(&data_dirs);
        let mut open_leases = 0;
        for data_dir in &data_dirs {
            match open_runs(data_dir) {
                Ok(open) => {
                    open_leases += open.len() as u64;
                    left.extend(directories_left(data_dir, &open));
                    if open.is_empty() {
                        left.extend(notes_left(data_dir));
                    }
                }
                Err(error) => left.push(format!("a journal that can't be read: {error}")),
            }
        }
        left.extend(self.guard.judge(Countable::OpenLeases, open_leases));
        left.extend(
            entries(&self.path().join("tmp"))
                .iter()
                .map(|path| format!("the temporary file {}", path.display())),
        );
        left.extend(self.tokens_left());
        match self.ask_servers() {
            Ok((messages, dead_letters, unread)) => {
                // Without a worker, nobody was to take what the scenario sent.
                if self.guard.worker_was_started.load(Ordering::Relaxed) {
                    left.extend(self.guard.judge(Countable::Messages, messages));
                    left.extend(self.guard.judge(Countable::DeadLetters, dead_letters));
                }
                left.extend(self.judge_unread(&unread));
            }
            Err(error) => left.push(format!("servers that do not answer: {error}")),
        }
        left
    }

    fn processes_left(&self, data_dirs: &[PathBuf]) -> Vec<String> {
        let marks: Vec<String> = data_dirs
            .iter()
            .filter_map(|data_dir| {
                std::fs::read_to_string(data_dir.join(NOTES).join(WORKER_NOTE)).ok()
            })
            .filter(|mark| !mark.is_empty())
            .collect();
        let give_up = Instant::now() + DISAPPEAR;
        loop {
            let living = processes_of(self.path(), &marks);
            if living.is_empty() {
                return Vec::new();
            }
            if Instant::now() > give_up {
                // They have served as a proof, and would disturb other scenarios.
                living.iter().for_each(Process::kill);
                let told = |process: &Process| {
                    format!("process {}: {}", process.pid.as_raw_pid(), process.command)
                };
                return living.iter().map(told).collect();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The forge's own files have the token, and the shared directory has what an attacker stole.
    fn tokens_left(&self) -> Vec<String> {
        let excluded = [self.path().join("forge"), self.shared_dir()];
        let files = files_with(self.path(), TOKEN, &excluded);
        files.into_iter().map(|file| format!("the forge's token in {file}")).collect()
    }

    fn judge_unread(&self, unread: &[Comment]) -> Vec<String> {
        if let Some(reason) = *self.guard.unread_is_fine.lock().unwrap() {
            let expected = unread.is_empty().then(|| {
                format!("no unread comment, though the scenario declares that it does ({reason})")
            });
            return expected.into_iter().collect();
        }
        let told = |comment: &Comment| {
            let Comment { repository, issue, body, .. } = comment;
            format!("a comment on {repository}#{issue} that the scenario did not read: {body:?}")
        };
        unread.iter().map(told).collect()
    }

    /// How many messages are in the two queues, and the comments that the scenario did not read.
    fn ask_servers(&self) -> Result<(u64, u64, Vec<Comment>), String> {
        // A fault that a scenario injected is not meant for the guard.
        self.forge.hub.faults().clear();
        let asking = async {
            let (messages, dead_letters) = self.queue.left().await;
            let mut unread = self.forge.all_comments().await;
            let read = self.guard.read.lock().unwrap();
            unread.retain(|comment| !read.contains(comment));
            (messages, dead_letters, unread)
        };
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async { tokio::time::timeout(ANSWER, asking).await })
        };
        match std::thread::scope(|scope| scope.spawn(ask).join()) {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(elapsed)) => Err(elapsed.to_string()),
            Err(panic) => Err(panic
                .downcast_ref::<String>()
                .map_or_else(|| "the thread that asks them panicked".to_owned(), Clone::clone)),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A second panic while a thread unwinds would abort the process, and hide the first one.
        if std::thread::panicking() || self.guard.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let left = self.leftovers();
        let thread = std::thread::current();
        let scenario = thread.name().unwrap_or("a scenario");
        assert!(left.is_empty(), "{scenario} leaves behind:\n- {}", left.join("\n- "));
    }
}

/// The directories in the world that a worker kept its journal in. The forge's and the queue's own
/// files are not looked at.
fn data_dirs(world: &Path) -> Vec<PathBuf> {
    let below = |directory: PathBuf| {
        let inner = entries(&directory);
        std::iter::once(directory).chain(inner)
    };
    let candidates = entries(world).into_iter().flat_map(below);
    candidates.filter(|directory| directory.join(JOURNAL).is_file()).collect()
}

/// The runs that the journal does not know to have given their delivery back to the queue.
fn open_runs(data_dir: &Path) -> rusqlite::Result<HashSet<String>> {
    let journal =
        Connection::open_with_flags(data_dir.join(JOURNAL), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut runs = journal.prepare("SELECT id FROM runs WHERE released_at IS NULL")?;
    let ids = runs.query_map([], |row| row.get::<_, i64>(0))?;
    ids.map(|id| id.map(|id| id.to_string())).collect()
}

/// A run that is over keeps its log, and no directory.
fn directories_left(data_dir: &Path, open: &HashSet<String>) -> Vec<String> {
    let runs = entries(&data_dir.join("runs"))
        .into_iter()
        .filter(|run| run.file_name().is_some_and(|name| !open.contains(&*name.to_string_lossy())));
    let directories = runs.flat_map(|run| entries(&run)).filter(|path| path.is_dir());
    directories.map(|path| format!("the directory {}", path.display())).collect()
}

fn notes_left(data_dir: &Path) -> Vec<String> {
    let notes = entries(&data_dir.join(NOTES));
    let of_programs = notes.iter().filter(|note| !note.ends_with(WORKER_NOTE));
    of_programs.map(|note| format!("the note of a program that runs, {}", note.display())).collect()
}
