//! `codingworker up`: queue, forge and worker in one program, and their data survives it.

use crate::world::up::Up;
use crate::world::{FILES, World, run_git, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_done_and_is_still_there_after_a_restart() {
    let world = World::new().await;
    let data = world.path().join("up");
    let up = Up::start(&world, &data).await;

    let tree = world.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    FILES.iter().for_each(|(path, text)| std::fs::write(tree.join(path), text).unwrap());
    run_git(&tree, &["init", "--quiet", "--initial-branch=main"]);
    run_git(&tree, &["add", "--all"]);
    run_git(&tree, &["commit", "--quiet", "--message", "first"]);
    // The forge has a first commit there already.
    run_git(&tree, &["push", "--quiet", "--force", &up.remote(), "main"]);

    up.run(&["submit", "--repository", "me/project", "--title", "Add a greeting"]).await;
    wait_until("the pull request is open", async || !up.pull_requests().await.is_empty()).await;
    up.wait_until_idle().await;
    up.stop().await;

    let up = Up::start(&world, &data).await;
    let pulls = up.pull_requests().await;
    assert_eq!((pulls.len(), pulls[0]["title"].as_str()), (1, Some("Add a greeting")));
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_from_nothing_and_waits_for_its_agent() {
    let mut world = World::new().await;
    world.set("language", serde_json::json!("ja"));
    let agent = world.path().join("agent-to-come");
    let command = serde_json::json!([agent, "{prompt_file}"]);
    world.set("agent", serde_json::json!({ "kind": "command", "command": command }));
    let up = Up::start(&world, &world.path().join("up")).await;
    up.run(&["submit", "--repository", "me/project", "--title", "Add a greeting"]).await;
    wait_until("the worker says what it waits for", async || {
        let status = up.status().await;
        status["worker"]["problem"].as_str().is_some_and(|told| told.contains("agent-to-come"))
    })
    .await;
    let status = up.status().await;
    assert_eq!(status["queue"]["depth"]["waiting"], 1, "nothing was taken: {status}");
    assert_eq!(status["runs"], serde_json::json!([]), "{status}");
    let shown = up.run(&["status"]).await;
    assert!(shown.contains("ワーカー"), "the file that `up` wrote has the language: {shown}");

    // A browser is not asked for a password.
    let page = up.answer_to_a_browser("/me/project").await;
    assert!(!page.headers().contains_key("www-authenticate"), "{page:?}");

    std::fs::write(&agent, format!("#!/bin/sh\n{}\n", crate::world::TASK_SCRIPT)).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&agent, mode).unwrap();
    wait_until("the pull request is open", async || !up.pull_requests().await.is_empty()).await;
    up.wait_until_idle().await;
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_with_the_flag_that_changes_it() {
    let world = World::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = world.path().join("up");
    for flag in ["--queue-listen", "--forge-listen"] {
        let other = if flag == "--queue-listen" { "--forge-listen" } else { "--queue-listen" };
        let data = data.to_str().unwrap();
        let ran = world.run(&["up", "--data", data, flag, &address, other, "127.0.0.1:0"]).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(&address) && ran.stderr.contains(flag), "{ran:?}");
    }
}
