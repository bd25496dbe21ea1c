//! What a run did, as the data that its pull request is written from.

use super::admit::hidden_characters;
use super::check::Checked;
use super::gate::ApprovedChange;
use super::prepare::Prepared;
use super::reason::hindrance;
use super::services::Services;
use crate::checks::{self, CheckResult, CheckVerdict, UnreadableManifest, Untested};
use crate::gate::attention::Attention;
use crate::git::Change;
use crate::publish::{CheckLine, CheckOutcome, FileLine, NoTest, Note, PullRequestReport};
use crate::workspace::LeftOut;

/// How much of a failed check's output a pull request shows, in bytes.
const SHOWN_OUTPUT: usize = 8_000;

/// How many files that are no part of the change a pull request names.
const LISTED_PATHS: usize = 20;

/// Everything that the pull request says of the run.
pub(super) fn report<'a>(
    services: &Services,
    approved: &'a ApprovedChange,
) -> PullRequestReport<'a> {
    let ApprovedChange { checked, changes, attention, touches_tests } = approved;
    let Checked { prepared, progress, results, .. } = checked;
    let Prepared { run, task, branch, base, .. } = prepared;
    let mut models: Vec<String> =
        progress.reports.iter().map(|report| report.model.clone()).collect();
    models.dedup();
    let hidden = (hidden_characters(task) > 0).then_some(Note::HiddenText);
    let usage = progress.reports.iter().filter_map(|report| report.usage);
    PullRequestReport {
        task,
        base: base.base.onto.as_str(),
        branch: branch.as_str(),
        commit: progress.commit.as_str(),
        worker: run.worker.clone(),
        agent: services.agent_version.clone(),
        sandbox: services.sandbox.report().level.to_string(),
        models,
        tokens: usage.fold(None, |sum, usage| {
            let (sent, received) = sum.unwrap_or_default();
            // The numbers come from a log that the agent may have written.
            Some((sent.saturating_add(usage.sent), received.saturating_add(usage.received)))
        }),
        duration: run.age(),
        attempt: run.attempt.receive_count,
        calls: progress.reports.iter().map(|report| report.calls).sum(),
        fix_ups: progress.fix_ups,
        checks: results.iter().map(check_line).collect(),
        untested: not_tested(checked),
        untested_is_draft: !base.plan.untested_is_ready,
        files: changes.iter().map(file_line).collect(),
        notes: progress
            .notes
            .iter()
            // The agent may have written tests before it was asked for them.
            .filter(|note| **note != Note::NoTestsWritten || !touches_tests)
            .cloned()
            .chain(base.plan.unreadable.iter().map(unreadable))
            .chain(hidden)
            .chain(attention.iter().map(note))
            .chain(left_out(&progress.left_out))
            .collect(),
    }
}

/// Why no test says that the change is right; nothing when one does.
pub(super) fn not_tested(checked: &Checked) -> Vec<NoTest> {
    let plan = &checked.prepared.base.plan;
    checks::untested(plan, &checked.results).into_iter().map(no_test).collect()
}

fn no_test(untested: Untested) -> NoTest {
    match untested {
        Untested::NoChecks => NoTest::NoChecks,
        Untested::NoTestCommand => NoTest::NoTestCommand,
        Untested::TurnedOff => NoTest::TurnedOff,
        Untested::NoTestRan { command } => NoTest::NoTestRan { command },
        Untested::NothingPasses { command } => NoTest::NothingPasses { command },
        Untested::NotRun { command, obstacle } => {
            NoTest::NotRun { command, hindrance: hindrance(&obstacle) }
        }
        Untested::SetupNotRun { command, obstacle } => {
            NoTest::SetupNotRun { command, hindrance: hindrance(&obstacle) }
        }
    }
}

fn unreadable(manifest: &UnreadableManifest) -> Note {
    Note::UnreadableManifest { detail: manifest.to_string() }
}

fn note(attention: &Attention) -> Note {
    match attention {
        Attention::TestDeleted => Note::TestDeleted,
        Attention::TestSkipped => Note::TestSkipped,
        Attention::Binary => Note::BinaryFile,
        Attention::ConflictMarkers => Note::ConflictMarkers,
    }
}

/// What the agent left in its tree and is no part of the change.
fn left_out(left_out: &LeftOut) -> impl Iterator<Item = Note> + use<> {
    let LeftOut { ignored, submodules, leftovers } = left_out;
    let shown = |paths: &[String]| {
        let more = paths.len().saturating_sub(LISTED_PATHS);
        (!paths.is_empty()).then(|| (paths.iter().take(LISTED_PATHS).cloned().collect(), more))
    };
    let ignored = shown(ignored).map(|(paths, more)| Note::IgnoredFiles { paths, more });
    let submodules = shown(submodules).map(|(paths, more)| Note::SubmoduleFiles { paths, more });
    let leftovers = shown(leftovers).map(|(paths, more)| Note::Leftovers { paths, more });
    [ignored, submodules, leftovers].into_iter().flatten()
}

fn check_line(CheckResult { ran, verdict, .. }: &CheckResult) -> CheckLine {
    CheckLine {
        kind: ran.kind.name(),
        command: ran.command.clone(),
        result: match verdict {
            CheckVerdict::Passed => CheckOutcome::Passed,
            CheckVerdict::New { failures } => {
                CheckOutcome::Failed { failures: failures.iter().cloned().collect() }
            }
            CheckVerdict::FailedBefore => CheckOutcome::FailedBefore,
            CheckVerdict::TimedOut => CheckOutcome::TimedOut,
            CheckVerdict::NotRun { obstacle } => {
                CheckOutcome::NotRun { hindrance: hindrance(obstacle) }
            }
        },
        duration: ran.duration,
        output: ran.excerpt(SHOWN_OUTPUT),
    }
}

fn file_line(change: &Change) -> FileLine {
    FileLine {
        path: match &change.renamed_from {
            Some(from) => format!("{from} → {}", change.path),
            None => change.path.to_string(),
        },
        lines: change.lines.as_ref().map(|lines| (lines.added, lines.deleted)),
    }
}
