//! The rules on the size of a change.

use super::{ChangeLimits, Finding};
use crate::git::Change;

/// A large file that git and its readers can't show as text.
pub(super) fn large_binary(change: &Change, limits: &ChangeLimits) -> Option<Finding> {
    let limit = limits.binary_size;
    (change.lines.is_none() && change.size > limit).then(|| Finding::LargeBinary {
        path: change.path.clone(),
        size: change.size,
        limit,
    })
}

/// More changed files than a person can review.
pub(super) fn too_many_files(changes: &[Change], limits: &ChangeLimits) -> Option<Finding> {
    let (files, limit) = (changes.len(), limits.files);
    (files > limit).then_some(Finding::TooManyFiles { files, limit })
}

/// More bytes than a repository should grow by in one change.
pub(super) fn too_large(changes: &[Change], limits: &ChangeLimits) -> Option<Finding> {
    let (size, limit) = (size_of(changes), limits.size);
    (size > limit).then_some(Finding::TooLarge { size, limit })
}

/// The total size of all new and changed files, in bytes.
pub(super) fn size_of(changes: &[Change]) -> u64 {
    changes.iter().fold(0, |sum, change| sum.saturating_add(change.size))
}
