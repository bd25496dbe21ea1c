//! What the repository's own checks say decides what becomes of a change, and only what the change
//! broke counts.

use crate::world::{FILES, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_red_check_is_mended_at_the_second_try() {
    let mut world = World::new().await;
    let script = "if grep -q 'FAILED broken is there' \"$1\"; then rm broken; elif test ! -e hello.txt; then echo hello > hello.txt; touch broken; fi";
    world.agent(script);
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    let body = pulls[0]["body"].as_str().unwrap();
    assert!(body.contains("1 of them to fix a failed check"), "{body}");
    assert_eq!(world.file(&format!("codingworker/issue-{issue}"), "broken"), None);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_stay_red_are_retried_and_end_as_a_draft() {
    let mut world = World::new().await;
    world.agent("echo x >> broken");
    let issue = world.task("Break it", "").await;
    for delivery in 1..=2 {
        let ran = world.work().await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(world.pull_requests().await.is_empty(), "delivery {delivery}");
    }
    let ran = world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert_eq!(pulls.len(), 1);
    assert_eq!(pulls[0]["draft"], true);
    assert!(pulls[0]["body"].as_str().unwrap().contains("FAILED broken is there"), "{pulls:?}");
    assert!(!pulls[0]["body"].as_str().unwrap().contains("Closes"));
    let comments = world.comments(issue).await;
    assert_eq!(comments.len(), 1);
    assert!(
        comments[0].contains("could not be done") && comments[0].contains("What was tried"),
        "{comments:?}"
    );
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.queue.poke().await;
    assert_eq!(world.queue.counts().await, (0, 0, 1), "the message is in the dead-letter queue");
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_were_there_before_are_told_and_not_blamed() {
    let world = World::without_repository().await;
    let files: Vec<_> = FILES.iter().copied().chain([("broken", "since long ago\n")]).collect();
    world.forge.repository("owner/repo", "main", &files);
    world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert_eq!(pulls[0]["draft"], false);
    assert!(
        pulls[0]["body"].as_str().unwrap().contains("failed before this change too"),
        "{pulls:?}"
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_can_not_be_run_is_said() {
    let world = World::without_repository().await;
    let toml = "[checks]\nbuild = \"\"\nformat = \"\"\nlint = \"no-such-linter --strict\"\nsetup = \"\"\ntest = \"sh check.sh\"\n";
    world.forge.repository("owner/repo", "main", &[FILES[1], (".codingworker.toml", toml)]);
    world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert!(
        pulls[0]["body"]
            .as_str()
            .unwrap()
            .contains("could not be run: `no-such-linter` is missing"),
        "{pulls:?}"
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_are_those_of_the_base_whatever_the_agent_wrote() {
    let mut world = World::new().await;
    world.agent("touch broken; printf '[checks]\\ntest = \"true\"\\n' > .codingworker.toml");
    world.task("Turn the checks off", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(world.pull_requests().await.is_empty());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_file_that_can_not_be_read_is_reported_with_its_place() {
    let world = World::without_repository().await;
    world.forge.repository(
        "owner/repo",
        "main",
        &[(".codingworker.toml", "[checks]\ntset = \"make\"\n")],
    );
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(1));
    let comments = world.comments(issue).await;
    assert!(comments[0].contains("line 2") && comments[0].contains("tset"), "{comments:?}");
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_builds_leave_behind_is_no_part_of_the_change_and_is_there_for_the_next_check() {
    let mut world = World::without_repository().await;
    let toml = "[checks]\nsetup = \"\"\nformat = \"\"\nlint = \"\"\nbuild = \"mkdir -p target && echo built >> target/count\"\ntest = \"test $(wc -l < target/count) -ge 2\"\n";
    world.forge.repository(
        "owner/repo",
        "main",
        &[("README.md", "no .gitignore\n"), (".codingworker.toml", toml)],
    );
    world.agent("mkdir -p target node_modules/x && touch target/by-agent node_modules/x/y && echo hello > hello.txt");
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let changed = crate::world::run_git(
        &bare,
        &["diff", "--name-only", "main", &format!("codingworker/issue-{issue}")],
    );
    assert_eq!(changed, "hello.txt\n");
    let pulls = world.pull_requests().await;
    assert!(
        !pulls[0]["body"].as_str().unwrap().contains("failed before"),
        "each check began without what was built: {pulls:?}"
    );
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tests_are_asked_for_what_does_not_build() {
    let mut world = World::without_repository().await;
    let toml = "[checks]\nsetup = \"\"\nformat = \"\"\nlint = \"\"\ntest = \"\"\nbuild = \"test ! -e broken\"\n";
    world.forge.repository("owner/repo", "main", &[(".codingworker.toml", toml)]);
    let prompts = world.stage().join("prompts");
    world.agent(&format!("cat \"$1\" >> {}; echo x >> broken", prompts.display()));
    world.task("Break it", "").await;
    assert_eq!(world.work().await.code, Some(1));
    let prompts = std::fs::read_to_string(prompts).unwrap();
    assert!(
        prompts.contains("Break it") && !prompts.contains("has just been implemented"),
        "{prompts}"
    );
    world.finish();
}
