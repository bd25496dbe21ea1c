//! `codingworker status` shows the health of the worker, the number of messages in the queues and
//! the latest runs.

use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::exit_code::Exit;
use super::told::Saying as _;
use super::{output, run_summary};
use crate::config::Config;
use crate::errors;
use crate::journal::{JournalReader, RunRecord};
use crate::language::{Language, Phrase};
use crate::queue::dead_letters::DeadLetters;
use crate::queue::{Depth, Queue, QueueError};
use crate::worker::health::{Health, State};

/// How wide the column of labels is at least.
const COLUMN: usize = 10;

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
    /// `None` when the queue can't be asked, or has no dead-letter queue.
    dead_letters: Option<QueueStatus>,
    /// The runs on which a worker is working, and those that wait for a worker to resume them.
    current: Vec<RunRecord>,
    /// The newest runs.
    runs: Vec<RunRecord>,
}

#[derive(Serialize)]
struct WorkerStatus {
    /// Whether the worker renewed its file within the last minute, and was not killed since.
    alive: bool,
    /// Whether the worker is alive and no person has to fix anything before it can work.
    well: bool,
    /// Whether the worker is alive and works on a task.
    busy: bool,
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
    let health = Health::read(&config.data_dir)
        .saying(|| Phrase::new("can't read how the worker is", "ワーカーの状態を読み取れません"))?;
    let worker = health.map(|health| {
        let alive = health.is_running(&config.data_dir, now);
        let well = alive && health.is_well(now);
        WorkerStatus { alive, well, busy: alive && !current.is_empty(), health }
    });
    let (queue, dead_letters) = tokio::join!(main_queue(&config), dead_letter_queue(&config));
    let dead_letters = dead_letters.filter(|_| matches!(queue, QueueStatus::Reached { .. }));
    let status = StatusReport { worker, queue, dead_letters, current, runs };
    if arguments.json {
        output::json(&status)?;
    } else {
        print(&status, arguments.runs, now, &config)?;
    }
    // Whoever watches a worker by this command must hear of a queue that can't be asked.
    let reached = matches!(status.queue, QueueStatus::Reached { .. });
    Ok(if reached { Exit::Ok } else { Exit::Error }.into())
}

async fn main_queue(config: &Config) -> QueueStatus {
    let asked = async {
        let queue = Queue::connect(&config.queue, &config.redaction).await?;
        queue.depth().await.map(|depth| QueueStatus::Reached { url: queue.url().to_owned(), depth })
    };
    asked.await.unwrap_or_else(|error| QueueStatus::Unreached {
        error: errors::told(&error, config.language),
    })
}

/// Asks the dead-letter queue, if there is one. The worker's own credentials may not: that is told,
/// and is no fault.
async fn dead_letter_queue(config: &Config) -> Option<QueueStatus> {
    let asked = async {
        let letters = DeadLetters::connect(&config.queue, &config.redaction).await?;
        let depth = letters.depth().await?;
        Ok(QueueStatus::Reached { url: letters.url().to_owned(), depth })
    };
    match asked.await {
        Ok(reached) => Some(reached),
        Err(QueueError::NoDeadLetters { .. }) => None,
        // Of a queue that the caller may not see, SQS says that it "does not exist or you do not
        // have access to it". The redrive policy names this one, so it exists.
        Err(QueueError::Refused { .. } | QueueError::Missing { .. }) => {
            let error = config.language.pick(
                "these credentials may not look into it: an operator's may",
                "この認証情報では参照できません（運用担当者の認証情報が必要です）",
            );
            Some(QueueStatus::Unreached { error: error.to_owned() })
        }
        Err(error) => Some(QueueStatus::Unreached { error: errors::told(&error, config.language) }),
    }
}

