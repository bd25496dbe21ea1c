//! The second pass: the agent writes tests, then every check runs, and the agent answers the failed
//! ones as long as a fix-up is left.

use super::Failure;
use super::checkpoint::{Pass, Progress};
use super::effects::enter_stage;
use super::implement::Implemented;
use super::outcome::RedChecks;
use super::pass::{call_agent, fix_until_green, keep_progress, widen_plan};
use super::policy::Allowed;
use super::prepare::Prepared;
use super::reason::hindrance;
use super::services::Services;
use crate::agent::Verdict;
use crate::agent::prompt::Prompt;
use crate::checks::{CheckResult, CheckVerdict};
use crate::journal::{CheckRecord, Stage};
use crate::language::Language;
use crate::publish::Note;

/// A change whose checks have run.
pub(super) struct Checked {
    pub(super) prepared: Prepared,
    pub(super) progress: Progress,
    pub(super) results: Vec<CheckResult>,
    /// The change as the policy judged it in the first pass.
    pub(super) allowed: Option<Allowed>,
}

impl Checked {
    /// The checks that keep the change from being merged.
    pub(super) fn red(&self) -> RedChecks {
        let mut red = RedChecks::default();
        for CheckResult { ran, verdict, .. } in self.results.iter().filter(|r| r.blocks()) {
            red.commands.push(ran.command.clone());
            if let CheckVerdict::New { failures } = verdict {
                red.failures.extend(failures.iter().cloned());
            }
        }
        red
    }
}

/// Has the agent write tests, and runs all checks on the change.
pub(super) async fn check(
    services: &Services,
    implemented: Implemented,
) -> Result<Checked, Failure> {
    let Implemented { mut prepared, mut progress, builds, allowed } = implemented;
    let text = "writing tests and running the checks";
    enter_stage(services, &prepared.run, Stage::Check, text).await?;
    if let Some(results) = prepared.checkpoint.results.take() {
        return Ok(Checked { prepared, progress, results, allowed });
    }
    if progress.pass < Pass::Tests {
        progress.begin(Pass::Tests);
        // Tests for code that does not build would hide why it doesn't.
        if prepared.base.plan.tests_pass && builds {
            write_tests(services, &mut prepared, &mut progress).await?;
        }
    }
    let results = fix_until_green(services, &mut prepared, &mut progress, |_| true).await?;
    let (journal, id) = (&services.journal, prepared.run.id);
    journal.record_checks(id, &check_records(&results, services.config.language)).await?;
    journal.keep_checked(id, &results).await?;
    Ok(Checked { prepared, progress, results, allowed })
}

async fn write_tests(
    services: &Services,
    prepared: &mut Prepared,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let prompt = Prompt::tests(&prepared.task);
    if call_agent(services, prepared, progress, &prompt).await? != Verdict::Edited {
        progress.notes.push(Note::NoTestsWritten);
    }
    keep_progress(services, prepared, progress).await?;
    widen_plan(services, prepared, progress).await
}

/// The results as the journal's readers see them.
fn check_records(results: &[CheckResult], language: Language) -> Vec<CheckRecord> {
    let obstacle = |verdict: &CheckVerdict| match verdict {
        CheckVerdict::NotRun { obstacle } => Some(obstacle.clone()),
        CheckVerdict::Passed
        | CheckVerdict::New { .. }
        | CheckVerdict::FailedBefore
        | CheckVerdict::TimedOut => None,
    };
    let record = |CheckResult { ran, verdict, .. }: &CheckResult| CheckRecord {
        kind: ran.kind.name().to_owned(),
        command: ran.command.clone(),
        result: match verdict {
            CheckVerdict::Passed => "passed",
            CheckVerdict::New { .. } => "failed",
            CheckVerdict::FailedBefore => "failed_before",
            CheckVerdict::TimedOut => "timed_out",
            CheckVerdict::NotRun { .. } => "not_run",
        }
        .to_owned(),
        obstacle: obstacle(verdict).map(|obstacle| obstacle.told(language)),
        hindrance: obstacle(verdict)
            .and_then(|obstacle| serde_json::to_value(hindrance(&obstacle)).ok()),
        seconds: ran.duration.as_secs_f64(),
    };
    results.iter().map(record).collect()
}
