//! Commits and branches as git tells them.

use std::collections::HashMap;
use std::path::Path;

use super::{Git, GitError};

/// Who and when, as a commit says.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) name: String,
    pub(crate) email: String,
    /// Strict ISO 8601, with the offset that the commit has.
    pub(crate) date: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) author: Signature,
    pub(crate) committer: Signature,
    pub(crate) message: String,
}

const FORMAT: &str = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";

impl Git {
    pub(crate) fn commit(&self, repository: &Path, sha: &str) -> Result<Commit, GitError> {
        let output = self.run(repository, &["log", "-1", "--no-show-signature", FORMAT, sha])?;
        let text = String::from_utf8_lossy(&output);
        read(&text).ok_or_else(|| GitError::Unreadable {
            command: "log".to_owned(),
            output: text.clone().into_owned(),
        })
    }

    /// Every branch and the commit at its tip.
    pub(crate) fn branches(&self, repository: &Path) -> Result<HashMap<String, String>, GitError> {
        let output = self.run(
            repository,
            &["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads/"],
        )?;
        let text = String::from_utf8_lossy(&output);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.map(|(sha, branch)| (branch.to_owned(), sha.to_owned())).collect())
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
