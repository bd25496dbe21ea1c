//! Preparation: the repository is fetched, and every check runs once on the base, so that the run
//! knows what failed before the agent came.

use std::sync::Arc;

use super::Failure;
use super::admit::Admitted;
use super::baseline;
use super::checking::{plan, repository_file};
use super::checkpoint::{Checkpoint, PreparedBase};
use super::context::RunContext;
use super::effects::{enter_stage, note};
use super::services::Services;
use crate::checks::{Baseline, Plan, RepositoryFile, UnknownKey};
use crate::git::BranchName;
use crate::journal::Stage;
use crate::publish::Note;
use crate::task::Task;
use crate::workspace::Workspace;

/// A task with the repository at hand, and the state of its checks before anybody touched it.
pub(super) struct Prepared {
    pub(super) run: Arc<RunContext>,
    pub(super) checkpoint: Checkpoint,
    pub(super) task: Task,
    pub(super) branch: BranchName,
    pub(super) workspace: Workspace,
    pub(super) base: PreparedBase,
    /// The base's own file.
    pub(super) file: RepositoryFile,
}

/// Fetches the repository, makes the agent's and the checks' trees, and runs the checks on the
/// base. A run that did so before only makes the trees again.
pub(super) async fn prepare(services: &Services, admitted: Admitted) -> Result<Prepared, Failure> {
    let Admitted { run, mut checkpoint, task, branch, cache, references } = admitted;
    enter_stage(services, &run, Stage::Prepare, "fetching the repository").await?;
    if let Some(base) = checkpoint.prepared.take() {
        let workspace = cache.prepare(&run.trees(), &base.base).await?;
        let file = repository_file(&cache, &base.base.commit).await?;
        return Ok(Prepared { run, checkpoint, task, branch, workspace, base, file });
    }
    let remote = services.remote(&task.repository);
    let base = cache.fetch_default_branch(&remote, &references).await?;
    cache.fetch_tags(&remote, &references).await;
    let file = repository_file(&cache, &base.commit).await?;
    let plan = plan(services, &cache, &file, &base.commit).await?;
    tell_oddities(services, &run, &file, &plan).await?;
    let workspace = cache.prepare(&run.trees(), &base).await?;
    note(services, &run, &format!("{} at {}", base.onto, base.commit)).await?;
    let (baseline, notes) = (Baseline::default(), unknown_keys(&file));
    let rewritten_locks = Vec::new();
    let mut base = PreparedBase { base, plan, baseline, notes, rewritten_locks, measured: None };
    baseline::measure(services, &run, &workspace, &mut base).await?;
    services.journal.keep_prepared(run.id, &base).await?;
    Ok(Prepared { run, checkpoint, task, branch, workspace, base, file })
}

/// A key that this version does not know has no effect. An older worker must not fail a task whose
/// repository is ahead of it, but the reader of the pull request has to know.
fn unknown_keys(file: &RepositoryFile) -> Vec<Note> {
    let note = |unknown: &UnknownKey| Note::UnknownKey {
        key: unknown.key.clone(),
        line: unknown.line,
        suggestion: unknown.suggestion.clone(),
    };
    file.unknown_keys().iter().map(note).collect()
}

/// Tells what of the repository's own files has no effect on the plan.
async fn tell_oddities(
    services: &Services,
    run: &RunContext,
    file: &RepositoryFile,
    plan: &Plan,
) -> Result<(), Failure> {
    for unknown in file.unknown_keys() {
        note(services, run, &unknown.to_string()).await?;
    }
    for unreadable in &plan.unreadable {
        note(services, run, &unreadable.to_string()).await?;
    }
    Ok(())
}
