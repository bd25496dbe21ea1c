//! Requests that run while git runs, which is held at the worst moment for them.

use localhub::Hub;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::api::{Api, Reply};
use crate::gates::{DEADLINE, GatedGit};
use crate::server::{OWNER_TOKEN, Server, commit, git_executable, git_ok, start_with};

const PULLS: &str = "/repos/octo/hello/pulls";
const MERGE: &str = "/repos/octo/hello/pulls/1/merge";

/// A forge whose git a test can hold.
async fn start_gated() -> (GatedGit, Server) {
    let directory = TempDir::new().unwrap();
    let gated = GatedGit::new(directory.path());
    let server = start_with(directory, gated.executable.clone()).await;
    (gated, server)
}

fn pull(head: &str) -> Value {
    json!({ "title": "Add it", "head": head, "base": "main" })
}

/// Sends a request. Its answer is awaited later.
fn later(server: &Server, method: Method, path: &str, body: Value) -> JoinHandle<Reply> {
    let (api, path) = (server.api(OWNER_TOKEN), path.to_owned());
    tokio::spawn(
        async move { api.call(method, &path, "*/*", Some(body.to_string())).await.unwrap() },
    )
}

async fn answer(request: JoinHandle<Reply>) -> Reply {
    tokio::time::timeout(DEADLINE, request).await.expect("an answer in time").unwrap()
}

