//! The repository has another name than in the message: GitHub redirects from the old one. The
//! worker follows when it works on the repository under its new name, and says the new name
//! otherwise.

use localhub::{Answer, Fault, When};
use serde_json::json;

use crate::exit_codes::DEAD_LETTERED;
use crate::world::{World, run_git};

/// A world in which `owner/old` redirects to `owner/repo`, with a task for an issue by its old
/// name.
async fn renamed(repositories: &[&str]) -> (World, u64) {
    let mut world = World::new().await;
    world.set("repositories", json!(repositories));
    let issue = world.issue("Add a greeting", "").await;
    let routes = [
        ("/repos/owner/old", "/repos/owner/repo".to_owned()),
        ("/repos/owner/old/pulls", "/repos/owner/repo/pulls".to_owned()),
        ("/repos/owner/old/issues/{number}", format!("/repos/owner/repo/issues/{issue}")),
    ];
    for (old, new) in routes {
        let answer = Answer::status(301).message("Moved Permanently");
        let location = format!("{}{new}", world.forge.url);
        let redirect = Fault::Answer(answer.header("location", &location));
        world.forge.hub.faults().inject("GET", old, When::Always, redirect);
    }
    let message = json!({
        "issue_number": issue, "repository": "owner/old", "title": "Add a greeting", "body": "",
        "labels": ["ai-task"], "created_at": "2026-01-26T00:00:00Z",
    });
    world.queue.send(&message.to_string()).await;
    (world, issue)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_the_worker_knows_by_its_new_name_is_followed() {
    let (world, issue) = renamed(&["owner/old", "owner/repo"]).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_that_the_worker_does_not_know_is_said() {
    let (world, _) = renamed(&["owner/old"]).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    assert!(ran.stderr.contains("owner/old#1 is owner/repo#1 now"), "{ran:?}");
    assert!(!ran.stderr.contains("can't be understood"), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 0);
    world.leaves_messages(1, "it waits for the dead-letter queue");
}

/// The token is sent only to the API that the settings name.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_is_not_followed() {
    let (world, _) = renamed(&["owner/old", "owner/repo"]).await;
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}/repos/owner/repo", elsewhere.local_addr().unwrap());
    world.forge.hub.faults().clear();
    for old in ["/repos/owner/old", "/repos/owner/old/pulls"] {
        let answer = Answer::status(301).message("Moved Permanently");
        let redirect = Fault::Answer(answer.header("location", &location));
        world.forge.hub.faults().inject("GET", old, When::Always, redirect);
    }
    let ran = tokio::select! {
        ran = world.work() => ran,
        _ = elsewhere.accept() => panic!("the worker followed the redirect"),
    };
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    assert!(ran.stderr.contains(&location), "{ran:?}");
    world.leaves_messages(1, "it waits for the dead-letter queue");
}

/// As GitHub does it: the branch has another name, and HEAD names that.
#[tokio::test(flavor = "multi_thread")]
async fn a_default_branch_that_is_renamed_during_the_run_is_followed() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    let rename = async {
        agent.wait_until_it_stops().await;
        let bare = world.forge.hub.repository_path("owner/repo").unwrap();
        run_git(&bare, &["branch", "trunk", "main"]);
        let change = json!({ "default_branch": "trunk" });
        world.forge.ask(reqwest::Method::PATCH, "/repos/owner/repo", change).await;
        run_git(&bare, &["branch", "-D", "main"]);
        agent.go_on();
    };
    let (ran, ()) = tokio::join!(world.work(), rename);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world.check_done(issue).await;
    let pull_requests = world.pull_requests().await;
    assert_eq!(pull_requests[0]["base"]["ref"], "trunk", "{pull_requests:?}");
    assert!(pull_requests[0]["body"].as_str().unwrap().contains("`trunk`"), "{pull_requests:?}");
}
