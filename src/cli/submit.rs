//! `codingworker submit` puts a task into the queue.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use super::told::{Saying as _, file_phrase, said};
use super::{output, run_summary};
use crate::config::Config;
use crate::disk::FileAction;
use crate::github::{GitHub, Issue};
use crate::language::Phrase;
use crate::publish::TASK_LABEL;
use crate::queue::Queue;
use crate::run;
use crate::task::{IssueNumber, RepoName, Task};

/// Where a task comes from: an issue that is there, a message file, or a new issue.
#[derive(Debug, clap::Args)]
pub(super) struct SubmitArguments {
    /// An issue that is there, as owner/repo#N; it is given the label if it has none
    #[arg(long, value_name = "OWNER/REPO#N", conflicts_with_all = ["repository", "message"])]
    issue: Option<String>,
    /// The repository of a new issue
    #[arg(long, value_name = "OWNER/REPO", requires = "title", conflicts_with = "message")]
    repository: Option<RepoName>,
    /// The new issue's title
    #[arg(long, requires = "repository")]
    title: Option<String>,
    /// The new issue's text
    #[arg(long, requires = "repository", default_value = "")]
    body: String,
    /// A file that holds a task message, or - for standard input
    #[arg(value_name = "MESSAGE")]
    message: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: SubmitArguments, config: Config) -> anyhow::Result<ExitCode> {
    let SubmitArguments { issue, repository, title, body, message, json } = arguments;
    let task = match (issue, repository, title, message) {
        (Some(issue), ..) => of_issue(&config, &issue).await?,
        (None, Some(repository), Some(title), _) => {
            of_new_issue(&config, &repository, &title, &body).await?
        }
        (None, _, _, Some(file)) => of_file(&config, &file).await?,
        (None, ..) => {
            return Err(said(
                "name a task: --issue OWNER/REPO#N, or --repository and --title, or a message file",
                "タスクを指定してください（--issue OWNER/REPO#N、--repositoryと--title、\
                 またはメッセージのファイル）",
            )
            .into());
        }
    };
    let queue = Queue::connect(&config.queue, &config.redaction).await.saying(no_queue)?;
    let message_id = queue.send(&task.encode(), &[]).await?;
    if json {
        output::json(
            &serde_json::json!({ "message_id": message_id, "task_key": task.key().as_str() }),
        )?;
    } else {
        let issue = format!("{}#{}", task.repository, task.issue_number);
        output::line(config.language.pick(
            format!("queued {issue} as message {message_id}"),
            format!("{issue} をキューに入れました（メッセージ {message_id}）"),
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn of_issue(config: &Config, issue: &str) -> anyhow::Result<Task> {
    let (repository, number) = run_summary::parse_issue(issue)?;
    ensure_allowed(config, &repository)?;
    let github = github(config)?;
    let issue = github.issue(&repository, number).await?;
    let name = format!("{repository}#{number}");
    anyhow::ensure!(
        issue.is_open(),
        said(
            format!("{name} is {}: reopen it first", issue.state),
            format!("{name} は閉じられています。先に再オープンしてください"),
        )
    );
    anyhow::ensure!(
        issue.pull_request.is_none(),
        said(
            format!("{name} is a pull request, not an issue"),
            format!("{name} はIssueではなくプルリクエストです"),
        )
    );
    if !issue.has_label(TASK_LABEL) {
        github.add_label(&repository, number, TASK_LABEL).await?;
    }
    task(&repository, issue)
}

async fn of_new_issue(
    config: &Config,
    repository: &RepoName,
    title: &str,
    body: &str,
) -> anyhow::Result<Task> {
    ensure_allowed(config, repository)?;
    let issue = github(config)?.create_issue(repository, title, body, &[TASK_LABEL]).await?;
    let url = &issue.html_url;
    let opened = (format!("opened {url}"), format!("Issueを作成しました: {url}"));
    output::progress(&config.language.pick(opened.0, opened.1));
    task(repository, issue)
}

/// Refuses a repository that a worker with this configuration refuses. A configuration that lists
/// none is that of a machine without a worker, whose queue may serve any.
fn ensure_allowed(config: &Config, repository: &RepoName) -> anyhow::Result<()> {
    let file = config.file.display();
    anyhow::ensure!(
        config.repositories.is_empty() || config.allows(repository),
        said(
            format!(
                "{repository} is not in `repositories` of {file}, so a worker with this \
                 configuration would refuse the task: add it there, and to the configuration of \
                 the worker"
            ),
            format!(
                "{file} の `repositories` に {repository} がないため、この設定のワーカーは\
                 タスクを拒否します。このファイルとワーカーの設定に追加してください"
            ),
        )
    );
    Ok(())
}

async fn of_file(config: &Config, file: &std::path::Path) -> anyhow::Result<Task> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())?.into_bytes()
    } else {
        tokio::fs::read(file).await.saying(|| file_phrase(FileAction::Read, file))?
    };
    let task = Task::decode(&text).saying(|| {
        let file = file.display();
        Phrase::new(format!("{file} can't be queued"), format!("{file} をキューに入れられません"))
    })?;
    ensure_allowed(config, &task.repository)?;
    Ok(task)
}

pub(super) fn no_queue() -> Phrase {
    Phrase::new("can't use the queue", "キューを使用できません")
}

pub(super) fn no_number() -> Phrase {
    Phrase::new("the forge gave an issue the number 0", "フォージがIssueに番号0を付けました")
}

fn github(config: &Config) -> anyhow::Result<GitHub> {
    Ok(GitHub::new(&config.github, run::token(&config.github)?)?)
}

/// Makes the same message that the workflow sends for an issue.
fn task(repository: &RepoName, issue: Issue) -> anyhow::Result<Task> {
    let mut labels: Vec<_> = issue.labels.into_iter().map(|label| label.name).collect();
    if !labels.iter().any(|label| label.eq_ignore_ascii_case(TASK_LABEL)) {
        labels.push(TASK_LABEL.to_owned());
    }
    Ok(Task {
        issue_number: IssueNumber::new(issue.number).saying(no_number)?,
        repository: repository.clone(),
        title: issue.title,
        body: issue.body.unwrap_or_default(),
        labels,
        created_at: Timestamp::now(),
    })
}
