//! From a run's failure to the reason that people are told, in the language that they read, and
//! from what kept a check from running to its words.

use std::error::Error;

use super::Failure;
use super::outcome::RedChecks;
use crate::agent::{AgentError, Verdict};
use crate::checks::Obstacle;
use crate::errors::chain;
use crate::gate::Finding;
use crate::process::ProcessError;
use crate::publish::{Hindrance, PolicyViolation, PushRule, Reason};
use crate::workspace::WorkspaceError;

/// How many files of each kind are named that no change can hold.
const NAMED_PATHS: usize = 20;

/// The reason for a failure, as data: the journal keeps it, and a template makes sentences of it.
pub(super) fn reason(failure: &Failure) -> Reason {
    match failure {
        Failure::InvalidMessage(error) => Reason::InvalidMessage { detail: chain(error) },
        Failure::RepositoryNotAllowed(repository) => {
            Reason::RepositoryNotAllowed { repository: repository.to_string() }
        }
        Failure::IssueClosed => Reason::IssueClosed,
        Failure::LabelRemoved(label) => Reason::LabelRemoved { label: (*label).to_owned() },
        Failure::Untrusted { labeler: Some(labeler) } => {
            Reason::Untrusted { labeler: labeler.clone() }
        }
        Failure::Untrusted { labeler: None } => Reason::LabelerUnknown,
        Failure::EditedSinceLabeled => Reason::EditedSinceLabeled,
        Failure::NothingVisible => Reason::NothingVisible,
        Failure::AlreadyReported => Reason::AlreadyReported,
        Failure::Agent(verdict) => of_verdict(verdict),
        Failure::NothingTaken(left_out) => {
            let named = |paths: &[String]| paths.iter().take(NAMED_PATHS).cloned().collect();
            Reason::NothingTaken {
                ignored: named(&left_out.ignored),
                submodules: named(&left_out.submodules),
                leftovers: named(&left_out.leftovers),
            }
        }
        Failure::ChecksRed(RedChecks { commands, failures, branch }) => Reason::ChecksFailed {
            commands: commands.clone(),
            failures: failures.clone(),
            branch: branch.clone(),
        },
        Failure::RepositoryFile(detail) => Reason::RepositoryFileInvalid { detail: detail.clone() },
        Failure::GateRefused(refusal) => {
            Reason::ChangeRefused { violations: refusal.findings.iter().map(violation).collect() }
        }
        Failure::PullRequestClosed { number } => Reason::PullRequestClosed { number: *number },
        Failure::TooManyBranches(branch) => Reason::TooManyBranches { branch: branch.clone() },
        Failure::IssueMoved { from, to } => {
            Reason::IssueMoved { from: from.clone(), to: to.clone() }
        }
        Failure::BranchInTheWay { branch, other } => {
            Reason::BranchInTheWay { branch: branch.to_string(), other: other.clone() }
        }
        Failure::BranchTaken(branch) => Reason::BranchTaken { branch: branch.to_string() },
        Failure::BranchName(error) => Reason::BranchNameInvalid { detail: chain(error) },
        Failure::LeaseLost => Reason::LeaseLost,
        Failure::OutOfTime => Reason::OutOfTime,
        Failure::GitHub(error) => Reason::from(error),
        Failure::Workspace(error) => of_workspace(error),
        Failure::Process(error) => of_process(error),
        Failure::AgentCall(error) => of_agent_call(error),
        Failure::Journal(error) => Reason::JournalUnusable { detail: chain(error) },
        Failure::Disk(_) | Failure::Local { .. } => unusable(failure),
        Failure::Panicked { message } => Reason::Panicked { detail: message.clone() },
    }
}

fn of_verdict(verdict: &Verdict) -> Reason {
    match verdict {
        // A run fails with a verdict only when there is no change to go on with.
        Verdict::Edited | Verdict::NoChange => Reason::NoChange,
        Verdict::MalformedEdits => Reason::MalformedEdits,
        Verdict::ModelUnreachable { detail } => Reason::ModelUnreachable { detail: detail.clone() },
        Verdict::ModelMissing => Reason::ModelMissing,
        Verdict::TokenLimit => Reason::TokenLimit,
        Verdict::TimedOut => Reason::AgentTimedOut,
        Verdict::Stopped => Reason::AgentStopped,
        Verdict::Failed { detail } => Reason::AgentFailed { detail: detail.clone() },
    }
}

fn of_agent_call(error: &AgentError) -> Reason {
    match error {
        AgentError::Process(error) => of_process(error),
        AgentError::NoModel => Reason::NoModel,
        AgentError::Disk(_) | AgentError::Scratch { .. } | AgentError::HiddenFiles { .. } => {
            unusable(error)
        }
    }
}

fn of_process(error: &ProcessError) -> Reason {
    match error {
        ProcessError::NotFound { program } => {
            Reason::ProgramNotFound { program: program.display().to_string() }
        }
        ProcessError::Spawn { program, .. } => Reason::ProgramNotStarted {
            program: program.display().to_string(),
            detail: chain(error),
        },
        ProcessError::Io { program, .. } => {
            Reason::ProgramLost { program: program.display().to_string(), detail: chain(error) }
        }
        ProcessError::Log { .. } => unusable(error),
    }
}

