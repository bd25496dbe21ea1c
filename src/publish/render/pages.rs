//! The pages: the status comment of an issue and the body of a pull request.
//!
//! Each ends with its hidden mark, and fits GitHub's limit with the mark in it.

use minijinja::context;
use minijinja::value::Value;

use super::Told;
use super::engine::{Renderer, safe};
use crate::publish::attempts::{self, AttemptRecord};
use crate::publish::marker::{self, PrState};
use crate::publish::reason::Reason;
use crate::publish::report::{
    CheckLine, CheckOutcome, Hindrance, IssueStatus, NoTest, PullRequestReport,
};
use crate::publish::text::{self, LONGEST_BODY};
use crate::task::Task;

/// How many files a pull request lists by name.
const LISTED_FILES: usize = 50;
/// How many new failures of a check are named.
const LISTED_FAILURES: usize = 20;
/// How much of an earlier attempt's detail is repeated, in characters.
const SHOWN_DETAIL: usize = 300;

impl Renderer {
    /// The body of the status comment that an attempt came to. `attempts` are all that are known,
    /// this one among them.
    pub(in crate::publish) fn comment(
        &self,
        task: &Task,
        ours: &AttemptRecord,
        attempts: &[AttemptRecord],
        status: &IssueStatus<'_>,
    ) -> String {
        let said = match status {
            IssueStatus::Working { stage, attempt } => {
                let doing = safe(self.tell("stages.md", stage));
                let worker = &ours.worker;
                self.page("working.md", context! { attempt, worker, doing })
            }
            IssueStatus::Done { number } => self.page("done.md", context! { number }),
            IssueStatus::NotTested { number, draft, reasons } => {
                let reasons: Vec<_> = reasons.iter().map(|reason| self.no_test(reason)).collect();
                self.page("not_tested.md", context! { number, draft, reasons })
            }
            IssueStatus::Retrying { reason, attempt, delay } => {
                let (reason, delay) = (self.paragraphs(reason), self.duration(*delay));
                self.page("retrying.md", context! { attempt, delay, reason })
            }
            IssueStatus::Cancelled { reason } => {
                self.page("cancelled.md", context! { reason => self.paragraphs(reason) })
            }
            IssueStatus::Failed { reason, tried, draft } => {
                let attempts = tried.len() + 1;
                let by_one = tried.iter().all(|earlier| earlier.worker == ours.worker);
                let all_the_same =
                    by_one && tried.iter().all(|earlier| earlier.reason.as_ref() == Some(*reason));
                let tried = if all_the_same { &[] } else { *tried };
                let tried: Vec<_> =
                    tried.iter().map(|earlier| self.attempt(earlier, !by_one)).collect();
                let reason = self.paragraphs(reason);
                let worker = (!by_one).then_some(&ours.worker);
                self.page("failed.md", context! { reason, tried, attempts, worker, draft })
            }
        };
        let record = marker::attempts(&task.key(), &attempts::encode(attempts, self.redaction()));
        self.marked(&said, &format!("{record}\n{}", marker::status(task.issue_number)))
    }

    /// The title of a pull request that is no draft although no test was run on it.
    pub(in crate::publish) fn not_tested_title(&self, title: &str) -> String {
        let fields = vec![("title".to_owned(), safe(title.to_owned()))];
        self.phrase("titles.md", "not_tested", fields)
    }

