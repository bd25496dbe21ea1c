//! How a request is sent: the token in a header, time limits, paging, and what is sent again.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, redirect};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::settings::GitHubSettings;
use super::{GitHub, GitHubError, Token};
use crate::language::Phrase;

/// The version of the API that this is written against ("API Versions").
const API_VERSION: &str = "2022-11-28";
/// The largest page that GitHub gives ("Using pagination in the REST API").
const PAGE_SIZE: usize = 100;
/// No list that this client reads is longer than this many pages. An issue with 5,000 comments is
/// past what a person reads.
const MOST_PAGES: usize = 50;
/// An answer larger than this, in bytes, is not one of GitHub's.
const LARGEST_ANSWER: usize = 16 << 20;

const READ_RETRIES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(500))
    .with_max_times(2)
    .with_jitter();

/// An HTTP client for the API.
///
/// It follows no redirect: GitHub redirects from a repository's old name ("Best practices for using
/// the REST API"), and a worker works on a repository under the name that its settings list.
pub(super) fn client(settings: &GitHubSettings) -> Result<reqwest::Client, GitHubError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("codingworker/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert("x-github-api-version", HeaderValue::from_static(API_VERSION));
    reqwest::Client::builder()
        .default_headers(headers)
        .timeout(settings.timeout)
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|source| GitHubError::unreachable(&settings.api_url, source))
}

/// The header that carries the token.
///
/// # Errors
/// The token can't be in a header.
pub(super) fn authorization(token: &Token) -> Result<HeaderValue, GitHubError> {
    let mut header = HeaderValue::from_str(&format!("Bearer {}", token.secret().expose_secret()))
        .map_err(|_| GitHubError::UnusableToken)?;
    header.set_sensitive(true);
    Ok(header)
}

/// An answer with a status of 200 to 299.
pub(super) struct HttpAnswer {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl GitHub {
    /// Reads all pages of a list.
    pub(super) async fn list<T: DeserializeOwned>(
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

    /// Reads what is at a path of the REST API, and sends the request again when it fails for a
    /// moment.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, GitHubError> {
        let url = format!("{}{path}", self.api_url);
        let answer = (|| self.send(Method::GET, &url, None::<&()>))
            .retry(READ_RETRIES)
            .when(GitHubError::is_transient)
            .await?;
        parse(&url, &answer.body)
    }

    /// Changes what is at a path of the REST API. The request is sent once, if it is permitted.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, GitHubError> {
        let url = format!("{}{path}", self.api_url);
        let answer = self.send_permitted(method, &url, body).await?;
        parse(&url, &answer.body)
    }

    /// Sends a write once, if it is permitted.
    pub(super) async fn send_permitted(
        &self,
        method: Method,
        url: &str,
        body: &impl Serialize,
    ) -> Result<HttpAnswer, GitHubError> {
        if self.permit.as_ref().is_some_and(|permit| !permit.is_given()) {
            return Err(GitHubError::NotPermitted);
        }
        self.send(method, url, Some(body)).await
    }

    /// Sends one request, within a span that names it.
    #[tracing::instrument(name = "github", skip(self, body), fields(%method, url))]
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<&impl Serialize>,
    ) -> Result<HttpAnswer, GitHubError> {
        let unreachable = |source| GitHubError::unreachable(url, source);
        let authorization = authorization(&self.token)?;
        let mut request = self.client.request(method, url).header(AUTHORIZATION, authorization);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(GitHubError::Unexpected {
                    url: url.to_owned(),
                    detail: Phrase::new(
                        format!("an answer of more than {LARGEST_ANSWER} bytes"),
                        format!("応答が{LARGEST_ANSWER}バイトを超えています"),
                    ),
                });
            }
            body.extend_from_slice(&chunk);
        }
        let (status, headers) = (answer.status(), answer.headers());
        if !status.is_success() {
            return Err(GitHubError::of_answer(url, status, headers, &body, Timestamp::now()));
        }
        Ok(HttpAnswer { headers: headers.clone(), body })
    }
}

/// The value in the body of an answer. An answer without a body is `null`.
pub(super) fn parse<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, GitHubError> {
    let body = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(body).map_err(|error| GitHubError::Unexpected {
        url: url.to_owned(),
        detail: Phrase::same(error.to_string()),
    })
}
