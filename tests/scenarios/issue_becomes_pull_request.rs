//! A labelled issue becomes a pull request, for any text, any file name and any default branch.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::exit_codes::DEAD_LETTERED;
use crate::world::{FILES, World, run_git};

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

    let comment = world.status_comment(issue).await;
    assert!(comment.contains(&format!("Done: #{}", pull["number"])), "{comment}");
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    assert_eq!(world.queue.counts().await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issue_is_answered_in_japanese() {
    let mut world = World::new().await;
    world.set("language", json!("ja"));
    let issue = world.task("挨拶を追加", "こんにちはと表示する。").await;
    assert_eq!(world.work().await.code, Some(0));
    assert!(world.status_comment(issue).await.contains("完了しました"));
    assert!(world.pull_requests().await[0]["body"].as_str().unwrap().contains("チェック結果"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_japanese_body_of_65536_characters_reaches_the_agent_whole() {
    let mut world = World::new().await;
    world.agent("test -e length || wc -m < \"$1\" > length");
    let body = "課".repeat(65_536);
    let issue = world.task("長い依頼", &body).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let branch = format!("codingworker/issue-{issue}");
    let length: usize = world.file(&branch, "length").unwrap().trim().parse().unwrap();
    assert!(length > 65_536, "the prompt has {length} characters");
    world.check_done(issue).await;
}

/// Queues an issue as the workflow does when its text is too long: with the first half of the body,
/// and the digest of the body that the issue had when it was labelled.
async fn queue_truncated(world: &World, body: &str, body_when_labelled: &str) -> u64 {
    let number = world.issue("A long story", body).await;
    let message = json!({
        "issue_number": number,
        "repository": "owner/repo",
        "title": "A long story",
        "body": &body[..body.len() / 2],
        "labels": ["ai-task"],
        "created_at": jiff::Timestamp::now().to_string(),
    });
    let digest = Sha256::digest(body_when_labelled);
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    world
        .queue
        .send_with(&message.to_string(), &[("BodyTruncated", "true"), ("BodySha256", &sha256)])
        .await;
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_truncated_text_is_read_from_the_issue() {
    let mut world = World::new().await;
    world.agent("test -e length || wc -c < \"$1\" > length");
    let body = "x".repeat(60_000);
    let issue = queue_truncated(&world, &body, &body).await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let length = world.file(&format!("codingworker/issue-{issue}"), "length").unwrap();
    assert!(length.trim().parse::<usize>().unwrap() > body.len(), "the prompt has {length} bytes");
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_text_that_was_edited_since_is_not_worked_on() {
    let world = World::new().await;
    let issue = queue_truncated(&world, &"y".repeat(60_000), "the text when it was labelled").await;
    world.work().await;
    assert_eq!(world.pull_requests().await.len(), 0);
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("was changed after the issue was labelled"), "{comment}");
    assert!(world.labels(issue).await.contains(&"ai-task-failed".to_owned()));
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_any_name_are_published() {
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
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_branch_may_have_any_name() {
    let world = World::without_repository().await;
    world.forge.repository("owner/repo", "trunk/幹", FILES);
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await[0]["base"]["ref"], "trunk/幹");
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commits_of_an_agent_are_published_as_one_of_the_workers() {
    let mut world = World::new().await;
    world.agent(
        "test -e hello.txt && exit\n\
         echo hello > hello.txt\n\
         git add -A && git -c user.name=a -c user.email=a@b commit -qm mine",
    );
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    let branch = format!("codingworker/issue-{issue}");
    assert_eq!(world.file(&branch, "hello.txt").as_deref(), Some("hello\n"));
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let authors = run_git(&bare, &["log", "--format=%an", &format!("main..{branch}")]);
    assert_eq!(authors, "CodingWorker\n");
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_published_already_is_not_worked_on_again() {
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
    world.check_done(issue).await;
    let status = world.run(&["status", "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["runs"][0]["stage"], "settle");
    assert_eq!(status["runs"][0]["commit"], serde_json::Value::Null, "the second run made nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_is_submitted_again_is_worked_on_in_the_same_pull_request() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    world.agent("echo bye > bye.txt");
    world.submit(issue).await;
    assert_eq!(world.work().await.code, Some(0));
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(
        world.file(&format!("codingworker/issue-{issue}"), "bye.txt").as_deref(),
        Some("bye\n")
    );
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_a_person_on_the_branch_are_never_overwritten() {
    let mut world = World::new().await;
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(0));
    let branch = format!("codingworker/issue-{issue}");
    world.forge.commit("owner/repo", &branch, "by-hand.txt");

    world.agent("echo bye > bye.txt");
    world.submit(issue).await;
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    assert_eq!(world.file(&branch, "by-hand.txt").as_deref(), Some("by hand\n"));
    assert_eq!(world.file(&branch, "bye.txt"), None);
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("did not make"), "{comment}");
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}