fn of_workspace(error: &WorkspaceError) -> Reason {
    match error {
        WorkspaceError::UnusableAddress => Reason::RepositoryAddressUnusable,
        WorkspaceError::Unauthorized { url, detail } => {
            Reason::RepositoryUnauthorized { url: url.clone(), detail: detail.clone() }
        }
        WorkspaceError::RepositoryNotFound { url } => {
            Reason::RepositoryNotFound { url: url.clone() }
        }
        WorkspaceError::Moved { url, detail } => {
            Reason::RepositoryMoved { url: url.clone(), detail: detail.clone() }
        }
        WorkspaceError::NoCommits { url } => Reason::RepositoryWithoutCommits { url: url.clone() },
        WorkspaceError::Unreachable { url, detail } => {
            Reason::RepositoryUnreachable { url: url.clone(), detail: detail.clone() }
        }
        WorkspaceError::StaleRemote { url, branch, detail } => {
            Reason::BranchMoved { url: url.clone(), branch: branch.clone(), detail: detail.clone() }
        }
        WorkspaceError::PushRefused { url, branch, detail } => Reason::PushRefused {
            url: url.clone(),
            branch: branch.clone(),
            rule: PushRule::of(detail),
            detail: detail.clone(),
        },
        WorkspaceError::NestedRepository { path } => {
            Reason::NestedRepository { path: path.to_string() }
        }
        WorkspaceError::Foreign { path, what } => {
            Reason::UnusableFile { path: path.to_string(), detail: (*what).to_owned() }
        }
        WorkspaceError::Malformed { url, detail } => {
            Reason::RepositoryMalformed { url: url.clone(), detail: detail.clone() }
        }
        WorkspaceError::LargeFile { path, limit } => {
            Reason::LargeFile { path: path.to_string(), mebibytes: limit >> 20 }
        }
        WorkspaceError::LargeTree { limit } => Reason::LargeTree { mebibytes: limit >> 20 },
        WorkspaceError::Encoding { detail } => Reason::EncodingUnusable { detail: detail.clone() },
        WorkspaceError::Unacceptable { why } => Reason::TreeUnusable { detail: why.clone() },
        WorkspaceError::TooLarge { what, limit } => {
            Reason::GitAnswerTooLarge { limit: *limit, detail: what.clone() }
        }
        WorkspaceError::TimedOut { command, deadline } => {
            Reason::GitTimedOut { command: (*command).to_owned(), seconds: deadline.as_secs() }
        }
        WorkspaceError::Killed { command, signal } => {
            Reason::GitKilled { command: (*command).to_owned(), signal: *signal }
        }
        WorkspaceError::Git { command, code, stderr } => Reason::GitFailed {
            command: (*command).to_owned(),
            code: *code,
            detail: stderr.clone(),
        },
        WorkspaceError::UnexpectedAnswer { command, answer } => {
            Reason::GitAnswerUnexpected { command: (*command).to_owned(), detail: answer.clone() }
        }
        WorkspaceError::InvalidName(error) => Reason::BranchNameInvalid { detail: chain(error) },
        WorkspaceError::Process(error) => of_process(error),
        WorkspaceError::Disk(_) | WorkspaceError::Io { .. } => unusable(error),
    }
}

fn unusable(error: &dyn Error) -> Reason {
    Reason::FileUnusable { detail: chain(error) }
}

fn violation(finding: &Finding) -> PolicyViolation {
    match finding {
        Finding::ProtectedPath { path, rule } => {
            PolicyViolation::ProtectedPath { path: path.to_string(), rule: rule.clone() }
        }
        Finding::Submodule { path } => PolicyViolation::Submodule { path: path.to_string() },
        Finding::EscapingLink { path } => PolicyViolation::EscapingLink { path: path.to_string() },
        Finding::Filtered { path, filter } => {
            PolicyViolation::Filtered { path: path.to_string(), filter: filter.clone() }
        }
        Finding::ConflictMarkers { path } => {
            PolicyViolation::ConflictMarkers { path: path.to_string() }
        }
        Finding::LargeBinary { path, size, limit } => {
            PolicyViolation::LargeBinary { path: path.to_string(), size: *size, limit: *limit }
        }
        Finding::Secret { path, rule } => {
            PolicyViolation::Secret { path: path.to_string(), rule: rule.clone() }
        }
        Finding::TooManyFiles { files, limit } => {
            PolicyViolation::TooManyFiles { files: *files, limit: *limit }
        }
        Finding::TooLarge { size, limit } => {
            PolicyViolation::TooLarge { size: *size, limit: *limit }
        }
    }
}

/// What kept a check from running, as people are told it.
pub(super) fn hindrance(obstacle: &Obstacle) -> Hindrance {
    match obstacle.clone() {
        Obstacle::Missing { tool } => Hindrance::Missing { tool },
        Obstacle::NotExecutable { program } => Hindrance::NotExecutable { program },
        Obstacle::WrongVersion { detail } => Hindrance::WrongVersion { detail },
        Obstacle::Offline => Hindrance::Offline,
        Obstacle::Unreachable { detail } => Hindrance::Unreachable { detail },
        Obstacle::Certificate { detail } => Hindrance::Certificate { detail },
        Obstacle::ReadOnly { detail } => Hindrance::ReadOnly { detail },
        Obstacle::NoSpace { detail } => Hindrance::NoSpace { detail },
        Obstacle::TimeLimit { seconds } => Hindrance::TimeLimit { seconds },
    }
}
