//! `codingworker demo` shows every step from an issue to a pull request on this machine.
//!
//! Only the forge and the queue differ from production. The agent also differs when this machine
//! has no model.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ConstantBuilder, Retryable as _};
use jiff::Timestamp;
use serde::Serialize;
use tempfile::TempDir;

use super::embedded::{Addresses, Embedded};
use super::exit_code::Exit;
use super::stages::StageLines;
use super::told::{Said, Saying as _, file_phrase, said};
use super::{output, run_summary, scripted_agent, seed, signals, submit, worker};
use crate::agent::Agent;
use crate::agent::settings::{AgentKind, CommandSettings};
use crate::config::Config;
use crate::disk::FileAction;
use crate::environment::Environment;
use crate::github::GitHub;
use crate::journal::{CheckRecord, Outcome, RunRecord};
use crate::language::{Language, Phrase};
use crate::publish::TASK_LABEL;
use crate::queue::Queue;
use crate::run;
use crate::sandbox::{Level, Sandbox, SandboxReport};
use crate::task::{IssueNumber, RepoName, Task};
use crate::telemetry::settings::{LogFormat, LogSettings};
use crate::worker::{Stop, Turn, Worker};

const OWNER: &str = "demo";
const TITLE: &str = "Add a FizzBuzz function";
const BODY: &str = "Create `fizzbuzz.py` with a function `fizzbuzz(number)` that returns \"Fizz\" \
for multiples of three, \"Buzz\" for multiples of five, \"FizzBuzz\" for multiples of both, and \
the number as a string otherwise. Run as a program it prints FizzBuzz from 1 to 100.";

/// The filter of a log in which no stage is told.
const WITHOUT_STAGES: &str = "warn";

/// How often the demo looks for a new stage.
const STAGE_INTERVAL: Duration = Duration::from_millis(100);

/// The files of the repository with which the demo starts.
const FILES: &[(&str, &str)] = &[
    ("README.md", "# fizzbuzz\n\nA small repository for a first task.\n"),
    (".gitignore", "__pycache__/\n"),
    (
        ".codingworker.toml",
        r#"[checks]
build = "python3 -m compileall -q ."
test = "python3 -m unittest"
format = ""
lint = ""
setup = ""
"#,
    ),
];

