//! `codingworker demo` shows every step from an issue to a pull request on this machine.
//!
//! Only the forge and the queue differ from production. The agent also differs when this machine
//! has no model.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::embedded::{Addresses, Embedded};
use super::exit_code::Exit;
use super::{output, scripted_agent, worker};
use crate::agent::Agent;
use crate::agent::settings::{AgentKind, CommandSettings};
use crate::config::Config;
use crate::environment::Environment;
use crate::github::GitHub;
use crate::journal::{CheckRecord, Outcome, RunRecord};
use crate::process;
use crate::publish::TASK_LABEL;
use crate::queue::Queue;
use crate::run::StartError;
use crate::sandbox::{Level, Sandbox, SandboxReport};
use crate::task::{IssueNumber, RepoName, Task};
use crate::worker::{Stop, Turn};

const OWNER: &str = "demo";
const TITLE: &str = "Add a FizzBuzz function";
const BODY: &str = "Create `fizzbuzz.py` with a function `fizzbuzz(number)` that returns \"Fizz\" \
for multiples of three, \"Buzz\" for multiples of five, \"FizzBuzz\" for multiples of both, and \
the number as a string otherwise. Run as a program it prints FizzBuzz from 1 to 100.";

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
    /// Print JSON
    #[arg(long)]
    json: bool,
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

pub(super) async fn run(arguments: DemoArguments, config: Config) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let temporary = tempfile::tempdir().context("can't make a temporary directory")?;
    let directory = arguments.dir.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    crate::disk::make_private_directory(&directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    let directory = directory.canonicalize()?;
    let environment = config.environment.clone();

    let addresses =
        Addresses { queue: ([127, 0, 0, 1], 0).into(), forge: ([127, 0, 0, 1], 0).into() };
    let embedded = Embedded::start(&directory, addresses, &environment).await?;
    let token = embedded.add_owner(OWNER, &directory.join("token"))?;
    let repository = free_name(&embedded)?;
    let path = embedded.have_repository(&repository)?;
    seed(&path, &directory, &environment).await?;

    let mut config = embedded.connect(config, &token);
    config.data_dir = directory.join("worker");
    config.repositories = vec![repository.clone()];
    choose_agent(&mut config, &arguments).await?;
    choose_sandbox(&mut config).await?;

    let github =
        GitHub::new(&config.github, config.github.token.as_ref().ok_or(StartError::NoToken)?)?;
    let issue = github.create_issue(&repository, TITLE, BODY, &[TASK_LABEL]).await?;
    output::progress(&format!(
        "issue #{} \"{}\" is labelled {TASK_LABEL}",
        issue.number, issue.title
    ));
    let task = Task {
        issue_number: IssueNumber::new(issue.number)
            .context("the forge gave an issue the number 0")?,
        repository,
        title: issue.title,
        body: issue.body.unwrap_or_default(),
        labels: vec![TASK_LABEL.to_owned()],
        created_at: Timestamp::now(),
    };
    let queue = Queue::connect(&config.queue, &config.redaction).await?;
    queue.send(&task.encode(), &[]).await?;

    let worker = Arc::new(worker::start(config).await?);
    let shown = CancellationToken::new();
    let following = worker::follow(Arc::clone(&worker), shown.clone()).await?;
    let turn = worker.turn(Duration::from_secs(5), &Stop::default()).await;
    shown.cancel();
    following.await??;
    let Turn::Worked(_) = turn? else { anyhow::bail!("the queue lost the demo's message") };

    let record = worker
        .services()
        .journal
        .attempts(&task.key())
        .await?
        .pop()
        .context("the run left no record")?;
    let done =
        record.outcome == Some(Outcome::Done) && is_published(&github, &task, &record).await?;
    if arguments.json {
        output::json(&result(&task, &record, began.elapsed())?)?;
    } else {
        show(&record, &path, &environment, began.elapsed()).await?;
        if arguments.dir.is_some() {
            output::line(format!("everything is in {}", directory.display()))?;
        }
    }
    embedded.stop().await?;
    Ok(if done { Exit::Ok } else { Exit::Error }.into())
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
        let name = names.next().context("there is no end of numbers")?;
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
    let search_path = config.environment.search_path().clone();
    let aider = match &config.agent.kind {
        AgentKind::Aider(aider) => {
            process::find_executable(&aider.executable, &search_path).is_some()
        }
        AgentKind::Command(_) => false,
    };
    let wanted = match arguments.agent.as_deref() {
        Some("scripted") => false,
        Some(_) => {
            anyhow::ensure!(
                aider,
                "aider was not found on the PATH: \
                 install it with `python3 -m pip install aider-chat`"
            );
            true
        }
        None => {
            aider
                && Agent::new(&config.agent, &search_path, &Sandbox::none(), &config.redaction)
                    .check_model()
                    .await
                    .is_ok()
        }
    };
    if !wanted {
        let program = std::env::current_exe().context("can't find this program")?;
        config.agent.kind =
            AgentKind::Command(CommandSettings { argv: scripted_agent::argv(&program) });
        config.agent.models = vec!["none (scripted)".to_owned()];
        output::progress(
            "agent: a script that knows this one issue, \
             since no agent was named and no model is at hand",
        );
    }
    Ok(())
}

