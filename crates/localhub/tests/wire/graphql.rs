//! The GraphQL API.

use localhub::{Answer, Fault, Permission, When};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Reply};
use crate::server::{OWNER_TOKEN, READER_TOKEN, STRANGER_TOKEN, Server, start};

const PULLS: &str = "/repos/octo/hello/pulls";

const READY: &str = "mutation Ready($id: ID!, $mark: String) {
  markPullRequestReadyForReview(input: {pullRequestId: $id, clientMutationId: $mark}) {
    clientMutationId
    pullRequest { id number isDraft url }
  }
}";

/// A forge with the draft pull request 1, and what the API tells of it.
async fn with_draft() -> (Server, Value) {
    let server = start().await;
    server.pushed(&["one"]).await;
    let draft = open_draft(&server, OWNER_TOKEN, "one").await;
    (server, draft)
}

async fn open_draft(server: &Server, token: &str, head: &str) -> Value {
    let draft = json!({ "title": "Add it", "head": head, "base": "main", "draft": true });
    let opened = server.api(token).post(PULLS, draft).await.expect(201).json;
    assert_eq!(opened["draft"], true);
    opened
}

async fn ask(api: &Api, query: &str, variables: Value) -> Reply {
    api.post("/graphql", json!({ "query": query, "variables": variables })).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_marked_as_ready() {
    let (server, draft) = with_draft().await;
    let api = server.api(OWNER_TOKEN);
    let variables = json!({ "id": draft["node_id"], "mark": "m" });
    let answer = ask(&api, READY, variables).await;
    let expected = json!({ "data": { "markPullRequestReadyForReview": {
        "clientMutationId": "m",
        "pullRequest": {
            "id": draft["node_id"],
            "number": 1,
            "isDraft": false,
            "url": draft["html_url"],
        },
    } } });
    assert_eq!(answer.json, expected);

    let pull = api.get(&format!("{PULLS}/1")).await.expect(200).json;
    assert_eq!((&pull["draft"], &pull["mergeable_state"]), (&json!(false), &json!("clean")));
    assert_eq!(pull["node_id"], draft["node_id"]);
    for list in ["events", "timeline"] {
        let path = format!("/repos/octo/hello/issues/1/{list}");
        let events = api.get(&path).await.expect(200).json;
        assert_eq!(events.as_array().unwrap().len(), 1);
        let event = (&events[0]["event"], &events[0]["actor"]["login"]);
        assert_eq!(event, (&json!("ready_for_review"), &json!("octo")));
    }
    api.put(&format!("{PULLS}/1/merge"), json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn updated_at_changes_once() {
    let (server, draft) = with_draft().await;
    let api = server.api(OWNER_TOKEN);
    // GitHub's times are whole seconds, and this test doesn't wait for one.
    let database =
        rusqlite::Connection::open(server.directory.path().join("hub/localhub.db")).unwrap();
    let long_ago = "2020-01-01T00:00:00Z";
    let reset = || database.execute("UPDATE issues SET updated_at = 1577836800", ()).unwrap();
    let updated_at = async || {
        let pull = api.get(&format!("{PULLS}/1")).await.expect(200).json;
        pull["updated_at"].as_str().unwrap().to_owned()
    };
    let id = json!({ "id": draft["node_id"] });

    reset();
    assert_eq!(updated_at().await, long_ago);
    ask(&api, READY, id.clone()).await;
    assert_ne!(updated_at().await, long_ago);

    // A pull request that is ready already stays as it is, and the request succeeds.
    reset();
    let again = ask(&api, READY, id).await.json;
    let pull = &again["data"]["markPullRequestReadyForReview"]["pullRequest"];
    assert_eq!((&pull["isDraft"], &again["errors"]), (&json!(false), &Value::Null));
    assert_eq!(updated_at().await, long_ago);
    let events = api.get("/repos/octo/hello/issues/1/events").await.expect(200).json;
    assert_eq!(events.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_requests_at_once_one_records_the_event() {
    let (server, draft) = with_draft().await;
    let api = server.api(OWNER_TOKEN);
    let id = json!({ "id": draft["node_id"] });
    let (one, other) = tokio::join!(ask(&api, READY, id.clone()), ask(&api, READY, id));
    assert_eq!(one.text, other.text);
    let events = api.get("/repos/octo/hello/issues/1/events").await.expect(200).json;
    assert_eq!(events.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_fields_of_a_pull_request_can_be_selected() {
    let (server, draft) = with_draft().await;
    let api = server.api(OWNER_TOKEN);
    let query = r#"mutation { first: markPullRequestReadyForReview(input: {pullRequestId: "ID"}) {
        __typename
        pullRequest {
            __typename body closed closedAt createdAt databaseId fullDatabaseId locked merged
            mergedAt permalink resourcePath state title
            baseRefName baseRefOid headRefName headRefOid
            author { __typename login resourcePath url }
            repository { id isPrivate name nameWithOwner resourcePath url }
        }
    } }"#;
    let query = query.replace("ID\"", &format!("{}\"", draft["node_id"].as_str().unwrap()));
    let answer = ask(&api, &query, Value::Null).await.json;
    let payload = &answer["data"]["first"];
    assert_eq!(payload["__typename"], "MarkPullRequestReadyForReviewPayload");
    let (pull, url) = (&payload["pullRequest"], &server.inspected.url);
    assert_eq!(
        *pull,
        json!({
            "__typename": "PullRequest",
            "body": "", "closed": false, "closedAt": null, "createdAt": draft["created_at"],
            "databaseId": draft["id"], "fullDatabaseId": draft["id"].to_string(),
            "locked": false, "merged": false, "mergedAt": null,
            "permalink": draft["html_url"], "resourcePath": "/octo/hello/pull/1",
            "state": "OPEN", "title": "Add it",
            "baseRefName": "main", "baseRefOid": draft["base"]["sha"],
            "headRefName": "one", "headRefOid": draft["head"]["sha"],
            "author": {
                "__typename": "User", "login": "octo", "resourcePath": "/octo",
                "url": format!("{url}/octo"),
            },
            "repository": {
                "id": draft["base"]["repo"]["node_id"], "isPrivate": true, "name": "hello",
                "nameWithOwner": "octo/hello", "resourcePath": "/octo/hello",
                "url": format!("{url}/octo/hello"),
            },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_id_of_an_issue_list_is_taken_too() {
    let (server, draft) = with_draft().await;
    let api = server.api(OWNER_TOKEN);
    let issue = api.get("/repos/octo/hello/issues/1").await.expect(200).json;
    assert_eq!(issue["node_id"], draft["node_id"]);
    let query = r#"mutation { markPullRequestReadyForReview(input: {pullRequestId: "ID"})
                   { pullRequest { isDraft } } }"#;
    let query = query.replace("ID\"", &format!("{}\"", issue["node_id"].as_str().unwrap()));
    let body = json!({ "query": query });
    let answer = api.post("/api/graphql", body).await.expect(200).json;
    let expected =
        json!({ "markPullRequestReadyForReview": { "pullRequest": { "isDraft": false } } });
    assert_eq!(answer, json!({ "data": expected }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_or_may_not_be_seen_is_not_found() {
    let (server, draft) = with_draft().await;
    let issue = server
        .api(OWNER_TOKEN)
        .post("/repos/octo/hello/issues", json!({ "title": "t" }))
        .await
        .expect(201)
        .json;
    let other_kind = draft["base"]["repo"]["node_id"].as_str().unwrap();
    // "011:PullRequest99", and "011:PullRequest2", whose row is that of the issue.
    let (missing, no_pull) = ("MDExOlB1bGxSZXF1ZXN0OTk=", "MDExOlB1bGxSZXF1ZXN0Mg==");
    for (token, id, what) in [
        (OWNER_TOKEN, "5", "a node"),
        (OWNER_TOKEN, missing, "a node"),
        (OWNER_TOKEN, no_pull, "a node"),
        (OWNER_TOKEN, other_kind, "PullRequest node"),
        (OWNER_TOKEN, issue["node_id"].as_str().unwrap(), "PullRequest node"),
        (STRANGER_TOKEN, draft["node_id"].as_str().unwrap(), "a node"),
    ] {
        let answer = ask(&server.api(token), READY, json!({ "id": id })).await.json;
        let expected = json!({
            "data": { "markPullRequestReadyForReview": null },
            "errors": [{
                "type": "NOT_FOUND",
                "path": ["markPullRequestReadyForReview"],
                "locations": [{ "line": 2, "column": 3 }],
                "message": format!("Could not resolve to {what} with the global id of '{id}'"),
            }],
        });
        assert_eq!(answer, expected, "{id}");
    }
    let pull = server.api(OWNER_TOKEN).get(&format!("{PULLS}/1")).await.expect(200).json;
    assert_eq!(pull["draft"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_author_and_who_may_write_can_mark_as_ready() {
    let (server, draft) = with_draft().await;
    let id = json!({ "id": draft["node_id"] });
    let reader = server.api(READER_TOKEN);
    let refused = ask(&reader, READY, id.clone()).await.json;
    let error = &refused["errors"][0];
    assert_eq!(
        (&error["type"], &error["message"]),
        (
            &json!("FORBIDDEN"),
            &json!(
                "mona does not have the correct permissions to execute \
                 `MarkPullRequestReadyForReview`"
            )
        )
    );
    assert_eq!(refused["data"], json!({ "markPullRequestReadyForReview": null }));
    server.hub.grant("octo/hello", "mona", Permission::Triage).unwrap();
    assert_eq!(ask(&reader, READY, id.clone()).await.json["errors"][0]["type"], "FORBIDDEN");
    server.hub.grant("octo/hello", "mona", Permission::Write).unwrap();
    assert_eq!(ask(&reader, READY, id).await.json["errors"], Value::Null);

    // The author is allowed even without the permission to write.
    let tree = server.directory.path().join("tree");
    let push = ["push", "--quiet", "origin", "one:two"];
    crate::server::git_ok(&tree, Some(OWNER_TOKEN), &push).await;
    let own = open_draft(&server, READER_TOKEN, "two").await;
    server.hub.grant("octo/hello", "mona", Permission::Read).unwrap();
    let ready = ask(&reader, READY, json!({ "id": own["node_id"] })).await.json;
    assert_eq!(ready["errors"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_needs_a_token() {
    let (server, draft) = with_draft().await;
    for path in ["/graphql", "/api/graphql"] {
        let body = json!({ "query": READY, "variables": { "id": draft["node_id"] } });
        let refused = server.api("wrong").post(path, body.clone()).await.expect(401).json;
        assert_eq!(refused["message"], "Bad credentials");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}{path}", server.url)).body(body.to_string());
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    let pull = server.api(OWNER_TOKEN).get(&format!("{PULLS}/1")).await.expect(200).json;
    assert_eq!(pull["draft"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_is_told_who_it_is() {
    let server = start().await;
    let query = "{ viewer { login __typename } }";
    let answer = ask(&server.api(OWNER_TOKEN), query, Value::Null).await.json;
    let viewer = json!({ "login": "octo", "__typename": "User" });
    assert_eq!(answer, json!({ "data": { "viewer": viewer } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_supported_is_said_and_nothing_is_done() {
    let (server, draft) = with_draft().await;
    let api = server.api(OWNER_TOKEN);
    let message = |answer: &Value| answer["errors"][0]["message"].as_str().unwrap().to_owned();
    let known = "localhub has markPullRequestReadyForReview";
    let close = "mutation { closePullRequest(input: {pullRequestId: \"x\"}) { clientMutationId } }";
    let refused = ask(&api, close, Value::Null).await.json;
    assert_eq!(
        message(&refused),
        format!("Field 'closePullRequest' doesn't exist on type 'Mutation'. {known}")
    );
    assert_eq!(refused.get("data"), None);
    let query = ask(&api, "query { rateLimit { cost } }", Value::Null).await.json;
    assert!(message(&query).ends_with("localhub has viewer"), "{query}");
    assert!(message(&ask(&api, "mutation {", Value::Null).await.json).contains("Parse error"));

    // With one field that is unknown, nothing of the request is carried out.
    let query = READY.replace("isDraft", "isDraft reviews");
    let refused = ask(&api, &query, json!({ "id": draft["node_id"] })).await.json;
    assert!(message(&refused).starts_with("Field 'reviews' doesn't exist on type 'PullRequest'"));
    let pull = api.get(&format!("{PULLS}/1")).await.expect(200).json;
    assert_eq!(pull["draft"], true);

    for body in [json!({}), json!({ "query": "" }), json!({ "query": 1 })] {
        let answer = api.post("/graphql", body).await.expect(200).json;
        assert!(message(&answer).starts_with("A query attribute must be specified"));
    }
    let body = Some("{".to_owned());
    api.call(Method::POST, "/graphql", "*/*", body).await.unwrap().expect(400);
    let direct = Api::new(&server.url, OWNER_TOKEN);
    direct.get("/graphql").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn graphql_has_a_rate_limit_of_its_own() {
    let (server, draft) = with_draft().await;
    let api = server.api(OWNER_TOKEN);
    let core = api.get("/rate_limit").await.expect(200);
    assert_eq!(core.header("x-ratelimit-resource"), "core");
    for used in 1..=2 {
        let answer = ask(&api, READY, json!({ "id": draft["node_id"] })).await;
        assert_eq!(answer.header("x-ratelimit-resource"), "graphql");
        assert_eq!(answer.header("x-ratelimit-used"), used.to_string());
        assert_eq!(answer.header("x-github-media-type"), "github.v4; format=json");
    }
    let after = api.get("/rate_limit").await.expect(200).json;
    let used = |resource: &str| after["resources"][resource]["used"].as_u64().unwrap();
    assert_eq!(used("graphql"), 2);
    assert_eq!(used("core"), core.json["rate"]["used"].as_u64().unwrap() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_the_log_have_graphql_like_every_route() {
    let (server, draft) = with_draft().await;
    let api = Api::new(&server.url, OWNER_TOKEN);
    let call = async || {
        let body = json!({ "query": READY, "variables": { "id": draft["node_id"] } });
        let answer = api.call(Method::POST, "/graphql", "*/*", Some(body.to_string())).await;
        answer.ok().map(|answer| answer.status)
    };
    let is_draft = async || {
        let pull = api.get(&format!("{PULLS}/1")).await.expect(200).json;
        pull["draft"].as_bool().unwrap()
    };
    let faults = server.hub.faults();
    faults.inject("POST", "/graphql", When::Nth(1), Fault::Answer(Answer::status(502)));
    faults.inject("POST", "/graphql", When::Nth(2), Fault::DropBeforeEffect);
    faults.inject("POST", "/graphql", When::Nth(3), Fault::DropAfterEffect);
    assert_eq!(call().await, Some(502));
    assert_eq!(call().await, None);
    assert!(is_draft().await);
    assert_eq!(call().await, None);
    assert!(!is_draft().await);
    assert_eq!(call().await, Some(200));
    assert_eq!(server.hub.requests().count("POST", "/graphql"), 4);
    let statuses: Vec<_> = server
        .hub
        .requests()
        .entries()
        .into_iter()
        .filter(|entry| entry.path == "/graphql")
        .map(|entry| entry.status)
        .collect();
    assert_eq!(statuses, [Some(502), None, None, Some(200)]);
}
