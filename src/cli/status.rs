//! `codingworker status` shows the health of the worker, the number of messages in the queue and
//! the latest runs.

use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use super::exit_code::Exit;
use super::output;
use crate::config::Config;
use crate::errors;
use crate::journal::{JournalReader, RunRecord};
use crate::queue::{Depth, Queue};
use crate::worker::health::Health;

#[derive(Debug, clap::Args)]
pub(super) struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How many runs to show
    #[arg(long, default_value_t = 10)]
    runs: u32,
}

#[derive(Serialize)]
struct StatusReport {
    /// `None` when no worker uses this data directory, or when the last one shut down properly.
    worker: Option<WorkerStatus>,
    queue: QueueStatus,
    /// The runs on which a worker is working, and those that wait for a worker to resume them.
    current: Vec<RunRecord>,
    /// The newest runs.
    runs: Vec<RunRecord>,
}

#[derive(Serialize)]
struct WorkerStatus {
    /// Whether the worker renewed its file within the last minute.
    alive: bool,
    /// Whether the worker is alive and no person has to fix anything before it can work.
    well: bool,
    #[serde(flatten)]
    health: Health,
}

#[derive(Serialize)]
#[serde(untagged)]
enum QueueStatus {
    Reached { url: String, depth: Depth },
    Unreached { error: String },
}

pub(super) async fn run(arguments: StatusArguments, config: Config) -> anyhow::Result<ExitCode> {
    let journal = JournalReader::open(&config.data_dir).await?;
    let (current, runs) = match &journal {
        Some(journal) => (journal.current().await?, journal.newest(arguments.runs).await?),
        None => (Vec::new(), Vec::new()),
    };
    let now = Timestamp::now();
    let health = Health::read(&config.data_dir).context("can't read how the worker is")?;
    let status = StatusReport {
        worker: health.map(|health| WorkerStatus {
            alive: health.is_alive(now),
            well: health.is_well(now),
            health,
        }),
        queue: queue_status(&config).await,
        current,
        runs,
    };
    if arguments.json {
        output::json(&status)?;
        return Ok(Exit::Ok.into());
    }
    output::line(
        status
            .worker
            .as_ref()
            .map_or_else(|| "worker none runs here".to_owned(), |worker| tell(worker, now)),
    )?;
    match &status.queue {
        QueueStatus::Reached { url, depth: Depth { waiting, in_flight, delayed } } => {
            output::line(format!(
                "queue  {url}\n       {waiting} waiting, {in_flight} in flight, {delayed} delayed"
            ))?;
        }
        QueueStatus::Unreached { error } => output::line(format!("queue  {error}"))?,
    }
    if status.runs.is_empty() {
        output::line(format!("runs   none yet in {}", config.data_dir.display()))?;
    }
    for run in &status.runs {
        output::line(describe(run))?;
    }
    Ok(Exit::Ok.into())
}

async fn queue_status(config: &Config) -> QueueStatus {
    let asked = async {
        let queue = Queue::connect(&config.queue, &config.redaction).await?;
        queue.depth().await.map(|depth| QueueStatus::Reached { url: queue.url().to_owned(), depth })
    };
    asked.await.unwrap_or_else(|error| QueueStatus::Unreached { error: errors::chain(&error) })
}

fn tell(worker: &WorkerStatus, now: Timestamp) -> String {
    let WorkerStatus { alive, health, .. } = worker;
    let seconds_since = |then: Timestamp| now.duration_since(then).as_secs().max(0);
    let mut line = if *alive {
        format!("worker {} (process {})", health.state.words(), health.pid)
    } else {
        format!(
            "worker process {} has said nothing for {} s",
            health.pid,
            seconds_since(health.updated_at)
        )
    };
    if let Some(polled) = health.last_good_poll {
        line.push_str(&format!(", the queue last answered {} s ago", seconds_since(polled)));
    }
    if let Some(problem) = &health.problem {
        line.push_str("\n       ");
        line.push_str(problem);
    }
    line
}

fn describe(run: &RunRecord) -> String {
    let state = run
        .outcome
        .map_or_else(|| format!("in {}", run.stage.name()), |outcome| outcome.name().to_owned());
    let mut line = format!(
        "run {:<5}{:<12}{}#{} {} (attempt {})",
        run.run.to_string(),
        state,
        run.repository,
        run.issue_number,
        run.title.lines().next().unwrap_or_default(),
        run.attempt
    );
    if let Some(end) = run.lease_end {
        line.push_str(&format!("\n         its message is held until {end:.0}"));
    }
    for more in [&run.pull_request_url, &run.detail].into_iter().flatten() {
        line.push_str("\n         ");
        line.push_str(more);
    }
    line
}