#[derive(Debug, clap::Args)]
pub(super) struct DemoArguments {
    /// Where to keep the demo's files; else a temporary directory that is removed in the end
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The agent to use; without one, Aider if it and its model are here, else a scripted stand-in
    #[arg(long, value_parser = ["aider", "scripted"])]
    agent: Option<String>,
    /// The model for Aider
    #[arg(long, requires = "agent")]
    model: Option<String>,
    /// Print all that happens, and not only each stage
    #[arg(long)]
    verbose: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl DemoArguments {
    /// Leaves what happens in the stages out of the log, unless somebody asked for it. The demo
    /// prints the stages itself.
    pub(super) fn choose_log(&self, log: &mut LogSettings) {
        let is_default = log.filter == LogSettings::default().filter;
        if is_default && log.format == LogFormat::Text && !self.verbose {
            WITHOUT_STAGES.clone_into(&mut log.filter);
        }
    }
}

/// The output of `--json`.
#[derive(Serialize)]
struct DemoResult {
    task_key: String,
    branch: String,
    commit: String,
    pull_request: ShownPullRequest,
    checks: Vec<CheckRecord>,
    repository: String,
    seconds: f64,
}

#[derive(Serialize)]
struct ShownPullRequest {
    number: u64,
    url: String,
    draft: bool,
}

/// Shows everything, in a directory that is removed however the demo ends: it holds a token.
pub(super) async fn run(arguments: DemoArguments, config: Config) -> anyhow::Result<ExitCode> {
    let temporary = tempfile::tempdir().saying(no_temporary)?;
    let stop = signals::stop()?;
    let shown = tokio::select! {
        shown = Box::pin(demonstrate(&arguments, config, temporary.path())) => shown,
        () = stop.graceful.cancelled() => {
            Err(said("the demo was stopped", "デモは停止されました").into())
        },
    };
    // What was dropped may be ending still, and makes no new files soon.
    remove(temporary).await?;
    shown
}

fn no_temporary() -> Phrase {
    Phrase::new("can't make a temporary directory", "一時ディレクトリを作成できません")
}

/// Removes the directory, and waits for a moment where something still writes to it.
async fn remove(temporary: TempDir) -> anyhow::Result<()> {
    let path = temporary.keep();
    let remove = || crate::disk::remove_tree(&path);
    let removed = remove.retry(ConstantBuilder::new().with_max_times(20)).await;
    removed.saying(|| file_phrase(FileAction::Remove, &path))
}

async fn demonstrate(
    arguments: &DemoArguments,
    config: Config,
    temporary: &Path,
) -> anyhow::Result<ExitCode> {
    let (began, language) = (Instant::now(), config.language);
    let directory = arguments.dir.clone().unwrap_or_else(|| temporary.to_path_buf());
    crate::disk::make_private_directory(&directory)
        .saying(|| file_phrase(FileAction::MakeDirectory, &directory))?;
    let directory = directory.canonicalize()?;
    let environment = config.environment.clone();

    let addresses =
        Addresses { queue: ([127, 0, 0, 1], 0).into(), forge: ([127, 0, 0, 1], 0).into() };
    let queue = localsqs::Options::default();
    let embedded = Embedded::start(&directory, addresses, queue, &environment).await?;
    let token = embedded.add_owner(OWNER, &directory.join("token"))?;
    let repository = free_name(&embedded)?;
    let path = embedded.have_repository(&repository)?;
    seed::seed(&path, FILES, &directory, &environment).await?;

    let mut config = embedded.connect(config, &token);
    config.data_dir = directory.join("worker");
    config.repositories = vec![repository.clone()];
    choose_agent(&mut config, arguments).await?;
    choose_sandbox(&mut config).await?;

    let github = GitHub::new(&config.github, run::token(&config.github)?)?;
    let issue = github.create_issue(&repository, TITLE, BODY, &[TASK_LABEL]).await?;
    let (number, title) = (issue.number, &issue.title);
    output::progress(&language.pick(
        format!("issue #{number} \"{title}\" is labelled {TASK_LABEL}"),
        format!("Issue #{number}「{title}」にラベル {TASK_LABEL} を付けました"),
    ));
    let task = Task {
        issue_number: IssueNumber::new(issue.number).saying(submit::no_number)?,
        repository,
        title: issue.title,
        body: issue.body.unwrap_or_default(),
        labels: vec![TASK_LABEL.to_owned()],
        created_at: Timestamp::now(),
    };
    let queue = Queue::connect(&config.queue, &config.redaction).await?;
    queue.send(&task.encode(), &[]).await?;

    let worker = Arc::new(worker::start(config, worker::Agents::MustBeThere).await?);
    let Turn::Worked(_) = work(&worker).await? else {
        return Err(said(
            "the queue lost the demo's message",
            "デモのメッセージがキューから失われました",
        )
        .into());
    };

    let record = worker
        .services()
        .journal
        .attempts(&task.key())
        .await?
        .pop()
        .saying(|| Phrase::new("the run left no record", "実行の記録がありません"))?;
    let done =
        record.outcome == Some(Outcome::Done) && is_published(&github, &task, &record).await?;
    if arguments.json {
        output::json(&result(&task, &record, began.elapsed())?)?;
    } else {
        show(&record, &path, &environment, began.elapsed(), language).await?;
        if arguments.dir.is_some() {
            let place = directory.display();
            output::line(language.pick(
                format!("everything is in {place}"),
                format!("すべてのファイルは {place} にあります"),
            ))?;
        }
    }
    embedded.stop().await?;
    Ok(if done { Exit::Ok } else { Exit::Error }.into())
}

/// Works on the one message, and prints each stage unless the log does.
async fn work(worker: &Worker) -> anyhow::Result<Turn> {
    let (stop, config) = (Stop::default(), &worker.services().config);
    let mut turn = pin!(worker.turn(Duration::from_secs(5), &stop));
    if config.log.filter != WITHOUT_STAGES {
        return Ok(turn.await?);
    }
    let mut stages = StageLines::new(config.data_dir.clone(), config.language);
    loop {
        tokio::select! {
            turn = &mut turn => {
                stages.show_new().await?;
                return Ok(turn?);
            }
            () = tokio::time::sleep(STAGE_INTERVAL) => stages.show_new().await?,
        }
    }
}

/// Returns whether the forge itself shows an open pull request that is not a draft, and whether
/// every check of the run passed.
async fn is_published(github: &GitHub, task: &Task, record: &RunRecord) -> anyhow::Result<bool> {
    let Some(branch) = &record.branch else { return Ok(false) };
    let pull_requests = github.pull_requests(&task.repository, branch).await?;
    let open =
        pull_requests.iter().any(|pull_request| pull_request.is_open() && !pull_request.draft);
    let passed =
        !record.checks.is_empty() && record.checks.iter().all(|check| check.result == "passed");
    Ok(open && passed)
}

/// Returns a name that no earlier demo in the same directory used.
fn free_name(embedded: &Embedded) -> anyhow::Result<RepoName> {
    let mut names = (1..).map(|number| match number {
        1 => format!("{OWNER}/fizzbuzz"),
        _ => format!("{OWNER}/fizzbuzz-{number}"),
    });
    loop {
        let none = || Phrase::new("every name is taken", "使える名前がありません");
        let name = names.next().saying(none)?;
        if !embedded.hub.has_repository(&name)? {
            return Ok(name.parse()?);
        }
    }
}

/// Chooses the agent. It is the one that the user asked for; without a request it is Aider if this
/// machine has Aider and its model, and otherwise the scripted agent.
async fn choose_agent(config: &mut Config, arguments: &DemoArguments) -> anyhow::Result<()> {
    if let Some(model) = &arguments.model {
        config.agent.models = vec![model.clone()];
    }
    let is_aider = matches!(config.agent.kind, AgentKind::Aider(_));
    let wanted = match arguments.agent.as_deref() {
        Some("scripted") => false,
        Some(_) => {
            let file = config.file.display();
            anyhow::ensure!(
                is_aider,
                said(
                    format!(
                        "the agent of {file} is another command: the demo runs Aider or its script"
                    ),
                    format!(
                        "{file} のエージェントは別のコマンドです。\
                         デモで使えるのはAiderかスクリプトだけです"
                    ),
                )
            );
            agent(config).check_program()?;
            true
        }
        None => {
            let agent = agent(config);
            is_aider && agent.check_program().is_ok() && agent.check_model().await.is_ok()
        }
    };
    if !wanted {
        let program = std::env::current_exe().saying(|| {
            Phrase::new("can't find this program", "このプログラムの場所がわかりません")
        })?;
        config.agent.kind =
            AgentKind::Command(CommandSettings { argv: scripted_agent::argv(&program) });
        config.agent.models = vec!["none (scripted)".to_owned()];
        output::progress(config.language.pick(
            "agent: a script that knows this one issue, \
             since no agent was named and no model is at hand",
            "エージェント: このIssue専用のスクリプト\
             （エージェントの指定がなく、モデルも見つからないため）",
        ));
    }
    Ok(())
}

/// The configured agent, to ask whether it can work.
fn agent(config: &Config) -> Agent {
    let search_path = config.environment.search_path();
    Agent::new(&config.agent, search_path, &Sandbox::none(), &config.redaction)
}

/// Lowers the required sandbox level to what this machine has. The demo may run with less than a
/// worker needs, because this program wrote the issue itself.
async fn choose_sandbox(config: &mut Config) -> anyhow::Result<()> {
    let place = tempfile::tempdir().saying(no_temporary)?;
    let endpoint = &config.agent.model_endpoint;
    let found = Sandbox::find(
        &config.sandbox,
        &config.data_dir,
        place.path(),
        endpoint,
        &config.environment,
    )
    .await?;
    let SandboxReport { level, why, .. } = found.report();
    // A run logs its sandbox. What a worker would refuse is told here.
    if *level != Level::Full {
        output::progress(&config.language.pick(
            format!("sandbox: {level} ({}); a worker would not start like this", why.en),
            format!("サンドボックス: {level}（{}）。ワーカーはこの状態では起動しません", why.ja),
        ));
    }
    (config.sandbox.require, config.sandbox.accept_none) = (*level, true);
    Ok(())
}

async fn show(
    record: &RunRecord,
    repository: &Path,
    environment: &Environment,
    took: Duration,
    language: Language,
) -> anyhow::Result<()> {
    let (Some(branch), Some(url), Some(Outcome::Done)) =
        (&record.branch, &record.pull_request_url, record.outcome)
    else {
        let detail = record.detail.as_deref().unwrap_or_default();
        output::line(language.pick(
            format!("the task was not done: {detail}"),
            format!("タスクは完了しませんでした: {detail}"),
        ))?;
        return Ok(());
    };
    output::line(
        seed::git(
            &["diff", "--stat", "--patch", &format!("main..{branch}")],
            repository,
            environment,
        )
        .await?,
    )?;
    for check in &record.checks {
        let result = run_summary::check_result(check, language);
        let took = output::duration(Duration::from_secs_f64(check.seconds), language);
        output::line(format!("{:<7} {result}  {} ({took})", check.kind, check.command))?;
    }
    let took = output::duration(took, language);
    output::line(language.pick(format!("pull request  {url}"), format!("プルリクエスト  {url}")))?;
    output::line(language.pick(format!("done in {took}"), format!("完了しました（{took}）")))
}

fn result(task: &Task, record: &RunRecord, took: Duration) -> anyhow::Result<DemoResult> {
    let missing = || {
        let detail = record.detail.as_deref();
        Phrase::new(
            format!("the task was not done: {}", detail.unwrap_or("see the lines above")),
            format!("タスクは完了しませんでした: {}", detail.unwrap_or("上の行を確認してください")),
        )
    };
    let (Some(number), Some(url)) = (record.pull_request_number, record.pull_request_url.clone())
    else {
        return Err(Said::from(missing()).into());
    };
    Ok(DemoResult {
        task_key: task.key().to_string(),
        branch: record.branch.clone().saying(missing)?,
        commit: record.commit.clone().saying(missing)?,
        pull_request: ShownPullRequest {
            number,
            url,
            draft: record.outcome != Some(Outcome::Done),
        },
        checks: record.checks.clone(),
        repository: record.repository.clone(),
        seconds: took.as_secs_f64(),
    })
}
