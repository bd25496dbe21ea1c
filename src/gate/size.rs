//! The rules on the size of a change.

use super::{ChangeLimits, ChangedFile, Finding};

/// A large file that git and its readers can't show as text, with new content.
pub(super) fn large_binary(file: &ChangedFile, limits: &ChangeLimits) -> Option<Finding> {
    let (change, limit) = (&file.change, limits.binary_size);
    let is_large = change.lines.is_none() && change.size > limit && change.changes_content();
    is_large.then(|| Finding::LargeBinary { path: change.path.clone(), size: change.size, limit })
}

/// More changed files than a person can review. A renamed file counts once.
pub(super) fn too_many_files(files: &[ChangedFile], limits: &ChangeLimits) -> Option<Finding> {
    let (count, limit) = (files.len(), limits.files);
    (count > limit).then_some(Finding::TooManyFiles { files: count, limit })
}

/// More bytes than a repository should grow by in one change.
pub(super) fn too_large(files: &[ChangedFile], limits: &ChangeLimits) -> Option<Finding> {
    let (size, limit) = (size_of(files), limits.size);
    (size > limit).then_some(Finding::TooLarge { size, limit })
}

/// How many bytes a change adds.
pub(super) fn size_of(files: &[ChangedFile]) -> u64 {
    files.iter().fold(0, |sum, file| sum.saturating_add(file.added_size))
}
