//! Whether somebody who may decide it set the label. The workflow that queues an issue asks the
//! same; this worker does not take its word.

use super::{Failure, Services};
use crate::github::settings::Trust;
use crate::github::{GitHubError, Permission};
use crate::publish::TASK_LABEL;
use crate::task::Task;

impl Services {
    /// Whoever set the label last, by a template or by hand, must be trusted by the repository as
    /// far as the settings ask.
    pub(super) async fn authorize(&self, task: &Task) -> Result<(), Failure> {
        let required = match self.config.github.trust {
            Trust::Anybody => return Ok(()),
            Trust::Write => Permission::Write,
            Trust::Admin => Permission::Admin,
        };
        let labeler = self.github.labeler(&task.repository, task.issue_number, TASK_LABEL).await?;
        let Some(labeler) = labeler else {
            return Err(Failure::Untrusted { labeler: "nobody that GitHub knows of".to_owned() });
        };
        let held = match self.github.permission(&task.repository, &labeler).await {
            // An account that is gone, or that was never a person's.
            Err(GitHubError::NotFound { .. }) => Permission::None,
            held => held?,
        };
        if held >= required { Ok(()) } else { Err(Failure::Untrusted { labeler }) }
    }
}
