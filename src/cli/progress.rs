//! Shows what the runs do while they do it: on a terminal with a spinner for each run, and
//! otherwise with a line for each event.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::output;
use crate::journal::{Event, Journal, JournalError, RunId};

const POLL: Duration = Duration::from_millis(100);
const SPIN: Duration = Duration::from_millis(120);

/// Follows the events of the journal, starting now.
pub(super) struct ProgressDisplay {
    seen: i64,
    display: Display,
}

enum Display {
    Spinners { screen: MultiProgress, runs: BTreeMap<RunId, ProgressBar> },
    Lines,
}

impl ProgressDisplay {
    pub(super) async fn from_now(journal: &Journal) -> Result<Self, JournalError> {
        let display = if output::is_terminal() {
            Display::Spinners { screen: MultiProgress::new(), runs: BTreeMap::new() }
        } else {
            Display::Lines
        };
        Ok(Self { seen: journal.last_sequence().await?, display })
    }

    /// Shows events until `stop` is cancelled, and then the events that remain.
    pub(super) async fn follow(
        mut self,
        journal: &Journal,
        stop: &CancellationToken,
    ) -> Result<(), JournalError> {
        loop {
            let stopped = stop.is_cancelled();
            for event in journal.events_after(self.seen).await? {
                self.seen = event.sequence;
                self.show(&event, journal).await?;
            }
            if stopped {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn show(&mut self, event: &Event, journal: &Journal) -> Result<(), JournalError> {
        let line = format!("run {} {:<9} {}", event.run, event.stage.name(), event.text);
        match &mut self.display {
            Display::Lines => output::progress(&line),
            Display::Spinners { screen, runs } => {
                let bar = runs.entry(event.run).or_insert_with(|| spinner(screen));
                bar.println(format!("  {line}"));
                bar.set_message(line);
                if journal.run(event.run).await?.is_none_or(|run| run.ended_at.is_some()) {
                    bar.finish_and_clear();
                    runs.remove(&event.run);
                }
            }
        }
        Ok(())
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Display::Spinners { runs, .. } = &self.display {
            runs.values().for_each(ProgressBar::finish_and_clear);
        }
    }
}

fn spinner(screen: &MultiProgress) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = screen.add(ProgressBar::new_spinner().with_style(style));
    bar.enable_steady_tick(SPIN);
    bar
}
