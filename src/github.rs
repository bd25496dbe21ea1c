//! A thin client of GitHub's API: the dozen calls a worker makes, each an async function with a
//! value for an answer.
//!
//! All but one are of the REST API (docs.github.com/rest). GraphQL does what REST has no call for:
//! see `graphql.rs`. This module owns the token's way into a header, time limits, paging, retries
//! and the meaning of GitHub's errors. A title in quotes names a page of GitHub's documentation.
//!
//! A read is sent again when it fails for a moment, because it changes nothing. A write is sent
//! once, and whoever makes it looks first whether it still has to be made. (octocrab sends a POST
//! again when the answer is lost, which opens a pull request twice.)

mod availability;
mod error;
mod graphql;
mod models;
mod moved;
pub mod settings;
mod token;
mod transport;

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

pub use self::availability::TokenFacts;
pub use self::error::GitHubError;
use self::models::Collaborator;
pub use self::models::{
    Comment, Issue, IssueEvent, Owner, Permission, PullRequest, Repository, RepositoryPermissions,
    User,
};
use self::settings::GitHubSettings;
pub use self::token::Token;
use crate::task::{IssueNumber, RepoName};

/// Everything but the characters that RFC 3986 (2.3) calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client that speaks for the owner of a token. Clones share its connections.
#[derive(Debug, Clone)]
pub struct GitHub {
    client: reqwest::Client,
    api_url: String,
    git_url: String,
    token: Token,
    permit: Option<Permit>,
}

/// Whether a write may be sent now.
#[derive(Clone)]
pub struct Permit(Arc<dyn Fn() -> bool + Send + Sync>);

impl Permit {
    /// A permit that holds as long as `is_given` returns true. It is asked before every write.
    #[must_use]
    pub fn new(is_given: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_given))
    }

    fn is_given(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Permit").finish_non_exhaustive()
    }
}

impl GitHub {
    /// A client that speaks for the owner of `token`.
    ///
    /// # Errors
    /// The token can't be sent in a header, or TLS can't be set up.
    pub fn new(settings: &GitHubSettings, token: &Token) -> Result<Self, GitHubError> {
        let client = transport::client(settings)?;
        transport::authorization(token)?;
        let GitHubSettings { api_url, git_url, .. } = settings.clone();
        Ok(Self { client, api_url, git_url, token: token.clone(), permit: None })
    }

