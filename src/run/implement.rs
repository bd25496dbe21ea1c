//! The first pass: the agent does the task, until what it made builds.

use super::Failure;
use super::checkpoint::{Pass, Progress};
use super::effects::enter_stage;
use super::pass::{call_agent, fix_until_green, keep_progress, widen_plan};
use super::policy::{Allowed, fix_until_allowed, nothing_changed};
use super::prepare::Prepared;
use super::services::Services;
use crate::agent::Verdict;
use crate::agent::prompt::Prompt;
use crate::checks::{CheckResult, Kind};
use crate::journal::Stage;
use crate::workspace::Side;

/// The repository as the agent left it after the first pass.
pub(super) struct Implemented {
    pub(super) prepared: Prepared,
    pub(super) progress: Progress,
    pub(super) builds: bool,
    /// The change as the policy judged it after the agent's first call.
    pub(super) allowed: Option<Allowed>,
}

/// Has the agent do the task, and answer a failed setup or build.
pub(super) async fn implement(
    services: &Services,
    mut prepared: Prepared,
) -> Result<Implemented, Failure> {
    let text = format!("{} works on the task", services.agent.name());
    enter_stage(services, &prepared.run, Stage::Implement, &text).await?;
    let mut progress = go_on_from(&mut prepared).await?;
    let mut allowed = None;
    if progress.pass < Pass::Implement {
        progress.begin(Pass::Implement);
        let prompt = Prompt::implement(&prepared.task);
        let verdict = call_agent(services, &prepared, &mut progress, &prompt).await?;
        if verdict == Verdict::NoChange {
            return Err(nothing_changed(&progress));
        } else if verdict != Verdict::Edited {
            return Err(Failure::Agent(verdict));
        }
        keep_progress(services, &prepared, &progress).await?;
        allowed = Some(fix_until_allowed(services, &prepared, &mut progress).await?);
    }
    widen_plan(services, &mut prepared, &progress).await?;
    let builds = progress.pass > Pass::Implement || {
        let to_build = |kind| matches!(kind, Kind::Setup | Kind::Build);
        let results = fix_until_green(services, &mut prepared, &mut progress, to_build).await?;
        !results.iter().any(CheckResult::blocks)
    };
    Ok(Implemented { prepared, progress, builds, allowed })
}

/// How far the agent is: at the checkpoint's tree, else at the base.
async fn go_on_from(prepared: &mut Prepared) -> Result<Progress, Failure> {
    let Prepared { checkpoint, workspace, base, .. } = prepared;
    if let Some(progress) = checkpoint.progress.take() {
        workspace.checkout(Side::Agent, &progress.tree).await?;
        return Ok(progress);
    }
    let tree = workspace.cache().tree_at(&base.base.commit).await?;
    Ok(Progress::from_base(tree, base.base.commit.clone(), base.notes.clone()))
}
