//! GitHub's errors, told apart as far as a caller acts on them.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

/// How long to wait when GitHub limits us and does not say how long ("Rate limits for the REST
/// API": at least a minute).
const UNSAID_LIMIT: Duration = Duration::from_secs(60);

/// How much of GitHub's own words is repeated.
const SHOWN_CHARACTERS: usize = 400;

#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    #[error("GITHUB_TOKEN holds characters that can't be in a token: set it anew")]
    UnusableToken,
    #[error(
        "GitHub refused the token at {url}: set GITHUB_TOKEN to one that is valid and has not expired ({message})"
    )]
    Unauthorized { url: String, message: String },
    #[error(
        "GitHub refuses {url} to this token: give it read and write access to contents, issues and pull requests ({message})"
    )]
    Forbidden { url: String, message: String },
    #[error("GitHub has nothing at {url}, or the token may not see it")]
    NotFound { url: String },
    #[error("GitHub can't do what it was asked at {url}: {message}")]
    Invalid { url: String, message: String },
    #[error("GitHub's rate limit is used up: it asks to wait {} s", retry_after.as_secs())]
    RateLimited { retry_after: Duration },
    #[error("GitHub answered {status} at {url}")]
    Unavailable { url: String, status: u16 },
    #[error("GitHub did not answer in time at {url}")]
    TimedOut { url: String },
    #[error("GitHub can't be reached at {url}: {}", innermost(source))]
    Unreachable { url: String, source: reqwest::Error },
    #[error("GitHub's answer at {url} can't be understood: {detail}")]
    Unexpected { url: String, detail: String },
    /// Nothing was sent.
    #[error("nothing more is written to GitHub: the right to work on the task is over")]
    NotPermitted,
}

/// The body of an error (GitHub's "Troubleshooting the REST API").
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    message: String,
    errors: Vec<serde_json::Value>,
}

impl GitHubError {
    pub(super) fn unreachable(url: &str, source: reqwest::Error) -> Self {
        let url = url.to_owned();
        if source.is_timeout() { Self::TimedOut { url } } else { Self::Unreachable { url, source } }
    }

    pub(super) fn of_answer(
        url: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Self {
        let url = url.to_owned();
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        let message = body.explain(status);
        if let Some(retry_after) = limit(status, headers, &message, now) {
            return Self::RateLimited { retry_after };
        }
        match status.as_u16() {
            401 => Self::Unauthorized { url, message },
            403 => Self::Forbidden { url, message },
            404 | 410 => Self::NotFound { url },
            400 | 409 | 422 => Self::Invalid { url, message },
            500.. => Self::Unavailable { url, status: status.as_u16() },
            _ => Self::Unexpected { url, detail: message },
        }
    }

    /// Whether the same request may well succeed in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => true,
            Self::UnusableToken
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::RateLimited { .. }
            | Self::NotPermitted
            | Self::Unexpected { .. } => false,
        }
    }
}

impl Body {
    fn explain(&self, status: StatusCode) -> String {
        let mut parts = Vec::new();
        if self.message.is_empty() {
            parts.push(status.to_string());
        } else {
            parts.push(self.message.clone());
        }
        for error in &self.errors {
            let said = ["message", "code", "field"]
                .iter()
                .find_map(|key| error.get(key)?.as_str())
                .or(error.as_str());
            parts.extend(said.map(str::to_owned));
        }
        parts.join("; ").chars().take(SHOWN_CHARACTERS).collect()
    }
}

/// How long GitHub wants us to wait, if it is limiting us: `Retry-After` first, then the reset of a
/// used-up limit.
fn limit(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    now: Timestamp,
) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::FORBIDDEN {
        return None;
    }
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    if let Some(seconds) = number(RETRY_AFTER.as_str()) {
        return Some(Duration::from_secs(seconds.unsigned_abs()));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset")
            .map(|reset| reset.saturating_sub(now.as_second()).max(1).unsigned_abs());
        return Some(reset.map_or(UNSAID_LIMIT, Duration::from_secs));
    }
    let secondary = message.to_ascii_lowercase().contains("rate limit");
    (status == StatusCode::TOO_MANY_REQUESTS || secondary).then_some(UNSAID_LIMIT)
}

/// reqwest's own text repeats the URL; what went wrong is at the end of the chain.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn check(status: u16, headers: &[(&'static str, &str)], body: &str, expected: &str) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect::<HeaderMap>();
        let status = StatusCode::from_u16(status).unwrap();
        let now = Timestamp::from_second(1_000).unwrap();
        let error = GitHubError::of_answer("https://x/y", status, &headers, body.as_bytes(), now);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn each_status_is_told_with_what_to_do() {
        check(
            401,
            &[],
            r#"{"message":"Bad credentials"}"#,
            "set GITHUB_TOKEN to one that is valid",
        );
        check(403, &[], r#"{"message":"Resource not accessible"}"#, "read and write access");
        check(404, &[], r#"{"message":"Not Found"}"#, "nothing at https://x/y");
        check(502, &[], "<html>", "answered 502");
        let body = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"A pull request already exists for o:b."}]}"#;
        check(422, &[], body, "Validation Failed; A pull request already exists for o:b.");
        check(422, &[], r#"{"message":"Validation Failed","errors":["too long"]}"#, "too long");
    }

    #[test]
    fn a_limit_says_how_long_to_wait() {
        check(403, &[("retry-after", "17")], "{}", "wait 17 s");
        check(429, &[], "{}", "wait 60 s");
        check(
            403,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1090")],
            "{}",
            "wait 90 s",
        );
        check(
            403,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "900")],
            "{}",
            "wait 1 s",
        );
        check(403, &[], r#"{"message":"You have exceeded a secondary rate limit"}"#, "wait 60 s");
    }
}
