//! Whether GitHub can be asked at all, whatever the repository.

use jiff::Timestamp;
use reqwest::Method;
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

impl GitHub {
    /// Asks whether the API answers, accepts the token and has requests left for it. The call needs
    /// no repository and counts towards no limit ("Rate limits for the REST API").
    ///
    /// # Errors
    /// The API can't be asked, refuses the token or limits it.
    pub async fn check(&self) -> Result<(), GitHubError> {
        let url = format!("{}/rate_limit", self.api_url);
        let answer = match self.send(Method::GET, &url, None::<&()>).await {
            Ok(answer) => answer,
            // A GitHub Enterprise Server without rate limits ("REST API endpoints for rate limits",
            // in its edition for GitHub Enterprise Server).
            Err(GitHubError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let RateLimits { resources: Resources { core } } = transport::parse(&url, &answer.body)?;
        if core.remaining > 0 {
            return Ok(());
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
