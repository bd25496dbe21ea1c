//! The mark by which a process shows to which invocation it belongs.
//!
//! Every program that the worker starts gets an environment variable with a value of its own. Its
//! descendants inherit the variable. On Linux `/proc/PID/environ` shows it (`proc_pid_environ(5)`),
//! so that a descendant is recognized after it left the process group. A process that wipes its
//! environment loses the mark; the PID namespace of the sandbox ends that one.

use std::ffi::{OsStr, OsString};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that holds the mark.
pub(super) const MARK_VARIABLE: &str = "CODINGWORKER_INVOCATION";

/// The value of [`MARK_VARIABLE`] for one invocation. No two invocations have the same one.
pub(super) struct Mark(OsString);

/// What the marks of all invocations of this process begin with.
///
/// The prefix holds the process id and a random number. A later process may get the same id, but
/// not the same number.
pub(super) fn mark_prefix() -> &'static str {
    static PREFIX: LazyLock<String> =
        LazyLock::new(|| format!("{}-{:016x}-", std::process::id(), fastrand::u64(..)));
    &PREFIX
}

impl Mark {
    /// Makes the mark for one more invocation.
    pub(super) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(format!("{}{}", mark_prefix(), NEXT.fetch_add(1, Ordering::Relaxed)).into())
    }

    /// The mark as the value of the environment variable.
    pub(super) fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}
