//! What a commit changes at each path, in the terms of `git diff-tree --raw`.

use super::{ObjectId, RepoPath};

/// One path that differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: RepoPath,
    /// The path that the entry had before, when it was renamed.
    pub renamed_from: Option<RepoPath>,
    pub status: ChangeStatus,
    /// The entry before the change, or `None` when the path is new.
    pub before: Option<TreeEntry>,
    /// The entry after the change, or `None` when the path was deleted.
    pub after: Option<TreeEntry>,
    /// The changed lines, or `None` for binary content.
    pub lines: Option<LineCount>,
    /// The size of the entry after the change, in bytes.
    pub size: u64,
    /// The target of the symbolic link after the change. It is `None` when the entry is not a
    /// symbolic link, or when its target is longer than any system allows.
    pub link_target: Option<Vec<u8>>,
}

impl Change {
    /// Returns every path that the change touches: the new one, and the old one of a rename.
    pub fn paths(&self) -> impl Iterator<Item = &RepoPath> {
        std::iter::once(&self.path).chain(&self.renamed_from)
    }

    /// Returns whether the content differs. It does not when only the path or the mode does.
    #[must_use]
    pub fn changes_content(&self) -> bool {
        let id = |entry: &Option<TreeEntry>| entry.as_ref().map(|entry| entry.id.clone());
        id(&self.before) != id(&self.after)
    }
}

/// The entry that a tree has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    pub mode: Mode,
    pub id: ObjectId,
}

/// The kinds of entries in the trees of git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    File,
    Executable,
    Link,
    /// A gitlink, which names a commit of another repository.
    Submodule,
}

/// How a path differs between two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeStatus {
    Added,
    Modified,
    Deleted,
    /// The entry has another path. Its content may differ a little too.
    Renamed,
    /// The kind of the entry changed, for example from a file to a symbolic link.
    TypeChanged,
}

/// How many lines a change adds to a file and deletes from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCount {
    pub added: u64,
    pub deleted: u64,
}
