//! GitHub's errors, told apart as far as a caller acts on them.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;

use crate::errors::Bilingual;
use crate::language::Phrase;

/// How long to wait when GitHub limits requests and does not say for how long: at least a minute
/// ("Rate limits for the REST API").
const UNSAID_LIMIT: Duration = Duration::from_secs(60);

/// How much of GitHub's own message is repeated, in characters.
const SHOWN_CHARACTERS: usize = 400;

/// Why GitHub did not do what it was asked. `url` is the address of the request, `message` is
/// GitHub's own text.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// The token can't be sent in a header.
    #[error("GITHUB_TOKEN holds characters that can't be in a token: set it anew")]
    UnusableToken,
    /// The status 401.
    #[error(
        "GitHub refused the token at {url}: set GITHUB_TOKEN to one that is valid and has not \
         expired, or write it into the file of `github.token_file` ({message})"
    )]
    Unauthorized { url: String, message: String },
    /// The status 403 without a rate limit: the token may not do this.
    #[error(
        "GitHub refuses {url} to this token: give it read and write access to contents, issues \
         and pull requests ({message})"
    )]
    Forbidden { url: String, message: String },
    /// The status 404. GitHub answers so, too, for what the token may not know of ("Troubleshooting
    /// the REST API").
    #[error("GitHub has nothing at {url}, or the token may not see it")]
    NotFound { url: String },
    /// The status 410 of an issue: "If the issue was deleted from a repository where the
    /// authenticated user has read access" ("Get an issue"). An issue that was converted to a
    /// discussion stays, closed and locked.
    #[error("what was at {url} was deleted at GitHub: open a new issue if it is still wanted")]
    Deleted { url: String },
    /// The status 410 of all issues of a repository that has none.
    #[error(
        "the repository's issues are switched off, so GitHub has nothing at {url}: switch them on \
         in the settings of the repository"
    )]
    IssuesDisabled { url: String },
    /// A redirect: the repository was renamed or transferred, or the issue was transferred.
    /// `location` is where GitHub says it is now.
    #[error("GitHub has moved {url} to {location}")]
    Moved { url: String, location: String },
    /// The status 400, 409 or 422: the same request fails again.
    #[error("GitHub can't do what it was asked at {url}: {message}")]
    Invalid { url: String, message: String },
    /// A primary or a secondary rate limit.
    #[error("GitHub's rate limit is used up: it asks to wait {} s", retry_after.as_secs())]
    RateLimited { retry_after: Duration },
    /// A status of 500 or above.
    #[error("GitHub answered {status} at {url}")]
    Unavailable { url: String, status: u16 },
    /// No answer within `github.timeout_seconds`.
    #[error("GitHub did not answer in time at {url}")]
    TimedOut { url: String },
    /// No connection, or one that broke.
    #[error("GitHub can't be reached at {url}: check the network and `github.api_url`")]
    Unreachable { url: String, source: reqwest::Error },
    /// An answer that is not one of GitHub's. `detail` says why.
    #[error("GitHub's answer at {url} can't be understood: {}", detail.en)]
    Unexpected { url: String, detail: Phrase },
    /// The [`Permit`](super::Permit) is over. Nothing was sent.
    #[error("nothing more is written to GitHub: the right to work on the task is over")]
    NotPermitted,
}

