//! What a forge that is opened again still has, whom it serves, and how it shuts down.

use std::time::{Duration, Instant};

use localhub::{Fault, Hub, When};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::server::{OWNER_TOKEN, git_executable, git_ok, start, start_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_is_opened_again_has_everything() {
    let server = start().await;
    let tree = server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    let new = json!({ "title": "t", "labels": ["bug"] });
    api.post("/repos/octo/hello/issues", new).await.expect(201);
    api.post("/repos/octo/hello/issues/1/comments", json!({ "body": "c" })).await.expect(201);
    let pull = json!({ "title": "p", "head": "one", "base": "main" });
    api.post("/repos/octo/hello/pulls", pull).await.expect(201);
    let before = [
        api.get("/repos/octo/hello/issues/1").await.expect(200),
        api.get("/repos/octo/hello/issues/1/comments").await.expect(200),
        api.get("/repos/octo/hello/pulls/2").await.expect(200),
        api.get("/repos/octo/hello/issues/1/events").await.expect(200),
    ];
    let old_url = server.inspected.url.clone();
    drop(server.hub);
    drop(server.inspected);

    let server = start_in(server.directory).await;
    let api = server.api(OWNER_TOKEN);
    let after = [
        api.get("/repos/octo/hello/issues/1").await.expect(200),
        api.get("/repos/octo/hello/issues/1/comments").await.expect(200),
        api.get("/repos/octo/hello/pulls/2").await.expect(200),
        api.get("/repos/octo/hello/issues/1/events").await.expect(200),
    ];
    for (before, after) in before.iter().zip(&after) {
        let moved = before.text.replace(&old_url, &server.inspected.url);
        let host = |url: &str| url.trim_start_matches("http://").to_owned();
        assert_eq!(moved.replace(&host(&old_url), &host(&server.inspected.url)), after.text);
    }
    let head = git_ok(&tree, Some(OWNER_TOKEN), &["ls-remote", &server.clone_url(), "one"]).await;
    assert!(head.starts_with(&git_ok(&tree, None, &["rev-parse", "one"]).await));
    // The next number follows the last one.
    let next = api.post("/repos/octo/hello/issues", json!({ "title": "next" })).await.expect(201);
    assert_eq!(next.json["number"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_takes_the_old_one_s_place() {
    let server = start().await;
    server.hub.add_user("OCTO", "new-token").unwrap();
    server.api("new-token").get("/user").await.expect(200);
    server.api(OWNER_TOKEN).get("/user").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_name_than_a_loopback_one_is_answered() {
    let server = start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |host: &str| {
        let request = client
            .get(format!("{}/user", server.url))
            .bearer_auth(OWNER_TOKEN)
            .header("host", host);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("rebound.example.com").await, 403);
    assert_eq!(ask("localhost:1").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_loopback_is_refused() {
    let directory = tempfile::TempDir::new().unwrap();
    let hub = Hub::open(directory.path(), git_executable()).unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = localhub::serve(listener, hub, std::future::pending()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_comes_even_while_a_call_hangs() {
    let directory = tempfile::TempDir::new().unwrap();
    let hub = Hub::open(directory.path(), git_executable()).unwrap();
    hub.add_user("octo", OWNER_TOKEN).unwrap();
    hub.faults().inject("GET", "/user", When::Always, Fault::Hang);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = Api::new(&format!("http://{}", listener.local_addr().unwrap()), OWNER_TOKEN);
    let stop = CancellationToken::new();
    let serving =
        tokio::spawn(localhub::serve(listener, hub.clone(), stop.clone().cancelled_owned()));
    let hanging =
        tokio::spawn(async move { api.call(reqwest::Method::GET, "/user", "*/*", None).await });
    let deadline = Instant::now() + Duration::from_secs(10);
    while hub.requests().entries().is_empty() {
        assert!(Instant::now() < deadline, "the call never came in");
        tokio::task::yield_now().await;
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap().unwrap();
    hanging.await.unwrap().unwrap_err();
}
