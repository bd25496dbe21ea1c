//! Keeps the machine from sleeping while a run goes on: a lease does not last through a night.
//!
//! The platform's own tool holds the inhibitor, for as long as it runs: `caffeinate` on macOS,
//! `systemd-inhibit` on Linux. Both are told to watch this process, so that neither outlives a
//! worker that was killed. A machine without the tool just may sleep, which costs a delivery.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::process::{self, Ending, Invocation, Streams};

/// Longer than SQS lets a message be worked on.
const LONGEST: Duration = Duration::from_secs(13 * 3600);
const WHY: &str = "a task is being worked on";

/// The machine stays awake until this is dropped.
pub(super) struct SleepInhibitor(
    #[expect(dead_code, reason = "its drop is what it is for")] Option<DropGuard>,
);

impl SleepInhibitor {
    pub(super) fn keep(wanted: bool, search_path: &OsStr) -> Self {
        let invocation = if wanted { inhibitor(search_path) } else { None };
        let Some(invocation) = invocation else { return Self(None) };
        let slept = CancellationToken::new();
        let stop = slept.clone();
        tokio::spawn(async move {
            match process::run(invocation, &stop).await {
                Ok(finished) if finished.ending == Ending::Stopped => {}
                Ok(finished) => {
                    let said = String::from_utf8_lossy(&finished.output).trim().to_owned();
                    tracing::debug!(
                        said,
                        "the machine can't be kept from sleeping while a task is worked on"
                    );
                }
                Err(error) => tracing::debug!(%error, "the machine can't be kept from sleeping"),
            }
        });
        Self(Some(slept.drop_guard()))
    }
}

fn inhibitor(search_path: &OsStr) -> Option<Invocation> {
    let this = std::process::id().to_string();
    let (tool, arguments): (_, Vec<String>) = if cfg!(target_os = "macos") {
        ("caffeinate", ["-i", "-w", &this].map(str::to_owned).to_vec())
    } else {
        let why = format!("--why={WHY}");
        let watch = format!("--pid={this}");
        let inhibit = ["--what=sleep:idle", "--mode=block", "--who=CodingWorker", &why];
        (
            "systemd-inhibit",
            [inhibit.as_slice(), &["tail", &watch, "--follow", "/dev/null"]]
                .concat()
                .iter()
                .map(ToString::to_string)
                .collect(),
        )
    };
    Some(Invocation {
        program: process::find_executable(tool, search_path)?,
        arguments: arguments.into_iter().map(OsString::from).collect(),
        directory: "/".into(),
        environment: vec![("PATH".into(), search_path.to_owned())],
        input: Vec::new(),
        deadline: LONGEST,
        output_limit: 1_000,
        streams: Streams::Merged,
        log: None,
    })
}