/// Makes a request that reads and one that writes. Both need the database.
async fn others_are_answered(api: &Api, during: &str) {
    let asked = async {
        api.get("/repos/octo/hello/issues").await.expect(200);
        api.post("/repos/octo/hello/issues", json!({ "title": "t" })).await.expect(201);
    };
    let answered = tokio::time::timeout(DEADLINE, asked).await;
    assert!(answered.is_ok(), "no answer while git {during} runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_requests_are_answered_while_a_git_command_runs() {
    let (gated, server) = start_gated().await;
    let tree = server.pushed(&["one", "two"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post(PULLS, pull("one")).await.expect(201);
    let repository = "/repos/octo/hello";
    let cases = [
        ("init", Method::POST, "/user/repos", json!({ "name": "new" }), 201),
        ("merge-base", Method::POST, PULLS, pull("two"), 201),
        ("for-each-ref", Method::PATCH, "/repos/octo/hello/pulls/1", json!({ "body": "b" }), 200),
        ("symbolic-ref", Method::PATCH, repository, json!({ "default_branch": "two" }), 200),
        ("merge-tree", Method::GET, "/repos/octo/hello/pulls/1", json!({}), 200),
        ("commit-tree", Method::PUT, MERGE, json!({}), 200),
    ];
    for (command, method, path, body, status) in cases {
        let gate = gated.hold_before(command);
        let held = later(&server, method, path, body);
        gate.reached().await;
        others_are_answered(&api, command).await;
        gate.open();
        answer(held).await.expect(status);
    }

    // After a push the forge asks git which pull requests it merges.
    git_ok(&tree, None, &["checkout", "--quiet", "two"]).await;
    git_ok(&tree, Some(OWNER_TOKEN), &["pull", "--quiet", "--no-rebase", "origin", "main"]).await;
    let gate = gated.hold_before("rev-list");
    let pushing = tokio::spawn(async move {
        git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "two:main", "two"]).await
    });
    gate.reached().await;
    others_are_answered(&api, "rev-list").await;
    gate.open();
    tokio::time::timeout(DEADLINE, pushing).await.unwrap().unwrap();
    let merged = api.get("/repos/octo/hello/pulls?state=closed").await.expect(200).json;
    assert!(merged.as_array().unwrap().iter().all(|pull| pull["merged_at"].is_string()));
    assert_eq!(merged.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_merges_at_once_one_takes_place() {
    let (gated, server) = start_gated().await;
    let tree = server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post(PULLS, pull("one")).await.expect(201);

    let gates = [gated.hold_before("commit-tree"), gated.hold_before("commit-tree")];
    let squash = json!({ "merge_method": "squash" });
    let merges = [json!({}), squash].map(|body| later(&server, Method::PUT, MERGE, body));
    for gate in &gates {
        gate.reached().await;
    }
    gates.iter().for_each(|gate| gate.open());
    let mut statuses = Vec::new();
    for merge in merges {
        statuses.push(answer(merge).await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 405]);

    git_ok(&tree, Some(OWNER_TOKEN), &["fetch", "--quiet", "origin"]).await;
    let first_parents = ["rev-list", "--count", "--first-parent", "origin/main"];
    assert_eq!(git_ok(&tree, None, &first_parents).await, "2");
    let events = api.get("/repos/octo/hello/issues/1/events").await.expect(200).json;
    let names: Vec<_> = events.as_array().unwrap().iter().map(|e| e["event"].clone()).collect();
    assert_eq!(names, ["merged", "closed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_merge_is_refused_while_the_first_moves_the_base() {
    let (gated, server) = start_gated().await;
    server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post(PULLS, pull("one")).await.expect(201);
    let gate = gated.hold_after("update-ref");
    let merging = later(&server, Method::PUT, MERGE, json!({}));
    gate.reached().await;

    let second = answer(later(&server, Method::PUT, MERGE, json!({}))).await.expect(405).json;
    assert_eq!(second["message"], "Merge already in progress");
    let base = json!({ "base": "one" });
    answer(later(&server, Method::PATCH, &format!("{PULLS}/1"), base)).await.expect(422);
    gate.open();
    let merged = answer(merging).await.expect(200).json;
    let pull = api.get(&format!("{PULLS}/1")).await.expect(200).json;
    assert_eq!((&pull["merged"], &pull["merge_commit_sha"]), (&json!(true), &merged["sha"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_the_base_while_it_is_merged_into_is_kept() {
    let (gated, server) = start_gated().await;
    let tree = server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post(PULLS, pull("one")).await.expect(201);
    let gate = gated.hold_before("update-ref");
    let merging = later(&server, Method::PUT, MERGE, json!({}));
    gate.reached().await;
    commit(&tree, "pushed.txt", "meanwhile\n").await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", "main"]).await;
    let pushed = git_ok(&tree, None, &["rev-parse", "main"]).await;
    gate.open();

    let merged = answer(merging).await.expect(200).json;
    let sha = merged["sha"].as_str().unwrap();
    git_ok(&tree, Some(OWNER_TOKEN), &["fetch", "--quiet", "origin"]).await;
    assert_eq!(git_ok(&tree, None, &["rev-parse", "origin/main"]).await, sha);
    assert_eq!(git_ok(&tree, None, &["rev-parse", &format!("{sha}^1")]).await, pushed);
    git_ok(&tree, None, &["cat-file", "-e", &format!("{sha}:one.txt")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_closes_while_it_is_merged_is_not_merged() {
    let (gated, server) = start_gated().await;
    let tree = server.pushed(&["one", "two"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post(PULLS, pull("one")).await.expect(201);
    let main = git_ok(&tree, None, &["rev-parse", "main"]).await;

    let gate = gated.hold_before("commit-tree");
    let merging = later(&server, Method::PUT, MERGE, json!({}));
    gate.reached().await;
    let closed = json!({ "state": "closed" });
    answer(later(&server, Method::PATCH, &format!("{PULLS}/1"), closed)).await.expect(200);
    gate.open();
    answer(merging).await.expect(405);

    // It also closes when its branch is deleted meanwhile.
    api.post(PULLS, pull("two")).await.expect(201);
    let gate = gated.hold_before("commit-tree");
    let merging = later(&server, Method::PUT, &format!("{PULLS}/2/merge"), json!({}));
    gate.reached().await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", ":two"]).await;
    gate.open();
    answer(merging).await.expect(405);
    let branch = api.get("/repos/octo/hello/branches/main").await.expect(200).json;
    assert_eq!(branch["commit"]["sha"], main);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_goes_while_its_pull_request_is_opened_gets_none() {
    let (gated, server) = start_gated().await;
    let tree = server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    let gate = gated.hold_before("merge-base");
    let opening = later(&server, Method::POST, PULLS, pull("one"));
    gate.reached().await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", ":one"]).await;
    gate.open();
    let refused = answer(opening).await.expect(422).json;
    assert_eq!(refused["errors"][0]["field"], "head");
    assert_eq!(api.get(&format!("{PULLS}?state=all")).await.expect(200).json, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_goes_while_its_pull_request_is_reopened_keeps_it_closed() {
    let (gated, server) = start_gated().await;
    let tree = server.pushed(&["one"]).await;
    let api = server.api(OWNER_TOKEN);
    api.post(PULLS, pull("one")).await.expect(201);
    let path = format!("{PULLS}/1");
    api.patch(&path, json!({ "state": "closed" })).await.expect(200);
    let gate = gated.hold_after("for-each-ref");
    let reopening = later(&server, Method::PATCH, &path, json!({ "state": "open" }));
    gate.reached().await;
    git_ok(&tree, Some(OWNER_TOKEN), &["push", "--quiet", "origin", ":one"]).await;
    gate.open();
    answer(reopening).await.expect(422);
    assert_eq!(api.get(&path).await.expect(200).json["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_repositories_of_one_name_at_once_one_is_made() {
    let (gated, server) = start_gated().await;
    let gates = [gated.hold_before("init"), gated.hold_before("init")];
    let makings = ["trunk", "main"].map(|branch| {
        let hub = server.hub.clone();
        tokio::task::spawn_blocking(move || hub.create_repository("octo/new", branch, true))
    });
    for gate in &gates {
        gate.reached().await;
    }
    gates.iter().for_each(|gate| gate.open());
    let mut made = 0;
    for making in makings {
        made += usize::from(making.await.unwrap().is_ok());
    }
    assert_eq!(made, 1);
    head_is_the_default_branch(&server, "octo/new").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_default_branches_at_once_head_is_the_one_that_is_told() {
    let (gated, server) = start_gated().await;
    server.pushed(&["one", "two"]).await;
    let gates = [gated.hold_before("symbolic-ref"), gated.hold_before("symbolic-ref")];
    let path = "/repos/octo/hello";
    let changes = ["one", "two"]
        .map(|branch| later(&server, Method::PATCH, path, json!({ "default_branch": branch })));
    for gate in &gates {
        gate.reached().await;
    }
    // Both rows are written by now. HEAD is set in the other order.
    let [first, second] = &gates;
    second.open();
    first.open();
    for change in changes {
        answer(change).await.expect(200);
    }
    head_is_the_default_branch(&server, "octo/hello").await;
}

async fn head_is_the_default_branch(server: &Server, name: &str) {
    let told = server.api(OWNER_TOKEN).get(&format!("/repos/{name}")).await.expect(200).json;
    let bare = server.hub.repository_path(name).unwrap();
    let head = git_ok(&bare, None, &["symbolic-ref", "--short", "HEAD"]).await;
    assert_eq!(told["default_branch"], head);
}

/// Copies what the forge has on the disk now, as a forge would find it after a power failure.
fn snapshot(server: &Server) -> TempDir {
    fn copy(from: &std::path::Path, to: &std::path::Path) {
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let directory = TempDir::new().unwrap();
    copy(&server.directory.path().join("hub"), &directory.path().join("hub"));
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_a_crash_cuts_off_is_finished_or_never_was() {
    for moved in [false, true] {
        let (gated, server) = start_gated().await;
        server.pushed(&["one"]).await;
        let api = server.api(OWNER_TOKEN);
        api.post(PULLS, pull("one")).await.expect(201);
        let gate =
            if moved { gated.hold_after("update-ref") } else { gated.hold_before("update-ref") };
        let merging = later(&server, Method::PUT, MERGE, json!({}));
        gate.reached().await;
        let crashed = snapshot(&server);
        gate.open();
        answer(merging).await.expect(200);

        let server = start_with(crashed, git_executable()).await;
        let api = server.api(OWNER_TOKEN);
        let pull = api.get(&format!("{PULLS}/1")).await.expect(200).json;
        assert_eq!(pull["merged"], moved);
        let main = api.get("/repos/octo/hello/branches/main").await.expect(200).json;
        if moved {
            assert_eq!(pull["merge_commit_sha"], main["commit"]["sha"]);
            assert_eq!(pull["merged_by"]["login"], "octo");
        } else {
            assert_eq!(main["commit"]["parents"], json!([]));
        }
        api.put(MERGE, json!({})).await.expect(if moved { 405 } else { 200 });
        // A forge that is opened once more changes nothing.
        let before = api.get(&format!("{PULLS}/1")).await.expect(200).json["updated_at"].clone();
        let hub = Hub::open(&server.directory.path().join("hub"), git_executable()).unwrap();
        drop(hub);
        let after = api.get(&format!("{PULLS}/1")).await.expect(200).json["updated_at"].clone();
        assert_eq!(before, after);
    }
}
