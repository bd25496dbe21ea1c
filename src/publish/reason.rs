//! Why a run did not end in a pull request that may be merged, as data that is kept in the journal
//! and shown in the reader's language.
//!
//! A reason has three parts. What happened and what the reader can do next are sentences of
//! `templates/LANGUAGE/reasons.md`. A field named `detail` is text that exists in one language
//! only, such as an operating system's error or GitHub's message, and is shown as code.

use serde::{Deserialize, Serialize};

use super::push_rule::PushRule;
use crate::errors::chain;
use crate::github::GitHubError;
use crate::language::Language;

/// Why a run failed, was cancelled or is tried again.
///
/// Every variant has a macro of its name, in snake case, in `templates/LANGUAGE/reasons.md`. The
/// macro takes the variant's fields by name, except for `detail`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// What a journal of version 0.1.0 holds: an English sentence. It is shown as it is.
    Text(String),

    // The message and the issue.
    InvalidMessage {
        detail: String,
    },
    AlreadyReported,
    RepositoryNotAllowed {
        repository: String,
    },
    IssueClosed,
    LabelRemoved {
        label: String,
    },
    /// `labeler` is the login of the account that set the label last.
    Untrusted {
        labeler: String,
    },
    /// GitHub names nobody who set the label.
    LabelerUnknown,
    EditedSinceLabeled,
    /// Neither the title nor the body of the issue has a visible character.
    NothingVisible,
    PullRequestClosed {
        number: u64,
    },
    /// `branch` is the first branch of the issue.
    TooManyBranches {
        branch: String,
    },
    BranchTaken {
        branch: String,
    },
    /// git can't have a branch `branch` beside the branch `other`.
    BranchInTheWay {
        branch: String,
        other: String,
    },
    BranchNameInvalid {
        detail: String,
    },

    // The agent and its model.
    NoChange,
    /// The agent wrote only files that no change can hold. Each path is named once.
    NothingTaken {
        ignored: Vec<String>,
        submodules: Vec<String>,
        leftovers: Vec<String>,
    },
    MalformedEdits,
    ModelUnreachable {
        detail: String,
    },
    ModelMissing,
    NoModel,
    TokenLimit,
    AgentTimedOut,
    AgentStopped,
    AgentFailed {
        detail: String,
    },

    // The checks and the policy.
    /// `commands` are the checks that fail with the change and did not fail so before it, and
    /// `failures` the tests and errors that are new. Journals of version 0.1.0 name none.
    ChecksFailed {
        commands: Vec<String>,
        #[serde(default)]
        failures: Vec<String>,
        /// The branch that holds the change, when no pull request does.
        #[serde(default)]
        branch: Option<String>,
    },
    RepositoryFileInvalid {
        detail: String,
    },
    ChangeRefused {
        violations: Vec<PolicyViolation>,
    },

    // The delivery.
    LeaseLost,
    /// An earlier attempt ended without a word.
    CutOff,
    /// SQS ended the last delivery. `attempts` is the queue's `maxReceiveCount`.
    DeliveriesUsedUp {
        attempts: u32,
    },
    OutOfTime,

    // GitHub's API. `url` is the address of the request.
    GitHubTokenUnusable,
    GitHubUnauthorized {
        url: String,
        detail: String,
    },
    GitHubForbidden {
        url: String,
        detail: String,
    },
    GitHubNotFound {
        url: String,
    },
    /// The issue was deleted.
    GitHubDeleted {
        url: String,
    },
    /// The repository has no issues any more.
    GitHubIssuesDisabled {
        url: String,
    },
    GitHubInvalid {
        url: String,
        detail: String,
    },
    GitHubRateLimited {
        seconds: u64,
    },
    GitHubUnavailable {
        url: String,
        status: u16,
    },
    GitHubTimedOut {
        url: String,
    },
    GitHubUnreachable {
        url: String,
        detail: String,
    },
    GitHubUnexpected {
        url: String,
        detail: String,
    },

    // The repository and git. `url` is the repository's address, `command` is git's subcommand.
    RepositoryAddressUnusable,
    RepositoryUnauthorized {
        url: String,
        detail: String,
    },
    RepositoryNotFound {
        url: String,
    },
    RepositoryMoved {
        url: String,
        detail: String,
    },
    /// The issue `from` is `to` by now, in a repository that the worker does not work on. Both
    /// have the form `owner/repo#1`.
    IssueMoved {
        from: String,
        to: String,
    },
    RepositoryWithoutCommits {
        url: String,
    },
    RepositoryUnreachable {
        url: String,
        detail: String,
    },
    /// git's checks refuse an object of the repository's history.
    RepositoryMalformed {
        url: String,
        detail: String,
    },
    BranchMoved {
        url: String,
        branch: String,
        detail: String,
    },
    /// Journals of version 0.1.0 have no `rule`.
    PushRefused {
        url: String,
        branch: String,
        #[serde(default)]
        rule: PushRule,
        detail: String,
    },
    NestedRepository {
        path: String,
    },
    /// `detail` says what the file is, such as "a socket".
    UnusableFile {
        path: String,
        detail: String,
    },
    TreeUnusable {
        detail: String,
    },
    /// A new or changed file is larger than `mebibytes`.
    LargeFile {
        path: String,
        mebibytes: u64,
    },
    /// All that is new is larger than `mebibytes`, compressed.
    LargeTree {
        mebibytes: u64,
    },
    /// A file is not in the encoding that its attribute `working-tree-encoding` names.
    EncodingUnusable {
        detail: String,
    },
    /// `detail` says what is larger than `limit` bytes.
    GitAnswerTooLarge {
        limit: usize,
        detail: String,
    },
    GitTimedOut {
        command: String,
        seconds: u64,
    },
    GitKilled {
        command: String,
        signal: i32,
    },
    GitFailed {
        command: String,
        code: i32,
        detail: String,
    },
    GitAnswerUnexpected {
        command: String,
        detail: String,
    },

    // The worker's machine.
    ProgramNotFound {
        program: String,
    },
    ProgramNotStarted {
        program: String,
        detail: String,
    },
    ProgramLost {
        program: String,
        detail: String,
    },
    /// A file or a directory could not be read or written. `detail` says which one and why.
    FileUnusable {
        detail: String,
    },
    JournalUnusable {
        detail: String,
    },
    /// The worker panicked: a fault of CodingWorker itself.
    Panicked {
        detail: String,
    },
}

