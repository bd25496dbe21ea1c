//! The tags of a repository, for checks that make a version of them (`git describe`).
//!
//! Invariant: a tag brings no commit that the default branch has not, so that tags cost little. No
//! run depends on them: what goes wrong with a tag is logged.

use std::collections::BTreeSet;

use super::cache::Cache;
use super::error::WorkspaceError;
use super::references::RemoteReferences;
use super::remote::{Remote, explain};
use crate::errors;
use crate::git::CommitId;

/// A repository with more tags than this makes its versions by other means in CI, whose checkouts
/// have none either.
const MOST_TAGS: usize = 200;

/// How many commits the repository of a check may have above its nearest tag.
const FARTHEST_TAG: usize = 500;

impl Cache {
    /// Fetches the remote's tags on commits of the default branch, where they are few. `references`
    /// lists them.
    pub async fn fetch_tags(&self, remote: &Remote, references: &RemoteReferences) {
        if let Err(error) = self.try_fetch_tags(remote, references).await {
            let error = errors::chain(&error);
            tracing::warn!(error, "the repository's tags could not be fetched: checks see none");
        }
    }

    async fn try_fetch_tags(
        &self,
        remote: &Remote,
        references: &RemoteReferences,
    ) -> Result<(), WorkspaceError> {
        let tags = references.tags();
        if tags.is_empty() || tags.len() > MOST_TAGS {
            return Ok(());
        }
        let known = self.known_commits(tags.values()).await?;
        let present = self.command("for-each-ref").argument("--format=%(refname)");
        let present = present.argument("refs/tags/").output().await?;
        let present = String::from_utf8_lossy(&present).into_owned();
        let present: BTreeSet<&str> = present.lines().collect();
        let wanted: Vec<String> = tags
            .iter()
            .filter(|(name, commit)| known.contains(*commit) && !present.contains(name.as_str()))
            .map(|(name, _)| format!("+{name}:{name}"))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let answer = self
            .command("fetch")
            .arguments(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"])
            .argument("--no-recurse-submodules")
            .argument(&remote.url)
            .arguments(wanted)
            .run_against(remote)
            .await?;
        if answer.code == 0 { Ok(()) } else { Err(explain(remote, answer)) }
    }

    /// Those of the names that are objects of the cache. `git cat-file --batch-check` says
    /// `NAME missing` of the others (git-cat-file(1)).
    async fn known_commits(
        &self,
        names: impl Iterator<Item = &String>,
    ) -> Result<BTreeSet<String>, WorkspaceError> {
        let question: String = names.map(|name| format!("{name}\n")).collect();
        let known = self.command("cat-file").argument("--batch-check=%(objectname) known");
        let answer = known.input(question).output().await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Ok(answer
            .lines()
            .filter_map(|line| line.strip_suffix(" known"))
            .map(str::to_owned)
            .collect())
    }

    /// How deep a history has to be that reaches from `commit` to its nearest tag, and nothing when
    /// there is no tag that is near.
    pub(super) async fn depth_to_tag(
        &self,
        commit: &CommitId,
    ) -> Result<Option<usize>, WorkspaceError> {
        let nearest = self.command("describe").arguments(["--tags", "--abbrev=0"]);
        let nearest = nearest.argument(commit.as_str()).run().await?;
        // git ends with an error when no tag can describe the commit.
        let tag = String::from_utf8_lossy(&nearest.output).trim().to_owned();
        if nearest.code != 0 || tag.is_empty() {
            return Ok(None);
        }
        let count = self.command("rev-list").arguments(["--count", commit.as_str()]);
        let count = count.argument(format!("^refs/tags/{tag}")).word().await?;
        let above = count.parse().ok().filter(|above| *above <= FARTHEST_TAG);
        Ok(above.map(|above: usize| above + 1))
    }
}
