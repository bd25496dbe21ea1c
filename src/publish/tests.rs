//! The pull request, against a server that answers as GitHub's REST and GraphQL APIs do.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::github::settings::{GitHubSettings, Trust};

const PULLS: &str = "/repos/o/r/pulls";

/// What the server has, and what it was asked to change.
#[derive(Default)]
struct Forge {
    pull: Option<Pull>,
    writes: Vec<&'static str>,
    mark: Mark,
    has_no_drafts: bool,
}

#[derive(Clone)]
struct Pull {
    title: String,
    body: String,
    draft: bool,
}

/// How the server answers the mutation.
#[derive(Default, Clone, Copy)]
enum Mark {
    #[default]
    Ready,
    ReadyWithoutAnswer,
    Refused(&'static str),
    StillDraft,
}

type Shared = Arc<Mutex<Forge>>;

fn lock(forge: &Shared) -> MutexGuard<'_, Forge> {
    forge.lock().unwrap()
}

impl Pull {
    fn shown(&self) -> Value {
        json!({
            "number": 9, "node_id": "PR_9", "state": "open", "draft": self.draft,
            "title": self.title, "body": self.body, "html_url": "https://x/9", "merged_at": null,
        })
    }
}

async fn list(State(forge): State<Shared>) -> Json<Value> {
    Json(lock(&forge).pull.iter().map(Pull::shown).collect())
}

async fn show(State(forge): State<Shared>) -> Json<Value> {
    Json(lock(&forge).pull.as_ref().unwrap().shown())
}

async fn create(State(forge): State<Shared>, Json(asked): Json<Value>) -> Response {
    let mut forge = lock(&forge);
    let text = |field: &str| asked[field].as_str().unwrap().to_owned();
    let draft = asked["draft"].as_bool().unwrap();
    if draft && forge.has_no_drafts {
        let message = "Draft pull requests are not supported in this repository.";
        let refused = Json(json!({ "message": "Validation Failed", "errors": [message] }));
        return (StatusCode::UNPROCESSABLE_ENTITY, refused).into_response();
    }
    let pull = Pull { title: text("title"), body: text("body"), draft };
    forge.writes.push("create");
    Json(forge.pull.insert(pull).shown()).into_response()
}

/// As GitHub does, it takes no `draft`.
async fn edit(State(forge): State<Shared>, Json(asked): Json<Value>) -> Json<Value> {
    let mut forge = lock(&forge);
    forge.writes.push("edit");
    let pull = forge.pull.as_mut().unwrap();
    pull.title = asked["title"].as_str().unwrap().to_owned();
    pull.body = asked["body"].as_str().unwrap().to_owned();
    Json(pull.shown())
}

async fn query(State(forge): State<Shared>, Json(asked): Json<Value>) -> Response {
    assert_eq!(asked["variables"]["id"], "PR_9");
    assert!(asked["query"].as_str().unwrap().contains("markPullRequestReadyForReview"));
    let mut forge = lock(&forge);
    forge.writes.push("mark");
    let mark = forge.mark;
    let pull = forge.pull.as_mut().unwrap();
    match mark {
        Mark::Ready | Mark::ReadyWithoutAnswer => pull.draft = false,
        Mark::Refused(_) | Mark::StillDraft => {}
    }
    let is_draft = pull.draft;
    match mark {
        Mark::ReadyWithoutAnswer => StatusCode::BAD_GATEWAY.into_response(),
        Mark::Refused(kind) => {
            let error = json!({ "type": kind, "message": "no", "path": ["x"] });
            let marked = json!({ "markPullRequestReadyForReview": null });
            Json(json!({ "data": marked, "errors": [error] })).into_response()
        }
        Mark::Ready | Mark::StillDraft => {
            let marked = json!({ "pullRequest": { "isDraft": is_draft } });
            Json(json!({ "data": { "markPullRequestReadyForReview": marked } })).into_response()
        }
    }
}