/// One rule on what a commit may change, and how a change broke it.
///
/// Every variant has a macro of its name in `templates/LANGUAGE/violations.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PolicyViolation {
    ProtectedPath {
        path: String,
        rule: String,
    },
    Submodule {
        path: String,
    },
    EscapingLink {
        path: String,
    },
    /// `filter` is the filter's name in `.gitattributes`.
    Filtered {
        path: String,
        filter: String,
    },
    ConflictMarkers {
        path: String,
    },
    /// Sizes and limits are in bytes.
    LargeBinary {
        path: String,
        size: u64,
        limit: u64,
    },
    /// `rule` names the pattern. What it found is never kept.
    Secret {
        path: String,
        rule: String,
    },
    TooManyFiles {
        files: usize,
        limit: usize,
    },
    TooLarge {
        size: u64,
        limit: u64,
    },
}

impl Reason {
    /// The reason for a failed request to GitHub. `language` is that of the details which are not
    /// GitHub's own.
    #[must_use]
    pub fn of_github(error: &GitHubError, language: Language) -> Self {
        match error {
            GitHubError::UnusableToken => Self::GitHubTokenUnusable,
            GitHubError::Unauthorized { url, message } => {
                Self::GitHubUnauthorized { url: url.clone(), detail: message.clone() }
            }
            GitHubError::Forbidden { url, message } => {
                Self::GitHubForbidden { url: url.clone(), detail: message.clone() }
            }
            GitHubError::NotFound { url } => Self::GitHubNotFound { url: url.clone() },
            GitHubError::Deleted { url } => Self::GitHubDeleted { url: url.clone() },
            GitHubError::IssuesDisabled { url } => Self::GitHubIssuesDisabled { url: url.clone() },
            GitHubError::Moved { url, location } => {
                Self::RepositoryMoved { url: url.clone(), detail: location.clone() }
            }
            GitHubError::Invalid { url, message } => {
                Self::GitHubInvalid { url: url.clone(), detail: message.clone() }
            }
            GitHubError::RateLimited { retry_after } => {
                Self::GitHubRateLimited { seconds: retry_after.as_secs() }
            }
            GitHubError::Unavailable { url, status } => {
                Self::GitHubUnavailable { url: url.clone(), status: *status }
            }
            GitHubError::TimedOut { url } => Self::GitHubTimedOut { url: url.clone() },
            GitHubError::Unreachable { url, source } => {
                Self::GitHubUnreachable { url: url.clone(), detail: chain(source) }
            }
            GitHubError::Unexpected { url, detail } => {
                Self::GitHubUnexpected { url: url.clone(), detail: detail.of(language).to_owned() }
            }
            GitHubError::NotPermitted => Self::LeaseLost,
        }
    }
}

#[cfg(test)]
mod tests;
