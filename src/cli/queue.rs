//! `codingworker queue` serves the embedded queue.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use secrecy::ExposeSecret;

use super::told::{Said, said};
use super::{embedded, output, signals};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// Serve an SQS-compatible queue, with codingworker-tasks and its dead-letter queue in it
    Serve(Serve),
}

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Where messages are kept
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where to listen; an address that others can reach needs a key pair, in
    /// `CODINGWORKER_QUEUE_ACCESS_KEY_ID` and `CODINGWORKER_QUEUE_SECRET_ACCESS_KEY`
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9324")]
    listen: SocketAddr,
    #[command(flatten)]
    queue: QueueArguments,
}

/// How the embedded queue stands in for one at AWS.
#[derive(Debug, clap::Args)]
pub(super) struct QueueArguments {
    /// The AWS region in the queues' ARNs, for which clients sign their requests
    #[arg(long, default_value = "us-east-1", value_parser = region)]
    region: String,
    /// The number of the AWS account in the queues' URLs and ARNs
    #[arg(long, default_value = "000000000000", value_parser = account)]
    account: String,
    /// Allow at once what SQS refuses for 60 seconds: another `PurgeQueue`, and `CreateQueue` with
    /// the name of a deleted queue
    #[arg(long)]
    no_cooldown: bool,
}

impl QueueArguments {
    /// The options of a queue that only this machine can reach.
    pub(super) fn options(self) -> localsqs::Options {
        let Self { region, account, no_cooldown } = self;
        let defaults = localsqs::Options::default();
        let cooldown = if no_cooldown { Duration::ZERO } else { defaults.cooldown };
        localsqs::Options { region, account, cooldown, ..defaults }
    }
}

/// Parses a region. Test suites name regions that AWS does not have, such as `local`.
fn region(text: &str) -> Result<String, Said> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=63).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(said(
        format!(
            "{text:?} is not a region: at most 63 lowercase letters, digits and hyphens, such as \
             ap-northeast-1"
        ),
        format!(
            "{text:?} はリージョンとして使えません。必要な値: 英小文字、数字、ハイフンで63文字以内\
             （例: ap-northeast-1）"
        ),
    ))
}

/// Parses the number of an account.
fn account(text: &str) -> Result<String, Said> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(said(
        format!("{text:?} is not the number of an AWS account: 12 digits"),
        format!("{text:?} はAWSアカウントの番号ではありません。必要な値: 12桁の数字"),
    ))
}

pub(super) async fn run(command: QueueCommand, config: Config) -> anyhow::Result<ExitCode> {
    let QueueCommand::Serve(Serve { data, listen, queue }) = command;
    let language = config.language;
    let keys = config.queue_keys.map(|keys| localsqs::KeyPair {
        access_key_id: keys.access_key_id,
        secret_access_key: keys.secret_access_key.expose_secret().to_owned(),
    });
    let options = localsqs::Options { credentials: keys, ..queue.options() };
    let queues = localsqs::Queues::open(&data, options)?;
    embedded::create_queues(&queues).await?;
    let stop = signals::stop()?;
    let listener = embedded::listen(listen, embedded::QUEUE, "--listen").await?;
    let (name, address) = (embedded::QUEUE_NAME, listener.local_addr()?);
    output::line(language.pick(
        format!("queue {name} at http://{address}"),
        format!("キュー {name}: http://{address}"),
    ))?;
    localsqs::serve(listener, queues, stop.graceful.cancelled_owned()).await?;
    Ok(ExitCode::SUCCESS)
}
