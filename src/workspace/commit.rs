//! Reads commits that somebody else may have made, to find out who made them.

use super::cache::Cache;
use super::error::WorkspaceError;
use super::remote::{Remote, explain};
use crate::git::{BranchName, CommitId};

/// The headers and the message of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub parents: usize,
    /// Name, e-mail address, time and zone, in the form in which git writes them.
    pub author: String,
    pub committer: String,
    pub message: String,
}

/// The largest commit object that the worker reads, in bytes. The worker never makes a larger one.
const LARGEST: usize = 1 << 20;

impl Cache {
    /// Fetches a branch of the remote and reads `commit`, which the caller has seen at its tip. No
    /// reference in the cache names the fetched commit.
    ///
    /// # Errors
    /// The same errors as [`Cache::fetch_default_branch`]. The function also fails when the branch
    /// no longer contains the commit.
    pub async fn fetch_commit(
        &self,
        remote: &Remote,
        branch: &BranchName,
        commit: &CommitId,
    ) -> Result<Commit, WorkspaceError> {
        let answer = self
            .command("fetch")
            .arguments(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"])
            .argument("--no-recurse-submodules")
            .argument(&remote.url)
            .argument(branch.reference())
            .run_against(remote)
            .await?;
        if answer.code != 0 {
            return Err(explain(remote, answer));
        }
        let text = self
            .command("cat-file")
            .arguments(["commit", commit.as_str()])
            .output_limit(LARGEST)
            .output()
            .await?;
        Ok(parse(&String::from_utf8_lossy(&text)))
    }
}

/// Parses a commit object: the headers, an empty line, and the message (Pro Git, "Git Objects",
/// section "Commit Objects").
fn parse(text: &str) -> Commit {
    let (headers, message) = text.split_once("\n\n").unwrap_or((text, ""));
    let header = |name: &str| {
        let line = headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_default().to_owned()
    };
    Commit {
        parents: headers.lines().filter(|line| line.starts_with("parent ")).count(),
        author: header("author"),
        committer: header("committer"),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_tells_who_made_it() {
        let text = "tree 1\nparent 2\nparent 3\nauthor A <a@x> 5 +0000\ncommitter B <b@x> 6 \
                    +0100\ngpgsig -----BEGIN\n more\n\nTitle\n\nBody\n";
        let expected = Commit {
            parents: 2,
            author: "A <a@x> 5 +0000".to_owned(),
            committer: "B <b@x> 6 +0100".to_owned(),
            message: "Title\n\nBody\n".to_owned(),
        };
        assert_eq!(parse(text), expected);
        assert_eq!(parse("").parents, 0);
    }
}
