//! What GitHub shows of a task: the status comment, the pull request, the labels.
//!
//! Owns the words and the order of the steps. Every step looks before it writes, so that a repeated
//! step changes nothing: the comment is found by its hidden mark, the pull request by its head, and
//! labels are set to a state. `workspace` pushes, and `run` decides when to publish.
//!
//! Invariant: everything that is published passes through the [`Redaction`], and no text that comes
//! from elsewhere is Markdown (see `render.rs`).

mod attempts;
mod marker;
mod push_rule;
mod reason;
mod render;
mod report;
pub mod settings;
mod text;

use std::sync::Arc;

use tokio::sync::OnceCell;

pub use self::attempts::AttemptRecord;
use self::marker::PrState;
pub use self::push_rule::PushRule;
pub use self::reason::{PolicyViolation, Reason};
use self::render::Renderer;
pub use self::render::Told;
pub use self::report::{
    CheckLine, CheckOutcome, FileLine, Hindrance, IssueStatus, NoTest, Note, PullRequestReport,
    ToldStage,
};
pub use self::text::{plain, plain_line};
pub use crate::github::PullRequest;
use crate::github::{Comment, GitHub, GitHubError, NewPullRequest, Permit};
use crate::language::Language;
use crate::redaction::Redaction;
use crate::task::{IssueNumber, RepoName, Task};

/// The label that makes an issue a task.
pub const TASK_LABEL: &str = "ai-task";
const DONE_LABEL: &str = "ai-task-done";
/// The label of an issue whose task failed for good.
pub const FAILED_LABEL: &str = "ai-task-failed";
/// The trailer by which a commit tells every worker which task it was made for
/// (git-interpret-trailers(1)).
const TRAILER: &str = "CodingWorker-Task: ";

/// Writes to GitHub what a run did, in one language.
#[derive(Clone)]
pub struct Publisher {
    github: GitHub,
    renderer: Renderer,
    /// Removes the secrets from everything that is published.
    redaction: Redaction,
    /// The account that the token speaks for, once it was asked for.
    login: Arc<OnceCell<String>>,
}

/// What a worker last said on an issue: the account that said it, and the text without its mark.
///
/// Anybody may paste the mark into a comment, so this is for people, who see whose comment it is.
///
/// # Errors
/// GitHub can't be asked or refuses.
pub async fn last_words_on(
    github: &GitHub,
    repository: &RepoName,
    issue: IssueNumber,
) -> Result<Option<(String, String)>, GitHubError> {
    let comments = github.comments(repository, issue).await?;
    Ok(comments.into_iter().rev().find_map(|comment| {
        let said = plain(marker::without_marks(&comment.body?, issue)?);
        Some((comment.user.map(|user| user.login).unwrap_or_default(), said.trim().to_owned()))
    }))
}

/// What is known of a branch's pull requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Existing {
    /// There never was one.
    None,
    /// An earlier run of this very task ended in it.
    Published(PullRequest),
    /// An earlier run of this very task ended in it, and a person merged it.
    Merged(PullRequest),
    /// An earlier run of this very task ended in it, and a person closed it.
    Rejected { number: u64 },
    /// It is open, from an earlier task or an earlier try.
    Open(PullRequest),
    /// Those of earlier tasks were closed or merged.
    Ended,
}

/// What an issue's labels say of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// The task ended in a pull request that may be merged.
    Done,
    /// The task failed for good.
    Failed,
}

impl Labels {
    /// The label that stands for the state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => DONE_LABEL,
            Self::Failed => FAILED_LABEL,
        }
    }
}

impl Publisher {
    /// A publisher that writes in `language` and leaves out what `redaction` knows.
    #[must_use]
    pub fn new(github: GitHub, language: Language, redaction: Redaction) -> Self {
        let renderer = Renderer::markdown(language, &redaction);
        Self { github, renderer, redaction, login: Arc::default() }
    }

    /// The same publisher, which writes only while `permit` allows it.
    #[must_use]
    pub fn permitted(&self, permit: Permit) -> Self {
        Self { github: self.github.permitted(permit), ..self.clone() }
    }

