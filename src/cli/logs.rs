//! `codingworker logs` shows what the programs of a run printed.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::io::AsyncReadExt;

use super::exit_code::Exit;
use crate::config::Config;
use crate::journal::{JournalReader, RunId};
use crate::run;

const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(super) struct LogsArguments {
    /// The number of the run, as `codingworker status` shows it
    run: i64,
    /// Go on until the run ends
    #[arg(long, short)]
    follow: bool,
}

pub(super) async fn run(arguments: LogsArguments, config: Config) -> anyhow::Result<ExitCode> {
    let id = RunId::new(arguments.run);
    let missing = || {
        format!(
            "there is no run {id} in {}: `codingworker status` lists them",
            config.data_dir.display()
        )
    };
    let journal = JournalReader::open(&config.data_dir).await?.with_context(missing)?;
    journal.run(id).await?.with_context(missing)?;
    let path = run::log_file(&config.data_dir, id);
    let mut log = tokio::fs::File::open(&path)
        .await
        .with_context(|| format!("can't read {}", path.display()))?;
    loop {
        let ended = journal.run(id).await?.is_none_or(|record| record.ended_at.is_some());
        let mut text = Vec::new();
        log.read_to_end(&mut text).await?;
        std::io::stdout().write_all(&text)?;
        if ended || !arguments.follow {
            return Ok(Exit::Ok.into());
        }
        tokio::time::sleep(POLL).await;
    }
}