/// A server that has `pull`, and a publisher that writes to it.
async fn forge_with(pull: Option<Pull>) -> (Shared, Publisher) {
    let forge = Arc::new(Mutex::new(Forge { pull, ..Forge::default() }));
    let routes = Router::new()
        .route(PULLS, get(list).post(create))
        .route(&format!("{PULLS}/9"), get(show).patch(edit))
        .route("/graphql", post(query))
        .with_state(Arc::clone(&forge));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let settings = GitHubSettings {
        api_url: url.clone(),
        git_url: url,
        token: None,
        token_file: None,
        timeout: Duration::from_secs(10),
        watch_interval: Duration::from_secs(10),
        trust: Trust::Write,
    };
    let token = SecretString::from("a token").into();
    let redaction = Redaction::new([SecretString::from("hunter2-hunter2")]);
    let github = GitHub::new(&settings, &token).unwrap();
    (forge, Publisher::new(github, Language::En, redaction))
}

fn draft_of_yesterday() -> Option<Pull> {
    Some(Pull { title: "Old".to_owned(), body: "It was red.".to_owned(), draft: true })
}

fn task() -> Task {
    Task {
        issue_number: IssueNumber::new(7).unwrap(),
        repository: "o/r".parse().unwrap(),
        title: "Add FizzBuzz with hunter2-hunter2".to_owned(),
        body: String::new(),
        labels: vec![],
        created_at: "2025-01-26T00:00:00Z".parse().unwrap(),
    }
}

fn report(task: &Task) -> PullRequestReport<'_> {
    PullRequestReport {
        task,
        base: "main",
        branch: "codingworker/issue-7",
        commit: "0123456789abcdef0123456789abcdef01234567",
        worker: "studio".to_owned(),
        agent: "aider 0.86.2".to_owned(),
        sandbox: "full".to_owned(),
        models: vec![],
        tokens: None,
        duration: Duration::from_secs(200),
        attempt: 1,
        calls: 1,
        fix_ups: 0,
        checks: vec![],
        untested: vec![],
        untested_is_draft: true,
        files: vec![],
        notes: vec![],
    }
}

#[tokio::test]
async fn a_success_makes_the_draft_ready_after_its_words() {
    let (forge, publisher) = forge_with(draft_of_yesterday()).await;
    let task = task();
    let opened = publisher.open_pull_request(&report(&task), false).await.unwrap();
    assert!(!opened.draft);
    let forge = lock(&forge);
    assert_eq!(forge.writes, ["edit", "mark"]);
    let pull = forge.pull.as_ref().unwrap();
    assert!(!pull.draft);
    assert!(pull.body.starts_with("Closes #7"), "{}", pull.body);
}

#[tokio::test]
async fn a_draft_that_is_red_again_stays_a_draft() {
    let (forge, publisher) = forge_with(draft_of_yesterday()).await;
    let task = task();
    let opened = publisher.open_pull_request(&report(&task), true).await.unwrap();
    assert!(opened.draft);
    assert_eq!(lock(&forge).writes, ["edit"]);
}

#[tokio::test]
async fn a_pull_request_that_is_ready_never_becomes_a_draft() {
    let ready = Pull { draft: false, ..draft_of_yesterday().unwrap() };
    let (forge, publisher) = forge_with(Some(ready)).await;
    let task = task();
    for draft in [true, false] {
        let opened = publisher.open_pull_request(&report(&task), draft).await.unwrap();
        assert!(!opened.draft);
    }
    assert_eq!(lock(&forge).writes, ["edit", "edit"]);
}

#[tokio::test]
async fn a_new_pull_request_is_opened_as_what_it_is() {
    for draft in [true, false] {
        let (forge, publisher) = forge_with(None).await;
        let task = task();
        let opened = publisher.open_pull_request(&report(&task), draft).await.unwrap();
        assert_eq!(opened.draft, draft);
        assert_eq!(lock(&forge).writes, ["create"]);
    }
}