    /// Makes the issue's one status comment say this status, which `attempt` came to.
    ///
    /// # Errors
    /// GitHub can't be asked or refuses; so for every function here.
    pub async fn announce(
        &self,
        task: &Task,
        attempt: &AttemptRecord,
        status: &IssueStatus<'_>,
    ) -> Result<(), GitHubError> {
        let (repository, issue) = (&task.repository, task.issue_number);
        let ours = self.status_comment(task).await?;
        let known = ours.as_ref().map(|comment| attempts_in(comment, task)).unwrap_or_default();
        let attempt = AttemptRecord { reason: status.failure().cloned(), ..attempt.clone() };
        let attempts = attempts::with(known, &attempt);
        let body = self.renderer.comment(task, &attempt, &attempts, status);
        let body = self.redaction.redact(&body);
        match ours {
            Some(comment) if comment.body.as_deref() == Some(&body) => {}
            Some(comment) => drop(self.github.edit_comment(repository, comment.id, &body).await?),
            None => {
                let created = self.github.create_comment(repository, issue, &body).await?;
                if let Some(author) = created.user {
                    // It is known already unless GitHub did not tell it.
                    self.login.set(author.login).ok();
                }
            }
        }
        Ok(())
    }

    /// The attempts at a task, of all workers that use this account, as far as the issue tells
    /// them, oldest first.
    pub async fn attempts(&self, task: &Task) -> Result<Vec<AttemptRecord>, GitHubError> {
        let ours = self.status_comment(task).await?;
        Ok(ours.map(|comment| attempts_in(&comment, task)).unwrap_or_default())
    }

    /// Whether another attempt followed this one, so that the message is somebody else's by now.
    pub async fn is_superseded(
        &self,
        task: &Task,
        attempt: &AttemptRecord,
    ) -> Result<bool, GitHubError> {
        Ok(attempts::is_superseded(&self.attempts(task).await?, attempt))
    }

    /// The issue's status comment. Anybody may paste its mark into a comment, so the comment has to
    /// be this account's.
    async fn status_comment(&self, task: &Task) -> Result<Option<Comment>, GitHubError> {
        let mark = marker::status(task.issue_number);
        let login = self.login().await?;
        let comments = self.github.comments(&task.repository, task.issue_number).await?;
        Ok(comments.into_iter().find(|comment| {
            comment.user.as_ref().is_some_and(|user| Some(user.login.as_str()) == login)
                && comment.body.as_deref().is_some_and(|body| body.trim_end().ends_with(&mark))
        }))
    }

    /// What became of earlier pull requests from the branch.
    pub async fn existing(&self, task: &Task, branch: &str) -> Result<Existing, GitHubError> {
        let newest = self.github.pull_requests(&task.repository, branch).await?;
        let open = newest.iter().find(|pull_request| pull_request.is_open());
        let done = marker::pull_request(&task.key(), PrState::Done);
        let untested = marker::pull_request(&task.key(), PrState::Untested);
        let of_this_task = |found: &PullRequest| {
            let body = found.body.as_deref().unwrap_or_default().trim_end();
            (!found.draft && body.ends_with(&done)) || body.ends_with(&untested)
        };
        Ok(match (open, newest.first()) {
            (Some(open), _) if of_this_task(open) => Existing::Published(open.clone()),
            (Some(open), _) => Existing::Open(open.clone()),
            (None, Some(ended)) if !of_this_task(ended) => Existing::Ended,
            (None, Some(ended)) if ended.merged_at.is_some() => Existing::Merged(ended.clone()),
            (None, Some(ended)) => Existing::Rejected { number: ended.number },
            (None, None) => Existing::None,
        })
    }

    /// Opens the pull request for what was pushed, or changes the open one to fit.
    ///
    /// `draft` says that a check is red. A change that was not tested is a draft as well, unless
    /// the repository wants it otherwise. An open draft becomes ready for review when neither is
    /// the case. Nothing makes a draft of a pull request that is ready: the title of one that is
    /// not tested says so. A run that died between any two of these requests is repeated
    /// with the same result: each looks first at what GitHub has.
    pub async fn open_pull_request(
        &self,
        report: &PullRequestReport<'_>,
        draft: bool,
    ) -> Result<PullRequest, GitHubError> {
        let state = match draft {
            true => PrState::Draft,
            false if report.is_untested_draft() => PrState::Untested,
            false => PrState::Done,
        };
        let draft = state != PrState::Done;
        let title = self.redaction.redact(&report.task.title);
        let title = text::issue_title(&title, report.task.issue_number);
        let body = self.redaction.redact(&self.renderer.pull_request(report, state));
        let repository = &report.task.repository;
        if let Some(open) = self.find_open(report).await? {
            let title = self.title_in_place(title, state, &open);
            return self.revise(repository, open, &title, &body, draft).await;
        }
        let (head, base) = (report.branch, report.base);
        let new = NewPullRequest { title: &title, body: &body, head, base, draft };
        match self.github.create_pull_request(repository, &new).await {
            Ok(created) => Ok(created),
            Err(refused) if state == PrState::Untested && refused.is_about_drafts() => {
                // Nothing is red, so that the change need not stay a branch.
                let title = text::title(&self.renderer.not_tested_title(&title));
                let new = NewPullRequest { title: &title, draft: false, ..new };
                self.github.create_pull_request(repository, &new).await
            }
            // It may be open all the same: the answer was lost, or another worker opened it.
            Err(refused) => match self.find_open(report).await {
                Ok(Some(open)) => self.revise(repository, open, &title, &body, draft).await,
                Ok(None) | Err(_) => Err(refused),
            },
        }
    }

