//! The results of the repository's own checks decide what becomes of a change, and only what the
//! change broke counts.

use serde_json::Value;

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::{FILES, World, run_git};

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_up_call_fixes_a_failed_check() {
    let mut world = World::new().await;
    let script = "if grep -q 'FAILED broken is there' \"$1\"; then rm broken; \
                  elif test ! -e hello.txt; then echo hello > hello.txt; touch broken; fi";
    world.agent(script);
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    let body = pulls[0]["body"].as_str().unwrap();
    assert!(body.contains("1 of them to fix a failed check"), "{body}");
    assert_eq!(world.file(&format!("codingworker/issue-{issue}"), "broken"), None);
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_checks_keep_failing_is_retried_and_ends_as_a_draft() {
    let mut world = World::new().await;
    world.agent("echo x >> broken");
    let issue = world.task("Break it", "").await;
    for delivery in 1..=2 {
        let ran = world.work().await;
        assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
        assert!(world.pull_requests().await.is_empty(), "delivery {delivery}");
    }
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert_eq!(pulls.len(), 1);
    assert_eq!(pulls[0]["draft"], true);
    assert!(pulls[0]["body"].as_str().unwrap().contains("FAILED broken is there"), "{pulls:?}");
    assert!(!pulls[0]["body"].as_str().unwrap().contains("Closes"));
    let comment = world.status_comment(issue).await;
    assert!(
        comment.contains("could not be done") && comment.contains("All 3 attempts ended so."),
        "{comment}"
    );
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.queue.poke().await;
    assert_eq!(world.queue.counts().await, (0, 0, 1), "the message is in the dead-letter queue");
    world.leaves_in_dead_letters(1, "the task failed in all of its deliveries");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_already_failed_on_the_base_branch_are_told_and_do_not_block() {
    let world = World::without_repository().await;
    let toml = "[checks]\nlint = \"sh check.sh\"\ntest = \"true\"\n";
    let files = [FILES[1], (".codingworker.toml", toml), ("broken", "since long ago\n")];
    world.forge.repository("owner/repo", "main", &files);
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert_eq!(pulls[0]["draft"], false);
    assert!(
        pulls[0]["body"].as_str().unwrap().contains("failed before this change too"),
        "{pulls:?}"
    );
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pull_request_tells_that_a_check_could_not_be_run() {
    let world = World::without_repository().await;
    let toml = "[checks]\nbuild = \"\"\nformat = \"\"\nlint = \"no-such-linter --strict\"\n\
                setup = \"\"\ntest = \"sh check.sh\"\n";
    world.forge.repository("owner/repo", "main", &[FILES[1], (".codingworker.toml", toml)]);
    let issue = world.task("Add a greeting", "").await;
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
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_can_not_turn_the_checks_of_the_base_branch_off() {
    let mut world = World::new().await;
    world.agent("touch broken; printf '[checks]\\ntest = \"true\"\\n' > .codingworker.toml");
    let issue = world.task("Turn the checks off", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    assert!(world.pull_requests().await.is_empty());
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("`.codingworker.toml` is protected by the rule"), "{comment}");
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_file_that_can_not_be_read_is_reported_with_its_place() {
    let world = World::without_repository().await;
    world.forge.repository("owner/repo", "main", &[(".codingworker.toml", "[checks]\ntest = 7\n")]);
    let issue = world.task("Add a greeting", "").await;
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("line 2") && comment.contains("integer `7`"), "{comment}");
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_later_version_in_the_repository_file_does_not_end_the_task() {
    let world = World::without_repository().await;
    let toml = "[checks]\ntest = \"sh check.sh\"\nimage = \"rust:1\"\n[later]\nkey = 1\n";
    world.forge.repository("owner/repo", "main", &[FILES[1], (".codingworker.toml", toml)]);
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert_eq!(pulls[0]["draft"], false);
    let body = pulls[0]["body"].as_str().unwrap();
    assert!(body.contains("sh check.sh"), "{body}");
    for (line, key) in [(3, "`checks.image`"), (4, "`later`")] {
        let told = format!("line {line}: this version of CodingWorker does not know the key {key}");
        assert!(body.contains(&told), "{body}");
    }
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_a_build_is_kept_for_the_next_check_and_is_no_part_of_the_change() {
    let mut world = World::without_repository().await;
    let toml = "[checks]\nsetup = \"\"\nformat = \"\"\nlint = \"\"\n\
                build = \"mkdir -p target && echo built >> target/count\"\n\
                test = \"test $(wc -l < target/count) -ge 2\"\n";
    world.forge.repository(
        "owner/repo",
        "main",
        &[("README.md", "no .gitignore\n"), (".codingworker.toml", toml)],
    );
    world.agent(
        "mkdir -p target node_modules/x && touch target/by-agent node_modules/x/y && \
         echo hello > hello.txt",
    );
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let branch = format!("codingworker/issue-{issue}");
    let changed = run_git(&bare, &["diff", "--name-only", "main", &branch]);
    assert_eq!(changed, "hello.txt\n");
    let pulls = world.pull_requests().await;
    assert!(
        !pulls[0]["body"].as_str().unwrap().contains("failed before"),
        "each check began without what was built: {pulls:?}"
    );
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_is_not_asked_for_tests_of_a_change_that_does_not_build() {
    let mut world = World::without_repository().await;
    let toml = "[checks]\nsetup = \"\"\nformat = \"\"\nlint = \"\"\ntest = \"\"\n\
                build = \"test ! -e broken\"\n";
    world.forge.repository("owner/repo", "main", &[(".codingworker.toml", toml)]);
    let prompts = world.shared_dir().join("prompts");
    world.agent(&format!("cat \"$1\" >> {}; echo x >> broken", prompts.display()));
    let issue = world.task("Break it", "").await;
    assert_eq!(world.work().await.code, Some(RETRIED));
    let prompts = std::fs::read_to_string(prompts).unwrap();
    assert!(
        prompts.contains("Break it") && !prompts.contains("has just been implemented"),
        "{prompts}"
    );
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("test ! -e broken"), "{comment}");
    world.leaves_messages(1, "the task is to be repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_the_keys_that_it_does_not_know_in_the_repository_at_hand() {
    let world = World::new().await;
    let repository = world.shared_dir();
    for (text, is_good, expected) in [
        ("[checks]\ntset = \"make\"\n", true, "did you mean `checks.test`?"),
        ("[checks]\ntest = 7\n", false, "line 2"),
    ] {
        std::fs::write(repository.join(".codingworker.toml"), text).unwrap();
        let mut doctor = world.command(&["doctor", "--json"]);
        let ran = doctor.current_dir(&repository).output().await.unwrap();
        let findings: Vec<Value> = serde_json::from_slice(&ran.stdout).unwrap();
        let found = findings.iter().find(|finding| finding["what"] == "checks").unwrap();
        assert_eq!(found["good"], is_good, "{found}");
        assert!(found["detail"].as_str().unwrap().contains(expected), "{found}");
    }
}
