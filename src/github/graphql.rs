//! The one call of GitHub's GraphQL API: a draft pull request becomes ready for review.
//!
//! The REST API opens drafts, and has no call that ends one ("Update a pull request" has no such
//! parameter).

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::error::QueryError;
use super::{GitHub, GitHubError, transport};

/// The mutation `markPullRequestReadyForReview` ("Mutations" in the GraphQL reference). A token
/// needs read and write access to pull requests and to contents.
const MARK_READY: &str = "mutation($id: ID!) {
  markPullRequestReadyForReview(input: {pullRequestId: $id}) { pullRequest { isDraft } }
}";

/// An answer ("Forming calls with GraphQL"). One that holds errors has the status 200, too.
#[derive(Deserialize)]
struct GraphQlAnswer {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<QueryError>,
}

#[derive(Deserialize)]
struct Data {
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

impl GitHub {
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
        let GraphQlAnswer { data, errors } = transport::parse(&url, &answer.body)?;
        if !errors.is_empty() {
            return Err(GitHubError::of_query(&url, &answer.headers, &errors, Timestamp::now()));
        }
        let pull_request = data.and_then(|data| data.marked?.pull_request);
        if pull_request.is_some_and(|pull_request| !pull_request.is_draft) {
            return Ok(());
        }
        let detail = "it does not say that the pull request is ready for review".to_owned();
        Err(GitHubError::Unexpected { url, detail })
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
