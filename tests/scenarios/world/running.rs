//! A program that runs beside the scenario, which keeps what it prints.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::DEADLINE;

/// Killed when it is dropped.
pub struct Running {
    child: Child,
    lines: watch::Receiver<Vec<String>>,
}

impl Running {
    /// Starts a program, both of whose outputs are kept line by line.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let sender = watch::Sender::<Vec<String>>::default();
        let lines = sender.subscribe();
        keep_lines(child.stdout.take().unwrap(), sender.clone());
        keep_lines(child.stderr.take().unwrap(), sender);
        Self { child, lines }
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("the program was waited for")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until the program prints a line that has `text` in it, and returns the first one.
    pub async fn line_with(&mut self, text: &str) -> String {
        self.lines_with(text, 1).await.remove(0)
    }

    /// Waits until the program has printed this many lines that have `text` in them, and returns
    /// all that there are.
    pub async fn lines_with(&mut self, text: &str, count: usize) -> Vec<String> {
        let found = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| line.contains(text)).cloned().collect()
        };
        let waiting = self.lines.wait_for(|lines| found(lines).len() >= count);
        let printed = tokio::time::timeout(DEADLINE, waiting).await.map(|seen| seen.is_ok());
        let lines = found(&self.lines.borrow());
        assert!(
            lines.len() >= count,
            "{text:?} was printed {} times and not {count} ({}): {:?}",
            lines.len(),
            if printed.is_err() { "in time" } else { "before the program ended" },
            self.printed()
        );
        lines
    }

    /// All that the program has printed so far.
    pub fn printed(&self) -> String {
        self.lines.borrow().join("\n")
    }

    /// How it ended, when it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        self.ended_within(DEADLINE).await
    }

    /// As [`Running::ended`], for a program that has a lot to do.
    pub async fn ended_within(&mut self, limit: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        ended.expect("the program does not end").unwrap()
    }

    /// Kills it, and waits until it is dead.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Tells a worker to stop by two signals, after which it waits neither for its runs nor for an
    /// open poll, and fails unless it ends well.
    pub async fn stop_at_once(mut self) {
        self.signal(Signal::TERM);
        self.signal(Signal::INT);
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.printed());
    }
}

fn keep_lines(output: impl AsyncRead + Unpin + Send + 'static, sender: watch::Sender<Vec<String>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|lines| lines.push(line));
        }
    });
}
