//! Comments, by the REST API.

use serde_json::json;

use crate::server::{OWNER_TOKEN, READER_TOKEN, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_written_edited_and_deleted() {
    let server = start().await;
    let api = server.api(OWNER_TOKEN);
    api.post("/repos/octo/hello/issues", json!({ "title": "t" })).await.expect(201);
    let comments = "/repos/octo/hello/issues/1/comments";
    let made = api.post(comments, json!({ "body": "first" })).await.expect(201).json;
    assert_eq!(made["author_association"], "OWNER");
    let path = format!("/repos/octo/hello/issues/comments/{}", made["id"]);
    assert_eq!(
        api.patch(&path, json!({ "body": "edited" })).await.expect(200).json["body"],
        "edited"
    );
    assert_eq!(api.get(&path).await.expect(200).json["body"], "edited");
    server.api(READER_TOKEN).patch(&path, json!({ "body": "not mine" })).await.expect(403);
    api.post(comments, json!({ "body": " " })).await.expect(422);
    api.post(comments, json!({ "body": "字".repeat(65_537) })).await.expect(422);
    api.delete(&path).await.expect(204);
    api.get(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_through_all_comments() {
    let server = start().await;
    let api = server.api(OWNER_TOKEN);
    api.post("/repos/octo/hello/issues", json!({ "title": "t" })).await.expect(201);
    for number in 0..7 {
        let body = json!({ "body": number.to_string() });
        server
            .api(READER_TOKEN)
            .post("/repos/octo/hello/issues/1/comments", body)
            .await
            .expect(201);
    }
    let mut path = Some("/repos/octo/hello/issues/1/comments?per_page=3".to_owned());
    let mut bodies = Vec::new();
    while let Some(next) = path.take() {
        let page = api.get(&next).await.expect(200);
        bodies.extend(
            page.json
                .as_array()
                .unwrap()
                .iter()
                .map(|comment| comment["body"].as_str().unwrap().to_owned()),
        );
        let link = page
            .header("link")
            .split(", ")
            .find(|link| link.ends_with("rel=\"next\""))
            .map(str::to_owned);
        path = link
            .map(|link| link[server.inspected.url.len() + 1..link.find('>').unwrap()].to_owned());
    }
    assert_eq!(bodies, ["0", "1", "2", "3", "4", "5", "6"]);
    let since = "/repos/octo/hello/issues/1/comments?since=2999-01-01T00:00:00Z";
    assert_eq!(api.get(since).await.expect(200).json, json!([]));
}
