//! The happy path, and what of it must hold for any text, any file name and any default branch.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::exit_codes::DEAD_LETTERED;
use crate::world::{FILES, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_labelled_issue_becomes_a_pull_request() {
    let world = World::new().await;
    let issue = world.task("Add a greeting", "Say hello.").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let pulls = world.pull_requests().await;
    assert_eq!(pulls.len(), 1);
    let pull = &pulls[0];
    assert_eq!(pull["title"], "Add a greeting");
    assert_eq!(pull["draft"], false);
    assert_eq!(pull["head"]["ref"], format!("codingworker/issue-{issue}"));
    assert_eq!(pull["base"]["ref"], "main");
    let body = pull["body"].as_str().unwrap();
    for part in [
        &format!("Closes #{issue}"),
        "`sh check.sh` | ✅ passed",
        "`hello.txt` (+1 −0)",
        "codingworker:done task=owner/repo#",
    ] {
        assert!(body.contains(part), "{part} is not in: {body}");
    }
    let branch = format!("codingworker/issue-{issue}");
    assert_eq!(world.file(&branch, "hello.txt").as_deref(), Some("hello\n"));
    assert_eq!(world.file(&branch, "hello_test.txt").as_deref(), Some("test\n"));

    let comments = world.comments(issue).await;
    assert_eq!(comments.len(), 1, "{comments:?}");
    assert!(comments[0].contains(&format!("Done: #{}", pull["number"])), "{comments:?}");
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issue_is_answered_in_japanese() {
    let mut world = World::new().await;
    world.set("language", json!("ja"));
    let issue = world.task("挨拶を追加", "こんにちはと表示する。").await;
    assert_eq!(world.work().await.code, Some(0));
    assert!(world.comments(issue).await[0].contains("完了しました"));
    assert!(world.pull_requests().await[0]["body"].as_str().unwrap().contains("チェック結果"));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_japanese_body_of_65536_characters_reaches_the_agent_whole() {
    let mut world = World::new().await;
    world.agent("test -e length || wc -m < \"$1\" > length");
    let body = "課".repeat(65_536);
    world.task("長い依頼", &body).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let branch =
        world.branches().into_iter().find(|branch| branch.starts_with("codingworker/")).unwrap();
    let length: usize = world.file(&branch, "length").unwrap().trim().parse().unwrap();
    assert!(length > 65_536, "the prompt has {length} characters");
    world.finish();
}

/// Queues an issue as the workflow does when its text is too long, with the digest of what
/// `labelled` says it was.
async fn queue_cut(world: &World, body: &str, labelled: &str) -> u64 {
    let number = world.issue("A long story", body).await;
    let message = json!({
        "issue_number": number,
        "repository": "owner/repo",
        "title": "A long story",
        "body": &body[..body.len() / 2],
        "labels": ["ai-task"],
        "created_at": jiff::Timestamp::now().to_string(),
    });
    let sha256: String =
        Sha256::digest(labelled).iter().map(|byte| format!("{byte:02x}")).collect();
    world
        .queue
        .send_with(&message.to_string(), &[("BodyTruncated", "true"), ("BodySha256", &sha256)])
        .await;
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_text_that_was_cut_is_read_from_the_issue() {
    let mut world = World::new().await;
    world.agent("test -e length || wc -c < \"$1\" > length");
    let body = "x".repeat(60_000);
    let issue = queue_cut(&world, &body, &body).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let length = world.file(&format!("codingworker/issue-{issue}"), "length").unwrap();
    assert!(length.trim().parse::<usize>().unwrap() > body.len(), "the prompt has {length} bytes");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_was_cut_and_edited_since_is_not_worked_on() {
    let world = World::new().await;
    let issue = queue_cut(&world, &"y".repeat(60_000), "what it said when it was labelled").await;
    world.work().await;
    assert_eq!(world.pull_requests().await.len(), 0);
    let comments = world.comments(issue).await;
    assert!(comments[0].contains("was changed after the issue was labelled"), "{comments:?}");
    assert!(world.labels(issue).await.contains(&"ai-task-failed".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_file_name_arrives() {
    let mut world = World::new().await;
    let names = [
        "with space.txt",
        "\"quoted\" 'twice'.txt",
        "line\nbreak.txt",
        "日本語.txt",
        "-n",
        "a\\b.txt",
    ];
    let script: String = names
        .iter()
        .map(|name| format!("printf x > './{}'\n", name.replace('\'', "'\\''")))
        .collect();
    world.agent(&script);
    let issue = world.task("Add files", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for name in names {
        assert_eq!(
            world.file(&format!("codingworker/issue-{issue}"), name).as_deref(),
            Some("x"),
            "{name:?}"
        );
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_branch_may_have_any_name() {
    let world = World::without_repository().await;
    world.forge.repository("owner/repo", "trunk/幹", FILES);
    world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await[0]["base"]["ref"], "trunk/幹");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_commits_by_itself_is_harvested_just_the_same() {
    let mut world = World::new().await;
    world.agent("test -e hello.txt && exit\necho hello > hello.txt\ngit add -A && git -c user.name=a -c user.email=a@b commit -qm mine");
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    let branch = format!("codingworker/issue-{issue}");
    assert_eq!(world.file(&branch, "hello.txt").as_deref(), Some("hello\n"));
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let authors =
        crate::world::run_git(&bare, &["log", "--format=%an", &format!("main..{branch}")]);
    assert_eq!(authors, "CodingWorker\n");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_published_already_is_only_settled() {
    let world = World::new().await;
    let issue = world.issue("Add a greeting", "").await;
    let message = json!({
        "issue_number": issue, "repository": "owner/repo", "title": "Add a greeting", "body": "",
        "labels": ["ai-task"], "created_at": "2026-01-01T00:00:00Z",
    });
    for _ in 0..2 {
        world.queue.send(&message.to_string()).await;
        let ran = world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(world.comments(issue).await.len(), 1);
    let status = world.run(&["status", "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["runs"][0]["stage"], "settle");
    assert_eq!(status["runs"][0]["commit"], serde_json::Value::Null, "the second run made nothing");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_put_on_again_works_on_the_same_pull_request() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    world.agent("echo bye > bye.txt");
    let again = world.run(&["submit", "--issue", &format!("owner/repo#{issue}")]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(world.work().await.code, Some(0));
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(
        world.file(&format!("codingworker/issue-{issue}"), "bye.txt").as_deref(),
        Some("bye\n")
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_a_person_on_the_branch_are_never_overwritten() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    let branch = format!("codingworker/issue-{issue}");
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let tree = world.path().join("person");
    crate::world::run_git(
        world.path(),
        &["clone", "--quiet", "--branch", &branch, bare.to_str().unwrap(), "person"],
    );
    std::fs::write(tree.join("by-hand.txt"), "mine\n").unwrap();
    crate::world::run_git(&tree, &["add", "--all"]);
    crate::world::run_git(&tree, &["commit", "--quiet", "--message", "by hand"]);
    crate::world::run_git(&tree, &["push", "--quiet"]);

    world.agent("echo bye > bye.txt");
    let again = world.run(&["submit", "--issue", &format!("owner/repo#{issue}")]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    assert_eq!(world.file(&branch, "by-hand.txt").as_deref(), Some("mine\n"));
    assert_eq!(world.file(&branch, "bye.txt"), None);
    assert!(
        world.comments(issue).await[0].contains("did not make"),
        "{:?}",
        world.comments(issue).await
    );
    world.finish();
}
