//! A program that a worker runs, an agent or a check, which a test can hold and count, and whose
//! processes it can look for.

use std::path::{Path, PathBuf};

use super::processes::commands_with;
use super::{World, wait_until};

/// A program that stops in its nth call until it is told to go on, and leaves a process in a
/// session of its own.
pub struct HeldProgram {
    directory: PathBuf,
    name: &'static str,
}

impl HeldProgram {
    /// The nth call is the first for 1, and never for 0; each ends with the script `then`.
    pub fn new(world: &World, name: &'static str, stops_at: usize, then: &str) -> Self {
        let program = Self { directory: world.shared_dir(), name };
        let [calls, stopped, go, sleep] =
            ["calls", "stopped", "go", "sleep"].map(|file| program.file(file));
        // By this name it is found in the process table, from outside a sandbox too.
        std::os::unix::fs::symlink("/bin/sleep", &sleep).unwrap();
        let script = format!(
            "setsid '{sleep}' 600 &\n\
             echo call >> '{calls}'\n\
             if [ $(wc -l < '{calls}') = {stops_at} ]; then\n\
             touch '{stopped}'; until [ -e '{go}' ]; do sleep 0.02; done\n\
             fi\n\
             {then}\n",
            sleep = sleep.display(),
            calls = calls.display(),
            stopped = stopped.display(),
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
        wait_until("the program stops", async || self.file("stopped").exists()).await;
    }

    /// The command lines of the program, of what it left and of what holds them.
    pub fn living(&self) -> Vec<String> {
        commands_with(&self.file("").to_string_lossy())
    }
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}
