//! What a worker needs of others: GitHub with its token and repositories, and the queue.

use jiff::{SignedDuration, Timestamp};

use super::DoctorFinding;
use crate::config::Config;
use crate::errors;
use crate::github::{GitHub, GitHubError, Repository, TokenFacts};
use crate::language::Language;
use crate::queue::{Policy, Queue};
use crate::run;
use crate::task::RepoName;

/// How long before its end a token's expiration is more than a remark.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Tells whose token there is, what it may do and until when, and what it may do in each
/// repository.
pub(super) async fn forge(config: &Config) -> Vec<DoctorFinding> {
    let github = match run::token(&config.github) {
        Ok(token) => GitHub::new(&config.github, token),
        Err(error) => {
            return vec![DoctorFinding::bad_as_told(
                "token",
                errors::told(&error, config.language),
            )];
        }
    };
    let asked = async {
        let github = github?;
        let facts = github.token_facts().await?;
        let login = github.login().await?;
        Ok::<_, GitHubError>((github, facts, login))
    };
    let (github, facts, login) = match asked.await {
        Ok(answers) => answers,
        Err(error) => {
            return vec![DoctorFinding::bad_as_told(
                "token",
                errors::told(&error, config.language),
            )];
        }
    };
    let mut findings = vec![token(config.language, &login, &facts, Timestamp::now())];
    let asked = config.repositories.iter().map(|name| {
        let (github, login) = (&github, &login);
        async move { repository(config.language, name, github.repository(name).await, login) }
    });
    findings.extend(futures_util::future::join_all(asked).await);
    findings
}

fn token(language: Language, login: &str, facts: &TokenFacts, now: Timestamp) -> DoctorFinding {
    let mut detail = login.to_owned();
    if let Some(scopes) = &facts.scopes {
        let scopes = scopes.join(", ");
        detail
            .push_str(&language.pick(format!(", scopes {scopes}"), format!("、スコープ {scopes}")));
    }
    if let Some(end) = facts.expires_at {
        let end = format!("{end:.0}");
        detail
            .push_str(&language.pick(format!(", valid until {end}"), format!("、有効期限 {end}")));
    }
    let renew = language.pick(
        "make a new token and write it into `github.token_file`, or set GITHUB_TOKEN",
        "新しいトークンを作り、`github.token_file` のファイルかGITHUB_TOKENに設定してください",
    );
    match facts.expires_at {
        Some(end) if end <= now => return DoctorFinding::bad("token", detail, renew),
        Some(end) if end.duration_since(now) < SOON => {
            return DoctorFinding::good("token", detail).advising(renew);
        }
        Some(_) | None => {}
    }
    let writes = |scope: &String| scope == "repo" || scope == "public_repo";
    if facts.scopes.as_ref().is_some_and(|scopes| !scopes.iter().any(writes)) {
        let next = language
            .pick("give the token the scope `repo`", "トークンにスコープ `repo` を付けてください");
        return DoctorFinding::bad("token", detail, next);
    }
    DoctorFinding::good("token", detail)
}

fn repository(
    language: Language,
    name: &RepoName,
    asked: Result<Repository, GitHubError>,
    login: &str,
) -> DoctorFinding {
    let found = match asked {
        Ok(found) => found,
        Err(GitHubError::NotFound { .. }) => {
            return DoctorFinding::bad(
                "repository",
                language.pick(
                    format!("{name} does not exist, or the token may not see it"),
                    format!("{name} は存在しないか、トークンから見えません"),
                ),
                language.pick(
                    "correct `repositories`, or give the token access to it",
                    "`repositories` を直すか、トークンにアクセス権を与えてください",
                ),
            );
        }
        Err(error) => {
            return DoctorFinding::bad_as_told(
                "repository",
                format!("{name}: {}", errors::told(&error, language)),
            );
        }
    };
    if found.archived {
        return DoctorFinding::bad(
            "repository",
            language.pick(format!("{name} is archived"), format!("{name} はアーカイブ済みです")),
            language.pick(
                "take it out of `repositories`, or unarchive it",
                "`repositories` から外すか、アーカイブを解除してください",
            ),
        );
    }
    if found.has_issues == Some(false) {
        let detail =
            language.pick(format!("{name} has no issues"), format!("{name} ではIssueが無効です"));
        let next = language.pick(
            "turn issues on in the repository's settings",
            "リポジトリの設定でIssueを有効にしてください",
        );
        return DoctorFinding::bad("repository", detail, next);
    }
    // GitHub tells what an account may do. An App has no role in a repository: it holds what its
    // installation was given, which this call does not tell ("Get a repository").
    let is_app = login.ends_with("[bot]");
    match found.permissions.filter(|_| !is_app) {
        Some(held) if !held.push => DoctorFinding::bad(
            "repository",
            language.pick(
                format!("{login} may read {name} and not write to it"),
                format!("{login} は {name} を読めますが、書き込めません"),
            ),
            language.pick(
                format!("give {login} write access, or use the token of somebody who has it"),
                format!("{login} に書き込み権限を与えるか、権限を持つ人のトークンを使ってください"),
            ),
        ),
        Some(held) => {
            let right = if held.admin { "admin" } else { "write" };
            DoctorFinding::good(
                "repository",
                language.pick(
                    format!("{name}, where {login} may {}", held_words(right)),
                    format!("{name}（{login} の権限: {right}）"),
                ),
            )
        }
        None => DoctorFinding::good("repository", name.to_string()),
    }
}

