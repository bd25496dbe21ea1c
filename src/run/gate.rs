//! The gate: whether a change may be published.

use std::sync::LazyLock;

use super::Failure;
use super::check::Checked;
use super::effects::enter_stage;
use super::policy::{Allowed, judge};
use super::services::Services;
use crate::checks;
use crate::gate::attention::{Attention, TestPatterns, attention};
use crate::git::Change;
use crate::journal::Stage;

/// How tests look in the languages that `checks` knows.
static TEST_PATTERNS: LazyLock<TestPatterns> = LazyLock::new(|| {
    TestPatterns::new(checks::test_files(), checks::skip_marks())
        .expect("the patterns are constants that a test compiles")
});

/// A change that may be published.
pub(super) struct ApprovedChange {
    pub(super) checked: Checked,
    pub(super) changes: Vec<Change>,
    /// What its reader should look at.
    pub(super) attention: Vec<Attention>,
    /// Whether it adds or changes a file of tests.
    pub(super) touches_tests: bool,
}

/// Judges the change by the policy. A change with failed checks goes on only when no other delivery
/// could make it green; it becomes a draft.
pub(super) async fn gate(
    services: &Services,
    mut checked: Checked,
) -> Result<ApprovedChange, Failure> {
    let run = checked.prepared.run.clone();
    enter_stage(services, &run, Stage::Gate, "judging the change by the policy").await?;
    let earlier = checked.allowed.take();
    let Allowed { files, .. } =
        judge(services, &checked.prepared, &checked.progress, earlier).await?;
    let attention = attention(&files, &TEST_PATTERNS);
    let red = checked.red();
    if !red.is_empty() && !run.attempt.is_last() {
        return Err(Failure::ChecksRed(red));
    }
    let changes: Vec<Change> = files.into_iter().map(|file| file.change).collect();
    let is_test = |change: &Change| change.after.is_some() && TEST_PATTERNS.is_test(&change.path);
    let touches_tests = changes.iter().any(is_test);
    Ok(ApprovedChange { checked, changes, attention, touches_tests })
}
