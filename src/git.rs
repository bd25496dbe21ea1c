//! The values of git: names of objects and branches, paths, and what a commit changes. This module
//! does no I/O.

mod change;
mod object;
mod path;

pub use self::change::{Change, ChangeStatus, LineCount, Mode, TreeEntry};
pub use self::object::{BranchName, CommitId, InvalidName, ObjectId, TreeId, is_reference_name};
pub use self::path::RepoPath;