fn held_words(right: &str) -> &'static str {
    if right == "admin" { "administer and write" } else { "write" }
}

/// Tells which queue there is, by which credentials it is asked, and what becomes of a task that
/// fails.
pub(super) async fn queue(config: &Config) -> DoctorFinding {
    let language = config.language;
    let asked = async {
        let queue = Queue::connect(&config.queue, &config.redaction).await?;
        let policy = queue.policy().await?;
        Ok::<_, crate::queue::QueueError>((queue, policy))
    };
    match asked.await {
        Ok((queue, Policy { max_receive_count: Some(most), .. })) => DoctorFinding::good(
            "queue",
            language.pick(
                format!("{}, {}, {most} deliveries a task", queue.url(), queue.asked_by().en),
                format!("{}、{}、配信は最大{most}回", queue.url(), queue.asked_by().ja),
            ),
        ),
        Ok((queue, Policy { max_receive_count: None, .. })) => DoctorFinding::good(
            "queue",
            language.pick(
                format!("{}, {}, no dead-letter queue", queue.url(), queue.asked_by().en),
                format!("{}、{}、デッドレターキューなし", queue.url(), queue.asked_by().ja),
            ),
        )
        .advising(language.pick(
            "a task that fails is tried again without an end: give the queue a redrive policy",
            "失敗したタスクが際限なく再試行されます。キューにredrive policyを設定してください",
        )),
        Err(error) => DoctorFinding::bad_as_told("queue", errors::told(&error, config.language)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Repository {
        serde_json::from_str(text).unwrap()
    }

    fn judged(text: &str, login: &str) -> DoctorFinding {
        let name = "owner/repo".parse().unwrap();
        repository(Language::En, &name, Ok(found(text)), login)
    }

    const REPOSITORY: &str = r#""id": 1, "name": "repo", "owner": { "id": 2, "login": "owner" }"#;

    #[test]
    fn a_repository_is_good_when_the_worker_may_write_to_it() {
        let with = |more: &str| format!("{{ {REPOSITORY}{more} }}");
        let reads = with(r#", "permissions": { "pull": true, "push": false }"#);
        let writes = with(r#", "permissions": { "pull": true, "push": true }"#);
        assert!(!judged(&reads, "alice").good);
        assert!(judged(&writes, "alice").good);
        assert!(judged(&reads, "codingworker[bot]").good, "an App's rights are not told");
        assert!(judged(&with(""), "alice").good);
        assert!(!judged(&with(r#", "archived": true"#), "alice").good);
        assert!(!judged(&with(r#", "has_issues": false"#), "alice").good);
    }

    #[test]
    fn a_token_is_judged_by_its_end_and_its_scopes() {
        let now: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let judged = |end: Option<&str>, scopes: Option<&str>| {
            let facts = TokenFacts {
                expires_at: end.map(|end| end.parse().unwrap()),
                scopes: scopes.map(|scopes| vec![scopes.to_owned()]),
            };
            let found = token(Language::En, "alice", &facts, now);
            (found.good, found.next.is_some(), found.detail)
        };
        assert_eq!(judged(None, None), (true, false, "alice".to_owned()));
        let (good, advised, detail) = judged(Some("2026-11-03T00:00:00Z"), None);
        assert!(good && advised && detail.contains("valid until 2026-11-03T00:00:00Z"), "{detail}");
        assert!(!judged(Some("2026-10-31T00:00:00Z"), None).0);
        assert!(!judged(None, Some("gist")).0);
        assert!(judged(None, Some("repo")).0);
    }
}
