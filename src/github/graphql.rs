//! The calls of GitHub's GraphQL API, for what the REST API can't do.
//!
//! The REST API opens drafts, and has no call that ends one ("Update a pull request" has no such
//! parameter). It does not tell a GitHub App which account it speaks for.

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::error::QueryError;
use super::transport::HttpAnswer;
use super::{GitHub, GitHubError, User, transport};
use crate::language::Phrase;

/// The mutation `markPullRequestReadyForReview` ("Mutations" in the GraphQL reference). A token
/// needs read and write access to pull requests and to contents.
const MARK_READY: &str = "mutation($id: ID!) {
  markPullRequestReadyForReview(input: {pullRequestId: $id}) { pullRequest { isDraft } }
}";

/// The query `viewer` ("Queries" in the GraphQL reference): the account that asks.
const VIEWER: &str = "{ viewer { login } }";

/// An answer ("Forming calls with GraphQL"). One that holds errors has the status 200, too.
#[derive(Deserialize)]
struct GraphQlAnswer<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<QueryError>,
}

#[derive(Deserialize)]
struct MarkedReady {
    #[serde(rename = "markPullRequestReadyForReview")]
    marked: Option<Marked>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marked {
    pull_request: Option<Draft>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Draft {
    is_draft: bool,
}

#[derive(Deserialize)]
struct Viewer {
    viewer: User,
}

impl GitHub {
    /// The login of the account that the token speaks for.
    ///
    /// A token of a GitHub App's installation may not ask "Get the authenticated user" of the REST
    /// API, which says "Resource not accessible by integration". The GraphQL API tells it the login
    /// of the App's bot.
    ///
    /// # Errors
    /// GitHub can't be asked, or tells it in neither way.
    pub async fn login(&self) -> Result<String, GitHubError> {
        match self.user().await {
            Ok(user) => Ok(user.login),
            Err(GitHubError::Forbidden { .. } | GitHubError::NotFound { .. }) => {
                self.viewer().await
            }
            Err(error) => Err(error),
        }
    }

    async fn viewer(&self) -> Result<String, GitHubError> {
        let url = graphql_url(&self.api_url);
        let query = json!({ "query": VIEWER });
        let answer = self.send(Method::POST, &url, Some(&query)).await?;
        let Viewer { viewer } = data_of(&url, &answer)?;
        Ok(viewer.login)
    }

    /// Marks a draft pull request as ready for review. `node_id` is the pull request's
    /// [`node_id`](super::PullRequest::node_id).
    ///
    /// # Errors
    /// GitHub can't be asked or refuses. The pull request may be ready all the same, when only the
    /// answer was lost.
    pub async fn mark_ready_for_review(&self, node_id: &str) -> Result<(), GitHubError> {
        let url = graphql_url(&self.api_url);
        let call = json!({ "query": MARK_READY, "variables": { "id": node_id } });
        let answer = self.send_permitted(Method::POST, &url, &call).await?;
        let MarkedReady { marked } = data_of(&url, &answer)?;
        let pull_request = marked.and_then(|marked| marked.pull_request);
        if pull_request.is_some_and(|pull_request| !pull_request.is_draft) {
            return Ok(());
        }
        let detail = Phrase::new(
            "it does not say that the pull request is ready for review",
            "プルリクエストがレビュー可能になったことが示されていません",
        );
        Err(GitHubError::Unexpected { url, detail })
    }
}

/// The data of an answer without errors.
fn data_of<T: DeserializeOwned>(url: &str, answer: &HttpAnswer) -> Result<T, GitHubError> {
    let GraphQlAnswer { data, errors } = transport::parse(url, &answer.body)?;
    match data {
        Some(data) if errors.is_empty() => Ok(data),
        _ => Err(GitHubError::of_query(url, &answer.headers, &errors, Timestamp::now())),
    }
}

/// Where the GraphQL API is, next to a REST API: `https://api.github.com/graphql`, and
/// `https://HOST/api/graphql` for `https://HOST/api/v3` ("Forming calls with GraphQL", and its
/// edition for GitHub Enterprise Server).
fn graphql_url(api_url: &str) -> String {
    let base = match api_url.strip_suffix("/v3") {
        Some(base) if base.ends_with("/api") => base,
        Some(_) | None => api_url,
    };
    format!("{base}/graphql")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graphql_api_is_next_to_the_rest_api() {
        let check = |api_url, expected| assert_eq!(graphql_url(api_url), expected);
        check("https://api.github.com", "https://api.github.com/graphql");
        check("https://github.example.com/api/v3", "https://github.example.com/api/graphql");
        check("http://127.0.0.1:4000", "http://127.0.0.1:4000/graphql");
        check("https://api.example.com/v3", "https://api.example.com/v3/graphql");
    }
}
