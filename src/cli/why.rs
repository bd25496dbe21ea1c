//! `codingworker why` tells what became of an issue: each attempt with its reason, the failing
//! check with the end of its output, the agent's last words, and where the rest is.

use std::process::ExitCode;

use jiff::Timestamp;

use super::exit_code::Exit;
use super::told::Saying as _;
use super::{output, run_summary};
use crate::config::Config;
use crate::journal::{Event, JournalReader, RunRecord};
use crate::language::Phrase;
use crate::publish;
use crate::run;

/// How many lines of a program's output are shown.
const SHOWN_LINES: usize = 20;

/// How an event begins to say that a check could not be run.
const NOT_RUN: &str = "could not be run";

/// How wide the column of labels is.
const COLUMN: usize = 10;

#[derive(Debug, clap::Args)]
pub(super) struct WhyArguments {
    /// The issue
    #[arg(value_name = "OWNER/NAME#7")]
    issue: String,
}

pub(super) async fn run(arguments: WhyArguments, config: Config) -> anyhow::Result<ExitCode> {
    let (repository, number) = run_summary::parse_issue(&arguments.issue)?;
    let none = || {
        let (issue, place) = (format!("{repository}#{number}"), config.data_dir.display());
        Phrase::new(
            format!(
                "no run of {issue} is in {place}: another worker may have worked on it, and its \
                 comment on the issue says how it ended"
            ),
            format!(
                "{place} に {issue} の実行の記録はありません。別のワーカーが作業した場合は、\
                 Issueのコメントで結果を確認できます"
            ),
        )
    };
    let journal = JournalReader::open(&config.data_dir).await?.saying(none)?;
    let runs = journal.of_issue(&repository, number).await?;
    let last = runs.last().saying(none)?;
    let language = config.language;
    output::line(run_summary::task(last))?;
    for run in &runs {
        let attempt =
            language.pick(format!("attempt {}", run.attempt), format!("{}回目の配信", run.attempt));
        let (state, time) =
            (run_summary::state(run, language), run_summary::time(run, Timestamp::now(), language));
        let label = language.pick(format!("run {}", run.run), format!("実行{}", run.run));
        output::row(&label, COLUMN, &format!("{state}  {time}  {attempt}"))?;
        for line in run_summary::reason(run, language, &config.redaction) {
            output::row("", COLUMN, &line)?;
        }
        if let Some(url) = &run.pull_request_url {
            output::row("", COLUMN, url)?;
        }
    }
    show_details(&journal, last, &config).await?;
    Ok(Exit::Ok.into())
}

/// Shows what the last run's programs said, and where the rest is.
async fn show_details(
    journal: &JournalReader,
    run: &RunRecord,
    config: &Config,
) -> anyhow::Result<()> {
    let language = config.language;
    let path = run::log_file(&config.data_dir, run.run);
    let log = tokio::fs::read(&path).await.unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let events = journal.events(run.run).await?;
    for check in run.checks.iter().filter(|check| check.result != "passed") {
        let label = language.pick("check", "チェック");
        let result = run_summary::check_result(check, language);
        output::row(label, COLUMN, &format!("{}: {result}", check.command))?;
        for line in run_summary::obstacle(check, language, &config.redaction) {
            output::row("", COLUMN, &line)?;
        }
        excerpt(&of_check(&log, &check.command))?;
    }
    // A run that failed before its end has no results, and its log has.
    if run.checks.is_empty()
        && let Some((command, said)) = last_failed(&events)
    {
        output::row(language.pick("check", "チェック"), COLUMN, command)?;
        // Why it could not be run is nowhere else.
        if said.starts_with(NOT_RUN) {
            output::row("", COLUMN, &publish::plain_line(&config.redaction.redact(said)))?;
        }
        excerpt(&of_check(&log, command))?;
    }
    let said = of_agent(&log, &events);
    if !said.is_empty() {
        let label = language.pick("agent", "AI");
        output::row(label, COLUMN, language.pick("its last words:", "エージェントの最後の出力："))?;
        excerpt(&said)?;
    }
    output::row(language.pick("log", "ログ"), COLUMN, &path.display().to_string())?;
    if let Some(branch) = &run.branch {
        output::row(language.pick("branch", "ブランチ"), COLUMN, branch)?;
    }
    Ok(())
}

