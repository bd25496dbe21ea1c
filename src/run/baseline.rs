//! The baseline: how every check ends on the base, so that the run knows what failed before the
//! agent came.
//!
//! Invariant: base and change are judged under the same conditions. What a formatter left behind
//! on the base is gone before the next check, and a result that another run found for the same base
//! is used only when the machine had no part in it.

use jiff::{Timestamp, ToSpan as _};

use super::Failure;
use super::checking::run_check;
use super::checkpoint::{Measured, PreparedBase};
use super::context::RunContext;
use super::effects::note;
use super::lock_files;
use super::services::Services;
use crate::checks::{Check, Kind};
use crate::git::TreeId;
use crate::publish::Note;
use crate::workspace::{Side, Workspace};

/// How long the results on one base are good. Programs of the machine are updated now and then.
const GOOD_FOR_HOURS: i64 = 24;

/// Runs every check on the base, unless an earlier run did.
pub(super) async fn measure(
    services: &Services,
    run: &RunContext,
    workspace: &Workspace,
    base: &mut PreparedBase,
) -> Result<(), Failure> {
    if let Some(earlier) = measured_before(services, run, base).await? {
        *base = earlier;
        return note(services, run, "the checks ran on this base before: their results are used")
            .await;
    }
    let planned = base.plan.clone();
    if !planned.checks.is_empty() {
        measure_all(services, run, workspace, base, &planned.checks).await?;
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    base.measured = Some(Measured { planned, version, at: Timestamp::now() });
    tell_operator(services, run, base);
    Ok(())
}

async fn measure_all(
    services: &Services,
    run: &RunContext,
    workspace: &Workspace,
    base: &mut PreparedBase,
    checks: &[Check],
) -> Result<(), Failure> {
    let tree = workspace.cache().tree_at(&base.base.commit).await?;
    workspace.checkout(Side::Checks, &tree).await?;
    workspace.give_repository(&base.base.commit).await?;
    for check in checks {
        if check.kind == Kind::Format {
            measure_formatter(services, run, workspace, base, (check, &tree)).await?;
        } else {
            measure_one(services, run, workspace, base, check).await?;
        }
    }
    Ok(())
}

async fn measure_one(
    services: &Services,
    run: &RunContext,
    workspace: &Workspace,
    base: &mut PreparedBase,
    check: &Check,
) -> Result<(), Failure> {
    let ran = run_check(services, run, workspace.check_tree(), check).await?;
    base.baseline.record(&ran);
    Ok(lock_files::remember_rewritten(workspace, base, check).await?)
}

/// Runs a formatter on the base. One that rewrites files there would bury the change under what it
/// rewrites, so it is left out of the plan.
///
/// It may have rewritten ignored files as well. A linter would then judge other files on the base
/// than on the change, so everything is made anew, with the setup.
async fn measure_formatter(
    services: &Services,
    run: &RunContext,
    workspace: &Workspace,
    base: &mut PreparedBase,
    (check, tree): (&Check, &TreeId),
) -> Result<(), Failure> {
    // The setup may have rewritten tracked files before.
    let before = workspace.snapshot(Side::Checks).await?;
    measure_one(services, run, workspace, base, check).await?;
    if workspace.snapshot(Side::Checks).await? == before {
        return Ok(());
    }
    base.plan.checks.retain(|planned| planned != check);
    base.notes.push(Note::FormatSkipped);
    workspace.renew(Side::Checks, tree).await?;
    let setups: Vec<Check> = base.plan.of(Kind::Setup).cloned().collect();
    for setup in setups {
        measure_one(services, run, workspace, base, &setup).await?;
    }
    Ok(())
}

/// What an earlier run found for the same commit and the same checks.
async fn measured_before(
    services: &Services,
    run: &RunContext,
    base: &PreparedBase,
) -> Result<Option<PreparedBase>, Failure> {
    let journal = &services.journal;
    let earlier: Vec<PreparedBase> = journal.prepared_before(run.id, &run.task.repository).await?;
    let oldest = Timestamp::now() - GOOD_FOR_HOURS.hours();
    let fits = |earlier: &PreparedBase| {
        let fits = |measured: &Measured| {
            measured.planned == base.plan
                && measured.version == env!("CARGO_PKG_VERSION")
                && measured.at > oldest
        };
        earlier.base == base.base
            && earlier.measured.as_ref().is_some_and(fits)
            && earlier.baseline.is_of_the_commit_alone()
    };
    Ok(earlier.into_iter().find(fits))
}

/// Tells the worker's operator what keeps the checks of a repository from running, once and not for
/// each task.
fn tell_operator(services: &Services, run: &RunContext, base: &PreparedBase) {
    let repository = &run.task.repository;
    for (command, obstacle) in base.baseline.obstacles() {
        let obstacle = obstacle.to_string();
        if services.told_obstacles.is_new(format!("{repository}\n{command}\n{obstacle}")) {
            tracing::warn!(
                %repository,
                command,
                obstacle,
                "a check of this repository can't be run on this machine"
            );
        }
    }
}
