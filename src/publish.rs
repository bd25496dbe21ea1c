//! What the forge is told of a task: the status comment, the pull request, the labels.
//!
//! Owns the words and the order of acts. Every step observes before it acts, so that a repeated one
//! changes nothing: the comment is found by its hidden mark, the pull request by its head, labels
//! are brought to a state. Leaves the push to `workspace`, and when to publish to `run`.

mod marker;
mod reason;
mod render;
mod report;
pub mod settings;
mod text;

use std::sync::Arc;

use tokio::sync::OnceCell;

use self::marker::PrState;
pub use self::reason::{PolicyViolation, Reason};
pub use self::report::{CheckLine, CheckOutcome, FileLine, Note, Report, Stage, Status};
use self::settings::Language;
pub use self::text::{plain, plain_line};
use crate::github::{GitHub, GitHubError, NewPullRequest, Permit};
use crate::redaction::Redaction;
use crate::task::{IssueNumber, RepoName, Task};

/// The label that makes an issue a task.
pub const TASK_LABEL: &str = "ai-task";
const DONE_LABEL: &str = "ai-task-done";
/// The label of an issue whose task failed for good.
pub const FAILED_LABEL: &str = "ai-task-failed";
/// By this a commit tells every worker which task it was made for (git-interpret-trailers).
const TRAILER: &str = "CodingWorker-Task: ";

#[derive(Clone)]
pub struct Publisher {
    github: GitHub,
    language: Language,
    /// What is struck out of everything that is said.
    redaction: Redaction,
    login: Arc<OnceCell<String>>,
}

/// A pull request on the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    pub url: String,
    pub draft: bool,
}

/// What is known of a branch's pull requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Existing {
    None,
    /// An earlier run of this very task ended in it.
    Published(PullRequest),
    /// An earlier run of this very task ended in it, and a person merged it.
    Merged(PullRequest),
    /// An earlier run of this very task ended in it, and a person closed it.
    Rejected {
        number: u64,
    },
    /// It is open, from an earlier task or an earlier try.
    Open(PullRequest),
    /// Those of earlier tasks were closed or merged.
    Ended,
}

/// What an issue's labels say of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    Done,
    Failed,
}

impl Labels {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => DONE_LABEL,
            Self::Failed => FAILED_LABEL,
        }
    }
}

impl Publisher {
    #[must_use]
    pub fn new(github: GitHub, language: Language, redaction: Redaction) -> Self {
        Self { github, language, redaction, login: Arc::default() }
    }

    /// The same publisher, which says something only while `permit` allows it.
    #[must_use]
    pub fn permitted(&self, permit: Permit) -> Self {
        Self { github: self.github.permitted(permit), ..self.clone() }
    }

    /// Brings the issue's one status comment to this status.
    ///
    /// # Errors
    /// The forge can't be asked or refuses; so for every function here.
    pub async fn announce(
        &self,
        repository: &RepoName,
        issue: IssueNumber,
        status: &Status<'_>,
    ) -> Result<(), GitHubError> {
        let body = self.redaction.redact(&render::comment(self.language, issue, status));
        let mark = marker::status(issue);
        let login = self.login().await?;
        let comments = self.github.comments(repository, issue).await?;
        // Anybody may paste our mark into a comment of theirs.
        let ours = comments.into_iter().find(|comment| {
            comment.user.as_ref().is_some_and(|user| user.login == login)
                && comment.body.as_deref().is_some_and(|body| body.trim_end().ends_with(&mark))
        });
        match ours {
            Some(comment) if comment.body.as_deref() == Some(&body) => {}
            Some(comment) => drop(self.github.edit_comment(repository, comment.id, &body).await?),
            None => drop(self.github.create_comment(repository, issue, &body).await?),
        }
        Ok(())
    }

    /// What became of earlier pull requests from the branch.
    pub async fn existing(&self, task: &Task, branch: &str) -> Result<Existing, GitHubError> {
        let newest = self.github.pull_requests(&task.repository, branch).await?;
        let open = newest.iter().find(|pull_request| pull_request.is_open());
        let done = marker::pull_request(&task.key(), PrState::Done);
        let of_this_task = |found: &crate::github::PullRequest| {
            !found.draft
                && found.body.as_deref().is_some_and(|body| body.trim_end().ends_with(&done))
        };
        Ok(match (open, newest.first()) {
            (Some(open), _) if of_this_task(open) => Existing::Published(PullRequest::of(open)),
            (Some(open), _) => Existing::Open(PullRequest::of(open)),
            (None, Some(ended)) if !of_this_task(ended) => Existing::Ended,
            (None, Some(ended)) if ended.merged_at.is_some() => {
                Existing::Merged(PullRequest::of(ended))
            }
            (None, Some(ended)) => Existing::Rejected { number: ended.number },
            (None, None) => Existing::None,
        })
    }

    /// Opens the pull request for what was pushed, or brings the one that is open to it.
    pub async fn open_pull_request(
        &self,
        report: &Report<'_>,
        draft: bool,
    ) -> Result<PullRequest, GitHubError> {
        let state = if draft { PrState::Draft } else { PrState::Done };
        let title = self.redaction.redact(&text::title(&report.task.title));
        let body = self.redaction.redact(&render::pull_request(self.language, report, state));
        let repository = &report.task.repository;
        if let Some(open) = self.find_open(report).await? {
            return self.edit(repository, open, &title, &body).await;
        }
        let new = NewPullRequest {
            title: &title,
            body: &body,
            head: report.branch,
            base: report.base,
            draft,
        };
        match self.github.create_pull_request(repository, &new).await {
            Ok(created) => Ok(PullRequest::of(&created)),
            // The one before this may have been opened after all, with its answer lost, or by
            // another worker.
            Err(refused) => match self.find_open(report).await {
                Ok(Some(open)) => self.edit(repository, open, &title, &body).await,
                Ok(None) | Err(_) => Err(refused),
            },
        }
    }

    /// Brings the issue's labels to a state, leaving all others alone.
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
        report: &Report<'_>,
    ) -> Result<Option<crate::github::PullRequest>, GitHubError> {
        let all = self.github.pull_requests(&report.task.repository, report.branch).await?;
        Ok(all.into_iter().find(crate::github::PullRequest::is_open))
    }

    async fn edit(
        &self,
        repository: &RepoName,
        open: crate::github::PullRequest,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, GitHubError> {
        if open.title == title && open.body.as_deref() == Some(body) {
            return Ok(PullRequest::of(&open));
        }
        self.github
            .edit_pull_request(repository, open.number, title, body)
            .await
            .map(|edited| PullRequest::of(&edited))
    }

    async fn login(&self) -> Result<&str, GitHubError> {
        self.login
            .get_or_try_init(async || Ok(self.github.user().await?.login))
            .await
            .map(String::as_str)
    }
}

/// The message of the commit that a task ends in.
#[must_use]
pub fn commit_message(task: &Task, agent: &str) -> String {
    format!(
        "{}\n\nMade for issue {} by CodingWorker with {}.\n\n{TRAILER}{}\n",
        text::title(&task.title),
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

impl PullRequest {
    fn of(answer: &crate::github::PullRequest) -> Self {
        Self { number: answer.number, url: answer.html_url.clone(), draft: answer.draft }
    }
}
