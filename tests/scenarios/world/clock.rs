//! A clock that a scenario moves: the program sees the time that libfaketime tells it, and the
//! queue and the forge, which are in this process, see the real one.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use super::{World, tools};

const LIBRARY: &str = "libfaketimeMT.so.1";

pub struct Clock {
    library: PathBuf,
    /// What libfaketime adds to the time, as it reads it.
    file: PathBuf,
}

impl Clock {
    /// A clock that shows the real time; `None` when the test is to be skipped.
    pub fn new(world: &World) -> Option<Self> {
        let below = |directory: &str| std::fs::read_dir(directory).into_iter().flatten().flatten();
        let candidates = below("/usr/lib").map(|entry| entry.path().join("faketime").join(LIBRARY));
        let mut found = candidates.filter(|path| path.is_file());
        let Some(library) = found.next() else { return tools::skipped("needs faketime") };
        let clock = Self { library, file: world.path().join("clock") };
        clock.go_on_by(Duration::ZERO);
        Some(clock)
    }

    /// Makes a program look at this clock. Waiting takes as long as it does.
    pub fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }

    /// From now on the clock is this much later than the real time.
    pub fn go_on_by(&self, length: Duration) {
        // The program must not read half of it.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("+{}\n", length.as_secs())).unwrap();
        std::fs::rename(new, &self.file).unwrap();
    }
}