impl Bilingual for GitHubError {
    fn japanese(&self) -> String {
        match self {
            Self::UnusableToken => {
                "GITHUB_TOKENにトークンとして使えない文字が含まれています。設定し直してください"
                    .to_owned()
            }
            Self::Unauthorized { url, message } => format!(
                "GitHubがトークンを拒否しました（{url}）。有効期限内の正しいトークンを\
                 GITHUB_TOKENに設定するか、`github.token_file` のファイルに書き込んでください\
                 （{message}）"
            ),
            Self::Forbidden { url, message } => format!(
                "このトークンでは {url} を利用できません。contents、issues、pull requestsの\
                 読み書きを許可してください（{message}）"
            ),
            Self::NotFound { url } => {
                format!("GitHubの {url} は存在しないか、トークンから見えません")
            }
            Self::Deleted { url } => format!(
                "GitHubの {url} は削除されました。まだ必要な場合は、新しいIssueを作成してください"
            ),
            Self::IssuesDisabled { url } => format!(
                "リポジトリのIssue機能が無効なため、GitHubの {url} は使えません。\
                 リポジトリの設定で有効にしてください"
            ),
            Self::Moved { url, location } => {
                format!("GitHubの {url} は {location} に移動しました")
            }
            Self::Invalid { url, message } => {
                format!("GitHubが要求を実行できません（{url}）: {message}")
            }
            Self::RateLimited { retry_after } => format!(
                "GitHubのレート制限に達しました。{}秒待つ必要があります",
                retry_after.as_secs()
            ),
            Self::Unavailable { url, status } => {
                format!("GitHubがステータス{status}を返しました（{url}）")
            }
            Self::TimedOut { url } => {
                format!("GitHubが時間内に応答しませんでした（{url}）")
            }
            Self::Unreachable { url, source: _ } => format!(
                "GitHubに接続できません（{url}）。ネットワークと `github.api_url` を確認してください"
            ),
            Self::Unexpected { url, detail } => {
                format!("GitHubの応答を解釈できません（{url}）: {}", detail.ja)
            }
            Self::NotPermitted => {
                "タスクの作業権を失ったため、GitHubには何も書き込みません".to_owned()
            }
        }
    }
}

/// An error of the GraphQL API. GitHub adds the `type`, which GraphQL itself does not know.
#[derive(Debug, Deserialize)]
pub(super) struct QueryError {
    #[serde(default)]
    r#type: String,
    message: String,
}

/// The body of an error ("Troubleshooting the REST API").
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    message: String,
    errors: Vec<serde_json::Value>,
}

impl GitHubError {
    pub(super) fn unreachable(url: &str, source: reqwest::Error) -> Self {
        let url = url.to_owned();
        if source.is_timeout() {
            Self::TimedOut { url }
        } else {
            // The address is said once.
            Self::Unreachable { url, source: source.without_url() }
        }
    }

