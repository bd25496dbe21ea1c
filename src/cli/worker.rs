//! `codingworker worker` receives tasks from the queue and works on them.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use super::exit_code::Exit;
use super::told::{Saying as _, said};
use super::{output, signals, submit};
use crate::agent::Agent;
use crate::config::Config;
use crate::errors;
use crate::language::Phrase;
use crate::queue::{LONGEST_WAIT, Policy, Queue, QueueError};
use crate::run::{Disposition, Services};
use crate::sandbox::Sandbox;
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
    let worker = Arc::new(start(config, Agents::MustBeThere).await?);
    let stop = signals::stop()?;
    let exit = if arguments.once {
        once(&worker, &stop).await
    } else {
        until_stopped(&worker, &stop).await
    };
    Ok(exit?.into())
}

/// What becomes of a start without the agent's program.
#[derive(Debug, Clone, Copy)]
pub(super) enum Agents {
    /// The start fails.
    MustBeThere,
    /// The worker starts, and takes no task until somebody has installed the agent.
    MayCome,
}

/// Connects to the services that the configuration names, and returns a worker that uses them.
pub(super) async fn start(config: Config, agents: Agents) -> anyhow::Result<Worker> {
    let file = config.file.display();
    anyhow::ensure!(
        !config.repositories.is_empty(),
        said(
            format!(
                "no repository may be worked on: list them as `repositories` in {file}, or in \
                 CODINGWORKER_REPOSITORIES"
            ),
            format!(
                "作業してよいリポジトリがありません。{file} の `repositories`、または\
                 CODINGWORKER_REPOSITORIESに指定してください"
            ),
        )
    );
    if let Agents::MustBeThere = agents {
        let search_path = config.environment.search_path();
        Agent::new(&config.agent, search_path, &Sandbox::none(), &config.redaction)
            .check_program()?;
    }
    for warning in &config.warnings {
        tracing::warn!("{}", warning.en);
    }
    let (queue, policy) = find_queue(&config).await.saying(submit::no_queue)?;
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
    let waiting = |error: &QueueError, pause: Duration| {
        let (error, again_in) = (errors::chain(error), format!("{} s", pause.as_secs_f64().ceil()));
        tracing::warn!(error, again_in, "the worker waits for the queue");
    };
    find.retry(NETWORK_PATIENCE).when(QueueError::is_passing).notify(waiting).await
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
            ended.saying(|| {
                Phrase::new(
                    format!(
                        "can't tell on {address} how the worker is: end what listens there, or \
                         change `worker.health_listen`"
                    ),
                    format!(
                        "ワーカーの状態を {address} で公開できません。このアドレスを使っている\
                         プログラムを終了するか、`worker.health_listen` を変更してください"
                    ),
                )
            })?;
            Err(said(
                format!("the health probe on {address} ended"),
                format!("{address} のヘルスチェックが終了しました"),
            )
            .into())
        }
    }
}

/// Receives one message, works on it, and returns the outcome.
async fn once(worker: &Worker, stop: &Stop) -> anyhow::Result<Exit> {
    let language = worker.services().config.language;
    Ok(match worker.turn(LONGEST_WAIT, stop).await? {
        Turn::Idle => {
            output::progress(
                language.pick("the queue has no message", "キューにメッセージはありません"),
            );
            Exit::NothingThere
        }
        Turn::Suspended => {
            output::progress(language.pick(
                "the run is suspended: it goes on when a worker is started again",
                "実行を中断しました。次にワーカーを起動すると再開します",
            ));
            Exit::Suspended
        }
        Turn::Worked(Disposition::Complete) => Exit::Ok,
        Turn::Worked(Disposition::RetryAfter(_)) => Exit::Retried,
        Turn::Worked(Disposition::DeadLetter) => Exit::DeadLettered,
        Turn::Worked(Disposition::Cancel) => Exit::Cancelled,
        Turn::Worked(Disposition::Abandon) => Exit::Abandoned,
    })
}