#[tokio::test]
async fn what_was_not_tested_is_a_draft_in_which_its_task_ended() {
    let (forge, publisher) = forge_with(None).await;
    let task = task();
    let untested = || PullRequestReport { untested: vec![NoTest::NoTestCommand], ..report(&task) };
    let opened = publisher.open_pull_request(&untested(), false).await.unwrap();
    assert!(opened.draft);
    let existing = publisher.existing(&task, "codingworker/issue-7").await.unwrap();
    assert_eq!(existing, Existing::Published(opened));
    let body = lock(&forge).pull.as_ref().unwrap().body.clone();
    let first = body.lines().next().unwrap();
    assert!(first.contains("No test was run") && first.contains("untested = \"ready\""), "{body}");
    assert!(body.contains("Closes #7"), "{body}");

    let as_wanted = PullRequestReport { untested_is_draft: false, ..untested() };
    let opened = publisher.open_pull_request(&as_wanted, false).await.unwrap();
    assert!(!opened.draft);
    let body = lock(&forge).pull.as_ref().unwrap().body.clone();
    assert!(body.contains("No test was run") && !body.contains("why it is a draft"), "{body}");

    // It is ready by now, and nothing makes a draft of it.
    publisher.open_pull_request(&untested(), false).await.unwrap();
    let title = lock(&forge).pull.as_ref().unwrap().title.clone();
    assert!(title.starts_with("Not tested: Add FizzBuzz"), "{title}");
}

#[tokio::test]
async fn where_there_are_no_drafts_the_title_says_that_nothing_was_tested() {
    let (forge, publisher) = forge_with(None).await;
    lock(&forge).has_no_drafts = true;
    let task = task();
    let untested = PullRequestReport { untested: vec![NoTest::NoTestCommand], ..report(&task) };
    let opened = publisher.open_pull_request(&untested, false).await.unwrap();
    assert!(!opened.draft && opened.title.starts_with("Not tested: Add"), "{opened:?}");
    let existing = publisher.existing(&task, "codingworker/issue-7").await.unwrap();
    assert_eq!(existing, Existing::Published(opened));
    publisher.open_pull_request(&report(&task), true).await.unwrap();
    lock(&forge).pull = None;
    let refused = publisher.open_pull_request(&report(&task), true).await.unwrap_err();
    assert!(refused.is_about_drafts(), "red work is not opened so: {refused}");
}

#[tokio::test]
async fn a_worker_that_died_before_the_mark_makes_it_at_the_next_try() {
    let (forge, publisher) = forge_with(draft_of_yesterday()).await;
    let task = task();
    publisher.open_pull_request(&report(&task), false).await.unwrap();
    // The words are there, and the mark is not.
    lock(&forge).pull.as_mut().unwrap().draft = true;
    lock(&forge).writes.clear();
    let opened = publisher.open_pull_request(&report(&task), false).await.unwrap();
    assert!(!opened.draft);
    assert_eq!(lock(&forge).writes, ["mark"], "nothing but the mark is repeated");
    let existing = publisher.existing(&task, "codingworker/issue-7").await.unwrap();
    assert_eq!(existing, Existing::Published(opened));
}

#[tokio::test]
async fn a_draft_with_the_words_of_a_success_is_not_published_yet() {
    let (forge, publisher) = forge_with(draft_of_yesterday()).await;
    let task = task();
    publisher.open_pull_request(&report(&task), false).await.unwrap();
    lock(&forge).pull.as_mut().unwrap().draft = true;
    let existing = publisher.existing(&task, "codingworker/issue-7").await.unwrap();
    assert!(matches!(&existing, Existing::Open(open) if open.draft), "{existing:?}");
}

#[tokio::test]
async fn a_mark_whose_answer_is_lost_is_seen_and_not_repeated() {
    let (forge, publisher) = forge_with(draft_of_yesterday()).await;
    lock(&forge).mark = Mark::ReadyWithoutAnswer;
    let task = task();
    let opened = publisher.open_pull_request(&report(&task), false).await.unwrap();
    assert!(!opened.draft);
    assert_eq!(lock(&forge).writes, ["edit", "mark"]);
}

