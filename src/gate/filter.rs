//! The rule on filters: git stores some files not as they are in the tree, but as a program makes
//! them, such as Git LFS, which stores a pointer. The worker runs no such program.

use super::{ChangeLimits, ChangedFile, Finding};

/// New content at a path whose attributes name a filter. A file that keeps its content and its
/// filter passes, and so does a file that is deleted.
pub(super) fn rule(file: &ChangedFile, _: &ChangeLimits) -> Option<Finding> {
    let ChangedFile { change, filter, filter_before, .. } = file;
    let is_as_before =
        !change.changes_content() && (change.renamed_from.is_none() || filter == filter_before);
    if change.after.is_none() || is_as_before {
        return None;
    }
    let filter = filter.as_ref().or(filter_before.as_ref())?.clone();
    Some(Finding::Filtered { path: change.path.clone(), filter })
}
