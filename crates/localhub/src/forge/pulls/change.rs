//! Editing a pull request.

use jiff::Timestamp;

use super::super::issues::{IssueChange, apply, found};
use super::super::{FieldError, Forge, Refusal, admit};
use super::create::already_exists;
use super::{PullRequest, follow};
use crate::names::RepositoryName;
use crate::permission::Permission;
use crate::store::events::{self, Change};
use crate::store::issues::State;
use crate::store::pulls;
use crate::store::users::User;

/// What a caller wants to change of a pull request.
#[derive(Debug, Default)]
pub(crate) struct PullChange {
    /// The fields that it has in common with an issue.
    pub(crate) issue: IssueChange,
    /// The new base branch.
    pub(crate) base: Option<String>,
    pub(crate) draft: Option<bool>,
}

impl Forge {
    /// Edits, closes or reopens a pull request, or gives it another base branch.
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
                if let Some(draft) = change.draft.filter(|draft| *draft != pull.draft) {
                    let event = if draft { Change::ConvertToDraft } else { Change::ReadyForReview };
                    events::insert(tx, issue.id, actor.id, &event, now)?;
                    pull.draft = draft;
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
}

fn custom(field: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::invalid(FieldError::custom("PullRequest", field, message))
}
