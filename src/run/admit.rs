//! Whether a task is still wanted: its issue open, and its label on it. Asked before the work,
//! during it, and before it is published.

use super::{Claimed, Failure, Services};
use crate::github::{GitHubError, Issue};
use crate::publish::{FAILED_LABEL, TASK_LABEL};
use crate::task::Task;

impl Services {
    /// The issue of a task that is wanted.
    pub(super) async fn ensure_still_wanted(&self, task: &Task) -> Result<Issue, Failure> {
        let issue = self.github.issue(&task.repository, task.issue_number).await?;
        called_off(&issue).map_or(Ok(issue), Err)
    }

    /// Does `work`, and drops it as soon as the task is called off: what runs in it is killed.
    pub(super) async fn while_wanted<T>(
        &self,
        claimed: &Claimed,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            called_off = self.until_called_off(&claimed.task) => Err(called_off),
        }
    }

    async fn until_called_off(&self, task: &Task) -> Failure {
        loop {
            tokio::time::sleep(self.config.github.watch_interval).await;
            match self.github.issue(&task.repository, task.issue_number).await {
                Ok(issue) => {
                    if let Some(called_off) = called_off(&issue) {
                        return called_off;
                    }
                }
                Err(error) => wait_out(&error).await,
            }
        }
    }
}

/// Work goes on while the forge does not answer, and a forge that is limiting us is left alone
/// until it is done with that.
async fn wait_out(error: &GitHubError) {
    tracing::debug!(%error, "whether the task is still wanted could not be asked");
    if let GitHubError::RateLimited { retry_after } = error {
        tokio::time::sleep(*retry_after).await;
    }
}

/// A failed task's issue bears [`FAILED_LABEL`] in place of the other. Its message comes again when
/// an operator redrives it, or when it was sent twice: then it is done after all, unless somebody
/// closed the issue or took that label off too.
fn called_off(issue: &Issue) -> Option<Failure> {
    if !issue.is_open() {
        Some(Failure::IssueClosed)
    } else if !issue.has_label(TASK_LABEL) && !issue.has_label(FAILED_LABEL) {
        Some(Failure::LabelRemoved(TASK_LABEL))
    } else {
        None
    }
}
