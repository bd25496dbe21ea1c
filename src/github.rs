//! A thin client of GitHub's REST API: the dozen calls a worker makes, each an async function with
//! a value for an answer.
//!
//! Owns the token's way into a header, time limits, paging, retries and the meaning of GitHub's
//! errors. Reads are tried again, because they change nothing; a write is sent once, and whoever
//! makes it looks first whether it is still to be done. (octocrab sends a POST again when the
//! answer is lost, which opens a pull request twice.)

mod error;
mod models;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

pub use self::error::GitHubError;
use self::models::Collaborator;
pub use self::models::{
    Comment, Issue, IssueEvent, Owner, Permission, PullRequest, Repository, User,
};
use self::settings::GitHubSettings;
use crate::task::{IssueNumber, RepoName};

/// The version of the API this is written against (GitHub's "API Versions").
const API_VERSION: &str = "2022-11-28";
const PAGE_SIZE: usize = 100;
/// No list this client reads is longer than this many pages; an issue with 5,000 comments is past
/// what a person reads.
const MOST_PAGES: usize = 50;
/// An answer larger than this is not one of GitHub's.
const LARGEST_ANSWER: usize = 16 << 20;

const READ_RETRIES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(500))
    .with_max_times(2)
    .with_jitter();

#[derive(Debug, Clone)]
pub struct GitHub {
    client: reqwest::Client,
    api_url: String,
    permit: Option<Permit>,
}

/// Whether a write may be sent now.
#[derive(Clone)]
pub struct Permit(Arc<dyn Fn() -> bool + Send + Sync>);

impl Permit {
    #[must_use]
    pub fn new(is_given: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_given))
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
    pub fn new(settings: &GitHubSettings, token: &SecretString) -> Result<Self, GitHubError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| GitHubError::UnusableToken)?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("codingworker/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert("x-github-api-version", HeaderValue::from_static(API_VERSION));
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(settings.timeout)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|source| GitHubError::Unreachable { url: settings.api_url.clone(), source })?;
        Ok(Self { client, api_url: settings.api_url.clone(), permit: None })
    }

    /// The same client, whose writes are sent only while `permit` says so.
    #[must_use]
    pub fn permitted(&self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self.clone() }
    }

    /// Whom the token speaks for.
    pub async fn user(&self) -> Result<User, GitHubError> {
        self.read("/user").await
    }

    /// The repository as GitHub spells it, with its number and its owner's.
    pub async fn repository(&self, repository: &RepoName) -> Result<Repository, GitHubError> {
        self.read(&format!("/repos/{repository}")).await
    }

    pub async fn issue(
        &self,
        repository: &RepoName,
        number: IssueNumber,
    ) -> Result<Issue, GitHubError> {
        self.read(&format!("/repos/{repository}/issues/{number}")).await
    }

    /// Who put a label on an issue the last time.
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

    /// What somebody may do in a repository (GitHub's "Get repository permissions for a user").
    pub async fn permission(
        &self,
        repository: &RepoName,
        login: &str,
    ) -> Result<Permission, GitHubError> {
        let path = format!("/repos/{repository}/collaborators/{}/permission", encode(login));
        self.read::<Collaborator>(&path).await.map(|collaborator| collaborator.permission)
    }

    /// Opens an issue with labels.
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

    /// All comments of an issue, oldest first.
    pub async fn comments(
        &self,
        repository: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, GitHubError> {
        self.list(&format!("/repos/{repository}/issues/{number}/comments"), "").await
    }

    pub async fn create_comment(
        &self,
        repository: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, GitHubError> {
        let path = format!("/repos/{repository}/issues/{number}/comments");
        self.write(Method::POST, &path, &json!({ "body": body })).await
    }

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

    /// Puts a label on an issue; GitHub makes one that the repository does not have.
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

    /// Takes a label off an issue; one that is not there is fine.
    pub async fn remove_label(
        &self,
        repository: &RepoName,
        number: IssueNumber,
        label: &str,
    ) -> Result<(), GitHubError> {
        let path = format!("/repos/{repository}/issues/{number}/labels/{}", encode(label));
        match self.write::<serde_json::Value>(Method::DELETE, &path, &()).await {
            Ok(_) | Err(GitHubError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The pull requests from a branch of the repository itself, in every state, newest first.
    pub async fn pull_requests(
        &self,
        repository: &RepoName,
        branch: &str,
    ) -> Result<Vec<PullRequest>, GitHubError> {
        let head = format!("{}:{branch}", repository.owner());
        let query = format!("&state=all&sort=created&direction=desc&head={}", encode(&head));
        self.list(&format!("/repos/{repository}/pulls"), &query).await
    }

    pub async fn create_pull_request(
        &self,
        repository: &RepoName,
        new: &NewPullRequest<'_>,
    ) -> Result<PullRequest, GitHubError> {
        self.write(Method::POST, &format!("/repos/{repository}/pulls"), new).await
    }

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

    async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &str,
    ) -> Result<Vec<T>, GitHubError> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let items: Vec<T> =
                self.read(&format!("{path}?per_page={PAGE_SIZE}&page={page}{query}")).await?;
            let last = items.len() < PAGE_SIZE;
            all.extend(items);
            if last {
                break;
            }
        }
        Ok(all)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, GitHubError> {
        (|| self.send(Method::GET, path, None::<&()>))
            .retry(READ_RETRIES)
            .when(GitHubError::is_passing)
            .await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, GitHubError> {
        if self.permit.as_ref().is_some_and(|permit| !(permit.0)()) {
            return Err(GitHubError::NotPermitted);
        }
        self.send(method, path, Some(body)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, GitHubError> {
        let url = format!("{}{path}", self.api_url);
        let unreachable = |source: reqwest::Error| GitHubError::unreachable(&url, source);
        let mut request = self.client.request(method, &url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(unreachable)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > LARGEST_ANSWER {
                return Err(GitHubError::Unexpected {
                    url,
                    detail: format!("an answer of more than {LARGEST_ANSWER} bytes"),
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        if !answer.status().is_success() {
            let now = jiff::Timestamp::now();
            return Err(GitHubError::of_answer(
                &url,
                answer.status(),
                answer.headers(),
                &bytes,
                now,
            ));
        }
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes)
            .map_err(|error| GitHubError::Unexpected { url, detail: error.to_string() })
    }
}

/// What a pull request is made from.
#[derive(Debug, Serialize)]
pub struct NewPullRequest<'a> {
    pub title: &'a str,
    pub body: &'a str,
    pub head: &'a str,
    pub base: &'a str,
    pub draft: bool,
}

/// Percent-encodes everything but letters, digits and the marks that RFC 3986 calls unreserved.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
