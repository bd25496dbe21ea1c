//! A git that waits where a test tells it to, so that a race happens at a known place.
#![allow(clippy::disallowed_methods, reason = "the tests start programs as a user would")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::git_executable;

/// How long a test waits for something that has to happen. Only a failing test waits this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The git that the forge runs: the real one, with gates in front of it and behind it.
pub(crate) struct GatedGit {
    gates: PathBuf,
    pub(crate) executable: PathBuf,
}

/// One run of one git command that is held until the gate opens.
pub(crate) struct Gate {
    armed: PathBuf,
    reached: PathBuf,
}

/// Runs git, and waits while a gate is closed. Of several processes one takes a gate, because a
/// file can be renamed only once.
const SCRIPT: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
wait_at() {
  for gate in "$GATES/$1."*.armed; do
    reached=${gate%.armed}.reached
    if mv "$gate" "$reached" 2>/dev/null; then
      while [ -e "$reached" ]; do sleep 0.02; done
      return
    fi
  done
}
wait_at "before-$1"
"$REAL" "$@"
status=$?
wait_at "after-$1"
exit $status
"#;

impl GatedGit {
    /// Makes the executable below `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        let gates = directory.join("gates");
        std::fs::create_dir(&gates).unwrap();
        let executable = directory.join("gated-git");
        let script = SCRIPT
            .replace("$GATES", gates.to_str().unwrap())
            .replace("$REAL", git_executable().to_str().unwrap());
        // Another process writes the file. If this one did, another thread might fork a process
        // while the file is open. That process would keep it open for writing until it executes
        // something, and until then execve(2) of the file fails with ETXTBSY.
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "cat >\"$0\" && chmod 700 \"$0\""])
            .arg(&executable)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success());
        Self { gates, executable }
    }

    /// Holds the next run of a git command before it does anything.
    pub(crate) fn hold_before(&self, command: &str) -> Gate {
        self.arm(&format!("before-{command}"))
    }

    /// Holds the next run of a git command after it has done its work, before the forge sees that
    /// it has ended.
    pub(crate) fn hold_after(&self, command: &str) -> Gate {
        self.arm(&format!("after-{command}"))
    }

    fn arm(&self, place: &str) -> Gate {
        let number = std::fs::read_dir(&self.gates).unwrap().count();
        let armed = self.gates.join(format!("{place}.{number}.armed"));
        std::fs::write(&armed, "").unwrap();
        Gate { reached: armed.with_extension("reached"), armed }
    }
}

impl Gate {
    /// Waits until a git command has reached the gate.
    pub(crate) async fn reached(&self) {
        let start = Instant::now();
        while !self.reached.exists() {
            assert!(start.elapsed() < DEADLINE, "no git came to {}", self.armed.display());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets the git command go on. If none has come yet, none will be held.
    pub(crate) fn open(&self) {
        for file in [&self.armed, &self.reached] {
            if let Err(error) = std::fs::remove_file(file) {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
            }
        }
    }
}

impl Drop for Gate {
    /// So that a test which fails leaves no process behind.
    fn drop(&mut self) {
        for file in [&self.armed, &self.reached] {
            let _removed = std::fs::remove_file(file);
        }
    }
}
