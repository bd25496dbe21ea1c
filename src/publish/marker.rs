//! The hidden marks by which the worker finds its own comments and pull requests again.
//!
//! A mark is an HTML comment, which GitHub keeps in the source and does not show ("Basic writing
//! and formatting syntax"). Text that comes from elsewhere can't hold one: see
//! [`neutral`](super::text::neutral).

use crate::task::{IssueNumber, TaskKey};

const PREFIX: &str = "<!-- codingworker:";
const SUFFIX: &str = " -->";

/// The mark of an issue's one status comment; all tasks of the issue share it.
pub(super) fn status(issue: IssueNumber) -> String {
    format!("{PREFIX}status issue={issue}{SUFFIX}")
}

/// The mark that holds the attempts at a task, in an encoding that has no end of a comment in it.
pub(super) fn attempts(task: &TaskKey, encoded: &str) -> String {
    format!("{PREFIX}attempts task={task} {encoded}{SUFFIX}")
}

/// A status comment without its marks; nothing when it is no status comment of the issue.
pub(super) fn without_marks(body: &str, issue: IssueNumber) -> Option<&str> {
    let said = body.trim_end().strip_suffix(&status(issue))?.trim_end();
    let start = format!("\n{PREFIX}attempts ");
    Some(match said.rfind(&start) {
        Some(at) if said.ends_with(SUFFIX) => said.get(..at).unwrap_or(said),
        Some(_) | None => said,
    })
}

/// The attempts at a task that a status comment holds, as they were encoded.
pub(super) fn attempts_in<'a>(body: &'a str, task: &TaskKey) -> Option<&'a str> {
    let (_, rest) = body.rsplit_once(&format!("\n{PREFIX}attempts task={task} "))?;
    rest.split_once(SUFFIX).map(|(encoded, _)| encoded)
}

/// The mark of the pull request that a task ended in. The mark of a draft that a failure left is
/// another one.
pub(super) fn pull_request(task: &TaskKey, state: PrState) -> String {
    format!("{PREFIX}{state} task={task}{SUFFIX}")
}

/// Whether a pull request is what its task asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub(super) enum PrState {
    Done,
    /// No test was run on it. It is a draft, and yet all that its task can come to.
    Untested,
    Draft,
}
