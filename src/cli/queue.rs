//! `codingworker queue` serves the embedded queue.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use secrecy::ExposeSecret;

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
}

pub(super) async fn run(command: QueueCommand, config: Config) -> anyhow::Result<ExitCode> {
    let QueueCommand::Serve(Serve { data, listen }) = command;
    let language = config.language;
    let keys = config.queue_keys.map(|keys| localsqs::KeyPair {
        access_key_id: keys.access_key_id,
        secret_access_key: keys.secret_access_key.expose_secret().to_owned(),
    });
    let options = localsqs::Options { credentials: keys, ..localsqs::Options::default() };
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
