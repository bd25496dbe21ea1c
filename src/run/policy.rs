//! The policy on a change, with what it has to know of the change: paths, sizes, filters, and the
//! lines that are added, which are searched for secrets.

use super::Failure;
use super::checkpoint::Progress;
use super::effects::note;
use super::pass::{call_agent, keep_progress};
use super::prepare::Prepared;
use super::services::Services;
use crate::agent::Verdict;
use crate::agent::prompt::Prompt;
use crate::gate::secret::{self, added_lines};
use crate::gate::settings::GateSettings;
use crate::gate::{self, ChangedFile, ProtectedPaths};
use crate::git::{Change, CommitId, RepoPath, TreeEntry};
use crate::language::Phrase;
use crate::workspace::{Cache, LeftOut, WorkspaceError};

/// A change that the policy allows.
pub(super) struct Allowed {
    /// The commit that makes the change.
    commit: CommitId,
    pub(super) files: Vec<ChangedFile>,
}

/// Has the agent put right what the policy refuses in its first pass. It gets one chance: what is
/// refused after that is refused for good, before the agent and the checks spend more time on it.
pub(super) async fn fix_until_allowed(
    services: &Services,
    prepared: &Prepared,
    progress: &mut Progress,
) -> Result<Allowed, Failure> {
    let refusal = match judge(services, prepared, progress, None).await {
        Err(Failure::GateRefused(refusal)) if services.config.checks.fix_ups > 0 => refusal,
        judged => return judged,
    };
    note(services, &prepared.run, &format!("the agent is asked to undo: {refusal}")).await?;
    let findings: Vec<String> = refusal.findings.iter().map(ToString::to_string).collect();
    call_agent(services, prepared, progress, &Prompt::refused(&findings)).await?;
    keep_progress(services, prepared, progress).await?;
    judge(services, prepared, progress, None).await
}

/// Judges everything that the work changes. What was read of the same commit for an earlier
/// judgment is not read again: it is the same. The rules judge it again, because the worker may
/// know more secrets by now.
pub(super) async fn judge(
    services: &Services,
    prepared: &Prepared,
    progress: &Progress,
    earlier: Option<Allowed>,
) -> Result<Allowed, Failure> {
    let settings = &services.config.gate;
    let allowed = match earlier.filter(|earlier| earlier.commit == progress.commit) {
        Some(earlier) => earlier,
        None => read_changes(prepared, progress, settings).await?,
    };
    let gate = prepared.file.gate();
    let protected =
        ProtectedPaths::of_repository(&gate.protected, &gate.unprotected).map_err(|error| {
            Failure::RepositoryFile(Phrase::same(format!("`gate.protected`: {error}")))
        })?;
    let limits = gate::ChangeLimits::new(settings, protected);
    gate::judge(&allowed.files, &limits).map_err(Failure::GateRefused)?;
    secret::judge(&allowed.files, &services.config.redaction).map_err(Failure::GateRefused)?;
    Ok(allowed)
}

/// Why there is no change to go on with.
pub(super) fn nothing_changed(progress: &Progress) -> Failure {
    if progress.left_out == LeftOut::default() {
        Failure::Agent(Verdict::NoChange)
    } else {
        Failure::NothingTaken(progress.left_out.clone())
    }
}

/// Reads what the gate has to know of each changed file. It reads no more content than a change may
/// have: what is beyond that is refused for its size.
async fn read_changes(
    Prepared { workspace, base, .. }: &Prepared,
    progress: &Progress,
    settings: &GateSettings,
) -> Result<Allowed, Failure> {
    let commit = &progress.commit;
    let changes = workspace.changes(&base.base.commit, commit).await?;
    if changes.is_empty() {
        return Err(nothing_changed(progress));
    }
    // The paths of the files, and then the paths that renamed files had before.
    let old_paths = changes.iter().filter_map(|change| change.renamed_from.clone());
    let paths: Vec<RepoPath> =
        changes.iter().map(|change| change.path.clone()).chain(old_paths).collect();
    let mut filters = workspace.filters(commit, &paths).await?;
    let mut filters_of_old_paths = filters.split_off(changes.len()).into_iter();
    let is_read = changes.len() <= settings.files;
    let (mut files, mut size) = (Vec::new(), 0u64);
    for (change, filter) in changes.into_iter().zip(filters) {
        let filter_before = match change.renamed_from {
            Some(_) => filters_of_old_paths.next().flatten(),
            None => filter.clone(),
        };
        let added = if is_read && size <= settings.size {
            added_by(workspace.cache(), &change, settings).await?
        } else {
            String::new()
        };
        let is_binary = change.lines.is_none();
        let added_size = match change.changes_content() {
            true if is_binary => change.size,
            true => u64::try_from(added.len()).unwrap_or(u64::MAX),
            false => 0,
        };
        size = size.saturating_add(added_size);
        files.push(ChangedFile { change, added, added_size, filter, filter_before });
    }
    Ok(Allowed { commit: commit.clone(), files })
}

/// The lines that a change adds to a file.
async fn added_by(
    cache: &Cache,
    change: &Change,
    settings: &GateSettings,
) -> Result<String, WorkspaceError> {
    let adds_nothing = change.lines.is_some_and(|lines| lines.added == 0);
    let is_refused = change.lines.is_none() && change.size > settings.binary_size;
    if adds_nothing || is_refused || !change.changes_content() {
        return Ok(String::new());
    }
    let limit = usize::try_from(settings.file_size).unwrap_or(usize::MAX);
    let after = content(cache, change.after.as_ref(), limit).await?;
    // What was there before may be larger than what may be published. All lines count as added
    // then.
    let before = content(cache, change.before.as_ref(), limit).await.unwrap_or_default();
    Ok(added_lines(&before, &after))
}

async fn content(
    cache: &Cache,
    entry: Option<&TreeEntry>,
    limit: usize,
) -> Result<String, WorkspaceError> {
    let Some(entry) = entry else { return Ok(String::new()) };
    let content = cache.blob(&entry.id, limit).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).into_owned())
}
