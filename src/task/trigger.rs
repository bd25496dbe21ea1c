//! The event that makes a task. Admission uses it to decide which text belongs to the task, who may
//! ask for it, and where its change goes. The later stages do not know it: they take the task's
//! issue for the place of its comment and labels.

use super::IssueNumber;

/// The event at GitHub for which a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Somebody put the task label on an issue.
    IssueLabeled { issue: IssueNumber },
}
