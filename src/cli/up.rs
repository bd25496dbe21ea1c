//! `codingworker up` runs a queue, a forge and a worker together and stores their data in one
//! directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::embedded::{Addresses, Embedded};
use super::exit_code::Exit;
use super::{output, signals, worker};
use crate::config::Config;
use crate::task::RepoName;

/// The user of the forge who owns the repositories that this command makes and to whom the token
/// belongs.
const OWNER: &str = "me";

#[derive(Debug, clap::Args)]
pub(super) struct UpArguments {
    /// Where everything is kept; else `local` in the data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A repository to have on the forge, made empty when it is not there; may be given more than
    /// once
    #[arg(long, value_name = "OWNER/REPO", default_value = "me/project")]
    repository: Vec<RepoName>,
    /// Where the queue listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9324")]
    queue_listen: SocketAddr,
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
        .with_context(|| format!("can't make {}", directory.display()))?;
    let directory = directory.canonicalize()?;
    let addresses = Addresses { queue: arguments.queue_listen, forge: arguments.forge_listen };
    let embedded = Embedded::start(&directory, addresses, &config.environment).await?;
    let token_file = directory.join("token");
    let token = embedded.add_owner(OWNER, &token_file)?;
    for repository in &arguments.repository {
        embedded.have_repository(repository)?;
    }
    let mut config = embedded.connect(config, &token);
    config.data_dir = directory.join("worker");
    config.sandbox.accept_none = arguments.without_sandbox;
    config.repositories = arguments.repository;
    let file = describe(&directory, &embedded, &token_file, &config.repositories)?;

    let stop = signals::stop()?;
    let worker = Arc::new(worker::start(config).await?);
    let shown = CancellationToken::new();
    let following = worker::follow(Arc::clone(&worker), shown.clone()).await?;
    output::line(guide(&embedded, &token_file, &file, &worker.services().config.repositories))?;
    worker.run(&stop).await;
    shown.cancel();
    following.await??;
    embedded.stop().await?;
    Ok(Exit::Ok.into())
}

/// Returns the commands that a person needs next, ready to be copied.
fn guide(embedded: &Embedded, token_file: &Path, file: &Path, repositories: &[RepoName]) -> String {
    let repository = repositories.first().map(ToString::to_string).unwrap_or_default();
    let (forge, token_file) = (embedded.forge, token_file.display());
    format!(
        "queue   {}\nforge   {}, token in {token_file}\n\
         clone   git clone \"http://{OWNER}:$(cat {token_file})@{forge}/{repository}.git\"\n\
         submit  codingworker --config {} submit --repository {repository} \
         --title \"...\" --body \"...\"",
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
    repositories: &[RepoName],
) -> anyhow::Result<PathBuf> {
    let mut settings = toml::Table::new();
    let names =
        repositories.iter().map(|repository| toml::Value::String(repository.to_string())).collect();
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
        .with_context(|| format!("can't write {}", file.display()))?;
    Ok(file)
}
