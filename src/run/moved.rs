//! A task whose repository was renamed or transferred, or whose issue was transferred, since the
//! message was sent.

use std::sync::Arc;

use super::Failure;
use super::context::RunContext;
use super::effects::note;
use super::services::Services;
use crate::github::GitHubError;
use crate::task::Task;
use crate::workspace::WorkspaceError;

/// The same run for the issue's new place, when a redirect is behind a failure and the worker works
/// on the repository there. The run begins anew, because what it made is in the clone of the old
/// name.
///
/// # Errors
/// The failure itself, when no redirect is behind it; [`Failure::IssueMoved`], when the worker does
/// not work on the repository.
pub(super) async fn follow(
    services: &Services,
    run: &RunContext,
    failure: Failure,
) -> Result<Arc<RunContext>, Failure> {
    let is_redirect = matches!(
        failure,
        Failure::GitHub(GitHubError::Moved { .. })
            | Failure::Workspace(WorkspaceError::Moved { .. })
    );
    if !is_redirect {
        return Err(failure);
    }
    let Task { repository, issue_number, .. } = &run.task;
    let (new, number) = services.github.issue_now(repository, *issue_number).await?;
    if new.is_same_as(repository) && number == *issue_number {
        return Err(failure);
    }
    let (from, to) = (format!("{repository}#{issue_number}"), format!("{new}#{number}"));
    if !services.config.allows(&new) {
        return Err(Failure::IssueMoved { from, to });
    }
    note(services, run, &format!("{from} is {to} now: the run begins anew there")).await?;
    let task = Task { repository: new, issue_number: number, ..run.task.clone() };
    Ok(Arc::new(RunContext { task, ..run.clone() }))
}
