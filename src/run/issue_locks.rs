//! The tasks of one issue run one after the other: they share a branch and a status comment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::task::Task;

/// A lock for each issue that this worker works on.
#[derive(Debug, Default)]
pub(super) struct IssueLocks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl IssueLocks {
    /// Waits until no other run of this worker works on the task's issue. None does as long as the
    /// guard lives.
    pub(super) async fn lock(&self, task: &Task) -> OwnedMutexGuard<()> {
        // GitHub takes names that differ by case for one repository.
        let issue = format!("{}#{}", task.repository, task.issue_number).to_ascii_lowercase();
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(issue).or_default())
        };
        lock.lock_owned().await
    }
}
