//! The pages: the status comment of an issue and the body of a pull request.
//!
//! Each ends with its hidden mark, and fits GitHub's limit with the mark in it.

use minijinja::context;
use minijinja::value::Value;

use super::engine::{Form, page, safe};
use super::{Told, duration, reason, tell};
use crate::publish::marker::{self, PrState};
use crate::publish::reason::Reason;
use crate::publish::report::{CheckLine, CheckOutcome, Report, Status};
use crate::publish::settings::Language;
use crate::publish::text::{self, LONGEST_BODY};
use crate::task::IssueNumber;

/// How many files a pull request lists by name.
const LISTED_FILES: usize = 50;
/// How many new failures of a check are named.
const LISTED_FAILURES: usize = 20;
/// How much of an earlier attempt's detail is repeated, in characters.
const SHOWN_DETAIL: usize = 300;

/// The body of an issue's status comment.
pub(in crate::publish) fn comment(
    language: Language,
    issue: IssueNumber,
    status: &Status<'_>,
) -> String {
    let said = match status {
        Status::Working { stage, attempt } => {
            let doing = safe(tell(language, Form::Markdown, "stages.md", stage));
            page(language, "working.md", context! { attempt, doing })
        }
        Status::Done { number } => page(language, "done.md", context! { number }),
        Status::Retrying { reason, attempt, delay } => {
            let (reason, delay) = (paragraphs(language, reason), duration(language, *delay));
            page(language, "retrying.md", context! { attempt, delay, reason })
        }
        Status::Cancelled { reason } => {
            page(language, "cancelled.md", context! { reason => paragraphs(language, reason) })
        }
        Status::Failed { reason, tried, draft } => {
            let reason = paragraphs(language, reason);
            let tried: Vec<_> = tried.iter().map(|reason| attempt(language, reason)).collect();
            page(language, "failed.md", context! { reason, tried, draft })
        }
    };
    marked(language, &said, &marker::status(issue))
}

/// The body of a pull request.
pub(in crate::publish) fn pull_request(
    language: Language,
    report: &Report<'_>,
    state: PrState,
) -> String {
    let notes = report.notes.iter().map(|note| tell(language, Form::Markdown, "notes.md", note));
    let (added, deleted) = report.lines();
    let listed = report.files.iter().take(LISTED_FILES).map(|file| {
        let (added, deleted) = file.lines.unzip();
        context! { path => file.path.clone(), added, deleted }
    });
    let (sent, received) = report.tokens.unzip();
    let context = context! {
        issue => report.task.issue_number.value(),
        title => report.task.title.clone(),
        draft => state == PrState::Draft,
        checks => report.checks.iter().map(|line| check(language, line)).collect::<Vec<_>>(),
        notes => notes.map(safe).collect::<Vec<_>>(),
        files => context! {
            count => report.files.len(),
            added,
            deleted,
            listed => listed.collect::<Vec<_>>(),
            more => report.files.len().saturating_sub(LISTED_FILES),
        },
        agent => report.agent.clone(),
        models => report.models.clone(),
        tokens => context! { sent, received },
        sandbox => report.sandbox.clone(),
        duration => duration(language, report.duration),
        attempt => report.attempt,
        calls => report.calls,
        fix_ups => report.fix_ups,
        base => report.base,
        commit => report.commit,
    };
    let said = page(language, "pull_request.md", context);
    marked(language, said.trim_end(), &marker::pull_request(&report.task.key(), state))
}

fn check(language: Language, line: &CheckLine) -> Value {
    let CheckLine { kind, command, result, duration: took, output } = line;
    let red = result.is_red();
    let mut shown = result.clone();
    if let CheckOutcome::Failed { failures } = &mut shown {
        failures.truncate(LISTED_FAILURES);
    }
    let result = safe(tell(language, Form::Markdown, "check_results.md", &shown));
    let duration = duration(language, *took);
    context! { kind => *kind, command, result, duration, output, red }
}

/// A reason as paragraphs: what happened, its detail as code, and what to do next.
fn paragraphs(language: Language, told: &Reason) -> Value {
    let Told { what, next, detail } = reason(language, Form::Markdown, told);
    let detail = detail.map(|detail| text::code(&detail)).unwrap_or_default();
    let parts: Vec<_> = [what, detail, next].into_iter().filter(|part| !part.is_empty()).collect();
    safe(parts.join("\n\n"))
}

/// The reason of an earlier attempt, as one line.
fn attempt(language: Language, told: &Reason) -> Value {
    if let Reason::Text(text) = told {
        return context! { what => text, detail => () };
    }
    let Told { what, next: _, detail } = reason(language, Form::Markdown, told);
    let detail = detail.map(|detail| text::cut(&text::plain_line(&detail), SHOWN_DETAIL, "…"));
    context! { what => safe(what), detail }
}

fn marked(language: Language, body: &str, mark: &str) -> String {
    let reserved = mark.chars().count() + 2;
    let cut = format!("\n\n{}", page(language, "cut.md", Value::from(())));
    format!("{}\n\n{mark}", text::cut(body, LONGEST_BODY - reserved, &cut))
}
