//! `codingworker dlq` lets an operator list, redrive or purge the tasks that failed for good. The
//! operator's credentials may do more than the worker's.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Subcommand};
use serde::Serialize;

use super::exit_code::Exit;
use super::told::{Said, Saying as _, said};
use super::{output, run_summary, signals};
use crate::config::Config;
use crate::errors;
use crate::github::GitHub;
use crate::journal::{JournalReader, RunRecord};
use crate::language::Phrase;
use crate::publish;
use crate::queue::dead_letters::{DeadLetter, DeadLetters, Move};
use crate::task::Task;

/// The interval at which the program asks SQS for the progress of a move.
const LOOK: Duration = Duration::from_secs(1);

/// How wide the column of labels is.
const COLUMN: usize = 12;

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
    /// An issue as OWNER/NAME#7, a message id, or a task key
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group(ArgGroup::new("which").required(true).args(["task", "all"])))]
pub(super) struct Redrive {
    /// The tasks of an issue, or one task by its key or its message id
    #[arg(long, value_name = "OWNER/NAME#7")]
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
    #[serde(skip)]
    issue: Option<String>,
    title: Option<String>,
    /// The outcome of each run of the task, as far as the journal on this machine records it.
    tried: Vec<String>,
    /// What a worker said on the issue, when the journal on this machine knows of no run.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<SaidOnIssue>,
    #[serde(flatten)]
    message: &'a DeadLetter,
}

/// A worker's comment on the issue. Whoever may comment can imitate it, so its author is shown.
#[derive(Serialize)]
struct SaidOnIssue {
    author: String,
    text: String,
}

pub(super) async fn run(command: DlqCommand, config: Config) -> anyhow::Result<ExitCode> {
    let letters = DeadLetters::connect(&config.queue, &config.redaction).await.saying(|| {
        Phrase::new("can't use the dead-letter queue", "デッドレターキューを使用できません")
    })?;
    match command {
        DlqCommand::List(arguments) => list(&letters, &config, arguments).await,
        DlqCommand::Show(arguments) => show(&letters, &config, arguments).await,
        DlqCommand::Redrive(Redrive { task: Some(task), .. }) => {
            redrive_one(&letters, &config, &task).await
        }
        DlqCommand::Redrive(Redrive { task: None, rate, .. }) => {
            redrive_all(&letters, &config, rate).await
        }
        DlqCommand::Purge(Purge { yes }) => purge(&letters, &config, yes).await,
    }
}

async fn list(
    letters: &DeadLetters,
    config: &Config,
    List { limit, json }: List,
) -> anyhow::Result<ExitCode> {
    let found = letters.look(limit).await?;
    let sources = Sources::open(config).await?;
    let mut all_shown = Vec::new();
    for message in &found {
        all_shown.push(sources.shown(message).await?);
    }
    if json {
        output::json(&all_shown)?;
        return Ok(Exit::Ok.into());
    }
    for ShownDeadLetter { issue, title, tried, comment, message, .. } in &all_shown {
        let called =
            issue.as_deref().unwrap_or(config.language.pick("not a task", "タスクではありません"));
        let said = title
            .clone()
            .unwrap_or_else(|| publish::plain_line(&message.body).chars().take(100).collect());
        let sent = message.sent_at.map(run_summary::when).unwrap_or_default();
        output::line(format!("{sent}  {called}  {said}"))?;
        if let Some(last) = tried.last() {
            output::row("", 4, &publish::plain_line(last))?;
        } else if let Some(SaidOnIssue { author, text }) = comment {
            output::row("", 4, &format!("{author}: {}", publish::plain_line(text)))?;
        }
        let id = &message.message_id;
        output::row(
            "",
            4,
            &config.language.pick(format!("message {id}"), format!("メッセージ {id}")),
        )?;
    }
    let depth = letters.depth().await?;
    let all = depth.waiting + depth.in_flight;
    if all > found.len() as u64 {
        let shown = found.len();
        output::line(config.language.pick(
            format!("{shown} shown of about {all}"),
            format!("約{all}件のうち{shown}件を表示しています"),
        ))?;
    } else if found.is_empty() {
        let url = letters.url();
        output::line(config.language.pick(format!("nothing in {url}"), format!("{url} は空です")))?;
    }
    Ok(Exit::Ok.into())
}

async fn show(
    letters: &DeadLetters,
    config: &Config,
    Show { id, json }: Show,
) -> anyhow::Result<ExitCode> {
    let found = letters.look(usize::MAX).await?;
    let message = found.iter().find(|message| message.is_called(&id)).saying(|| not_there(&id))?;
    let shown = Sources::open(config).await?.shown(message).await?;
    if json {
        output::json(&shown)?;
        return Ok(Exit::Ok.into());
    }
    let language = config.language;
    output::row(language.pick("message", "メッセージ"), COLUMN, &message.message_id)?;
    if let Some(key) = &shown.task_key {
        output::row(language.pick("task", "タスク"), COLUMN, key)?;
    }
    if let Some(sent_at) = message.sent_at {
        output::row(language.pick("sent", "送信"), COLUMN, &run_summary::when(sent_at))?;
    }
    for (name, value) in &message.attributes {
        output::line(format!("{name}  {}", publish::plain_line(value)))?;
    }
    for (number, failure) in shown.tried.iter().enumerate() {
        let number = number + 1;
        let label = language.pick(format!("try {number}"), format!("{number}回目"));
        output::row(&label, COLUMN, &publish::plain_line(failure))?;
    }
    if let Some(SaidOnIssue { author, text }) = &shown.comment {
        output::line(language.pick(
            format!("\non the issue, by {author}:\n{text}"),
            format!("\nIssueのコメント（{author}）:\n{text}"),
        ))?;
    }
    let body = serde_json::from_str::<serde_json::Value>(&message.body)
        .and_then(|body| serde_json::to_string_pretty(&body))
        .unwrap_or_else(|_| publish::plain(&message.body));
    output::line(format!("\n{body}"))?;
    Ok(Exit::Ok.into())
}

