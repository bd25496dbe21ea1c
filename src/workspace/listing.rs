//! Which files a tree has, as git listed them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::git::{CommitId, RepoPath, TreeId};

/// How many listings are kept: that of the base, and that of the latest tree, by its own name and
/// by its commit's.
const MOST_LISTINGS: usize = 3;

/// The names of all files of a tree.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// Every path, those of the submodules included.
    pub(super) files: Arc<[RepoPath]>,
    pub(super) submodules: Arc<[RepoPath]>,
}

impl Listing {
    /// Parses the answer of `git ls-tree -r -z`, whose entries are `MODE BLANK TYPE BLANK ID TAB
    /// PATH` (git-ls-tree(1), OUTPUT FORMAT). The mode of a submodule is 160000.
    pub(super) fn parse(answer: &[u8]) -> Self {
        let (mut files, mut submodules) = (Vec::new(), Vec::new());
        for entry in answer.split(|&byte| byte == 0) {
            let Some(path) = entry.splitn(2, |&byte| byte == b'\t').nth(1) else { continue };
            let path = RepoPath::new(path.to_vec());
            if entry.starts_with(b"160000 ") {
                submodules.push(path.clone());
            }
            files.push(path);
        }
        Self { files: files.into(), submodules: submodules.into() }
    }
}

/// The listings of the trees that a run asked for last. The stages of a run ask for the same trees
/// again, and an answer stays right: the name of an object is the digest of its content.
#[derive(Debug, Clone, Default)]
pub(super) struct Listings(Arc<Mutex<VecDeque<(String, Listing)>>>);

impl Listings {
    /// Returns the listing of a commit or tree, where it is known.
    pub(super) fn find(&self, name: &str) -> Option<Listing> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(known, _)| known == name).map(|(_, listing)| listing.clone())
    }

    /// Keeps the listing of a commit or tree, in place of the oldest one.
    pub(super) fn keep(&self, name: String, listing: Listing) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_back((name, listing));
        if known.len() > MOST_LISTINGS {
            known.pop_front();
        }
    }

    /// Notes that a commit has the files of this tree.
    pub(super) fn note_commit(&self, commit: &CommitId, tree: &TreeId) {
        if let Some(listing) = self.find(tree.as_str())
            && self.find(commit.as_str()).is_none()
        {
            self.keep(commit.to_string(), listing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_every_path_and_tells_which_are_submodules() {
        let id = "1".repeat(40);
        let answer = format!(
            "100644 blob {id}\ta b\0160000 commit {id}\tsub\0120000 blob {id}\tnew\n\tline\0"
        );
        let Listing { files, submodules } = Listing::parse(answer.as_bytes());
        assert_eq!(*files, ["a b".into(), "sub".into(), "new\n\tline".into()]);
        assert_eq!(*submodules, ["sub".into()]);
        assert!(Listing::parse(b"").files.is_empty());
    }

    #[test]
    fn only_the_last_listings_are_kept() {
        let listings = Listings::default();
        let listing = |path: &str| Listing::parse(format!("100644 blob 1\t{path}\0").as_bytes());
        for name in ["1", "2", "3", "4"] {
            listings.keep(name.repeat(40), listing(name));
        }
        let files = |name: &str| listings.find(&name.repeat(40)).map(|listing| listing.files);
        assert_eq!(files("1"), None);
        assert_eq!(*files("4").unwrap(), ["4".into()]);
        let (commit, tree) = ("a".repeat(40), "3".repeat(40));
        listings.note_commit(&commit.parse().unwrap(), &tree.parse().unwrap());
        assert_eq!(*files("a").unwrap(), ["3".into()]);
    }
}
