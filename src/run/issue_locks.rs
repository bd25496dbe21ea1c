//! The tasks of one issue take turns: they share a branch and a status comment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::task::Task;

/// Whose turn it is, by issue.
#[derive(Debug, Default)]
pub(super) struct IssueLocks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl IssueLocks {
    /// Waits until no other run of this worker works on the issue; none will until the turn is
    /// dropped.
    pub(super) async fn take(&self, task: &Task) -> OwnedMutexGuard<()> {
        let issue = format!("{}#{}", task.repository, task.issue_number).to_ascii_lowercase();
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(issue).or_default())
        };
        turn.lock_owned().await
    }
}