fn print(
    status: &StatusReport,
    wanted_runs: u32,
    now: Timestamp,
    config: &Config,
) -> anyhow::Result<()> {
    let language = config.language;
    let none = language.pick("none runs here", "このマシンでは動いていません");
    let worker = status.worker.as_ref();
    let worker = worker.map_or_else(|| none.to_owned(), |worker| tell(worker, now, language));
    output::row(language.pick("worker", "ワーカー"), COLUMN, &worker)?;
    print_queue(language.pick("queue", "キュー"), &status.queue, language)?;
    if let Some(dead_letters) = &status.dead_letters {
        print_queue("DLQ", dead_letters, language)?;
    }
    if status.runs.is_empty() && wanted_runs > 0 {
        let place = config.data_dir.display();
        let none =
            language.pick(format!("none yet in {place}"), format!("{place} にはまだありません"));
        output::row(language.pick("runs", "実行"), COLUMN, &none)?;
    }
    for run in &status.runs {
        print_run(run, now, config)?;
    }
    Ok(())
}

fn print_queue(label: &str, queue: &QueueStatus, language: Language) -> anyhow::Result<()> {
    match queue {
        QueueStatus::Reached { url, depth: Depth { waiting, in_flight, delayed } } => {
            let depth = language.pick(
                format!("{waiting} waiting, {in_flight} in flight, {delayed} delayed"),
                format!("待機{waiting}件、処理中{in_flight}件、遅延{delayed}件"),
            );
            output::row(label, COLUMN, &depth)?;
            output::row("", COLUMN, url)
        }
        QueueStatus::Unreached { error } => output::row(label, COLUMN, error),
    }
}

fn tell(worker: &WorkerStatus, now: Timestamp, language: Language) -> String {
    let WorkerStatus { alive, busy, health, .. } = worker;
    let pid = health.pid;
    let ago = |then: Timestamp| {
        let age = now.duration_since(then).try_into().unwrap_or_default();
        output::duration(age, language)
    };
    let mut text = if *alive {
        let state = words(health.state, *busy, language);
        language.pick(format!("{state} (process {pid})"), format!("{state}（プロセス{pid}）"))
    } else if health.is_alive(now) {
        language.pick(
            format!("was killed: process {pid} is gone. The next start goes on with its runs"),
            format!("強制終了されました（プロセス{pid}）。次回の起動時に実行を再開します"),
        )
    } else {
        let age = ago(health.updated_at);
        language.pick(
            format!("process {pid} has said nothing for {age}"),
            format!("プロセス{pid}は{age}の間応答していません"),
        )
    };
    if let (true, Some(polled)) = (alive, health.last_good_poll) {
        let age = ago(polled);
        text.push_str(&language.pick(
            format!(", the queue last answered {age} ago"),
            format!("、キューの最後の応答は{age}前"),
        ));
    }
    if let (true, Some(problem)) = (alive, &health.problem) {
        text.push('\n');
        text.push_str(problem);
    }
    text
}

fn words(state: State, busy: bool, language: Language) -> &'static str {
    let japanese = match state {
        State::Working if !busy => return language.pick("idle", "待機中"),
        State::Working => "作業中",
        State::WaitingForModel => "エージェントまたはモデルの準備待ち",
        State::WaitingForForge => "GitHubの応答待ち",
        State::QueueFails => "キューのエラーのため再試行中",
        State::Unhealthy => "異常",
        State::Stopping => "停止処理中",
        State::Unknown => "状態不明（このバージョンでは判別できません）",
    };
    language.pick(state.words(), japanese)
}

fn print_run(run: &RunRecord, now: Timestamp, config: &Config) -> anyhow::Result<()> {
    let language = config.language;
    let label = language.pick(format!("run {}", run.run), format!("実行{}", run.run));
    let column = COLUMN.max(label.len() + 2);
    let attempt = match run.attempt {
        1 => String::new(),
        attempt => language.pick(format!(", attempt {attempt}"), format!("、{attempt}回目の配信")),
    };
    let (state, time) = (run_summary::state(run, language), run_summary::time(run, now, language));
    output::row(&label, column, &format!("{state}  {time}{attempt}  {}", run_summary::task(run)))?;
    if let Some(end) = run.lease_end {
        let end = run_summary::when(end);
        let held = language.pick(
            format!("its message is held until {end}"),
            format!("メッセージの保持期限: {end}"),
        );
        output::row("", column, &held)?;
    }
    for line in run.pull_request_url.iter() {
        output::row("", column, line)?;
    }
    for line in run_summary::reason(run, language, &config.redaction) {
        output::row("", column, &line)?;
    }
    Ok(())
}
