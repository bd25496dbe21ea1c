//! Starts the embedded queue and forge for a command that needs a whole system on this machine.
//!
//! Only this file and `queue serve` know them. All other code talks to them over the network, as it
//! would to AWS and GitHub.

mod japanese;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use localhub::Hub;
use localsqs::{Difference, Queues};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::told::{Saying as _, file_phrase};
use crate::config::Config;
use crate::disk::FileAction;
use crate::environment::Environment;
use crate::language::{Phrase, Text};
use crate::process;
use crate::queue::settings::CredentialSource;
use crate::run::StartError;
use crate::task::RepoName;

/// The name of the queue in the contract. The name of its dead-letter queue ends with `-dlq`.
pub(super) const QUEUE_NAME: &str = "codingworker-tasks";

/// What the servers are called in an error.
pub(super) const QUEUE: Text = Text { en: "the queue", ja: "キュー" };
const FORGE: Text = Text { en: "the forge", ja: "フォージ" };

/// The attributes of the contract's two queues. Terraform gives the same ones to the queues at AWS.
const MAIN: &[(&str, &str)] = &[
    ("VisibilityTimeout", "10800"),
    ("MessageRetentionPeriod", "604800"),
    ("ReceiveMessageWaitTimeSeconds", "20"),
    ("SqsManagedSseEnabled", "true"),
];
const DEAD_LETTER: &[(&str, &str)] =
    &[("MessageRetentionPeriod", "1209600"), ("SqsManagedSseEnabled", "true")];
const MAX_RECEIVE_COUNT: u32 = 3;

/// Makes the contract's queues if they do not exist. A queue that somebody changed is left so.
pub(super) async fn create_queues(queues: &Queues) -> anyhow::Result<()> {
    let dead_letter_name = format!("{QUEUE_NAME}-dlq");
    let source = queues.arn(QUEUE_NAME);
    let mut dead_letter = attributes(DEAD_LETTER);
    let allow = serde_json::json!({ "redrivePermission": "byQueue", "sourceQueueArns": [source] });
    dead_letter.insert("RedriveAllowPolicy".to_owned(), allow.to_string());
    ensure_queue(queues, &dead_letter_name, &dead_letter).await?;
    let mut main = attributes(MAIN);
    let redrive = serde_json::json!({
        "deadLetterTargetArn": queues.arn(&dead_letter_name),
        "maxReceiveCount": MAX_RECEIVE_COUNT,
    });
    main.insert("RedrivePolicy".to_owned(), redrive.to_string());
    ensure_queue(queues, QUEUE_NAME, &main).await
}

async fn ensure_queue(
    queues: &Queues,
    name: &str,
    attributes: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    for Difference { attribute, wanted, there } in queues.ensure(name, attributes).await? {
        let there = there.unwrap_or_default();
        tracing::warn!(
            queue = name,
            attribute,
            wanted,
            there,
            "an attribute of the queue is not the contract's: it is left as it is"
        );
    }
    Ok(())
}

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A queue and a forge that run inside this program until they are dropped.
pub(super) struct Embedded {
    pub(super) queue: SocketAddr,
    pub(super) forge: SocketAddr,
    pub(super) hub: Hub,
    stop: CancellationToken,
    servers: JoinSet<std::io::Result<()>>,
}

/// The addresses at which the queue and the forge listen. Port 0 selects a free port.
pub(super) struct Addresses {
    pub(super) queue: SocketAddr,
    pub(super) forge: SocketAddr,
}

impl Embedded {
    /// Starts the queue and the forge with their data below `directory`.
    pub(super) async fn start(
        directory: &Path,
        addresses: Addresses,
        queue: localsqs::Options,
        environment: &Environment,
    ) -> anyhow::Result<Self> {
        let git =
            process::find_executable("git", environment.search_path()).ok_or(StartError::NoGit)?;
        let queues = Queues::open(&directory.join("queue"), queue)?;
        create_queues(&queues).await?;
        let hub = Hub::open(&directory.join("forge"), git)?;
        let queue_listener = listen(addresses.queue, QUEUE, "--queue-listen").await?;
        let forge_listener = listen(addresses.forge, FORGE, "--forge-listen").await?;
        let (queue, forge) = (queue_listener.local_addr()?, forge_listener.local_addr()?);
        let stop = CancellationToken::new();
        let mut servers = JoinSet::new();
        servers.spawn(localsqs::serve(queue_listener, queues, stop.clone().cancelled_owned()));
        servers.spawn(localhub::serve(forge_listener, hub.clone(), stop.clone().cancelled_owned()));
        Ok(Self { queue, forge, hub, stop, servers })
    }

    /// Makes the user that owns the repositories and returns its token. The token stays the same as
    /// long as its file exists.
    pub(super) fn add_owner(&self, login: &str, token_file: &Path) -> anyhow::Result<String> {
        let token = match std::fs::read_to_string(token_file) {
            Ok(token) => token,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
                let token = Uuid::new_v4().simple().to_string();
                write_private(token_file, &token)?;
                token
            }
            Err(error) => {
                return Err(error).saying(|| file_phrase(FileAction::Read, token_file));
            }
        };
        self.hub.add_user(login, &token)?;
        Ok(token)
    }

    /// Makes a repository if it does not exist, and returns its path on the disk.
    pub(super) fn have_repository(&self, repository: &RepoName) -> anyhow::Result<PathBuf> {
        let name = repository.to_string();
        if !self.hub.has_repository(&name)? {
            self.hub.create_repository(&name, "main", false)?;
        }
        Ok(self.hub.repository_path(&name)?)
    }

    /// Returns the configuration of a worker that uses this queue and this forge.
    pub(super) fn connect(&self, mut config: Config, token: &str) -> Config {
        config.queue.name = QUEUE_NAME.to_owned();
        config.queue.url = None;
        config.queue.endpoint_url = Some(self.queue_url());
        config.queue.credentials = CredentialSource::Anonymous;
        config.github.api_url = self.forge_url();
        config.github.git_url = self.forge_url();
        let token = SecretString::from(token);
        config.redaction.learn(&token);
        config.github.token = Some(token.into());
        config
    }

    pub(super) fn queue_url(&self) -> String {
        format!("http://{}", self.queue)
    }

    pub(super) fn forge_url(&self) -> String {
        format!("http://{}", self.forge)
    }

    /// Stops the queue and the forge, and waits until their data is on the disk.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.servers.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// Writes a file that only its owner can read. open(2) makes a new file with this mode at once,
/// because a later chmod would leave a moment in which others could open the file. A file that
/// exists keeps its mode.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .saying(|| file_phrase(FileAction::Write, path))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Listens on an address. An error names the flag that changes it.
pub(super) async fn listen(
    address: SocketAddr,
    what: Text,
    flag: &str,
) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.saying(|| {
        Phrase::new(
            format!(
                "{} can't listen on {address}: end what does, or name another with {flag}",
                what.en
            ),
            format!(
                "{}が {address} で待ち受けできません。このアドレスを使っているプログラムを\
                 終了するか、{flag} で別のアドレスを指定してください",
                what.ja
            ),
        )
    })
}
