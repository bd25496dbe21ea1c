//! The parts of a pass: one call of the agent, the snapshot of what it left, and the checks with
//! the fix-ups that answer them.
//!
//! Invariant: every tree that a check judged, or that is published, is kept as a commit in the
//! worker's own repository.

use std::path::PathBuf;

use jiff::Timestamp;
use tracing::Instrument as _;

use super::Failure;
use super::checking::{describe, plan, run_check};
use super::checkpoint::Progress;
use super::effects::note;
use super::lock_files;
use super::prepare::Prepared;
use super::services::Services;
use crate::agent::prompt::Prompt;
use crate::agent::{self, Call, Verdict};
use crate::checks::{CheckResult, CheckVerdict, Kind};
use crate::git::TreeId;
use crate::publish::{self, Note};
use crate::workspace::Side;

/// How much of a failed check's output a fix-up prompt repeats, in bytes. A small model can still
/// read that much.
const EXCERPT: usize = 6_000;

/// Calls the agent, and takes a snapshot of what it left in its tree. It is called once more when
/// it left what no snapshot can take, such as a file that is too large.
pub(super) async fn call_agent(
    services: &Services,
    prepared: &Prepared,
    progress: &mut Progress,
    prompt: &Prompt,
) -> Result<Verdict, Failure> {
    let may_undo = services.config.checks.fix_ups > 0;
    let refused = match call_once(services, prepared, progress, prompt).await {
        Err(Failure::Workspace(error)) if may_undo && error.is_about_the_files() => {
            error.to_string()
        }
        called => return called,
    };
    note(services, &prepared.run, &format!("{refused}: the agent is asked to undo it")).await?;
    call_once(services, prepared, progress, &Prompt::refused(&[refused])).await
}

/// Calls the agent once, and takes a snapshot of what it left in its tree.
async fn call_once(
    services: &Services,
    prepared: &Prepared,
    progress: &mut Progress,
    prompt: &Prompt,
) -> Result<Verdict, Failure> {
    let Prepared { run, task, workspace, .. } = prepared;
    let files = workspace.cache().files_at(&progress.commit).await?;
    let files: Vec<PathBuf> = files.iter().map(|file| file.as_path().to_path_buf()).collect();
    let call = Call {
        prompt,
        tree: workspace.agent_tree(),
        scratch: &run.scratch(),
        edit: agent::prompt::mentioned_files(task, &files),
        read: agent::prompt::conventions(&files).into_iter().collect(),
        log: &run.log(),
    };
    let span = tracing::info_span!("agent", name = services.agent.name());
    let report = services.agent.call(&call, run.lease.lost()).instrument(span).await?;
    let (tree, left_out) = workspace.snapshot_of_agent().await?;
    progress.left_out = left_out;
    let verdict = agent::verdict(&report, tree != progress.tree);
    let text = format!("{} with {}: {verdict}", services.agent.name(), report.model);
    note(services, run, &text).await?;
    progress.reports.push(report);
    if tree != progress.tree {
        keep_tree(services, prepared, progress, tree).await?;
    }
    match verdict {
        Verdict::Stopped => Err(Failure::LeaseLost),
        Verdict::ModelUnreachable { .. } | Verdict::ModelMissing => Err(Failure::Agent(verdict)),
        Verdict::Edited
        | Verdict::NoChange
        | Verdict::MalformedEdits
        | Verdict::TokenLimit
        | Verdict::TimedOut
        | Verdict::Failed { .. } => Ok(verdict),
    }
}

/// Runs the checks of a pass. The agent answers the first failed one, as often as a pass may.
pub(super) async fn fix_until_green(
    services: &Services,
    prepared: &mut Prepared,
    progress: &mut Progress,
    in_pass: impl Fn(Kind) -> bool + Sync,
) -> Result<Vec<CheckResult>, Failure> {
    loop {
        let fix_ups_left = services.config.checks.fix_ups.saturating_sub(progress.fix_ups_of_pass);
        let run_all = fix_ups_left == 0;
        let round = Round { in_pass: &in_pass, run_all, adopt_locks: true };
        let (mut results, locks_adopted) = run_checks(services, prepared, progress, round).await?;
        if locks_adopted {
            // The checks judge what will be published, from a tree that has it.
            let again = Round { adopt_locks: false, ..round };
            (results, _) = run_checks(services, prepared, progress, again).await?;
        }
        let Some(red) = results.iter().find(|result| result.blocks()) else { return Ok(results) };
        if fix_ups_left == 0 {
            return Ok(results);
        }
        progress.fix_ups += 1;
        progress.fix_ups_of_pass += 1;
        let text = format!("`{}` failed: the agent is asked to fix it", red.ran.command);
        note(services, &prepared.run, &text).await?;
        let output = red.ran.excerpt(EXCERPT);
        let prompt = Prompt::fix_up(red.ran.kind.name(), &red.ran.command, &output);
        call_agent(services, prepared, progress, &prompt).await?;
        keep_progress(services, prepared, progress).await?;
    }
}

/// Which checks one round runs.
#[derive(Clone, Copy)]
struct Round<'a> {
    in_pass: &'a (dyn Fn(Kind) -> bool + Sync),
    /// Whether the run wants the results of all. Otherwise a failed check ends the round.
    run_all: bool,
    /// Whether the lock files that setup and build update become part of the change.
    adopt_locks: bool,
}