    /// The body of a pull request.
    pub(in crate::publish) fn pull_request(
        &self,
        report: &PullRequestReport<'_>,
        state: PrState,
    ) -> String {
        let notes = report.notes.iter().map(|note| safe(self.tell("notes.md", note)));
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
            untested => report.untested.iter().map(|why| self.no_test(why)).collect::<Vec<_>>(),
            untested_draft => state == PrState::Untested,
            any_ran => report.checks.iter().any(|line| line.result.is_of_a_run()),
            checks => report.checks.iter().map(|line| self.check(line)).collect::<Vec<_>>(),
            notes => notes.collect::<Vec<_>>(),
            files => context! {
                count => report.files.len(),
                added,
                deleted,
                listed => listed.collect::<Vec<_>>(),
                more => report.files.len().saturating_sub(LISTED_FILES),
            },
            worker => report.worker.clone(),
            agent => report.agent.clone(),
            models => report.models.clone(),
            tokens => context! { sent, received },
            sandbox => report.sandbox.clone(),
            duration => self.duration(report.duration),
            attempt => report.attempt,
            calls => report.calls,
            fix_ups => report.fix_ups,
            base => report.base,
            commit => report.commit,
        };
        let said = self.page("pull_request.md", context);
        self.marked(said.trim_end(), &marker::pull_request(&report.task.key(), state))
    }

    fn check(&self, line: &CheckLine) -> Value {
        let CheckLine { kind, command, result, duration, output } = line;
        let fields = match result {
            CheckOutcome::Passed | CheckOutcome::FailedBefore | CheckOutcome::TimedOut => vec![],
            CheckOutcome::Failed { failures } => {
                let more = failures.len().saturating_sub(LISTED_FAILURES);
                let listed: Value = failures.iter().take(LISTED_FAILURES).cloned().collect();
                vec![("failures".to_owned(), listed), ("more".to_owned(), Value::from(more))]
            }
            CheckOutcome::NotRun { hindrance } => {
                let (what, _, _) = self.hindrance(hindrance);
                vec![("what".to_owned(), safe(what))]
            }
        };
        context! {
            kind => *kind,
            command,
            result => safe(self.phrase("check_results.md", result.into(), fields)),
            duration => self.duration(*duration),
            output,
            shown => *result != CheckOutcome::Passed && !output.is_empty(),
        }
    }

    /// Why no test says that a change is right, with what to do next.
    fn no_test(&self, why: &NoTest) -> Value {
        let command = match why {
            NoTest::NoChecks | NoTest::NoTestCommand | NoTest::TurnedOff => None,
            NoTest::NoTestRan { command }
            | NoTest::NothingPasses { command }
            | NoTest::NotRun { command, .. }
            | NoTest::SetupNotRun { command, .. } => Some(Value::from(command.as_str())),
        };
        let mut fields: Vec<_> =
            command.into_iter().map(|command| ("command".to_owned(), command)).collect();
        if let NoTest::NotRun { hindrance, .. } | NoTest::SetupNotRun { hindrance, .. } = why {
            let (what, next, detail) = self.hindrance(hindrance);
            let detail = detail.map_or_else(|| Value::from(()), Value::from);
            fields.push(("what".to_owned(), safe(what)));
            fields.push(("next".to_owned(), safe(next)));
            fields.push(("detail".to_owned(), detail));
        }
        safe(self.phrase("untested.md", why.into(), fields))
    }

    /// What kept a check from running, what to do next, and the line that says so.
    pub(super) fn hindrance(&self, hindrance: &Hindrance) -> (String, String, Option<String>) {
        let mut fields = super::fields(hindrance);
        let detail = fields.iter().position(|(field, _)| field == "detail");
        let detail = detail.map(|position| fields.remove(position).1.to_string());
        // A secret is removed before the cut, which might leave a part of it.
        let detail = detail.map(|detail| text::plain_line(&self.redacted(&detail)));
        let detail = detail.map(|detail| text::cut(&detail, SHOWN_DETAIL, "…"));
        let said = self.phrase("hindrances.md", hindrance.into(), fields);
        let (what, next) = said.split_once("\n\n").unwrap_or((&said, ""));
        (what.trim().to_owned(), next.trim().to_owned(), detail)
    }

    /// A reason as paragraphs: what happened, its detail as code, and what to do next.
    fn paragraphs(&self, reason: &Reason) -> Value {
        let Told { what, next, detail } = self.reason(reason);
        let detail = detail.map(|detail| text::code(&self.redacted(&detail))).unwrap_or_default();
        let parts: Vec<_> =
            [what, detail, next].into_iter().filter(|part| !part.is_empty()).collect();
        safe(parts.join("\n\n"))
    }

    /// What became of an earlier attempt, as one line, with whose it was when several workers had
    /// the task.
    fn attempt(&self, earlier: &AttemptRecord, named: bool) -> Value {
        let worker = named.then_some(&earlier.worker);
        let reason = match &earlier.reason {
            Some(Reason::Text(text)) => return context! { worker, what => text, detail => () },
            Some(reason) => reason,
            None => &Reason::CutOff,
        };
        let Told { what, next: _, detail } = self.reason(reason);
        // A secret is removed before the cut, which might leave a part of it.
        let detail = detail.map(|detail| text::plain_line(&self.redacted(&detail)));
        let detail = detail.map(|detail| text::cut(&detail, SHOWN_DETAIL, "…"));
        context! { worker, what => safe(what), detail }
    }

    fn marked(&self, body: &str, mark: &str) -> String {
        let reserved = mark.chars().count() + 2;
        let cut = format!("\n\n{}", self.page("cut.md", Value::from(())));
        format!("{}\n\n{mark}", text::cut(body, LONGEST_BODY - reserved, &cut))
    }
}
