//! What a commit changes, path by path, as `git diff-tree --raw` tells it.

use super::{ObjectId, RepoPath};

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: RepoPath,
    pub status: ChangeStatus,
    /// What was there.
    pub before: Option<TreeEntry>,
    /// What is there now.
    pub after: Option<TreeEntry>,
    /// Nothing for binary content.
    pub lines: Option<LineCount>,
    /// The size in bytes of what is there now.
    pub size: u64,
    /// Where the symbolic link that is there now points. Nothing if it is none, or if its target is
    /// longer than any system allows.
    pub link_target: Option<Vec<u8>>,
}

/// What a tree has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    pub mode: Mode,
    pub id: ObjectId,
}

/// The kinds of entries that git's trees have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    File,
    Executable,
    Link,
    /// A gitlink: a commit of another repository.
    Submodule,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeStatus {
    Added,
    Modified,
    Deleted,
    /// A file became a link, a link a submodule, and so on.
    TypeChanged,
}

/// How many lines a change adds to a file and deletes from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCount {
    pub added: u64,
    pub deleted: u64,
}
