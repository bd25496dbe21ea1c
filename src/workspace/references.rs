//! What a remote answers when it is asked for its references: its default branch, its branches and
//! its tags.
//!
//! A question costs a connection and four programs, here and at the server, so a run asks for all
//! that it has to know at once, and once more when it publishes. An answer is as old as its
//! question: whoever acts on it says what it expects (`--force-with-lease`), or fetches.

use std::collections::BTreeMap;

use super::error::WorkspaceError;
use crate::git::{BranchName, CommitId};

/// The references of a remote at one moment, as `git ls-remote` lists them.
#[derive(Debug, Clone)]
pub struct RemoteReferences {
    url: String,
    listing: String,
}

/// The commit from which the work on a task begins, and the branch that the pull request targets.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Base {
    pub commit: CommitId,
    /// The journal of version 0.1.0 calls this field `branch`.
    #[serde(alias = "branch")]
    pub onto: BranchName,
}

impl RemoteReferences {
    /// The references as `git ls-remote --symref` lists those of the remote at `url`.
    pub(super) fn new(url: String, listing: String) -> Self {
        Self { url, listing }
    }

    /// Returns the branch that the remote's HEAD points at, and its commit. `git ls-remote
    /// --symref` prints `ref: refs/heads/NAME<TAB>HEAD` for the symbolic reference, and then a line
    /// with the commit (git-ls-remote(1)).
    ///
    /// # Errors
    /// [`WorkspaceError::NoCommits`] when the remote has no default branch to start from.
    pub fn default_branch(&self) -> Result<Base, WorkspaceError> {
        let lines = || self.listing.lines().filter_map(|line| line.strip_suffix("\tHEAD"));
        let symbolic = lines().find_map(|line| line.strip_prefix("ref: "));
        let commit = lines().find(|line| !line.starts_with("ref: "));
        // An empty repository lists no HEAD. A repository whose HEAD is detached has no default
        // branch, so no pull request could target one.
        let (Some(reference), Some(commit)) = (symbolic, commit) else {
            return Err(WorkspaceError::NoCommits { url: self.url.clone() });
        };
        let branch = reference.strip_prefix("refs/heads/").and_then(|branch| branch.parse().ok());
        match (branch, commit.parse()) {
            (Some(onto), Ok(commit)) => Ok(Base { onto, commit }),
            _ => Err(unexpected(format!("{reference} {commit}"))),
        }
    }

    /// Returns the commit that a branch is at, or `None` when there is no such branch.
    ///
    /// # Errors
    /// The remote does not answer with the name of a commit.
    pub fn branch(&self, branch: &BranchName) -> Result<Option<CommitId>, WorkspaceError> {
        let reference = branch.reference();
        // `git ls-remote` matches a pattern against the last components of each name, so it would
        // also list refs/heads/x/refs/heads/main (git-ls-remote(1), `<patterns>`). Only the exact
        // name counts.
        let commit = self.entries().find(|(_, name)| *name == reference);
        commit.map(|(commit, _)| commit.parse().map_err(|_| unexpected(commit))).transpose()
    }

    /// Returns a branch of the remote that keeps `branch` from being made, if there is one.
    ///
    /// git stores `a/b` as the file `b` in the directory `a`, so `a` and `a/b` can't both be
    /// branches (git-check-ref-format(1), "directory/file conflict" in git-update-ref(1)). GitHub
    /// refuses the push with "cannot lock ref".
    #[must_use]
    pub fn branch_in_the_way(&self, branch: &BranchName) -> Option<String> {
        let name = branch.as_str();
        let mut branches = self.entries().filter_map(|(_, name)| name.strip_prefix("refs/heads/"));
        let is_in_the_way =
            |other: &&str| is_directory_of(other, name) || is_directory_of(name, other);
        branches.find(is_in_the_way).map(str::to_owned)
    }

    /// Returns the tags, each with the object that it stands for. An annotated tag has a second
    /// line, whose name ends with `^{}`, for the object that it points to (git-ls-remote(1),
    /// `--refs`).
    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::new();
        for (object, name) in self.entries().filter(|(_, name)| name.starts_with("refs/tags/")) {
            let tag = name.strip_suffix("^{}").unwrap_or(name);
            tags.insert(tag.to_owned(), object.to_owned());
        }
        tags
    }

    /// The objects and the names of the references, without what the symbolic ones point at.
    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.listing.lines().filter(|line| !line.starts_with("ref: "));
        lines.filter_map(|line| line.split_once('\t'))
    }
}

fn unexpected(answer: impl Into<String>) -> WorkspaceError {
    WorkspaceError::UnexpectedAnswer { command: "ls-remote", answer: answer.into() }
}

/// Whether a branch `path` is stored in a directory that has the name of the branch `directory`.
fn is_directory_of(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(listing: &str) -> RemoteReferences {
        RemoteReferences::new("https://h/o/r.git".to_owned(), listing.to_owned())
    }

    #[test]
    fn one_listing_has_the_default_branch_the_branches_and_the_tags() {
        let (one, two, three) = ("1".repeat(40), "2".repeat(40), "3".repeat(40));
        let listing = format!(
            "ref: refs/heads/main\tHEAD\n{one}\tHEAD\n{one}\trefs/heads/main\n\
             {two}\trefs/heads/x/refs/heads/main\n{two}\trefs/heads/work\n{one}\trefs/tags/v1\n\
             {two}\trefs/tags/v2\n{three}\trefs/tags/v2^{{}}\n"
        );
        let references = listed(&listing);
        let base = references.default_branch().unwrap();
        assert_eq!((base.onto.as_str(), base.commit.as_str()), ("main", &*one));
        let branch = |name: &str| references.branch(&name.parse().unwrap()).unwrap();
        assert_eq!(branch("main").unwrap().as_str(), one);
        assert_eq!(branch("work").unwrap().as_str(), two);
        assert_eq!(branch("wor"), None);
        let pair = |name: &str, object: &str| (name.to_owned(), object.to_owned());
        let tags: Vec<_> = references.tags().into_iter().collect();
        assert_eq!(tags, [pair("refs/tags/v1", &one), pair("refs/tags/v2", &three)]);
        let in_the_way = |name: &str| references.branch_in_the_way(&name.parse().unwrap());
        assert_eq!(in_the_way("work/issue-1").as_deref(), Some("work"));
        assert_eq!(in_the_way("x").as_deref(), Some("x/refs/heads/main"));
        assert_eq!(in_the_way("work"), None);
        assert_eq!(in_the_way("v1/issue-1"), None, "a tag is no branch");
    }

    #[test]
    fn a_remote_without_a_default_branch_has_no_commits() {
        let detached = format!("{}\tHEAD\n", "1".repeat(40));
        for listing in ["", &detached] {
            let error = listed(listing).default_branch().unwrap_err();
            assert!(matches!(error, WorkspaceError::NoCommits { .. }), "{error:?}");
        }
        let error = listed("ref: refs/heads/main\tHEAD\nx\tHEAD\n").default_branch().unwrap_err();
        assert!(matches!(error, WorkspaceError::UnexpectedAnswer { .. }), "{error:?}");
    }
}
