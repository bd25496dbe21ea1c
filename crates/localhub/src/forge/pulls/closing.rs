//! Recording that a pull request is merged, and closing the issues that its text names.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::super::Refusal;
use super::super::issues::close;
use crate::store::events::{self, Change};
use crate::store::issues::{self, Issue};
use crate::store::pulls::Pull;
use crate::store::repositories::Repository;
use crate::store::users::User;

/// Records that the pull request was merged by a commit, and closes what its text closes. The
/// caller writes the rows of the pull request.
pub(super) fn record_merge(
    tx: &Transaction<'_>,
    repository: &Repository,
    issue: &mut Issue,
    pull: &mut Pull,
    actor: &User,
    commit_sha: &str,
    now: Timestamp,
) -> Result<(), Refusal> {
    pull.merged_at = Some(now);
    pull.merged_by = Some(actor.clone());
    pull.merge_commit_sha = Some(commit_sha.to_owned());
    let merged = Change::Merged { commit_sha: commit_sha.to_owned() };
    events::insert(tx, issue.id, actor.id, &merged, now)?;
    close(tx, issue, actor, None, None, now)?;
    // Keywords count only in a pull request into the default branch (GitHub's page "Linking a pull
    // request to an issue").
    if pull.base_ref != repository.default_branch {
        return Ok(());
    }
    for number in closed_by(issue.body.as_deref().unwrap_or_default(), &repository.full_name()) {
        let target = issues::by_number(tx, repository.id, number)?;
        if let Some(mut target) = target.filter(|target| target.pull.is_none()) {
            close(tx, &mut target, actor, None, Some(commit_sha), now)?;
            issues::update(tx, &target, now)?;
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