    /// The meaning of an answer of the GraphQL API that holds errors.
    ///
    /// A used-up limit comes with the status 200 and an error ("Rate limits and query limits for
    /// the GraphQL API"); how long to wait is in the same headers as for the REST API.
    pub(super) fn of_query(
        url: &str,
        headers: &HeaderMap,
        errors: &[QueryError],
        now: Timestamp,
    ) -> Self {
        let is = |kinds: &[&str]| errors.iter().any(|error| kinds.contains(&error.r#type.as_str()));
        let messages: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
        let message: String = messages.join("; ").chars().take(SHOWN_CHARACTERS).collect();
        let url = url.to_owned();
        if is(&["RATE_LIMITED"]) || names_a_limit(&message) {
            let retry_after = told_wait(headers, now).unwrap_or(UNSAID_LIMIT);
            Self::RateLimited { retry_after }
        } else if is(&["NOT_FOUND"]) {
            Self::NotFound { url }
        } else if is(&["FORBIDDEN", "INSUFFICIENT_SCOPES"]) {
            Self::Forbidden { url, message }
        } else if is(&["UNPROCESSABLE"]) {
            Self::Invalid { url, message }
        } else {
            Self::Unexpected { url, detail: Phrase::same(message) }
        }
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
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        match status.as_u16() {
            301 | 302 | 307 | 308 => {
                Self::Moved { url, location: location.unwrap_or_default().to_owned() }
            }
            401 => Self::Unauthorized { url, message },
            403 => Self::Forbidden { url, message },
            404 => Self::NotFound { url },
            // "Issues are disabled for this repo", "Issues has been disabled in this repository."
            410 if message.contains("disabled") => Self::IssuesDisabled { url },
            410 => Self::Deleted { url },
            400 | 409 | 422 => Self::Invalid { url, message },
            500.. => Self::Unavailable { url, status: status.as_u16() },
            _ => Self::Unexpected { url, detail: Phrase::same(message) },
        }
    }

    /// Whether GitHub as a whole may be to blame, and not the repository or the request.
    #[must_use]
    pub fn may_be_an_outage(&self) -> bool {
        match self {
            Self::Unauthorized { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::TimedOut { .. }
            | Self::Unreachable { .. }
            | Self::Unexpected { .. } => true,
            Self::UnusableToken
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Deleted { .. }
            | Self::IssuesDisabled { .. }
            | Self::Moved { .. }
            | Self::Invalid { .. }
            | Self::NotPermitted => false,
        }
    }

    /// Whether there is no issue any more that could be worked on or told anything.
    #[must_use]
    pub fn is_about_a_lost_issue(&self) -> bool {
        matches!(self, Self::Deleted { .. } | Self::IssuesDisabled { .. })
    }

    /// Whether the repository has no draft pull requests: "Draft pull requests are not supported
    /// in this repository." (private repositories of GitHub's free plan).
    #[must_use]
    pub fn is_about_drafts(&self) -> bool {
        matches!(self, Self::Invalid { message, .. } if message.contains("raft pull requests"))
    }

    /// Whether the same request may succeed in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => true,
            Self::UnusableToken
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Deleted { .. }
            | Self::IssuesDisabled { .. }
            | Self::Moved { .. }
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

/// How long GitHub wants the client to wait, if the answer is about a limit ("Rate limits for the
/// REST API").
fn limit(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    now: Timestamp,
) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::FORBIDDEN {
        return None;
    }
    let unsaid = status == StatusCode::TOO_MANY_REQUESTS || names_a_limit(message);
    told_wait(headers, now).or_else(|| unsaid.then_some(UNSAID_LIMIT))
}

/// How long the headers say to wait: `Retry-After` first, then the reset of a used-up limit.
fn told_wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    if let Some(seconds) = number(RETRY_AFTER.as_str()) {
        return Some(Duration::from_secs(seconds.unsigned_abs()));
    }
    if number("x-ratelimit-remaining") != Some(0) {
        return None;
    }
    Some(number("x-ratelimit-reset").map_or(UNSAID_LIMIT, |reset| wait_until(reset, now)))
}

/// How long it is until a limit is reset, at least a second. `reset` is in seconds since 1970.
pub(super) fn wait_until(reset: i64, now: Timestamp) -> Duration {
    Duration::from_secs(reset.saturating_sub(now.as_second()).max(1).unsigned_abs())
}

/// A secondary limit is told by the message alone, at times.
fn names_a_limit(message: &str) -> bool {
    message.to_ascii_lowercase().contains("rate limit")
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
        check(410, &[], r#"{"message":"This issue was deleted"}"#, "was deleted at GitHub");
        check(410, &[], r#"{"message":"Issues are disabled for this repo"}"#, "switched off");
        check(502, &[], "<html>", "answered 502");
        let body = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest",
            "code":"custom","message":"A pull request already exists for o:b."}]}"#;
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

    fn check_query(headers: &[(&'static str, &str)], errors: &str, expected: &str) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect::<HeaderMap>();
        let errors: Vec<QueryError> = serde_json::from_str(errors).unwrap();
        let now = Timestamp::from_second(1_000).unwrap();
        let error = GitHubError::of_query("https://x/graphql", &headers, &errors, now);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn an_error_of_a_query_is_told_by_its_type() {
        let not_found = r#"[{"type":"NOT_FOUND","path":["a"],"message":"Could not resolve"}]"#;
        check_query(&[], not_found, "nothing at https://x/graphql");
        let forbidden = r#"[{"type":"FORBIDDEN","message":"Resource not accessible"}]"#;
        check_query(&[], forbidden, "pull requests (Resource not accessible)");
        let scopes = r#"[{"type":"INSUFFICIENT_SCOPES","message":"no scopes"}]"#;
        check_query(&[], scopes, "read and write access");
        let unprocessable = r#"[{"type":"UNPROCESSABLE","message":"closed"},{"message":"b"}]"#;
        check_query(
            &[],
            unprocessable,
            "can't do what it was asked at https://x/graphql: closed; b",
        );
        let unknown = r#"[{"message":"Something went wrong while executing your query"}]"#;
        check_query(&[], unknown, "can't be understood: Something went wrong");
    }

    #[test]
    fn a_limit_of_queries_comes_as_an_error_of_a_query() {
        let limited = r#"[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]"#;
        check_query(&[], limited, "wait 60 s");
        check_query(&[("retry-after", "17")], limited, "wait 17 s");
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1090")];
        check_query(&used_up, limited, "wait 90 s");
        let secondary = r#"[{"message":"You have exceeded a secondary rate limit"}]"#;
        check_query(&[], secondary, "wait 60 s");
    }
}