    /// Makes the issue's labels say a state, and leaves all other labels alone.
    pub async fn label(
        &self,
        repository: &RepoName,
        issue: IssueNumber,
        state: Labels,
    ) -> Result<(), GitHubError> {
        let (wanted, unwanted) = match state {
            Labels::Done => (DONE_LABEL, FAILED_LABEL),
            Labels::Failed => (FAILED_LABEL, DONE_LABEL),
        };
        let now = self.github.issue(repository, issue).await?;
        if !now.has_label(wanted) {
            self.github.add_label(repository, issue, wanted).await?;
        }
        for label in [unwanted, TASK_LABEL] {
            if now.has_label(label) {
                self.github.remove_label(repository, issue, label).await?;
            }
        }
        Ok(())
    }

    async fn find_open(
        &self,
        report: &PullRequestReport<'_>,
    ) -> Result<Option<PullRequest>, GitHubError> {
        let all = self.github.pull_requests(&report.task.repository, report.branch).await?;
        Ok(all.into_iter().find(PullRequest::is_open))
    }

    /// The title of a pull request that is open already. One that can't become a draft any more has
    /// to say by its title that it was not tested.
    fn title_in_place(&self, title: String, state: PrState, open: &PullRequest) -> String {
        if state == PrState::Untested && !open.draft {
            text::title(&self.renderer.not_tested_title(&title))
        } else {
            title
        }
    }

    async fn revise(
        &self,
        repository: &RepoName,
        open: PullRequest,
        title: &str,
        body: &str,
        draft: bool,
    ) -> Result<PullRequest, GitHubError> {
        let is_revised = open.title == title && open.body.as_deref() == Some(body);
        let revised = if is_revised {
            open
        } else {
            self.github.edit_pull_request(repository, open.number, title, body).await?
        };
        if revised.draft && !draft {
            self.make_ready(repository, revised).await
        } else {
            Ok(revised)
        }
    }

    /// Makes a draft ready for review. It was seen to be a draft just now.
    async fn make_ready(
        &self,
        repository: &RepoName,
        draft: PullRequest,
    ) -> Result<PullRequest, GitHubError> {
        let Err(refused) = self.github.mark_ready_for_review(&draft.node_id).await else {
            return Ok(PullRequest { draft: false, ..draft });
        };
        // It may be ready all the same: the answer was lost, or somebody else marked it.
        match self.github.pull_request(repository, draft.number).await {
            Ok(now) if !now.draft => Ok(now),
            Ok(_) | Err(_) => Err(refused),
        }
    }

    /// The account that the token speaks for. A token that may not ask for it is told by the first
    /// comment that it makes.
    async fn login(&self) -> Result<Option<&str>, GitHubError> {
        match self.login.get_or_try_init(|| self.github.login()).await {
            Ok(login) => Ok(Some(login)),
            Err(GitHubError::Forbidden { .. } | GitHubError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn attempts_in(comment: &Comment, task: &Task) -> Vec<AttemptRecord> {
    let body = comment.body.as_deref().unwrap_or_default();
    marker::attempts_in(body, &task.key()).map(attempts::decode).unwrap_or_default()
}

/// The message of the commit that a task ends in. `agent` is the agent's name and version.
#[must_use]
pub fn commit_message(task: &Task, agent: &str) -> String {
    format!(
        "{}\n\nMade for issue {} by CodingWorker with {}.\n\n{TRAILER}{}\n",
        text::issue_title(&task.title, task.issue_number),
        task.issue_number,
        text::line(agent),
        task.key()
    )
}

/// Whether a commit message is one that a worker wrote, for this task or another one of its issue.
#[must_use]
pub fn is_made_for(task: &Task, message: &str) -> bool {
    let issue = format!("{TRAILER}{}#{}@", task.repository, task.issue_number);
    let signed = |line: &str| {
        line.get(..issue.len()).is_some_and(|start| start.eq_ignore_ascii_case(&issue))
    };
    message.lines().last().is_some_and(signed)
}

#[cfg(test)]
mod tests;
