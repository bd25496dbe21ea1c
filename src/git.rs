//! Git's values: names of objects, branches and paths, and what a commit changes. No I/O.

mod change;
mod object;
mod path;

pub use self::change::{Change, ChangeStatus, LineCount, Mode, TreeEntry};
pub use self::object::{BranchName, CommitId, InvalidName, ObjectId, TreeId, is_reference_name};
pub use self::path::RepoPath;