fn excerpt(lines: &[&str]) -> anyhow::Result<()> {
    let left_out = lines.len().saturating_sub(SHOWN_LINES);
    for line in lines.iter().skip(left_out) {
        let line = publish::plain(console::strip_ansi_codes(line).trim_end());
        output::line(format!("{}| {line}", " ".repeat(COLUMN)))?;
    }
    Ok(())
}

/// Whether a line of a log is the worker's own: a time after a `#`, or the command of a check.
fn is_heading(line: &str) -> bool {
    let time = line.strip_prefix("# ").and_then(|rest| rest.split_whitespace().next());
    time.is_some_and(|time| time.parse::<Timestamp>().is_ok()) || line.starts_with("$ ")
}

/// The output of the last time that a check ran.
fn of_check<'l>(log: &'l str, command: &str) -> Vec<&'l str> {
    let lines: Vec<_> = log.lines().collect();
    let heading = format!("$ {}", command.lines().next().unwrap_or_default());
    let Some(begin) = lines.iter().rposition(|line| *line == heading) else { return Vec::new() };
    let output = lines.into_iter().skip(begin + 1);
    output.take_while(|line| !is_heading(line)).collect()
}

/// The output of the last call of the agent that printed something: what stands before the line
/// that tells its verdict.
fn of_agent<'l>(log: &'l str, events: &[Event]) -> Vec<&'l str> {
    let verdict = |event: &&Event| {
        let said = event.text.split_once(" with ");
        said.is_some_and(|(agent, rest)| !agent.contains(' ') && rest.contains(": "))
    };
    let mut lines: Vec<_> = log.lines().collect();
    for verdict in events.iter().rev().filter(verdict) {
        let is_verdict = |line: &&str| is_heading(line) && line.ends_with(verdict.text.as_str());
        let Some(end) = lines.iter().rposition(is_verdict) else { return Vec::new() };
        lines.truncate(end);
        let heading = lines.iter().rposition(|line| is_heading(line));
        let said = lines.get(heading.map_or(0, |heading| heading + 1)..).unwrap_or_default();
        if said.iter().any(|line| !line.trim().is_empty()) {
            return said.to_vec();
        }
    }
    Vec::new()
}

/// The command of the last check that an event says failed or could not be run, and what it says.
fn last_failed(events: &[Event]) -> Option<(&str, &str)> {
    events.iter().rev().find_map(|event| {
        let (command, said) = event.text.strip_prefix('`')?.split_once("` ")?;
        // What failed before too ended no run.
        let failed = said == "failed" || said.starts_with("failed: ") || said == "took too long";
        (failed || said.starts_with(NOT_RUN)).then_some((command, said))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{RunId, Stage};

    const LOG: &str = "# 2026-11-24T10:00:00Z prepare: fetching the repository\n\
        $ make test\nold failure\n\
        # 2026-11-24T10:00:05Z `make test` failed\n\
        I am the agent\n# A heading of mine\nDone.\n\
        # 2026-11-24T10:01:00Z aider with m: it edited\n\
        $ make test\nnew failure\nFAILED one\n\
        # 2026-11-24T10:01:30Z `make test` failed: one\n";

    fn event(text: &str) -> Event {
        let at = Timestamp::UNIX_EPOCH;
        Event { sequence: 1, run: RunId::new(1), at, stage: Stage::Check, text: text.to_owned() }
    }

    #[test]
    fn the_last_words_of_a_check_and_of_the_agent_are_found_in_the_log() {
        let events = [event("aider with m: it edited"), event("`make test` failed: one")];
        assert_eq!(of_check(LOG, "make test"), ["new failure", "FAILED one"]);
        assert_eq!(of_agent(LOG, &events), ["I am the agent", "# A heading of mine", "Done."]);
        let silent = format!("{LOG}# 2026-11-24T10:02:00Z aider with m: it changed nothing\n");
        let later = [events[0].clone(), event("aider with m: it changed nothing")];
        assert_eq!(of_agent(&silent, &later), of_agent(LOG, &events));
        assert_eq!(last_failed(&events), Some(("make test", "failed: one")));
        let not_run = event("`npm ci` could not be run: npm is missing: install it");
        assert_eq!(last_failed(&[not_run]).unwrap().0, "npm ci");
        assert!(of_check(LOG, "make").is_empty());
        assert!(of_agent("", &events).is_empty());
        assert_eq!(last_failed(&[event("`make test` passed")]), None);
    }
}