#[tokio::test]
async fn a_mark_that_is_refused_is_an_error() {
    for (mark, expected) in [
        (Mark::Refused("FORBIDDEN"), "read and write access"),
        (Mark::Refused("NOT_FOUND"), "GitHub has nothing at"),
        (Mark::Refused("RATE_LIMITED"), "wait 60 s"),
        (Mark::StillDraft, "does not say that the pull request is ready"),
    ] {
        let (forge, publisher) = forge_with(draft_of_yesterday()).await;
        lock(&forge).mark = mark;
        let task = task();
        let error = publisher.open_pull_request(&report(&task), false).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(lock(&forge).writes, ["edit", "mark"], "a write is sent once");
    }
}

#[tokio::test]
async fn without_a_permit_nothing_is_marked() {
    let (forge, publisher) = forge_with(draft_of_yesterday()).await;
    let task = task();
    publisher.open_pull_request(&report(&task), false).await.unwrap();
    lock(&forge).pull.as_mut().unwrap().draft = true;
    lock(&forge).writes.clear();
    let publisher = publisher.permitted(Permit::new(|| false));
    let error = publisher.open_pull_request(&report(&task), false).await.unwrap_err();
    assert!(matches!(error, GitHubError::NotPermitted), "{error}");
    assert!(lock(&forge).writes.is_empty());
}

#[tokio::test]
async fn secrets_are_removed_from_what_is_published() {
    let (forge, publisher) = forge_with(None).await;
    let task = task();
    assert!(task.title.contains("hunter2-hunter2"));
    publisher.open_pull_request(&report(&task), false).await.unwrap();
    let pull = lock(&forge).pull.clone().unwrap();
    assert!(pull.title.contains("Add FizzBuzz") && pull.body.contains("Add FizzBuzz"));
    assert!(!pull.title.contains("hunter2") && !pull.body.contains("hunter2"), "{}", pull.body);
}

/// A mention in it is made harmless, and a `|` in it is escaped, so it reads otherwise afterwards.
#[tokio::test]
async fn a_secret_is_removed_before_its_characters_are_escaped() {
    let secret = "correct|horse@battery";
    let (forge, mut publisher) = forge_with(None).await;
    let redaction = Redaction::new([SecretString::from(secret)]);
    publisher = Publisher::new(publisher.github, Language::En, redaction);
    let task = Task { title: format!("Add {secret} again"), ..task() };
    let check = |result| CheckLine {
        kind: "test",
        command: format!("make {secret}"),
        result,
        duration: Duration::from_secs(1),
        output: secret.to_owned(),
    };
    let report = PullRequestReport { checks: vec![check(CheckOutcome::TimedOut)], ..report(&task) };
    publisher.open_pull_request(&report, true).await.unwrap();
    let pull = lock(&forge).pull.clone().unwrap();
    for text in [&pull.title, &pull.body] {
        assert!(text.contains("Add ") && text.contains(" again"), "{text}");
        assert!(!text.contains("horse") && !text.contains("battery"), "{text}");
    }
}

#[test]
fn a_secret_in_a_detail_is_removed_before_the_detail_is_cut() {
    let secret = "correct|horse@battery";
    let redaction = Redaction::new([SecretString::from(secret)]);
    let detail = |length| format!("{}{secret} end", "x".repeat(length));
    let reason = Reason::AgentFailed { detail: detail(1) };
    // The cut is after 300 characters.
    let attempt = |reason| AttemptRecord {
        worker: "studio".to_owned(),
        attempt: 1,
        received_at: "2025-01-26T01:00:00Z".parse().unwrap(),
        reason: Some(reason),
    };
    let reasons = [Reason::AgentFailed { detail: detail(290) }, Reason::Text(detail(1))];
    let tried = reasons.map(attempt);
    for language in [Language::En, Language::Ja] {
        let status = IssueStatus::Failed { reason: &reason, tried: &tried, draft: None };
        let said =
            Renderer::markdown(language, &redaction).comment(&task(), &tried[0], &tried, &status);
        assert!(said.contains("xxx") && said.contains(" end"), "{said}");
        assert!(!said.contains("correct") && !said.contains("horse"), "{said}");
    }
}
