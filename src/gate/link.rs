//! The rules on entries that lead elsewhere: submodules and symbolic links.

use super::{ChangeLimits, ChangedFile, Finding};
use crate::git::{Change, Mode};

/// A submodule that comes, goes or changes.
pub(super) fn submodule(file: &ChangedFile, _: &ChangeLimits) -> Option<Finding> {
    let change = &file.change;
    let mut sides = [&change.before, &change.after].into_iter().flatten();
    sides
        .any(|entry| entry.mode == Mode::Submodule)
        .then(|| Finding::Submodule { path: change.path.clone() })
}

/// A symbolic link out of the repository.
pub(super) fn escaping_link(file: &ChangedFile, _: &ChangeLimits) -> Option<Finding> {
    let change = &file.change;
    let is_link = change.after.as_ref().is_some_and(|entry| entry.mode == Mode::Link);
    (is_link && escapes(change)).then(|| Finding::EscapingLink { path: change.path.clone() })
}

/// Returns whether a symbolic link may lead out of the repository or into its `.git`.
///
/// All `..` parts of the target must come before the first name. The kernel resolves a path part by
/// part and replaces a link by its target at once (`path_resolution(7)`). When a directory in the
/// target is a link too, a `..` after its name starts from the place to which that link leads, and
/// this function can't know that place.
fn escapes(change: &Change) -> bool {
    // A target that was too long to read counts as a link out of the repository.
    let Some(target) = change.link_target.as_deref() else {
        return true;
    };
    if target.is_empty() || target.starts_with(b"/") {
        return true;
    }
    // The kernel resolves a relative target from the directory that contains the link (symlink(7)).
    // `depth` counts how many directories that directory is below the root.
    let mut depth = change.path.parts().count() - 1;
    let mut descended = false;
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if descended || depth == 0 => return true,
            b".." => depth -= 1,
            _ if part.eq_ignore_ascii_case(b".git") => return true,
            _ => descended = true,
        }
    }
    false
}