/// Lowers the required sandbox level to what this machine has. The demo may run with less than a
/// worker needs, because this program wrote the issue itself.
async fn choose_sandbox(config: &mut Config) -> anyhow::Result<()> {
    let place = tempfile::tempdir().context("can't make a temporary directory")?;
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
    match level {
        Level::Full => output::progress("sandbox: full"),
        Level::Degraded | Level::None => {
            output::progress(&format!(
                "sandbox: {level} ({why}); a worker would not start like this"
            ));
        }
    }
    (config.sandbox.require, config.sandbox.accept_none) = (*level, true);
    Ok(())
}

/// Pushes the first commit to the demo's repository.
async fn seed(repository: &Path, scratch: &Path, environment: &Environment) -> anyhow::Result<()> {
    let tree = tempfile::tempdir_in(scratch)?;
    for (name, text) in FILES {
        std::fs::write(tree.path().join(name), text)?;
    }
    let destination = repository.to_string_lossy();
    for arguments in [
        vec!["init", "--quiet", "--initial-branch=main"],
        vec!["add", "--all"],
        vec![
            "-c",
            "user.name=Demo",
            "-c",
            "user.email=demo@localhost",
            "commit",
            "--quiet",
            "--message",
            "A first commit",
        ],
        vec!["push", "--quiet", &destination, "main"],
    ] {
        git(&arguments, tree.path(), environment).await?;
    }
    Ok(())
}

async fn git(
    arguments: &[&str],
    directory: &Path,
    environment: &Environment,
) -> anyhow::Result<String> {
    let program = process::find_executable("git", environment.search_path())
        .context("git was not found on the PATH: install it")?;
    let mut variables =
        crate::sandbox::clean_environment(environment.search_path(), directory, directory);
    variables.extend(
        [("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")]
            .map(|(name, value)| (name.into(), value.into())),
    );
    let invocation = process::Invocation {
        program,
        arguments: arguments.iter().map(Into::into).collect(),
        directory: directory.to_path_buf(),
        environment: variables,
        input: Vec::new(),
        deadline: Duration::from_secs(60),
        output_limit: 1 << 20,
        streams: process::Streams::Merged,
        log: None,
    };
    let finished = process::run(invocation, &CancellationToken::new()).await?;
    let output = String::from_utf8_lossy(&finished.output).into_owned();
    anyhow::ensure!(
        finished.ending == process::Ending::Exited(0),
        "git {} failed: {output}",
        arguments.join(" ")
    );
    Ok(output)
}

async fn show(
    record: &RunRecord,
    repository: &Path,
    environment: &Environment,
    took: Duration,
) -> anyhow::Result<()> {
    let (Some(branch), Some(url), Some(Outcome::Done)) =
        (&record.branch, &record.pull_request_url, record.outcome)
    else {
        output::line(format!(
            "the task was not done: {}",
            record.detail.as_deref().unwrap_or("see the lines above")
        ))?;
        return Ok(());
    };
    output::line(
        git(&["diff", "--stat", "--patch", &format!("main..{branch}")], repository, environment)
            .await?,
    )?;
    for check in &record.checks {
        output::line(format!(
            "{:<7} {:<9} {} ({:.1} s)",
            check.kind, check.result, check.command, check.seconds
        ))?;
    }
    output::line(format!("pull request  {url}"))?;
    output::line(format!("done in {}", output::duration(took)))
}

fn result(task: &Task, record: &RunRecord, took: Duration) -> anyhow::Result<DemoResult> {
    let missing = || {
        format!(
            "the task was not done: {}",
            record.detail.as_deref().unwrap_or("see the lines above")
        )
    };
    let (Some(number), Some(url)) = (record.pull_request_number, record.pull_request_url.clone())
    else {
        anyhow::bail!(missing());
    };
    Ok(DemoResult {
        task_key: task.key().to_string(),
        branch: record.branch.clone().with_context(missing)?,
        commit: record.commit.clone().with_context(missing)?,
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
