//! What makes a task. Admission decides by it which text is the task's, who may ask for it, and
//! where its change goes; the stages after it don't know it.

use super::IssueNumber;

/// The event at GitHub that a task stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Somebody put the task's label on an issue.
    IssueLabeled { issue: IssueNumber },
}