/// Runs the checks of a round, in order. Returns their results, and whether lock files became part
/// of the change.
async fn run_checks(
    services: &Services,
    prepared: &mut Prepared,
    progress: &mut Progress,
    Round { in_pass, run_all, adopt_locks }: Round<'_>,
) -> Result<(Vec<CheckResult>, bool), Failure> {
    let mut locks_adopted = false;
    let mut checks = prepared.base.plan.checks.clone();
    checks.retain(|check| in_pass(check.kind));
    if checks.is_empty() {
        // Only checks see their tree, so nobody misses one that stays as it was.
        return Ok((Vec::new(), locks_adopted));
    }
    prepared.workspace.checkout(Side::Checks, &progress.tree).await?;
    prepared.workspace.give_repository(&progress.commit).await?;
    let mut results: Vec<CheckResult> = Vec::new();
    for check in checks {
        // The setup may have rewritten tracked files, which is not the formatter's doing.
        let before = match check.kind {
            Kind::Format => Some(prepared.workspace.snapshot(Side::Checks).await?),
            Kind::Setup | Kind::Build | Kind::Lint | Kind::Test => None,
        };
        let tree = prepared.workspace.check_tree();
        let ran = run_check(services, &prepared.run, tree, &check).await?;
        let result = prepared.base.baseline.judge(ran);
        let text = format!("`{}` {}", check.command, describe(&result));
        note(services, &prepared.run, &text).await?;
        if let Some(before) = before {
            adopt_formatting(services, prepared, progress, &before).await?;
        }
        let has_passed = result.verdict == CheckVerdict::Passed;
        if adopt_locks && has_passed && lock_files::may_update(&check) {
            locks_adopted |= adopt_lock_files(services, prepared, progress).await?;
        }
        let blocked = result.blocks();
        results.push(result);
        if blocked && !run_all {
            break;
        }
    }
    Ok((results, locks_adopted))
}

/// The lock files that a check updated become part of the change. Returns whether there are any.
async fn adopt_lock_files(
    services: &Services,
    prepared: &Prepared,
    progress: &mut Progress,
) -> Result<bool, Failure> {
    let updated = lock_files::updated(&prepared.workspace, &prepared.base, progress).await?;
    if updated == progress.tree {
        return Ok(false);
    }
    note(services, &prepared.run, "the lock files that a check updated are taken over").await?;
    prepared.workspace.checkout(Side::Agent, &updated).await?;
    keep_tree(services, prepared, progress, updated).await?;
    keep_progress(services, prepared, progress).await?;
    Ok(true)
}

/// What the formatter changed becomes part of the change, and of what the agent sees next.
async fn adopt_formatting(
    services: &Services,
    prepared: &Prepared,
    progress: &mut Progress,
    before: &TreeId,
) -> Result<(), Failure> {
    let after = prepared.workspace.snapshot(Side::Checks).await?;
    let formatted = prepared.workspace.graft(&progress.tree, before, &after).await?;
    if formatted != progress.tree {
        prepared.workspace.checkout(Side::Agent, &formatted).await?;
        keep_tree(services, prepared, progress, formatted).await?;
        keep_progress(services, prepared, progress).await?;
    }
    Ok(())
}

/// Adds checks for what the change brings: an empty repository has a project type only afterwards.
pub(super) async fn widen_plan(
    services: &Services,
    prepared: &mut Prepared,
    progress: &Progress,
) -> Result<(), Failure> {
    let Prepared { workspace, base, file, .. } = prepared;
    let later = plan(services, workspace.cache(), file, &progress.commit).await?;
    base.plan = std::mem::take(&mut base.plan).widened(later);
    let skips_format = progress.notes.contains(&Note::FormatSkipped);
    base.plan.checks.retain(|check| check.kind != Kind::Format || !skips_format);
    Ok(())
}

/// Makes a tree the state of the work: a commit of its own in the worker's repository, which keeps
/// it for good.
async fn keep_tree(
    services: &Services,
    prepared: &Prepared,
    progress: &mut Progress,
    tree: TreeId,
) -> Result<(), Failure> {
    let Prepared { run, task, workspace, base, .. } = prepared;
    let message = publish::commit_message(task, &services.agent_version);
    // The date is the run's start, not now: a run that is resumed makes the same commit, and a
    // push that is repeated changes nothing.
    let commit = workspace
        .commit(&tree, &base.base.commit, &message, &services.identity(), run.started_at)
        .await?;
    let name = format!("run-{}/{}", run.id, progress.kept);
    workspace.keep(&commit, &name).await?;
    (progress.tree, progress.commit) = (tree, commit);
    progress.kept += 1;
    Ok(())
}

/// Writes down how far the agent is. A worker that takes over goes on from here.
pub(super) async fn keep_progress(
    services: &Services,
    prepared: &Prepared,
    progress: &Progress,
) -> Result<(), Failure> {
    let commit = progress.commit.as_str();
    Ok(services.journal.keep_pass(prepared.run.id, commit, progress, Timestamp::now()).await?)
}
