//! How a run is told to people: its state, its time, and the reason for its end, in the reader's
//! language.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::output;
use super::told::{Said, Saying as _, said};
use crate::journal::{CheckRecord, Outcome, RunRecord, Stage};
use crate::language::{Language, Phrase};
use crate::publish::{self, Reason, Told};
use crate::redaction::Redaction;
use crate::task::{IssueNumber, RepoName};

/// Returns the time as this machine's clock on the wall shows it: `2026-11-24 14:03`.
pub(super) fn when(then: Timestamp) -> String {
    then.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Returns what a run is doing or how it ended, in a word or two.
pub(super) fn state(run: &RunRecord, language: Language) -> String {
    let Some(outcome) = run.outcome else {
        return language
            .pick(format!("in {}", run.stage.name()), format!("{}中", stage(run.stage, language)));
    };
    let japanese = match outcome {
        Outcome::Done => "完了",
        Outcome::Retrying => "再試行待ち",
        Outcome::Failed => "失敗",
        Outcome::Cancelled => "取り消し",
        Outcome::Abandoned => "中断",
    };
    language.pick(outcome.name(), japanese).to_owned()
}

/// Returns the name of a stage.
pub(super) fn stage(stage: Stage, language: Language) -> &'static str {
    let japanese = match stage {
        Stage::Admit => "確認",
        Stage::Prepare => "準備",
        Stage::Implement => "実装",
        Stage::Check => "チェック",
        Stage::Gate => "審査",
        Stage::Publish => "公開",
        Stage::Settle => "報告",
    };
    language.pick(stage.name(), japanese)
}

/// Returns when the run began and how long it took, or has taken so far.
pub(super) fn time(run: &RunRecord, now: Timestamp, language: Language) -> String {
    let took = run.ended_at.unwrap_or(now).duration_since(run.started_at);
    let took = output::duration(took.try_into().unwrap_or_default(), language);
    let began = when(run.started_at);
    language.pick(format!("{began} ({took})"), format!("{began}（{took}）"))
}

/// Returns the task's issue and title in one line, as `owner/name#7 Title`.
pub(super) fn task(run: &RunRecord) -> String {
    let title = publish::plain_line(&run.title);
    format!("{}#{} {title}", run.repository, run.issue_number)
}

/// Returns why the run ended as it did: what happened, the message of whoever refused, and what to
/// do next, a line each. Empty when there is nothing to say.
pub(super) fn reason(run: &RunRecord, language: Language, redaction: &Redaction) -> Vec<String> {
    let reason = run.reason.clone().and_then(|reason| serde_json::from_value(reason).ok());
    let reason = reason.or_else(|| run.detail.clone().map(Reason::Text));
    let Some(Told { what, next, detail }) = reason.map(|reason| Told::plain(&reason, language))
    else {
        return Vec::new();
    };
    let lines = std::iter::once(what).chain(detail).chain(std::iter::once(next));
    let lines = lines.map(|line| publish::plain_line(&redaction.redact(&line)));
    lines.filter(|line| !line.is_empty()).collect()
}

/// Returns how a check of a run ended, in words.
pub(super) fn check_result(check: &CheckRecord, language: Language) -> &str {
    let (english, japanese) = match check.result.as_str() {
        "passed" => ("passed", "合格"),
        "failed" => ("failed", "失敗"),
        "failed_before" => ("failed, as it did before the change", "失敗（変更前から）"),
        "timed_out" => ("took too long", "時間切れ"),
        "not_run" | "offline" => ("could not be run", "実行できませんでした"),
        other => (other, other),
    };
    language.pick(english, japanese)
}

/// Returns what kept a check from running and what to do next, a line each. Empty for a check that
/// was run.
pub(super) fn obstacle(
    check: &CheckRecord,
    language: Language,
    redaction: &Redaction,
) -> Vec<String> {
    let hindrance =
        check.hindrance.clone().and_then(|hindrance| serde_json::from_value(hindrance).ok());
    let lines = match hindrance.map(|hindrance| Told::hindrance(&hindrance, language)) {
        Some(Told { what, next, detail }) => {
            std::iter::once(what).chain(detail).chain(std::iter::once(next)).collect()
        }
        // What an older version wrote, in English.
        None => Vec::from_iter(check.obstacle.clone()),
    };
    lines.iter().map(|line| publish::plain_line(&redaction.redact(line))).collect()
}

/// Reads `OWNER/NAME#7`.
///
/// # Errors
/// The text is something else.
pub(super) fn parse_issue(text: &str) -> anyhow::Result<(RepoName, IssueNumber)> {
    let parsed = text.split_once('#').and_then(|(repository, number)| {
        Some((repository.parse().ok()?, IssueNumber::new(number.parse().ok()?)?))
    });
    parsed.saying(|| {
        Phrase::new(
            format!("{text:?} is not an issue: write it as OWNER/NAME#7"),
            format!("{text:?} はIssueではありません。OWNER/NAME#7 の形式で指定してください"),
        )
    })
}

/// Reads a time in the past: `2h`, `3d`, `2026-11-24`, `2026-11-24 14:00`, or RFC 3339.
///
/// # Errors
/// The text is none of these.
pub(super) fn parse_since(text: &str) -> Result<Timestamp, Said> {
    let now = ZonedDateTime::now();
    let ago = || now.checked_sub(text.parse::<jiff::Span>().ok()?.abs()).ok();
    let local = || {
        let date: jiff::civil::DateTime = text.parse().ok()?;
        date.to_zoned_datetime(now.time_zone().clone()).ok()
    };
    let then = text.parse::<Timestamp>().ok().or_else(|| local().or_else(ago).map(|at| at.into()));
    then.ok_or_else(|| {
        said(
            "write 2h, 3d, or a date such as 2026-11-24",
            "2h、3d、または2026-11-24のような日付を指定してください",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_age_or_a_date() {
        let ago = |text: &str| {
            let then = parse_since(text).unwrap();
            Timestamp::now().duration_since(then)
        };
        assert_eq!(ago("2h").as_hours(), 2);
        assert!((71..=73).contains(&ago("3d").as_hours()));
        assert!(ago("2020-01-01").as_hours() > 24 * 365);
        assert!(ago("2020-01-01 10:00").as_hours() > 24 * 365);
        assert_eq!(
            parse_since("2026-11-24T00:00:00Z").unwrap().to_string(),
            "2026-11-24T00:00:00Z"
        );
        assert!(parse_since("last Tuesday").is_err());
    }

    #[test]
    fn an_issue_is_named_as_github_names_it() {
        let (repository, number) = parse_issue("owner/name#7").unwrap();
        assert_eq!((repository.to_string(), number.value()), ("owner/name".to_owned(), 7));
        for wrong in ["owner/name", "name#7", "owner/name#0", "owner/name#x"] {
            assert!(parse_issue(wrong).is_err(), "{wrong}");
        }
    }
}
