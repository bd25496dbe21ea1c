//! `codingworker worker` receives tasks from the queue and works on them.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use backon::{ExponentialBuilder, Retryable};
use tokio_util::sync::CancellationToken;

use super::exit_code::Exit;
use super::progress::ProgressDisplay;
use super::{output, signals};
use crate::config::Config;
use crate::errors;
use crate::queue::{LONGEST_WAIT, Policy, Queue, QueueError};
use crate::run::{Disposition, Services};
use crate::worker::{Stop, Turn, Worker, health};

/// How long the start of a worker waits for the queue to answer: about ten minutes.
const NETWORK_PATIENCE: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(60))
    .with_max_times(15)
    .with_jitter();

#[derive(Debug, clap::Args)]
pub(super) struct WorkerArguments {
    /// Take one message, work on it to its end, and exit
    #[arg(long)]
    once: bool,
    /// How long a running task may go on after the first signal, before it is suspended; else the
    /// configured time
    #[arg(long, value_name = "SECONDS")]
    drain_seconds: Option<u64>,
    /// Run agents and checks without any sandbox, where the configuration's `sandbox.require` is
    /// "none"
    #[arg(long = "unsafe")]
    without_sandbox: bool,
}

pub(super) async fn run(
    arguments: WorkerArguments,
    mut config: Config,
) -> anyhow::Result<ExitCode> {
    if let Some(seconds) = arguments.drain_seconds {
        config.worker.drain = Duration::from_secs(seconds);
    }
    config.sandbox.accept_none = arguments.without_sandbox;
    let worker = Arc::new(start(config).await?);
    let stop = signals::stop()?;
    let shown = CancellationToken::new();
    let following = follow(Arc::clone(&worker), shown.clone()).await?;
    let exit = if arguments.once {
        once(&worker, &stop).await
    } else {
        until_stopped(&worker, &stop).await
    };
    shown.cancel();
    following.await??;
    Ok(exit?.into())
}

/// Connects to the services that the configuration names, and returns a worker that uses them.
pub(super) async fn start(config: Config) -> anyhow::Result<Worker> {
    anyhow::ensure!(
        !config.repositories.is_empty(),
        "no repository may be worked on: list them as `repositories` in the configuration, \
         or in CODINGWORKER_REPOSITORIES"
    );
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let (queue, policy) = find_queue(&config).await.context("can't use the queue")?;
    Ok(Worker::new(queue, policy, Services::open(config).await?))
}

/// Connects to the queue, and retries for as long as [`NETWORK_PATIENCE`] says, because a machine
/// that has just started may have no network yet. A missing queue or refused credentials end the
/// start at once, because a person has to fix them.
async fn find_queue(config: &Config) -> Result<(Queue, Policy), QueueError> {
    let find = async || {
        let queue = Queue::connect(&config.queue, &config.redaction).await?;
        let policy = queue.policy().await?;
        Ok((queue, policy))
    };
    let waiting = |error: &QueueError, pause| {
        let error = errors::chain(error);
        tracing::warn!(error, ?pause, "the queue can't be asked; trying again");
    };
    find.retry(NETWORK_PATIENCE).when(QueueError::is_passing).notify(waiting).await
}

/// Shows what the worker's runs do, until `stop` is cancelled.
pub(super) async fn follow(
    worker: Arc<Worker>,
    stop: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<Result<(), crate::journal::JournalError>>> {
    let progress = ProgressDisplay::from_now(&worker.services().journal).await?;
    Ok(tokio::spawn(async move { progress.follow(&worker.services().journal, &stop).await }))
}

/// Runs the worker until a signal stops it. The worker also ends when it can't serve the health
/// probe, because whoever uses the probe would believe that it is dead.
async fn until_stopped(worker: &Arc<Worker>, stop: &Stop) -> anyhow::Result<Exit> {
    let Some(address) = worker.services().config.worker.health_listen else {
        worker.run(stop).await;
        return Ok(Exit::Ok);
    };
    tokio::select! {
        () = worker.run(stop) => Ok(Exit::Ok),
        ended = health::http::serve(address, worker.health()) => {
            ended.with_context(|| format!("can't tell on {address} how the worker is"))?;
            anyhow::bail!("the health probe on {address} ended")
        }
    }
}

/// Receives one message, works on it, and returns the outcome.
async fn once(worker: &Worker, stop: &Stop) -> anyhow::Result<Exit> {
    Ok(match worker.turn(LONGEST_WAIT, stop).await? {
        Turn::Idle => {
            output::progress("the queue has no message");
            Exit::NothingThere
        }
        Turn::Suspended => {
            output::progress("the run is suspended: it goes on when a worker is started again");
            Exit::Suspended
        }
        Turn::Worked(Disposition::Complete) => Exit::Ok,
        Turn::Worked(Disposition::RetryAfter(_)) => Exit::Retried,
        Turn::Worked(Disposition::DeadLetter) => Exit::DeadLettered,
        Turn::Worked(Disposition::Cancel) => Exit::Cancelled,
        Turn::Worked(Disposition::Abandon) => Exit::Abandoned,
    })
}
