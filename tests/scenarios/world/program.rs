//! A program that a worker runs, an agent or a check, which a test can hold and count, and whose
//! processes it can look for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::World;

const DEADLINE: Duration = Duration::from_secs(60);

/// A program that stops in its nth call until it is told to go on, and leaves a process in a
/// session of its own.
pub struct Program {
    directory: PathBuf,
    name: &'static str,
}

impl Program {
    pub fn new(world: &World, name: &'static str, stops_at: usize, then: &str) -> Self {
        let program = Self { directory: world.stage(), name };
        let [calls, begun, go, sleep] =
            ["calls", "begun", "go", "sleep"].map(|file| program.file(file));
        // By this name it is found in the process table, from outside a sandbox too.
        std::os::unix::fs::symlink("/bin/sleep", &sleep).unwrap();
        let script = format!(
            "setsid '{sleep}' 600 &\n\
             echo call >> '{calls}'\n\
             if [ $(wc -l < '{calls}') = {stops_at} ]; then touch '{begun}'; until [ -e '{go}' ]; do sleep 0.02; done; fi\n\
             {then}\n",
            sleep = sleep.display(),
            calls = calls.display(),
            begun = begun.display(),
            go = go.display(),
        );
        std::fs::write(program.file("script"), script).unwrap();
        program
    }

    pub fn file(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.name))
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        std::fs::write(self.file("go"), "").unwrap();
    }

    pub fn calls(&self) -> usize {
        lines(&self.file("calls")).len()
    }

    pub async fn wait_until_it_stops(&self) {
        let begun = async {
            while !self.file("begun").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, begun).await.expect("the program is not called");
    }

    /// The command lines of the program, of what it left and of what holds them.
    pub fn living(&self) -> Vec<String> {
        commands_with(&self.file("").to_string_lossy())
    }
}

/// The command lines in the process table that have `text` in them.
pub fn commands_with(text: &str) -> Vec<String> {
    processes_with(text).map(|(_, line)| line).collect()
}

/// Ends what a scenario let get away.
pub fn kill_those_with(text: &str) {
    for (pid, _) in processes_with(text) {
        kill_process(pid, Signal::KILL).ok();
    }
}

fn processes_with(text: &str) -> impl Iterator<Item = (Pid, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        Some((pid, std::fs::read(entry.path().join("cmdline")).ok()?))
    });
    let lines = lines.map(|(pid, line)| (pid, String::from_utf8_lossy(&line).replace('\0', " ")));
    lines.filter(move |(_, line)| line.contains(text))
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}
