//! Whether GitHub can be asked at all, whatever the repository.

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::error::wait_until;
use super::{GitHub, GitHubError, transport};

/// The answer of "Get rate limit status for the authenticated user".
#[derive(Deserialize)]
struct RateLimits {
    resources: Resources,
}

#[derive(Deserialize)]
struct Resources {
    core: RateLimit,
}

#[derive(Deserialize)]
struct RateLimit {
    remaining: u64,
    /// In seconds since 1970.
    reset: i64,
}

/// What the API tells of a token. Each fact is missing where the API does not tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFacts {
    /// When the token expires.
    pub expires_at: Option<Timestamp>,
    /// The scopes of a classic personal access token, such as `repo`.
    pub scopes: Option<Vec<String>>,
}

impl TokenFacts {
    /// Reads `GitHub-Authentication-Token-Expiration`, which a token that expires gets
    /// ("Managing your personal access tokens"), and `X-OAuth-Scopes`, which a classic one gets
    /// ("Scopes for OAuth apps").
    fn of_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let scopes = text("x-oauth-scopes").map(|scopes| {
            let scopes = scopes.split(',').map(|scope| scope.trim().to_owned());
            scopes.filter(|scope| !scope.is_empty()).collect()
        });
        let expires_at = text("github-authentication-token-expiration").and_then(expiration);
        Self { expires_at, scopes }
    }
}

/// The time of that header: GitHub writes `2026-11-28 06:00:00 UTC`, and for some tokens an offset
/// such as `+0900` in the place of the name.
fn expiration(text: &str) -> Option<Timestamp> {
    let text = text.trim().replace("UTC", "+0000");
    jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S %z", text).ok()?.to_timestamp().ok()
}

impl GitHub {
    /// Asks whether the API answers, accepts the token and has requests left for it. The call needs
    /// no repository and counts towards no limit ("Rate limits for the REST API").
    ///
    /// # Errors
    /// The API can't be asked, refuses the token or limits it.
    pub async fn check(&self) -> Result<(), GitHubError> {
        self.token_facts().await.map(drop)
    }

    /// Returns what the API tells of the token itself, by the same call as [`GitHub::check`].
    ///
    /// # Errors
    /// As [`GitHub::check`].
    pub async fn token_facts(&self) -> Result<TokenFacts, GitHubError> {
        let url = format!("{}/rate_limit", self.api_url);
        let answer = match self.send(Method::GET, &url, None::<&()>).await {
            Ok(answer) => answer,
            // A GitHub Enterprise Server without rate limits ("REST API endpoints for rate limits",
            // in its edition for GitHub Enterprise Server).
            Err(GitHubError::NotFound { .. }) => return Ok(TokenFacts::default()),
            Err(error) => return Err(error),
        };
        let RateLimits { resources: Resources { core } } = transport::parse(&url, &answer.body)?;
        if core.remaining > 0 {
            return Ok(TokenFacts::of_headers(&answer.headers));
        }
        Err(GitHubError::RateLimited { retry_after: wait_until(core.reset, Timestamp::now()) })
    }

    /// Asks whether the host that repositories are fetched from answers. It gets no token.
    ///
    /// # Errors
    /// It can't be reached, or answers with a status of 500 or above.
    pub async fn check_git(&self) -> Result<(), GitHubError> {
        let url = &self.git_url;
        let unreachable = |source| GitHubError::unreachable(url, source);
        let status = self.client.head(url).send().await.map_err(unreachable)?.status();
        if status.is_server_error() {
            return Err(GitHubError::Unavailable { url: url.clone(), status: status.as_u16() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_token_tells_until_when_and_for_what_it_is() {
        let mut headers = HeaderMap::new();
        assert_eq!(TokenFacts::of_headers(&headers), TokenFacts::default());
        headers.insert("x-oauth-scopes", HeaderValue::from_static("repo, read:org"));
        for (written, read) in [
            ("2026-12-01 09:30:00 UTC", "2026-12-01T09:30:00Z"),
            ("2026-12-01 09:30:00 +0900", "2026-12-01T00:30:00Z"),
        ] {
            let expiration = HeaderValue::from_static(written);
            headers.insert("github-authentication-token-expiration", expiration);
            let facts = TokenFacts::of_headers(&headers);
            assert_eq!(facts.expires_at, Some(read.parse().unwrap()), "{written}");
            assert_eq!(facts.scopes, Some(vec!["repo".to_owned(), "read:org".to_owned()]));
        }
        headers.insert("x-oauth-scopes", HeaderValue::from_static(""));
        assert_eq!(TokenFacts::of_headers(&headers).scopes, Some(Vec::new()));
    }
}
