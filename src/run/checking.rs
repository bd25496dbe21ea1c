//! Which checks a repository has, and how a run carries out one of them.

use std::path::{Path, PathBuf};

use tracing::Instrument as _;

use super::Failure;
use super::context::RunContext;
use super::services::Services;
use crate::checks::{
    self, Check, CheckError, CheckResult, CheckVerdict, Manifests, Plan, Ran, RepositoryFile, Site,
    UnreadableReason,
};
use crate::disk::FileAction;
use crate::errors;
use crate::git::{CommitId, RepoPath};
use crate::language::Phrase;
use crate::task::RepoName;
use crate::workspace::{Cache, WorkspaceError};

/// A settings or project file that is larger than this, in bytes, is not read.
const LARGEST_MANIFEST: usize = 1 << 20;

/// Which checks a repository has: what its own file says, else what the files of `commit` show it
/// to be.
pub(super) async fn plan(
    services: &Services,
    cache: &Cache,
    file: &RepositoryFile,
    commit: &CommitId,
) -> Result<Plan, Failure> {
    let files = cache.files_at(commit).await?;
    let paths: Vec<&str> = files.iter().filter_map(RepoPath::as_str).collect();
    let mut manifests = Manifests::default();
    for manifest in Plan::manifests(&paths) {
        let path = RepoPath::new(manifest.into());
        match cache.file_at(commit, &path, LARGEST_MANIFEST).await {
            Ok(Some(content)) => manifests.add(manifest, content),
            Ok(None) => manifests.add_unreadable(manifest, UnreadableReason::NotAFile),
            Err(WorkspaceError::TooLarge { .. }) => {
                let reason = UnreadableReason::TooLarge { limit: LARGEST_MANIFEST };
                manifests.add_unreadable(manifest, reason);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Plan::detect(&paths, &manifests, file, services.config.checks.timeout))
}

/// What a repository says itself of how it is worked on. Only the base's file counts, since an
/// agent may write another.
pub(super) async fn repository_file(
    cache: &Cache,
    base: &CommitId,
) -> Result<RepositoryFile, Failure> {
    let path = RepoPath::new(checks::REPOSITORY_FILE.into());
    match cache.file_at(base, &path, LARGEST_MANIFEST).await? {
        Some(text) => RepositoryFile::parse(&text)
            .map_err(|error| Failure::RepositoryFile(errors::phrase(&error))),
        None => Ok(RepositoryFile::default()),
    }
}

/// Runs one check in `tree`. Its output goes to the run's log.
pub(super) async fn run_check(
    services: &Services,
    run: &RunContext,
    tree: &Path,
    check: &Check,
) -> Result<Ran, Failure> {
    run.append_log(&format!("$ {}", check.command)).await?;
    let cache = repository_cache(&services.config.data_dir, &run.task.repository);
    let (scratch, log) = (run.scratch().join("checks"), run.log());
    let site = Site { tree, scratch: &scratch, cache: &cache, log: &log };
    let span = tracing::info_span!("check", command = check.command);
    match services.checker.run(check, site, run.lease.lost()).instrument(span).await {
        Ok(ran) => Ok(ran),
        Err(CheckError::Stopped { .. }) => Err(Failure::LeaseLost),
        Err(CheckError::Process { source, .. }) => Err(source.into()),
        Err(CheckError::Place { path, source }) => Err(Failure::Local {
            what: Phrase::new(
                format!("can't make the directory {}", path.display()),
                format!("{} {}", path.display(), FileAction::MakeDirectory.japanese()),
            ),
            source,
        }),
    }
}

/// The directory for what the tools of one repository's checks download. No other repository's
/// checks see it.
fn repository_cache(data_dir: &Path, repository: &RepoName) -> PathBuf {
    let (owner, name) =
        (repository.owner().to_ascii_lowercase(), repository.name().to_ascii_lowercase());
    data_dir.join("caches").join(owner).join(name)
}

/// A result as the run's log tells it.
pub(super) fn describe(result: &CheckResult) -> String {
    match &result.verdict {
        CheckVerdict::Passed => "passed".to_owned(),
        CheckVerdict::New { failures } if failures.is_empty() => "failed".to_owned(),
        CheckVerdict::New { failures } => {
            format!("failed: {}", failures.iter().cloned().collect::<Vec<_>>().join(", "))
        }
        CheckVerdict::FailedBefore => "failed as it did before the change".to_owned(),
        CheckVerdict::TimedOut => "took too long".to_owned(),
        CheckVerdict::NotRun { obstacle } => format!("could not be run: {obstacle}"),
    }
}
