//! `codingworker dlq` lets an operator list, redrive or purge the tasks that failed for good. The
//! operator's credentials may do more than the worker's.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Subcommand};
use serde::Serialize;

use super::exit_code::Exit;
use super::{output, signals};
use crate::config::Config;
use crate::journal::JournalReader;
use crate::publish;
use crate::queue::dead_letters::{DeadLetter, DeadLetters, Move};

/// The interval at which the program asks SQS for the progress of a move.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// Show which tasks are in the dead-letter queue; none is removed
    List(List),
    /// Show one message whole
    Show(Show),
    /// Put tasks back into the queue, once the cause of their failure is fixed
    Redrive(Redrive),
    /// Delete everything in the dead-letter queue
    Purge(Purge),
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// How many messages to show at most
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// A message id, or a task key: owner/repo#N@TIME
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group(ArgGroup::new("which").required(true).args(["task", "all"])))]
pub(super) struct Redrive {
    /// One task, by its key or its message id
    #[arg(long, value_name = "KEY")]
    task: Option<String>,
    /// All of them, moved by SQS itself
    #[arg(long)]
    all: bool,
    /// How many messages a second SQS moves at most
    #[arg(
        long,
        value_name = "N",
        requires = "all",
        value_parser = clap::value_parser!(i32).range(1..=500)
    )]
    rate: Option<i32>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Purge {
    /// Yes, throw them away
    #[arg(long)]
    yes: bool,
}

/// A message in the listing.
#[derive(Serialize)]
struct ShownDeadLetter<'a> {
    task_key: Option<String>,
    title: Option<String>,
    /// The outcome of each run of the task, as far as the journal on this machine records it.
    tried: Vec<String>,
    #[serde(flatten)]
    message: &'a DeadLetter,
}

pub(super) async fn run(command: DlqCommand, config: Config) -> anyhow::Result<ExitCode> {
    let letters = DeadLetters::connect(&config.queue, &config.redaction)
        .await
        .context("can't use the dead-letter queue")?;
    match command {
        DlqCommand::List(arguments) => list(&letters, &config, arguments).await,
        DlqCommand::Show(arguments) => show(&letters, &config, arguments).await,
        DlqCommand::Redrive(Redrive { task: Some(task), .. }) => redrive_one(&letters, &task).await,
        DlqCommand::Redrive(Redrive { task: None, rate, .. }) => redrive_all(&letters, rate).await,
        DlqCommand::Purge(Purge { yes }) => purge(&letters, yes).await,
    }
}

async fn list(
    letters: &DeadLetters,
    config: &Config,
    List { limit, json }: List,
) -> anyhow::Result<ExitCode> {
    let found = letters.look(limit).await?;
    let journal = JournalReader::open(&config.data_dir).await?;
    let mut all_shown = Vec::new();
    for message in &found {
        all_shown.push(shown(message, journal.as_ref()).await?);
    }
    if json {
        output::json(&all_shown)?;
        return Ok(Exit::Ok.into());
    }
    for ShownDeadLetter { task_key, title, tried, message } in &all_shown {
        let called = task_key.as_deref().unwrap_or("not a task");
        let said = title
            .clone()
            .unwrap_or_else(|| publish::plain_line(&message.body).chars().take(100).collect());
        output::line(format!("{}  {called}  {said}", message.message_id))?;
        if let Some(last) = tried.last() {
            output::line(format!("    {}", publish::plain_line(last)))?;
        }
    }
    let depth = letters.depth().await?;
    let all = depth.waiting + depth.in_flight;
    if all > found.len() as u64 {
        output::line(format!("{} shown of about {all}", found.len()))?;
    } else if found.is_empty() {
        output::line(format!("nothing in {}", letters.url()))?;
    }
    Ok(Exit::Ok.into())
}

async fn show(
    letters: &DeadLetters,
    config: &Config,
    Show { id, json }: Show,
) -> anyhow::Result<ExitCode> {
    let found = letters.look(usize::MAX).await?;
    let message =
        found.iter().find(|message| message.is_called(&id)).with_context(|| not_there(&id))?;
    let journal = JournalReader::open(&config.data_dir).await?;
    let shown = shown(message, journal.as_ref()).await?;
    if json {
        output::json(&shown)?;
        return Ok(Exit::Ok.into());
    }
    output::line(format!("message  {}", message.message_id))?;
    if let Some(key) = &shown.task_key {
        output::line(format!("task     {key}"))?;
    }
    if let Some(sent_at) = message.sent_at {
        output::line(format!("sent     {sent_at:.0}"))?;
    }
    for (name, value) in &message.attributes {
        output::line(format!("{name}  {}", publish::plain_line(value)))?;
    }
    for (number, failure) in shown.tried.iter().enumerate() {
        output::line(format!("try {}    {}", number + 1, publish::plain_line(failure)))?;
    }
    let body = serde_json::from_str::<serde_json::Value>(&message.body)
        .and_then(|body| serde_json::to_string_pretty(&body))
        .unwrap_or_else(|_| publish::plain(&message.body));
    output::line(format!("\n{body}"))?;
    Ok(Exit::Ok.into())
}

async fn redrive_one(letters: &DeadLetters, task: &str) -> anyhow::Result<ExitCode> {
    let moved = letters.redrive_one(task).await?;
    anyhow::ensure!(moved > 0, not_there(task));
    output::line(format!("put back {task}"))?;
    Ok(Exit::Ok.into())
}

/// Starts a move of all messages and follows it to its end. A signal cancels the move.
async fn redrive_all(letters: &DeadLetters, rate: Option<i32>) -> anyhow::Result<ExitCode> {
    let stop = signals::stop()?;
    letters.redrive_all(rate).await.context("SQS does not move them")?;
    let mut cancelled = false;
    loop {
        let Some(newest) = letters.newest_move().await? else {
            anyhow::bail!("SQS does not know of the move")
        };
        let Move { moved, status, failure, .. } = &newest;
        if !newest.is_running() {
            output::line(format!("{moved} put back"))?;
            if newest.is_complete() {
                return Ok(Exit::Ok.into());
            }
            let why = failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
            anyhow::bail!("the move ended as {status}{why}");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.graceful.cancelled(), if !cancelled => {
                cancelled = true;
                letters.cancel(&newest).await.context("SQS does not cancel the move")?;
            }
        }
    }
}

async fn purge(letters: &DeadLetters, yes: bool) -> anyhow::Result<ExitCode> {
    let depth = letters.depth().await?;
    let all = depth.waiting + depth.in_flight;
    anyhow::ensure!(yes, "this throws about {all} messages away for good: say --yes to do it");
    letters.purge().await?;
    output::line(format!("threw about {all} messages away"))?;
    Ok(Exit::Ok.into())
}

fn not_there(id: &str) -> String {
    format!("there is no {id} in the dead-letter queue: `codingworker dlq list` shows what is")
}

async fn shown<'a>(
    message: &'a DeadLetter,
    journal: Option<&JournalReader>,
) -> anyhow::Result<ShownDeadLetter<'a>> {
    let task = message.task();
    let tried = match (journal, &task) {
        (Some(journal), Some(task)) => {
            journal.attempts(&task.key()).await?.into_iter().filter_map(|run| run.detail).collect()
        }
        _ => Vec::new(),
    };
    Ok(ShownDeadLetter {
        task_key: task.as_ref().map(|task| task.key().as_str().to_owned()),
        title: task.map(|task| publish::plain_line(&task.title)),
        tried,
        message,
    })
}
