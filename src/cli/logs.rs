//! `codingworker logs` shows what the programs of runs printed, and how each run ended.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::AsyncReadExt;

use super::exit_code::Exit;
use super::told::{Said, Saying as _, file_phrase};
use super::{output, run_summary};
use crate::config::Config;
use crate::disk::FileAction;
use crate::journal::{JournalReader, RunId, RunRecord};
use crate::language::Phrase;
use crate::run;

const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(super) struct LogsArguments {
    /// The number of a run, as `codingworker status` shows it, or an issue as OWNER/NAME#7, all of
    /// whose runs are shown
    #[arg(value_name = "RUN|OWNER/NAME#7", required_unless_present = "since")]
    of: Option<String>,
    /// Only runs that began since then: 2h, 3d, 2026-11-24
    #[arg(long, value_name = "TIME", value_parser = run_summary::parse_since)]
    since: Option<Timestamp>,
    /// Go on until the last of the runs ends
    #[arg(long, short)]
    follow: bool,
}

pub(super) async fn run(arguments: LogsArguments, config: Config) -> anyhow::Result<ExitCode> {
    let found = find(&arguments, &config).await?;
    let (journal, runs) = found;
    let alone = runs.len() == 1;
    let last = runs.last().map(|run| run.run);
    for run in runs {
        if !alone {
            let (state, time) =
                (run_summary::state(&run, config.language), run_summary::when(run.started_at));
            let (number, task) = (named(run.run), run_summary::task(&run));
            let number = number.of(config.language);
            output::line(format!("== {number}  {time}  {state}  {task}"))?;
        }
        let follow = arguments.follow && Some(run.run) == last;
        let run = show(&journal, run, follow, &config).await?;
        tell_end(&run, &config)?;
    }
    Ok(Exit::Ok.into())
}

fn named(id: RunId) -> Phrase {
    Phrase::new(format!("run {id}"), format!("実行{id}"))
}

/// Finds the runs that are asked for, oldest first.
async fn find(
    arguments: &LogsArguments,
    config: &Config,
) -> anyhow::Result<(JournalReader, Vec<RunRecord>)> {
    let missing = |what: &Phrase| {
        let (Phrase { en, ja }, place) = (what, config.data_dir.display());
        Phrase::new(
            format!("there is no {en} in {place}: `codingworker status` lists them"),
            format!("{place} に{ja}はありません。`codingworker status` で一覧を確認できます"),
        )
    };
    let journal = JournalReader::open(&config.data_dir).await?;
    let number = arguments.of.as_ref().and_then(|of| of.parse().ok()).map(RunId::new);
    let (what, mut runs) = match (&arguments.of, number, journal) {
        (_, Some(id), Some(journal)) => {
            let run = journal.run(id).await?;
            let run = run.saying(|| missing(&named(id)))?;
            return Ok((journal, vec![run]));
        }
        (_, Some(id), None) => return Err(Said::from(missing(&named(id))).into()),
        (Some(issue), None, journal) => {
            let (repository, number) = run_summary::parse_issue(issue)?;
            let what = Phrase::new(format!("run of {issue}"), format!(" {issue} の実行"));
            let journal = journal.saying(|| missing(&what))?;
            let runs = journal.of_issue(&repository, number).await?;
            (what, (journal, runs))
        }
        (None, None, journal) => {
            let then = arguments.since.unwrap_or(Timestamp::UNIX_EPOCH);
            let time = run_summary::when(then);
            let what = Phrase::new(format!("run since {time}"), format!("{time}以降の実行"));
            let journal = journal.saying(|| missing(&what))?;
            let runs = journal.since(then).await?;
            (what, (journal, runs))
        }
    };
    if let Some(then) = arguments.since {
        runs.1.retain(|run| run.started_at >= then);
    }
    anyhow::ensure!(!runs.1.is_empty(), Said::from(missing(&what)));
    Ok(runs)
}

/// Prints the log of a run, to its end if the run is followed. Returns the run as it is then.
async fn show(
    journal: &JournalReader,
    mut run: RunRecord,
    follow: bool,
    config: &Config,
) -> anyhow::Result<RunRecord> {
    let path = run::log_file(&config.data_dir, run.run);
    let mut log =
        tokio::fs::File::open(&path).await.saying(|| file_phrase(FileAction::Read, &path))?;
    loop {
        // The run is asked first: what it wrote before its end is read then.
        run = journal.run(run.run).await?.unwrap_or(run);
        let mut text = Vec::new();
        log.read_to_end(&mut text).await?;
        std::io::stdout().write_all(&text)?;
        if run.ended_at.is_some() || !follow {
            return Ok(run);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Says after the log how the run ended, and why.
fn tell_end(run: &RunRecord, config: &Config) -> anyhow::Result<()> {
    let state = run_summary::state(run, config.language);
    let end = run.ended_at.map(|end| format!("  {}", run_summary::when(end))).unwrap_or_default();
    output::line(format!("-- {}: {state}{end}", named(run.run).of(config.language)))?;
    for line in run_summary::reason(run, config.language, &config.redaction) {
        output::line(format!("   {line}"))?;
    }
    Ok(())
}
