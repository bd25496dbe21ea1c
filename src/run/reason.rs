//! From a run's failure to the reason that people are told, in the language that they read, and
//! from what kept a check from running to its words.

use super::Failure;
use super::outcome::RedChecks;
use crate::agent::{AgentError, Verdict};
use crate::checks::Obstacle;
use crate::errors::{Bilingual, told};
use crate::gate::Finding;
use crate::language::Language;
use crate::process::ProcessError;
use crate::publish::{Hindrance, PolicyViolation, PushRule, Reason};
use crate::workspace::WorkspaceError;

/// How many files of each kind are named that no change can hold.
const NAMED_PATHS: usize = 20;

/// The reason for a failure, as data: the journal keeps it, and a template makes sentences of it.
/// `language` is that of the texts which are not the templates' own, such as the cause.
pub(super) fn reason(failure: &Failure, language: Language) -> Reason {
    match failure {
        Failure::InvalidMessage(error) => Reason::InvalidMessage { detail: told(error, language) },
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
        Failure::RepositoryFile(detail) => {
            Reason::RepositoryFileInvalid { detail: detail.of(language).to_owned() }
        }
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
        Failure::BranchName(error) => Reason::BranchNameInvalid { detail: told(error, language) },
        Failure::LeaseLost => Reason::LeaseLost,
        Failure::OutOfTime => Reason::OutOfTime,
        Failure::GitHub(error) => Reason::of_github(error, language),
        Failure::Workspace(error) => of_workspace(error, language),
        Failure::Process(error) => of_process(error, language),
        Failure::AgentCall(error) => of_agent_call(error, language),
        Failure::Journal(error) => Reason::JournalUnusable { detail: told(error, language) },
        Failure::Disk(error) => unusable(error, language),
        Failure::Local { what, source } => {
            Reason::FileUnusable { detail: format!("{}: {source}", what.of(language)) }
        }
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

fn of_agent_call(error: &AgentError, language: Language) -> Reason {
    match error {
        AgentError::Process(error) => of_process(error, language),
        AgentError::NoModel => Reason::NoModel,
        AgentError::Disk(_) | AgentError::Scratch { .. } | AgentError::HiddenFiles { .. } => {
            unusable(error, language)
        }
    }
}

fn of_process(error: &ProcessError, language: Language) -> Reason {
    match error {
        ProcessError::NotFound { program } => {
            Reason::ProgramNotFound { program: program.display().to_string() }
        }
        ProcessError::Spawn { program, .. } => Reason::ProgramNotStarted {
            program: program.display().to_string(),
            detail: told(error, language),
        },
        ProcessError::Io { program, .. } => Reason::ProgramLost {
            program: program.display().to_string(),
            detail: told(error, language),
        },
        ProcessError::Log { .. } => unusable(error, language),
    }
}

fn of_workspace(error: &WorkspaceError, language: Language) -> Reason {
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
            Reason::UnusableFile { path: path.to_string(), detail: what.of(language).to_owned() }
        }
        WorkspaceError::Malformed { url, detail } => {
            Reason::RepositoryMalformed { url: url.clone(), detail: detail.clone() }
        }
        WorkspaceError::LargeFile { path, limit } => {
            Reason::LargeFile { path: path.to_string(), mebibytes: limit >> 20 }
        }
        WorkspaceError::LargeTree { limit } => Reason::LargeTree { mebibytes: limit >> 20 },
        WorkspaceError::Encoding { detail } => Reason::EncodingUnusable { detail: detail.clone() },
        WorkspaceError::Unacceptable { why } => {
            Reason::TreeUnusable { detail: why.of(language).to_owned() }
        }
        WorkspaceError::TooLarge { what, limit } => {
            Reason::GitAnswerTooLarge { limit: *limit, detail: what.of(language).to_owned() }
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
        WorkspaceError::InvalidName(error) => {
            Reason::BranchNameInvalid { detail: told(error, language) }
        }
        WorkspaceError::Process(error) => of_process(error, language),
        WorkspaceError::Disk(_) | WorkspaceError::Io { .. } => unusable(error, language),
    }
}

fn unusable(error: &dyn Bilingual, language: Language) -> Reason {
    Reason::FileUnusable { detail: told(error, language) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskError;

    #[test]
    fn the_cause_is_told_in_the_language_of_the_reason() {
        let failure = Failure::Disk(DiskError::InUse { path: "/data".into() });
        for (language, expected) in
            [(Language::En, "another worker uses /data"), (Language::Ja, "/data は別のワーカーが")]
        {
            let reason = reason(&failure, language);
            let Reason::FileUnusable { detail } = &reason else { panic!("{reason:?}") };
            assert!(detail.starts_with(expected), "{detail}");
        }
    }
}
