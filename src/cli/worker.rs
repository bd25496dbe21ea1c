//! `codingworker worker`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::{output, signals};
use crate::config::Config;
use crate::queue::{LONGEST_WAIT, Queue};
use crate::run::{Disposition, Rooms};
use crate::worker::{Stop, Turn, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Take one message, work on it to its end, and exit
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(arguments: Arguments, config: Config) -> anyhow::Result<ExitCode> {
    let worker = Arc::new(start(config).await?);
    let stop = signals::stop()?;
    let shown = CancellationToken::new();
    let following = follow(Arc::clone(&worker), shown.clone())?;
    let code = if arguments.once { once(&worker, &stop).await } else { until_stopped(&worker, &stop).await };
    shown.cancel();
    following.await??;
    code
}

/// A worker on what the configuration names.
pub(super) async fn start(config: Config) -> anyhow::Result<Worker> {
    anyhow::ensure!(
        !config.repositories.is_empty(),
        "no repository may be worked on: list them as `repositories` in the configuration, or in CODINGWORKER_REPOSITORIES"
    );
    let queue = Queue::connect(&config.queue).await.context("can't use the queue")?;
    let lease = config.queue.lease;
    let rooms = Rooms::open(config).await?;
    Ok(Worker::new(queue, lease, rooms).await?)
}

/// Shows what the worker's runs do, until `stop`.
pub(super) fn follow(
    worker: Arc<Worker>,
    stop: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<Result<(), crate::journal::JournalError>>> {
    let progress = Progress::from_now(&worker.rooms().journal)?;
    Ok(tokio::spawn(async move { progress.follow(&worker.rooms().journal, &stop).await }))
}

async fn until_stopped(worker: &Worker, stop: &Stop) -> anyhow::Result<ExitCode> {
    worker.run(stop).await;
    Ok(ExitCode::SUCCESS)
}

/// Succeeds when the task was done, or when there was none.
async fn once(worker: &Worker, stop: &Stop) -> anyhow::Result<ExitCode> {
    match worker.turn(LONGEST_WAIT, stop).await? {
        Turn::Idle => {
            output::progress("the queue has no message");
            Ok(ExitCode::SUCCESS)
        }
        Turn::Worked(Disposition::Complete | Disposition::Cancel) => Ok(ExitCode::SUCCESS),
        Turn::Worked(Disposition::RetryAfter(_) | Disposition::DeadLetter | Disposition::Abandon) => {
            Ok(ExitCode::FAILURE)
        }
    }
}
