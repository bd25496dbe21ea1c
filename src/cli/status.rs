//! `codingworker status`

use std::process::ExitCode;

use serde::Serialize;

use super::output;
use crate::config::Config;
use crate::journal::{Journal, RunRecord};
use crate::queue::{Depth, Queue};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How many runs to show
    #[arg(long, default_value_t = 10)]
    runs: u32,
}

#[derive(Serialize)]
struct Status {
    queue: QueueStatus,
    runs: Vec<RunRecord>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum QueueStatus {
    Reached { url: String, depth: Depth },
    Unreached { error: String },
}

pub(super) async fn run(arguments: Arguments, config: Config) -> anyhow::Result<ExitCode> {
    let status =
        Status { queue: queue_status(&config).await, runs: Journal::open(&config.data_dir)?.recent(arguments.runs)? };
    if arguments.json {
        output::json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    match &status.queue {
        QueueStatus::Reached { url, depth: Depth { waiting, in_flight, delayed } } => {
            output::line(format!("queue  {url}\n       {waiting} waiting, {in_flight} in flight, {delayed} delayed"))?;
        }
        QueueStatus::Unreached { error } => output::line(format!("queue  {error}"))?,
    }
    if status.runs.is_empty() {
        output::line(format!("runs   none yet in {}", config.data_dir.display()))?;
    }
    for run in &status.runs {
        output::line(describe(run))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn queue_status(config: &Config) -> QueueStatus {
    let asked = async {
        let queue = Queue::connect(&config.queue).await?;
        queue.depth().await.map(|depth| QueueStatus::Reached { url: queue.url().to_owned(), depth })
    };
    asked.await.unwrap_or_else(|error| QueueStatus::Unreached { error: error.to_string() })
}

fn describe(run: &RunRecord) -> String {
    let state = run.outcome.map_or_else(|| format!("in {}", run.stage.name()), |outcome| outcome.name().to_owned());
    let mut line = format!(
        "run {:<5}{:<12}{}#{} {} (attempt {})",
        run.run.to_string(),
        state,
        run.repository,
        run.issue_number,
        run.title.lines().next().unwrap_or_default(),
        run.attempt
    );
    for more in [&run.pull_request_url, &run.detail].into_iter().flatten() {
        line.push_str("\n         ");
        line.push_str(more);
    }
    line
}
