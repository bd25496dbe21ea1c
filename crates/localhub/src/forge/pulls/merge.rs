//! The merge button, and the closing keywords that it obeys.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::super::issues::{close, found};
use super::super::{FieldError, Forge, Refusal, admit};
use super::follow;
use crate::git::Identity;
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::events::{self, Change};
use crate::store::issues::{self, Issue, State};
use crate::store::pulls::{self, Pull};
use crate::store::repositories::{self, Repository};
use crate::store::users::User;

/// What "Merge a pull request" takes.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    pub(crate) title: Option<String>,
    pub(crate) message: Option<String>,
    /// What the head must be for the merge to take place.
    pub(crate) sha: Option<String>,
    /// `merge` or `squash`.
    pub(crate) method: Option<String>,
}

impl Forge {
    /// Merges and returns the new commit.
    pub(crate) fn merge_pull(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        merge: &Merge,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        const NOT_MERGEABLE: Refusal = Refusal::NotMergeable("Pull Request is not mergeable");
        let path = self.path(name);
        let squash = match merge.method.as_deref() {
            None | Some("merge") => false,
            Some("squash") => true,
            Some("rebase") => {
                return Err(Refusal::NotMergeable(
                    "Rebase merges are not allowed on this repository.",
                ));
            }
            Some(_) => {
                return Err(Refusal::invalid(FieldError::new(
                    "PullRequest",
                    "merge_method",
                    "invalid",
                )));
            }
        };
        self.store.write(|tx| {
            let (repository, _) = admit(tx, actor, name, Permission::Write)?;
            let mut issue = found(tx, &repository, number)?;
            let mut pull = issue.pull.clone().ok_or(Refusal::NOT_FOUND)?;
            if issue.state == State::Closed {
                return Err(NOT_MERGEABLE);
            }
            if pull.draft {
                return Err(Refusal::NotMergeable("Pull Request is still a draft"));
            }
            follow(&mut pull, &self.git.branches(&path)?);
            if merge.sha.as_ref().is_some_and(|sha| *sha != pull.head_sha) {
                let message = "Head branch was modified. Review and try the merge again.";
                return Err(Refusal::Conflict(message.to_owned()));
            }
            let tree =
                self.git.merge_tree(&path, &pull.base_sha, &pull.head_sha)?.ok_or(NOT_MERGEABLE)?;
            let both = [pull.base_sha.as_str(), pull.head_sha.as_str()];
            let parents = if squash { both.get(..1).unwrap_or_default() } else { both.as_slice() };
            let identity = Identity {
                name: actor.login.clone(),
                email: format!("{}+{}@users.noreply.localhub", actor.id, actor.login),
                at: now,
            };
            let message = message(&repository, &issue, &pull, merge, squash);
            let commit = self.git.commit_tree(&path, &tree, parents, &message, &identity)?;

            pull.merge_commit_sha = Some(commit.clone());
            record(tx, &repository, &mut issue, &mut pull, actor, now)?;
            pulls::update(tx, issue.id, &pull)?;
            issues::update(tx, &issue, now)?;
            repositories::touch_pushed(tx, repository.id, now)?;
            // Last before the commit of the rows, so that a refused row leaves the branch where it
            // was.
            self.git.move_branch(&path, &pull.base_ref, &commit, &pull.base_sha)?;
            Ok(commit)
        })
    }
}

/// GitHub's default messages of merge and squash commits.
fn message(
    repository: &Repository,
    issue: &Issue,
    pull: &Pull,
    merge: &Merge,
    squash: bool,
) -> String {
    let title = merge.title.clone().unwrap_or_else(|| {
        if squash {
            format!("{} (#{})", issue.title, issue.number)
        } else {
            format!(
                "Merge pull request #{} from {}/{}",
                issue.number, repository.owner.login, pull.head_ref
            )
        }
    });
    let body = merge
        .message
        .clone()
        .unwrap_or_else(|| if squash { String::new() } else { issue.title.clone() });
    format!("{title}\n\n{body}").trim_end().to_owned() + "\n"
}

/// Notes that the pull request is merged, and closes what its text says it closes; the caller
/// writes its rows.
pub(super) fn record(
    tx: &Transaction<'_>,
    repository: &Repository,
    issue: &mut Issue,
    pull: &mut Pull,
    actor: &User,
    now: Timestamp,
) -> Result<(), Refusal> {
    let commit_sha = pull.merge_commit_sha.clone().unwrap_or_default();
    pull.merged_at = Some(now);
    pull.merged_by = Some(actor.clone());
    events::insert(
        tx,
        issue.id,
        actor.id,
        &Change::Merged { commit_sha: commit_sha.clone() },
        now,
    )?;
    close(tx, issue, actor, None, None, now)?;
    // Keywords count only in a pull request into the default branch ("Linking a pull request to an
    // issue").
    if pull.base_ref == repository.default_branch {
        for number in closed_by(issue.body.as_deref().unwrap_or_default(), &repository.full_name())
        {
            if let Some(mut target) =
                issues::by_number(tx, repository.id, number)?.filter(|other| other.pull.is_none())
            {
                close(tx, &mut target, actor, None, Some(&commit_sha), now)?;
                issues::update(tx, &target, now)?;
            }
        }
    }
    Ok(())
}

/// The issues that a text closes by GitHub's keywords: `Closes #1`, `fixed: #2`,
/// `resolves owner/repo#3`.
fn closed_by(text: &str, full_name: &str) -> Vec<u64> {
    const KEYWORDS: [&str; 9] =
        ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let pairs = words.iter().zip(words.iter().skip(1));
    let closing = pairs.filter(|(keyword, _)| {
        let keyword =
            keyword.trim_start_matches(|c: char| !c.is_alphanumeric()).trim_end_matches(':');
        KEYWORDS.iter().any(|known| known.eq_ignore_ascii_case(keyword))
    });
    let numbers = closing.filter_map(|(_, reference)| {
        let (repository, rest) = reference.split_once('#')?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        let here = repository.is_empty() || repository.eq_ignore_ascii_case(full_name);
        digits.parse().ok().filter(|_| here)
    });
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_keywords_are_github_s() {
        let check = |text: &str, expected: &[u64]| {
            assert_eq!(closed_by(text, "octo/hello"), expected, "{text}");
        };
        check("Closes #12", &[12]);
        check("This FIXES: #1, and resolves octo/hello#2.", &[1, 2]);
        check("(closed #3)", &[3]);
        check("closes other/repo#4 and see #5", &[]);
        check("discloses #6", &[]);
        check("Closes 7", &[]);
    }
}
