//! `codingworker up` runs a queue, a forge and a worker together and stores their data in one
//! directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::embedded::{Addresses, Embedded};
use super::exit_code::Exit;
use super::queue::QueueArguments;
use super::told::{Saying as _, file_phrase};
use super::{output, seed, signals, worker};
use crate::config::Config;
use crate::disk::FileAction;
use crate::errors;
use crate::language::Language;
use crate::task::RepoName;

/// The user of the forge who owns the repositories that this command makes and to whom the token
/// belongs.
const OWNER: &str = "me";

/// The repository that there is when the user names none, and what its first commit holds.
const PROJECT: &str = "me/project";
const FILES: &[(&str, &str)] = &[("README.md", "# project\n\nA repository to try tasks on.\n")];

#[derive(Debug, clap::Args)]
pub(super) struct UpArguments {
    /// Where everything is kept; else `local` in the data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A repository to have on the forge, made empty when it is not there; may be given more than
    /// once. Without it there is me/project, with a first commit
    #[arg(long, value_name = "OWNER/REPO")]
    repository: Vec<RepoName>,
    /// Where the queue listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9324")]
    queue_listen: SocketAddr,
    #[command(flatten)]
    queue: QueueArguments,
    /// Where the forge listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9325")]
    forge_listen: SocketAddr,
    /// Run agents and checks without any sandbox, where the configuration's `sandbox.require` is
    /// "none"
    #[arg(long = "unsafe")]
    without_sandbox: bool,
}

pub(super) async fn run(arguments: UpArguments, config: Config) -> anyhow::Result<ExitCode> {
    let directory = arguments.data.unwrap_or_else(|| config.data_dir.join("local"));
    crate::disk::make_private_directory(&directory)
        .saying(|| file_phrase(FileAction::MakeDirectory, &directory))?;
    let directory = directory.canonicalize()?;
    let addresses = Addresses { queue: arguments.queue_listen, forge: arguments.forge_listen };
    let queue = arguments.queue.options();
    let embedded = Embedded::start(&directory, addresses, queue, &config.environment).await?;
    let token_file = directory.join("token");
    let token = embedded.add_owner(OWNER, &token_file)?;
    let mut repositories = arguments.repository;
    for repository in &repositories {
        embedded.have_repository(repository)?;
    }
    if repositories.is_empty() {
        let repository: RepoName = PROJECT.parse()?;
        let path = embedded.have_repository(&repository)?;
        // A task for a repository without a commit fails at once. A repository that the user named
        // waits for the user's own first push, which a commit would be in the way of.
        if seed::is_empty(&path, &config.environment).await? {
            seed::seed(&path, FILES, &directory, &config.environment).await?;
        }
        repositories.push(repository);
    }
    let mut config = embedded.connect(config, &token);
    config.data_dir = directory.join("worker");
    config.sandbox.accept_none = arguments.without_sandbox;
    config.repositories = repositories;
    let file = describe(&directory, &embedded, &token_file, &config)?;

    let stop = signals::stop()?;
    let language = config.language;
    let worker = Arc::new(worker::start(config, worker::Agents::MayCome).await?);
    let repositories = &worker.services().config.repositories;
    output::line(guide(language, &embedded, &token_file, &file, repositories))?;
    if let Err(missing) = worker.services().agent.check_program() {
        let missing = errors::told(&missing, language);
        output::line(language.pick(
            format!("agent   none yet: {missing}. No task is taken until then."),
            format!("agent   {missing}（それまでタスクは受信しません）"),
        ))?;
    }
    worker.run(&stop).await;
    embedded.stop().await?;
    Ok(Exit::Ok.into())
}

/// Returns the commands that a person needs next, ready to be copied.
fn guide(
    language: Language,
    embedded: &Embedded,
    token_file: &Path,
    file: &Path,
    repositories: &[RepoName],
) -> String {
    let repository = repositories.first().map(ToString::to_string).unwrap_or_default();
    let (forge, token_file) = (embedded.forge, token_file.display());
    let title = language.pick("Add a greeting", "あいさつを追加する");
    let token_in = language.pick("token in", "トークン:");
    format!(
        "queue   {}\nforge   {}, {token_in} {token_file}\n\
         clone   git clone \"http://{OWNER}:$(cat {token_file})@{forge}/{repository}.git\"\n\
         submit  codingworker --config {} submit --repository {repository} \
         --title \"{title}\"",
        embedded.queue_url(),
        embedded.forge_url(),
        file.display()
    )
}

/// Writes the settings with which other commands connect to these servers.
fn describe(
    directory: &Path,
    embedded: &Embedded,
    token_file: &Path,
    config: &Config,
) -> anyhow::Result<PathBuf> {
    let mut settings = toml::Table::new();
    let names = config.repositories.iter();
    let names = names.map(|repository| toml::Value::String(repository.to_string())).collect();
    settings.insert("language".to_owned(), toml::Value::try_from(config.language)?);
    settings.insert("repositories".to_owned(), toml::Value::Array(names));
    settings.insert(
        "data_dir".to_owned(),
        toml::Value::String(directory.join("worker").to_string_lossy().into_owned()),
    );
    let queue = toml::Table::from_iter([(
        "endpoint_url".to_owned(),
        toml::Value::String(embedded.queue_url()),
    )]);
    let github = [
        ("api_url", embedded.forge_url()),
        ("git_url", embedded.forge_url()),
        ("token_file", token_file.to_string_lossy().into_owned()),
    ];
    let github = github
        .into_iter()
        .map(|(key, value)| (key.to_owned(), toml::Value::String(value)))
        .collect();
    settings.insert("queue".to_owned(), toml::Value::Table(queue));
    settings.insert("github".to_owned(), toml::Value::Table(github));
    let file = directory.join("codingworker.toml");
    std::fs::write(&file, toml::to_string(&settings)?)
        .saying(|| file_phrase(FileAction::Write, &file))?;
    Ok(file)
}
