//! Pull requests, by the REST API, with branches that git pushes.

use localhub::Permission;
use serde_json::{Value, json};

use crate::server::{OWNER_TOKEN, READER_TOKEN, commit, git_ok, start};

const PULLS: &str = "/repos/octo/hello/pulls";

fn new(head: &str) -> Value {
    json!({ "title": "Add it", "body": "Closes #1", "head": head, "base": "main", "draft": false })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_opened_found_and_merged() {
    let server = start().await;
    let tree = server.pushed(&["codingworker/issue-1"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post("/repos/octo/hello/issues", json!({ "title": "Please add it" })).await.expect(201);

    let pull = api.post(PULLS, new("codingworker/issue-1")).await.expect(201).json;
    assert_eq!(
        (&pull["number"], &pull["state"], &pull["mergeable_state"]),
        (&json!(2), &json!("open"), &json!("clean"))
    );
    assert_eq!(
        (&pull["commits"], &pull["additions"], &pull["changed_files"]),
        (&json!(1), &json!(2), &json!(1))
    );
    let head = git_ok(&tree, None, &["rev-parse", "codingworker/issue-1"]).await;
    assert_eq!(pull["head"]["sha"], head);
    assert_eq!(pull["head"]["label"], "octo:codingworker/issue-1");

    let found = api
        .get(&format!("{PULLS}?head=octo:codingworker/issue-1&base=main&state=all"))
        .await
        .expect(200)
        .json;
    assert_eq!(found[0]["number"], 2);
    for none in ["head=octo:other", "head=mona:codingworker/issue-1", "base=trunk", "state=closed"]
    {
        assert_eq!(api.get(&format!("{PULLS}?{none}")).await.expect(200).json, json!([]), "{none}");
    }
    let issue = api.get("/repos/octo/hello/issues/2").await.expect(200).json;
    assert_eq!(issue["pull_request"]["url"], format!("{}{PULLS}/2", server.inspected.url));
    api.post("/repos/octo/hello/issues/2/comments", json!({ "body": "On it" })).await.expect(201);
    api.post("/repos/octo/hello/issues/2/labels", json!(["ready"])).await.expect(200);

    let stale = json!({ "sha": "0".repeat(40) });
    api.put(&format!("{PULLS}/2/merge"), stale).await.expect(409);
    let merged =
        api.put(&format!("{PULLS}/2/merge"), json!({ "sha": head })).await.expect(200).json;
    git_ok(&tree, Some(OWNER_TOKEN), &["pull", "--quiet", "origin", "main"]).await;
    assert_eq!(merged["sha"], git_ok(&tree, None, &["rev-parse", "HEAD"]).await);
    let subject = git_ok(&tree, None, &["log", "-1", "--format=%s"]).await;
    assert_eq!(subject, "Merge pull request #2 from octo/codingworker/issue-1");
    let pull = api.get(&format!("{PULLS}/2")).await.expect(200).json;
    assert_eq!(
        (&pull["merged"], &pull["state"], &pull["changed_files"]),
        (&json!(true), &json!("closed"), &json!(1))
    );
    assert_eq!(api.get("/repos/octo/hello/issues/1").await.expect(200).json["state"], "closed");
    api.put(&format!("{PULLS}/2/merge"), json!({})).await.expect(405);
    api.patch(&format!("{PULLS}/2"), json!({ "state": "open" })).await.expect(422);
    api.get("/repos/octo/hello/issues/2/timeline").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_a_pull_request_is_refused_in_github_s_words() {
    let server = start().await;
    let tree = server.pushed(&["one"]).await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "main:same"]).await;
    git_ok(&tree, None, &["checkout", "--quiet", "--orphan", "island"]).await;
    commit(&tree, "island.txt", "x\n").await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "island"]).await;
    let api = server.api(OWNER_TOKEN);
    let refused =
        async |body: Value| api.post(PULLS, body).await.expect(422).json["errors"][0].clone();

    api.post(PULLS, new("octo:one")).await.expect(201);
    let twice = refused(new("one")).await;
    assert_eq!(twice["message"], "A pull request already exists for octo:one.");
    assert_eq!(twice["code"], "custom");
    assert_eq!(refused(new("same")).await["message"], "No commits between main and same");
    let apart = refused(new("island")).await;
    assert_eq!(apart["message"], "The island branch has no history in common with main");
    for head in ["nowhere", "mona:one", "--upload-pack=x", "a..b", ""] {
        assert_eq!(
            refused(new(head)).await,
            json!({ "resource": "PullRequest", "field": "head", "code": "invalid" })
        );
    }
    let mut elsewhere = new("one");
    elsewhere["base"] = "trunk".into();
    assert_eq!(refused(elsewhere).await["field"], "base");
    let mut long = new("one");
    long["title"] = "x".repeat(257).into();
    assert_eq!(refused(long).await["field"], "title");
    server.api(READER_TOKEN).post(PULLS, new("same")).await.expect(403);

    // When the first is closed, its branch can have another. Then the first can't be reopened.
    api.patch(&format!("{PULLS}/1"), json!({ "state": "closed" })).await.expect(200);
    api.post(PULLS, new("one")).await.expect(201);
    api.patch(&format!("{PULLS}/1"), json!({ "state": "open" })).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_racing_pull_requests_for_one_head_one_is_refused() {
    let server = start().await;
    server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    for _ in 0..5 {
        let (a, b) = tokio::join!(api.post(PULLS, new("one")), api.post(PULLS, new("one")));
        let (won, lost) = if a.status == 201 { (a, b) } else { (b, a) };
        let number = won.expect(201).json["number"].clone();
        lost.expect(422);
        api.patch(&format!("{PULLS}/{number}"), json!({ "state": "closed" })).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_edited_and_made_ready() {
    let server = start().await;
    server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    let mut draft = new("one");
    draft["draft"] = true.into();
    assert_eq!(api.post(PULLS, draft).await.expect(201).json["mergeable_state"], "draft");
    api.put(&format!("{PULLS}/1/merge"), json!({})).await.expect(405);
    // GitHub's REST API can't make a draft ready: it ignores the field.
    let change = json!({ "title": "Better", "body": "", "draft": false });
    let pull = api.patch(&format!("{PULLS}/1"), change).await.expect(200).json;
    assert_eq!(
        (&pull["title"], &pull["draft"], &pull["body"]),
        (&json!("Better"), &json!(true), &json!(""))
    );
    api.put(&format!("{PULLS}/1/merge"), json!({})).await.expect(405);
    let ready = "mutation($id: ID!) {
        markPullRequestReadyForReview(input: {pullRequestId: $id}) { clientMutationId } }";
    let body = json!({ "query": ready, "variables": { "id": pull["node_id"] } });
    let answer = api.post("/graphql", body).await.expect(200).json;
    assert_eq!(answer["errors"], Value::Null);
    let pull = api.get(&format!("{PULLS}/1")).await.expect(200).json;
    assert_eq!((&pull["draft"], &pull["mergeable_state"]), (&json!(false), &json!("clean")));
    // Nor can it make a draft of one.
    let pull = api.patch(&format!("{PULLS}/1"), json!({ "draft": true })).await.expect(200).json;
    assert_eq!(pull["draft"], false);
    let squash = json!({ "merge_method": "squash", "commit_title": "Squashed" });
    api.put(&format!("{PULLS}/1/merge"), squash).await.expect(200);
    let branch = api.get("/repos/octo/hello/branches/main").await.expect(200).json;
    assert_eq!(branch["commit"]["commit"]["message"], "Squashed");
    assert_eq!(branch["commit"]["parents"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_moves_merges_and_closes_pull_requests() {
    let server = start().await;
    let tree = server.pushed(&["moves", "merges", "closes"]).await;
    let api = server.api(OWNER_TOKEN);
    for head in ["moves", "merges", "closes"] {
        api.post(PULLS, new(head)).await.expect(201);
    }
    git_ok(&tree, None, &["checkout", "--quiet", "moves"]).await;
    commit(&tree, "again.txt", "again\n").await;
    git_ok(
        &tree,
        Some(OWNER_TOKEN),
        &["push", "--quiet", "origin", "moves", "merges:main", ":closes"],
    )
    .await;

    let moved = api.get(&format!("{PULLS}/1")).await.expect(200).json;
    assert_eq!(moved["head"]["sha"], git_ok(&tree, None, &["rev-parse", "moves"]).await);
    assert_eq!((&moved["commits"], &moved["state"]), (&json!(2), &json!("open")));
    let merged = api.get(&format!("{PULLS}/2")).await.expect(200).json;
    assert_eq!((&merged["merged"], &merged["changed_files"]), (&json!(true), &json!(1)));
    let closed = api.get(&format!("{PULLS}/3")).await.expect(200).json;
    assert_eq!((&closed["state"], &closed["merged"]), (&json!("closed"), &json!(false)));
    api.patch(&format!("{PULLS}/3"), json!({ "state": "open" })).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_diff_is_given_as_text_and_file_by_file() {
    let server = start().await;
    let tree = server.pushed(&[]).await;
    git_ok(&tree, None, &["checkout", "--quiet", "-b", "diff"]).await;
    for (file, content) in
        [("with space \"q\".txt", "a\n"), ("日本.txt", "b\n"), ("-dash", "c\n"), ("bin", "\0\u{1}")]
    {
        commit(&tree, file, content).await;
    }
    git_ok(&tree, None, &["mv", "README.md", "READ ME.md"]).await;
    std::os::unix::fs::symlink("READ ME.md", tree.join("link")).unwrap();
    git_ok(&tree, None, &["add", "-A"]).await;
    git_ok(&tree, None, &["commit", "--quiet", "-m", "Rename"]).await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "diff"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post(PULLS, new("diff")).await.expect(201);

    let files = api.get(&format!("{PULLS}/1/files")).await.expect(200).json;
    let seen: Vec<_> = files
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["filename"].as_str().unwrap(), f["patch"].as_str()))
        .collect();
    let (added, link) = (
        |line| format!("@@ -0,0 +1 @@\n+{line}"),
        "@@ -0,0 +1 @@\n+READ ME.md\n\\ No newline at end of file",
    );
    assert_eq!(
        seen,
        [
            ("-dash", Some(added("c").as_str())),
            ("READ ME.md", None),
            ("bin", None),
            ("link", Some(link)),
            ("with space \"q\".txt", Some(added("a").as_str())),
            ("日本.txt", Some(added("b").as_str())),
        ]
    );
    assert_eq!(files[1]["previous_filename"], "README.md");
    let page = api.get(&format!("{PULLS}/1/files?per_page=2&page=3")).await.expect(200);
    assert_eq!(page.json.as_array().unwrap().len(), 2);
    let diff =
        api.get_as(&format!("{PULLS}/1"), "application/vnd.github.v3.diff").await.expect(200).text;
    assert!(
        diff.starts_with("diff --git a/-dash b/-dash\n") && diff.contains("+++ b/日本.txt"),
        "{diff}"
    );
    let patch =
        api.get_as(&format!("{PULLS}/1"), "application/vnd.github.patch").await.expect(200).text;
    assert_eq!(patch.matches("\nSubject: [PATCH ").count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_can_t_be_merged() {
    let server = start().await;
    let tree = server.pushed(&[]).await;
    git_ok(&tree, None, &["checkout", "--quiet", "-b", "theirs"]).await;
    commit(&tree, "README.md", "theirs\n").await;
    git_ok(&tree, None, &["checkout", "--quiet", "main"]).await;
    commit(&tree, "README.md", "ours\n").await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "--all"]).await;
    let api = server.api(OWNER_TOKEN);
    let pull = api.post(PULLS, new("theirs")).await.expect(201).json;
    assert_eq!((&pull["mergeable"], &pull["mergeable_state"]), (&json!(false), &json!("dirty")));
    api.put(&format!("{PULLS}/1/merge"), json!({})).await.expect(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_became_an_unrelated_history_can_t_be_merged() {
    let server = start().await;
    let tree = server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post(PULLS, new("one")).await.expect(201);
    git_ok(&tree, None, &["checkout", "--quiet", "--orphan", "island"]).await;
    commit(&tree, "island.txt", "x\n").await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "--force", "origin", "island:one"]).await;
    let pull = api.get(&format!("{PULLS}/1")).await.expect(200).json;
    assert_eq!((&pull["mergeable"], &pull["changed_files"]), (&json!(false), &json!(1)));
    api.get(&format!("{PULLS}/1/files")).await.expect(200);
    api.get_as(&format!("{PULLS}/1"), "application/vnd.github.diff").await.expect(200);
    api.put(&format!("{PULLS}/1/merge"), json!({})).await.expect(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_refs_and_permissions_are_told() {
    let server = start().await;
    let api = server.api(OWNER_TOKEN);
    assert_eq!(api.get("/user").await.expect(200).json["owned_private_repos"], 1);
    assert_eq!(api.get("/rate_limit").await.expect(200).json["rate"]["limit"], 5000);
    let made = api
        .post("/user/repos", json!({ "name": "new", "description": "d" }))
        .await
        .expect(201)
        .json;
    assert_eq!(made["clone_url"], format!("{}/octo/new.git", server.inspected.url));
    api.post("/user/repos", json!({ "name": "new" })).await.expect(422);
    api.post("/user/repos", json!({ "name": "../new" })).await.expect(422);
    api.get("/repos/octo/hello/branches/main").await.expect(404);

    let tree = server.pushed(&["feature/x"]).await;
    let sha = git_ok(&tree, None, &["rev-parse", "feature/x"]).await;
    let branch = api.get("/repos/octo/hello/branches/feature/x").await.expect(200).json;
    assert_eq!((&branch["name"], &branch["commit"]["sha"]), (&json!("feature/x"), &json!(sha)));
    let reference = api.get("/repos/octo/hello/git/ref/heads/feature/x").await.expect(200).json;
    assert_eq!(reference["object"]["sha"], sha);
    for missing in ["heads/nothing", "heads/..%2F..%2Fconfig", "main"] {
        api.get(&format!("/repos/octo/hello/git/ref/{missing}")).await.expect(404);
    }
    let change = json!({ "default_branch": "feature/x", "private": false, "description": null });
    assert_eq!(
        api.patch("/repos/octo/hello", change).await.expect(200).json["default_branch"],
        "feature/x"
    );
    api.patch("/repos/octo/hello", json!({ "default_branch": "gone" })).await.expect(422);
    server
        .api(READER_TOKEN)
        .patch("/repos/octo/hello", json!({ "private": true }))
        .await
        .expect(403);
    assert_eq!(api.get("/repos/octo/hello").await.expect(200).json["permissions"]["admin"], true);

    server.hub.grant("octo/hello", "mona", Permission::Maintain).unwrap();
    for (login, permission, role) in
        [("octo", "admin", "admin"), ("mona", "write", "maintain"), ("stranger", "read", "read")]
    {
        let held = api
            .get(&format!("/repos/octo/hello/collaborators/{login}/permission"))
            .await
            .expect(200)
            .json;
        assert_eq!((&held["permission"], &held["role_name"]), (&json!(permission), &json!(role)));
    }
    api.get("/repos/octo/hello/collaborators/nobody/permission").await.expect(404);
}