    /// The same client, whose writes are sent only while `permit` says so.
    #[must_use]
    pub fn permitted(&self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self.clone() }
    }

    /// The account that the token speaks for ("Get the authenticated user").
    ///
    /// # Errors
    /// GitHub can't be asked or refuses; so for every call here.
    pub async fn user(&self) -> Result<User, GitHubError> {
        self.read("/user").await
    }

    /// The repository as GitHub spells it, with its number and its owner's ("Get a repository").
    pub async fn repository(&self, repository: &RepoName) -> Result<Repository, GitHubError> {
        self.read(&format!("/repos/{repository}")).await
    }

    /// An issue, or a pull request in its role as an issue ("Get an issue").
    pub async fn issue(
        &self,
        repository: &RepoName,
        number: IssueNumber,
    ) -> Result<Issue, GitHubError> {
        self.read(&format!("/repos/{repository}/issues/{number}")).await
    }

    /// The login of the account that put a label on an issue the last time ("List issue events").
    /// Nobody when the label never was on it, or the account is gone.
    pub async fn labeler(
        &self,
        repository: &RepoName,
        number: IssueNumber,
        label: &str,
    ) -> Result<Option<String>, GitHubError> {
        let path = format!("/repos/{repository}/issues/{number}/events");
        let events: Vec<IssueEvent> = self.list(&path, "").await?;
        let puts = |event: &&IssueEvent| {
            let named =
                event.label.as_ref().is_some_and(|found| found.name.eq_ignore_ascii_case(label));
            event.event == "labeled" && named
        };
        Ok(events.iter().rfind(puts).and_then(|event| Some(event.actor.as_ref()?.login.clone())))
    }

    /// What somebody may do in a repository ("Get repository permissions for a user").
    pub async fn permission(
        &self,
        repository: &RepoName,
        login: &str,
    ) -> Result<Permission, GitHubError> {
        let path = format!("/repos/{repository}/collaborators/{}/permission", encoded(login));
        self.read::<Collaborator>(&path).await.map(|collaborator| collaborator.permission)
    }

    /// Opens an issue with labels ("Create an issue").
    pub async fn create_issue(
        &self,
        repository: &RepoName,
        title: &str,
        body: &str,
        labels: &[&str],
    ) -> Result<Issue, GitHubError> {
        let issue = json!({ "title": title, "body": body, "labels": labels });
        self.write(Method::POST, &format!("/repos/{repository}/issues"), &issue).await
    }

    /// All comments of an issue, oldest first ("List issue comments").
    pub async fn comments(
        &self,
        repository: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, GitHubError> {
        self.list(&format!("/repos/{repository}/issues/{number}/comments"), "").await
    }

    /// Adds a comment to an issue ("Create an issue comment").
    pub async fn create_comment(
        &self,
        repository: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, GitHubError> {
        let path = format!("/repos/{repository}/issues/{number}/comments");
        self.write(Method::POST, &path, &json!({ "body": body })).await
    }

    /// Replaces the text of a comment ("Update an issue comment").
    pub async fn edit_comment(
        &self,
        repository: &RepoName,
        id: u64,
        body: &str,
    ) -> Result<Comment, GitHubError> {
        self.write(
            Method::PATCH,
            &format!("/repos/{repository}/issues/comments/{id}"),
            &json!({ "body": body }),
        )
        .await
    }

    /// Puts a label on an issue ("Add labels to an issue"). GitHub makes one that the repository
    /// does not have.
    pub async fn add_label(
        &self,
        repository: &RepoName,
        number: IssueNumber,
        label: &str,
    ) -> Result<(), GitHubError> {
        let path = format!("/repos/{repository}/issues/{number}/labels");
        self.write::<serde_json::Value>(Method::POST, &path, &json!({ "labels": [label] }))
            .await
            .map(drop)
    }

    /// Takes a label off an issue ("Remove a label from an issue"). One that is not there is fine.
    pub async fn remove_label(
        &self,
        repository: &RepoName,
        number: IssueNumber,
        label: &str,
    ) -> Result<(), GitHubError> {
        let path = format!("/repos/{repository}/issues/{number}/labels/{}", encoded(label));
        match self.write::<serde_json::Value>(Method::DELETE, &path, &()).await {
            Ok(_) | Err(GitHubError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The pull requests from a branch of the repository itself, in every state, newest first
    /// ("List pull requests").
    pub async fn pull_requests(
        &self,
        repository: &RepoName,
        branch: &str,
    ) -> Result<Vec<PullRequest>, GitHubError> {
        let head = format!("{}:{branch}", repository.owner());
        let query = format!("&state=all&sort=created&direction=desc&head={}", encoded(&head));
        self.list(&format!("/repos/{repository}/pulls"), &query).await
    }

    /// A pull request by its number ("Get a pull request").
    pub async fn pull_request(
        &self,
        repository: &RepoName,
        number: u64,
    ) -> Result<PullRequest, GitHubError> {
        self.read(&format!("/repos/{repository}/pulls/{number}")).await
    }

    /// Opens a pull request ("Create a pull request"). GitHub refuses a second one for the same
    /// head and base with 422, which is [`GitHubError::Invalid`].
    pub async fn create_pull_request(
        &self,
        repository: &RepoName,
        new: &NewPullRequest<'_>,
    ) -> Result<PullRequest, GitHubError> {
        self.write(Method::POST, &format!("/repos/{repository}/pulls"), new).await
    }

    /// Replaces the title and the body of a pull request ("Update a pull request"). That call has
    /// no parameter for the draft state, which
    /// [`mark_ready_for_review`](Self::mark_ready_for_review) changes.
    pub async fn edit_pull_request(
        &self,
        repository: &RepoName,
        number: u64,
        title: &str,
        body: &str,
    ) -> Result<PullRequest, GitHubError> {
        let edit = json!({ "title": title, "body": body });
        self.write(Method::PATCH, &format!("/repos/{repository}/pulls/{number}"), &edit).await
    }
}

/// What a pull request is made from.
#[derive(Debug, Serialize)]
pub struct NewPullRequest<'a> {
    /// One line of text.
    pub title: &'a str,
    /// Markdown.
    pub body: &'a str,
    /// The name of the branch that is to be merged.
    pub head: &'a str,
    /// The name of the branch to merge into.
    pub base: &'a str,
    /// Whether it is opened as a draft, which can't be merged.
    pub draft: bool,
}

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}
