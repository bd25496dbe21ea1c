//! Issues and labels, by the REST API.

use serde_json::json;

use crate::server::{OWNER_TOKEN, READER_TOKEN, STRANGER_TOKEN, start};

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_is_opened_edited_and_closed() {
    let server = start().await;
    let api = server.api(OWNER_TOKEN);
    let labels = json!(["bug", { "name": "ai-task" }]);
    let new = json!({ "title": "Größe", "body": "本文", "labels": labels, "assignees": ["mona"] });
    let issue = api.post("/repos/octo/hello/issues", new).await.expect(201).json;
    assert_eq!(issue["number"], 1);
    assert_eq!(issue["labels"][0]["name"], "ai-task");
    assert_eq!(issue["assignees"][0]["login"], "mona");
    assert_eq!(issue["url"], format!("{}/repos/octo/hello/issues/1", server.inspected.url));

    let change = json!({
        "title": "Size", "state": "closed", "state_reason": "not_planned", "labels": ["done"],
    });
    let issue = api.patch("/repos/octo/hello/issues/1", change).await.expect(200).json;
    assert_eq!(
        (&issue["title"], &issue["state"], &issue["body"]),
        (&json!("Size"), &json!("closed"), &json!("本文"))
    );
    assert_eq!(issue["state_reason"], "not_planned");
    assert_eq!(issue["closed_by"]["login"], "octo");

    let cleared = json!({ "state": "open", "body": null, "assignees": [] });
    let issue = api.patch("/repos/octo/hello/issues/1", cleared).await.expect(200).json;
    assert_eq!(
        (&issue["state"], &issue["body"], &issue["closed_at"]),
        (&json!("open"), &json!(null), &json!(null))
    );

    api.post("/repos/octo/hello/issues/1/comments", json!({ "body": "Reopened" }))
        .await
        .expect(201);
    let events = api.get("/repos/octo/hello/issues/1/events").await.expect(200).json;
    let events: Vec<_> =
        events.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    let first = [
        "labeled",
        "labeled",
        "assigned",
        "renamed",
        "closed",
        "unlabeled",
        "unlabeled",
        "labeled",
    ];
    assert_eq!(events, [first.as_slice(), &["reopened", "unassigned"]].concat());
    let timeline = api.get("/repos/octo/hello/issues/1/timeline").await.expect(200).json;
    assert_eq!(timeline[10]["event"], "commented");
    assert_eq!(api.get("/repos/octo/hello/issues/1").await.expect(200).json["comments"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_paged() {
    let server = start().await;
    let api = server.api(OWNER_TOKEN);
    for number in 1..=5 {
        let labels = if number % 2 == 0 { vec!["even", "all"] } else { vec!["all"] };
        api.post("/repos/octo/hello/issues", json!({ "title": number, "labels": labels }))
            .await
            .expect(201);
    }
    api.patch("/repos/octo/hello/issues/2", json!({ "state": "closed" })).await.expect(200);
    let check = async |query: &str, expected: &[u64]| {
        let list = api.get(&format!("/repos/octo/hello/issues?{query}")).await.expect(200).json;
        let numbers: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|issue| issue["number"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, expected, "{query}");
    };
    check("", &[5, 4, 3, 1]).await;
    check("direction=asc&state=all", &[1, 2, 3, 4, 5]).await;
    check("labels=even,all", &[4]).await;
    check("labels=Even&state=closed", &[2]).await;
    check("creator=nobody", &[]).await;
    check("per_page=2&page=2&direction=asc&state=all", &[3, 4]).await;

    let page = api.get("/repos/octo/hello/issues?state=all&per_page=2").await.expect(200);
    let base = format!("{}/repos/octo/hello/issues", server.inspected.url);
    let expected = format!(
        "<{base}?page=2&per_page=2&state=all>; rel=\"next\", \
         <{base}?page=3&per_page=2&state=all>; rel=\"last\""
    );
    assert_eq!(page.header("link"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_made_and_put_on_and_taken_off() {
    let server = start().await;
    let api = server.api(OWNER_TOKEN);
    let label = json!({ "name": "ai task/1", "color": "FF0000", "description": "for the worker" });
    let made = api.post("/repos/octo/hello/labels", label.clone()).await.expect(201).json;
    assert_eq!(made["color"], "ff0000");
    let twice = api.post("/repos/octo/hello/labels", label).await.expect(422).json;
    assert_eq!(
        twice["errors"][0],
        json!({ "resource": "Label", "code": "already_exists", "field": "name" })
    );
    api.post("/repos/octo/hello/labels", json!({ "name": "x", "color": "red" })).await.expect(422);
    api.get("/repos/octo/hello/labels/ai%20task%2F1").await.expect(200);
    api.patch("/repos/octo/hello/labels/ai%20task%2F1", json!({ "description": null }))
        .await
        .expect(200);

    api.post("/repos/octo/hello/issues", json!({ "title": "t" })).await.expect(201);
    let labels = "/repos/octo/hello/issues/1/labels";
    api.post(labels, json!({ "labels": ["ai task/1"] })).await.expect(200);
    api.post(labels, json!(["other"])).await.expect(200);
    // The issue has this label already, in another case.
    api.post(labels, json!(["Other"])).await.expect(200);

    let left = api.delete(&format!("{labels}/ai%20task%2F1")).await.expect(200).json;
    assert_eq!(left[0]["name"], "other");
    let gone = api.delete(&format!("{labels}/ai%20task%2F1")).await.expect(404).json;
    assert_eq!(gone["message"], "Label does not exist");
    assert_eq!(
        api.put(labels, json!({ "labels": ["a", "b"] }))
            .await
            .expect(200)
            .json
            .as_array()
            .unwrap()
            .len(),
        2
    );
    api.delete(labels).await.expect(204);
    assert_eq!(api.get(labels).await.expect(200).json, json!([]));

    api.delete("/repos/octo/hello/labels/other").await.expect(204);
    let names = api.get("/repos/octo/hello/labels").await.expect(200).json;
    assert_eq!(names.as_array().unwrap().len(), 3);
    let events = api.get("/repos/octo/hello/issues/1/events").await.expect(200).json;
    let events: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            assert_eq!(event["actor"]["login"], "octo");
            (event["event"].as_str().unwrap(), event["label"]["name"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        events,
        [
            ("labeled", "ai task/1"),
            ("labeled", "other"),
            ("unlabeled", "ai task/1"),
            ("unlabeled", "other"),
            ("labeled", "a"),
            ("labeled", "b"),
            ("unlabeled", "a"),
            ("unlabeled", "b"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_or_missing_is_a_validation_error() {
    let server = start().await;
    let api = server.api(OWNER_TOKEN);
    let path = "/repos/octo/hello/issues";
    api.post(path, json!({ "title": "字".repeat(256), "body": "字".repeat(65_536) }))
        .await
        .expect(201);
    let long = api
        .post(path, json!({ "title": "字".repeat(257), "body": "字".repeat(65_537) }))
        .await
        .expect(422)
        .json;
    assert_eq!(long["message"], "Validation Failed");
    assert_eq!(long["errors"][0]["field"], "title");
    assert_eq!(long["errors"][1]["message"], "body is too long (maximum is 65536 characters)");
    assert_eq!(long["status"], "422");
    let missing = api.post(path, json!({ "body": "b" })).await.expect(422).json;
    assert_eq!(
        missing["errors"][0],
        json!({ "resource": "Issue", "field": "title", "code": "missing_field" })
    );
    api.post(path, json!({ "title": ["x"] })).await.expect(422);
    let broken = api
        .call(reqwest::Method::POST, path, "*/*", Some("{".to_owned()))
        .await
        .unwrap()
        .expect(400);
    assert_eq!(broken.json["message"], "Problems parsing JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_github_s() {
    let server = start().await;
    server
        .api(OWNER_TOKEN)
        .post("/repos/octo/hello/issues", json!({ "title": "t" }))
        .await
        .expect(201);
    let reader = server.api(READER_TOKEN);
    reader.get("/repos/octo/hello/issues/1").await.expect(200);
    let refused =
        reader.post("/repos/octo/hello/issues/1/labels", json!(["x"])).await.expect(403).json;
    assert_eq!(refused["message"], "Resource not accessible by personal access token");
    reader.patch("/repos/octo/hello/issues/1", json!({ "title": "mine" })).await.expect(403);
    reader.post("/repos/octo/hello/labels", json!({ "name": "x" })).await.expect(403);
    // Who may only read can open an issue. Its labels are ignored.
    let own = reader
        .post("/repos/octo/hello/issues", json!({ "title": "own", "labels": ["x"] }))
        .await
        .expect(201);
    assert_eq!(own.json["labels"], json!([]));
    reader.patch("/repos/octo/hello/issues/2", json!({ "state": "closed" })).await.expect(200);

    let hidden =
        server.api(STRANGER_TOKEN).get("/repos/octo/hello/issues/1").await.expect(404).json;
    assert_eq!(hidden["message"], "Not Found");
    let unknown = server.api("no-token").get("/user").await.expect(401).json;
    assert_eq!(unknown["message"], "Bad credentials");
    for path in
        ["/repos/octo/hello/issues/99", "/repos/octo/hello/issues/x", "/repos/octo/..%2f..%2fetc"]
    {
        server.api(OWNER_TOKEN).get(path).await.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_issue_is_gone_for_whoever_may_read_the_repository() {
    let server = start().await;
    let api = server.api(OWNER_TOKEN);
    for title in ["first", "second"] {
        let new = json!({ "title": title, "labels": ["ai-task"], "assignees": ["mona"] });
        api.post("/repos/octo/hello/issues", new).await.expect(201);
    }
    let path = "/repos/octo/hello/issues/1";
    let comment = json!({ "body": "a comment" });
    api.post(&format!("{path}/comments"), comment.clone()).await.expect(201);
    server.hub.delete_issue("octo/hello", 1).unwrap();
    let gone = api.get(path).await.expect(410).json;
    assert_eq!(gone["message"], "This issue was deleted");
    api.get(&format!("{path}/comments")).await.expect(410);
    api.post(&format!("{path}/comments"), comment).await.expect(410);
    api.patch(path, json!({ "state": "closed" })).await.expect(410);
    api.post(&format!("{path}/labels"), json!(["x"])).await.expect(410);
    api.get("/repos/octo/hello/issues/3").await.expect(404);
    server.api(STRANGER_TOKEN).get(path).await.expect(404);
    let left = api.get("/repos/octo/hello/issues").await.expect(200).json;
    assert_eq!(left.as_array().unwrap().len(), 1);
    let next = json!({ "title": "third" });
    let next = api.post("/repos/octo/hello/issues", next).await.expect(201).json;
    assert_eq!(next["number"], 3, "a number is given once");
    server.hub.delete_issue("octo/hello", 1).unwrap_err();
}
