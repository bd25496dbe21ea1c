//! Commits and branches: reading them, making commits, and moving branches.

use std::collections::HashMap;
use std::path::Path;

use super::{Git, GitError};

/// Every branch of a repository, with the commit at its tip.
pub(crate) type Branches = HashMap<String, String>;

/// Who made a commit and when, as the commit says.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) name: String,
    pub(crate) email: String,
    /// Strict ISO 8601, with the commit's own offset.
    pub(crate) date: String,
}

/// A commit.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) author: Signature,
    pub(crate) committer: Signature,
    pub(crate) message: String,
}

/// The author and committer of a commit that the forge makes, as for GitHub's merge button.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) at: jiff::Timestamp,
}

const FORMAT: &str = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";

impl Git {
    /// Reads one commit.
    pub(crate) fn commit(&self, repository: &Path, sha: &str) -> Result<Commit, GitError> {
        // log.showSignature in the repository's configuration would print before the format.
        let output = self.run(repository, &["log", "-1", "--no-show-signature", FORMAT, sha])?;
        let text = String::from_utf8_lossy(&output);
        read(&text).ok_or_else(|| GitError::Unreadable {
            command: "log".to_owned(),
            output: text.clone().into_owned(),
        })
    }

    /// Reads all branches.
    pub(crate) fn branches(&self, repository: &Path) -> Result<Branches, GitError> {
        let output = self.run(
            repository,
            &["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads/"],
        )?;
        let text = String::from_utf8_lossy(&output);
        let read = |line: &str| {
            let (sha, branch) = line.split_once(' ').ok_or_else(|| GitError::Unreadable {
                command: "for-each-ref".to_owned(),
                output: line.to_owned(),
            })?;
            Ok((branch.to_owned(), sha.to_owned()))
        };
        text.lines().map(read).collect()
    }

    /// Makes a commit, which no branch has yet, and returns its object name.
    pub(crate) fn commit_tree(
        &self,
        repository: &Path,
        tree: &str,
        parents: &[&str],
        message: &str,
        identity: &Identity,
    ) -> Result<String, GitError> {
        let date = format!("@{} +0000", identity.at.as_second());
        let variables = [
            ("GIT_AUTHOR_NAME", identity.name.as_str()),
            ("GIT_AUTHOR_EMAIL", identity.email.as_str()),
            ("GIT_AUTHOR_DATE", date.as_str()),
            ("GIT_COMMITTER_NAME", identity.name.as_str()),
            ("GIT_COMMITTER_EMAIL", identity.email.as_str()),
            ("GIT_COMMITTER_DATE", date.as_str()),
        ];
        let mut arguments = vec!["commit-tree", tree];
        arguments.extend(parents.iter().flat_map(|parent| ["-p", *parent]));
        self.run_with(repository, &arguments, &variables, message.as_bytes())?.line()
    }

    /// Moves a branch from the commit `old` to the commit `new`. Git compares and moves under the
    /// ref's lock, so this fails when a push was faster, and also when the branch was deleted.
    pub(crate) fn move_branch(
        &self,
        repository: &Path,
        branch: &str,
        new: &str,
        old: &str,
    ) -> Result<(), GitError> {
        self.run(repository, &["update-ref", &format!("refs/heads/{branch}"), new, old])?;
        Ok(())
    }
}

fn read(text: &str) -> Option<Commit> {
    let mut fields = text.splitn(10, '\0').map(str::to_owned);
    Some(Commit {
        sha: fields.next()?,
        tree: fields.next()?,
        parents: fields.next()?.split_whitespace().map(str::to_owned).collect(),
        author: signature(&mut fields)?,
        committer: signature(&mut fields)?,
        message: fields.next()?.trim_end_matches('\n').to_owned(),
    })
}

fn signature(fields: &mut impl Iterator<Item = String>) -> Option<Signature> {
    Some(Signature { name: fields.next()?, email: fields.next()?, date: fields.next()? })
}
