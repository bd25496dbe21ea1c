//! Faults on command, as a client sees them.

use std::time::{Duration, Instant};

use localhub::{Answer, Fault, When};
use reqwest::Method;
use serde_json::json;

use crate::api::Api;
use crate::server::{OWNER_TOKEN, Server, git, git_ok, start};

const ISSUES: &str = "/repos/octo/hello/issues";
const ROUTE: &str = "/repos/{owner}/{repo}/issues";

/// A client that does not go through the inspector, because GitHub does not describe the answers
/// of faults.
fn direct(server: &Server) -> Api {
    Api::new(&server.url, OWNER_TOKEN)
}

async fn open_issues(server: &Server) -> usize {
    server.api(OWNER_TOKEN).get(ISSUES).await.expect(200).json.as_array().unwrap().len()
}

async fn create(api: &Api) -> reqwest::Result<u16> {
    let body = json!({ "title": "t" }).to_string();
    Ok(api.call(Method::POST, ISSUES, "*/*", Some(body)).await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nth_call_is_answered_as_told() {
    let server = start().await;
    let limited = Answer::status(403)
        .header("retry-after", "1")
        .message("You have exceeded a secondary rate limit.");
    server.hub.faults().inject("POST", ROUTE, When::Nth(2), Fault::Answer(limited));
    let api = direct(&server);
    assert_eq!(create(&api).await.unwrap(), 201);
    let refused = api.post(ISSUES, json!({ "title": "t" })).await.expect(403);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.json["message"], "You have exceeded a secondary rate limit.");
    assert_eq!(create(&api).await.unwrap(), 201);
    assert_eq!(open_issues(&server).await, 2);

    server.hub.faults().inject(
        "POST",
        ROUTE,
        When::Always,
        Fault::AnswerAfterEffect(Answer::status(502)),
    );
    assert_eq!(create(&api).await.unwrap(), 502);
    assert_eq!(create(&api).await.unwrap(), 502);
    server.hub.faults().clear();
    assert_eq!(open_issues(&server).await, 4);
    assert_eq!(server.hub.requests().count("POST", ROUTE), 5);
    let statuses: Vec<_> =
        server.hub.requests().entries().iter().filter_map(|entry| entry.status).collect();
    assert_eq!(statuses, [201, 403, 201, 200, 502, 502, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_has_had_its_effect_or_not_as_told() {
    let server = start().await;
    let api = direct(&server);
    server.hub.faults().inject("POST", ROUTE, When::Nth(1), Fault::DropBeforeEffect);
    server.hub.faults().inject("POST", ROUTE, When::Nth(2), Fault::DropAfterEffect);
    create(&api).await.unwrap_err();
    assert_eq!(open_issues(&server).await, 0);
    create(&api).await.unwrap_err();
    assert_eq!(open_issues(&server).await, 1);
    let dropped =
        server.hub.requests().entries().into_iter().filter(|entry| entry.method == "POST");
    assert!(dropped.into_iter().all(|entry| entry.status.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_late_or_never_answered_as_told() {
    let server = start().await;
    let api = direct(&server);
    let delay = Duration::from_millis(300);
    server.hub.faults().inject("POST", ROUTE, When::Nth(1), Fault::Delay(delay));
    server.hub.faults().inject("POST", ROUTE, When::From { first: 2, count: 1 }, Fault::Hang);
    let start = Instant::now();
    assert_eq!(create(&api).await.unwrap(), 201);
    assert!(start.elapsed() >= delay);
    tokio::time::timeout(delay, create(&api)).await.unwrap_err();
    assert_eq!(create(&api).await.unwrap(), 201);
    assert_eq!(open_issues(&server).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_can_fail_before_or_after_its_effect() {
    let server = start().await;
    let tree = server.pushed(&[]).await;
    let push = "/{owner}/{repo}.git/git-receive-pack";
    server.hub.faults().inject("POST", push, When::Nth(1), Fault::Answer(Answer::status(503)));
    server.hub.faults().inject("POST", push, When::Nth(2), Fault::DropAfterEffect);
    for (branch, arrives) in [("first", false), ("second", true)] {
        let pushed =
            git(&tree, Some(OWNER_TOKEN), &["push", "origin", &format!("main:{branch}")]).await;
        assert!(!pushed.status.success());
        let there = git_ok(&tree, Some(OWNER_TOKEN), &["ls-remote", "origin", branch]).await;
        assert_eq!(!there.is_empty(), arrives, "{branch}");
    }
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "main:first", "main:second"])
        .await;
}
