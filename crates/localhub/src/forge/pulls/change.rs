//! Editing a pull request, and marking a draft as ready for review.

use jiff::Timestamp;

use super::super::issues::{IssueChange, apply};
use super::super::{FieldError, Forge, Refusal, admit, found, permission};
use super::create::already_exists;
use super::{PullRequest, follow};
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::events::{self, Change};
use crate::store::issues::{self, State};
use crate::store::users::User;
use crate::store::{pulls, repositories};

/// What a caller wants to change of a pull request.
#[derive(Debug, Default)]
pub(crate) struct PullChange {
    /// The fields that it has in common with an issue.
    pub(crate) issue: IssueChange,
    /// The new base branch.
    pub(crate) base: Option<String>,
}

impl Forge {
    /// Edits, closes or reopens a pull request, or gives it another base branch.
    ///
    /// A draft stays one: in GitHub's API, too, only GraphQL changes that; see
    /// [`Forge::mark_ready`].
    pub(crate) fn change_pull(
        &self,
        actor: &User,
        name: &RepositoryName,
        number: u64,
        change: &PullChange,
        now: Timestamp,
    ) -> Result<PullRequest, Refusal> {
        let path = self.path(name);
        self.look_then_write(
            |tx| admit(tx, actor, name, Permission::Read),
            |_| Ok(self.git.branches(&path)?),
            |tx, repository, held, branches| {
                let mut issue = found(tx, &repository, number)?;
                let mut pull = issue.pull.clone().ok_or(Refusal::NOT_FOUND)?;
                let is_open = issue.state == State::Open;
                if is_open {
                    follow(&mut pull, &branches);
                }
                let opens = !is_open && change.issue.state == Some(State::Open);
                if opens && !branches.contains_key(&pull.head_ref) {
                    let message = format!(
                        "state cannot be changed. The {} branch has been deleted.",
                        pull.head_ref
                    );
                    return Err(custom("state", message));
                }
                if let Some(base) = &change.base {
                    // The merge has made a commit on top of the old base already.
                    if pull.merging.is_some() {
                        return Err(custom("base", "base cannot be changed. Merge in progress."));
                    }
                    let invalid = || FieldError::new("PullRequest", "base", "invalid");
                    pull.base_sha =
                        branches.get(base).cloned().ok_or_else(|| Refusal::invalid(invalid()))?;
                    pull.base_ref.clone_from(base);
                }
                let twin = pulls::open_between(tx, repository.id, &pull.head_ref, &pull.base_ref)?;
                let will_be_open = opens || (is_open && change.issue.state != Some(State::Closed));
                if will_be_open && twin.is_some_and(|other| other != number) {
                    return Err(already_exists(&repository, &pull.head_ref));
                }
                pulls::update(tx, issue.id, &pull)?;
                issue.pull = Some(pull.clone());
                apply(tx, &repository, issue, actor, held, &change.issue, now)?;
                let issue = found(tx, &repository, number)?;
                Ok(Some(PullRequest { repository, issue, pull }))
            },
        )
    }

    /// Marks a draft as ready for review. A pull request that is ready already stays as it is.
    ///
    /// `id` is the id of the pull request's row. The author and whoever may write to the
    /// repository may do this (GitHub's page "Changing the stage of a pull request").
    ///
    /// Whether the pull request is a draft is read and written in one transaction: of two
    /// requests at once one records the event.
    pub(crate) fn mark_ready(
        &self,
        actor: &User,
        id: i64,
        now: Timestamp,
    ) -> Result<PullRequest, Refusal> {
        let (repository, issue) = self.store.write(|tx| {
            let issue = issues::by_id(tx, id)?.ok_or(Refusal::NOT_FOUND)?;
            let mut pull = issue.pull.clone().ok_or(Refusal::NOT_FOUND)?;
            let repository =
                repositories::by_id(tx, issue.repository_id)?.ok_or(Refusal::NOT_FOUND)?;
            let held = permission(tx, actor, &repository)?.ok_or(Refusal::NOT_FOUND)?;
            if held < Permission::Write && issue.author.id != actor.id {
                return Err(Refusal::NOT_ALLOWED);
            }
            if pull.draft {
                pull.draft = false;
                pulls::update(tx, issue.id, &pull)?;
                events::insert(tx, issue.id, actor.id, &Change::ReadyForReview, now)?;
                issues::touch(tx, issue.id, now)?;
            }
            let issue = issues::by_id(tx, id)?.ok_or(Refusal::NOT_FOUND)?;
            Ok((repository, issue))
        })?;
        self.with_commits(repository, issue)
    }
}

fn custom(field: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::invalid(FieldError::custom("PullRequest", field, message))
}