async fn redrive_one(
    letters: &DeadLetters,
    config: &Config,
    task: &str,
) -> anyhow::Result<ExitCode> {
    let moved = letters.redrive_one(task).await?;
    anyhow::ensure!(moved > 0, Said::from(not_there(task)));
    output::line(
        config.language.pick(format!("put back {task}"), format!("{task} をキューに戻しました")),
    )?;
    Ok(Exit::Ok.into())
}

/// Starts a move of all messages and follows it to its end. A signal cancels the move.
async fn redrive_all(
    letters: &DeadLetters,
    config: &Config,
    rate: Option<i32>,
) -> anyhow::Result<ExitCode> {
    let stop = signals::stop()?;
    letters
        .redrive_all(rate)
        .await
        .saying(|| Phrase::new("SQS does not move them", "SQSがメッセージを移動できません"))?;
    let mut cancelled = false;
    loop {
        let newest = letters.newest_move().await?.saying(|| {
            Phrase::new("SQS does not know of the move", "SQSに移動の記録がありません")
        })?;
        let Move { moved, status, failure, .. } = &newest;
        if !newest.is_running() {
            output::line(
                config
                    .language
                    .pick(format!("{moved} put back"), format!("{moved}件をキューに戻しました")),
            )?;
            if newest.is_complete() {
                return Ok(Exit::Ok.into());
            }
            let why = failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
            return Err(said(
                format!("the move ended as {status}{why}"),
                format!("移動は {status} で終了しました{why}"),
            )
            .into());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.graceful.cancelled(), if !cancelled => {
                cancelled = true;
                letters.cancel(&newest).await.saying(|| {
                    Phrase::new("SQS does not cancel the move", "SQSが移動を取り消せません")
                })?;
            }
        }
    }
}

async fn purge(letters: &DeadLetters, config: &Config, yes: bool) -> anyhow::Result<ExitCode> {
    let depth = letters.depth().await?;
    let all = depth.waiting + depth.in_flight;
    anyhow::ensure!(
        yes,
        said(
            format!("this throws about {all} messages away for good: say --yes to do it"),
            format!("約{all}件のメッセージを完全に削除します。実行するには --yes を付けてください"),
        )
    );
    letters.purge().await?;
    output::line(
        config
            .language
            .pick(format!("threw about {all} messages away"), format!("約{all}件を削除しました")),
    )?;
    Ok(Exit::Ok.into())
}

fn not_there(id: &str) -> Phrase {
    Phrase::new(
        format!("there is no {id} in the dead-letter queue: `codingworker dlq list` shows what is"),
        format!(
            "デッドレターキューに {id} はありません。\
             `codingworker dlq list` で一覧を確認できます"
        ),
    )
}

/// Where the reason for a failure is looked for: in the journal on this machine, else on the issue,
/// because another machine's worker may have done the task.
struct Sources<'c> {
    config: &'c Config,
    journal: Option<JournalReader>,
    github: Option<GitHub>,
}

impl<'c> Sources<'c> {
    async fn open(config: &'c Config) -> anyhow::Result<Self> {
        let journal = JournalReader::open(&config.data_dir).await?;
        let token = config.github.token.as_ref();
        let github = token.and_then(|token| GitHub::new(&config.github, token).ok());
        Ok(Self { config, journal, github })
    }

    async fn shown<'a>(&self, message: &'a DeadLetter) -> anyhow::Result<ShownDeadLetter<'a>> {
        let task = message.task();
        let (mut tried, mut comment) = (Vec::new(), None);
        if let Some(task) = &task {
            if let Some(journal) = &self.journal {
                let runs = journal.attempts(&task.key()).await?;
                let told = runs.iter().map(|run| self.told(run));
                tried = told.filter(|told| !told.is_empty()).collect();
            }
            if tried.is_empty() {
                comment = self.said_on_issue(task).await;
            }
        }
        let issue = |task: &Task| format!("{}#{}", task.repository, task.issue_number);
        Ok(ShownDeadLetter {
            issue: task.as_ref().map(issue),
            task_key: task.as_ref().map(|task| task.key().as_str().to_owned()),
            title: task.map(|task| publish::plain_line(&task.title)),
            tried,
            comment,
            message,
        })
    }

    fn told(&self, run: &RunRecord) -> String {
        let reason = run_summary::reason(run, self.config.language, &self.config.redaction);
        if reason.is_empty() {
            return String::new();
        }
        format!("{}  {}", run_summary::when(run.started_at), reason.join(" "))
    }

    /// An issue that can't be asked keeps nobody from seeing the messages.
    async fn said_on_issue(&self, task: &Task) -> Option<SaidOnIssue> {
        let github = self.github.as_ref()?;
        match publish::last_words_on(github, &task.repository, task.issue_number).await {
            Ok(said) => said.map(|(author, text)| SaidOnIssue { author, text }),
            Err(error) => {
                let (task, error) = (task.key().to_string(), errors::chain(&error));
                tracing::warn!(task, error, "the issue can't be asked why its task failed");
                None
            }
        }
    }
}
