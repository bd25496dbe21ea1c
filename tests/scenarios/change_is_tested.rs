//! A ready pull request means that a test ran. Whatever else a repository has, a change that no
//! test was run on is a draft that says so, and a change that breaks a test is never ready.

use serde_json::{Value, json};

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::{FILES, World, run_git, tools};

const GREETING: &str = "echo hello > hello.txt";
const BREAK: &str = "echo x >> broken";

/// A world whose repository has these files.
async fn world_with(files: &[(&str, &str)], agent: &str) -> World {
    let mut world = World::without_repository().await;
    world.forge.repository("owner/repo", "main", files);
    world.agent(agent);
    world.set("checks", json!({ "fix_ups": 0 }));
    world
}

/// The one pull request, which is a draft, and whose task is done all the same.
async fn untested_draft(world: &World) -> Value {
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut pulls = world.pull_requests().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    assert_eq!(pulls[0]["draft"], true, "{pulls:?}");
    let body = pulls[0]["body"].as_str().unwrap();
    let first = body.lines().next().unwrap();
    assert!(first.contains("Not tested.") && first.contains(".codingworker.toml"), "{body}");
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("Done without a test: #"), "{comment}");
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    assert_eq!(world.queue.counts().await, (0, 0, 0), "the message is deleted");
    pulls.remove(0)
}

fn body(pull: &Value) -> &str {
    pull["body"].as_str().unwrap()
}

fn first_line(pull: &Value) -> &str {
    body(pull).lines().next().unwrap()
}

/// The agent's change leaves a pull request that is ready.
async fn ready(world: &World) -> Value {
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut pulls = world.pull_requests().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    assert_eq!(pulls[0]["draft"], false, "{pulls:?}");
    world.check_done(issue).await;
    pulls.remove(0)
}

/// The agent's change is red, so that the task is tried again. Returns what the issue is told.
async fn red(world: &World) -> String {
    let issue = world.task("Break it", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert!(world.pull_requests().await.is_empty());
    world.leaves_messages(1, "the task is to be repeated");
    world.status_comment(issue).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_checks_gets_a_draft_that_is_done() {
    let world = world_with(&[("README.md", "prose\n")], GREETING).await;
    let pull = untested_draft(&world).await;
    assert!(first_line(&pull).contains("found no checks"), "{pull}");
    assert!(first_line(&pull).contains("`test = \"COMMAND\"`"), "{pull}");
    assert!(body(&pull).contains("Closes #1"), "{pull}");
    assert_eq!(body(&pull).matches("No test was run").count(), 1, "{pull}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untested_draft_is_found_again_as_done() {
    let mut world = world_with(&[("README.md", "prose\n")], GREETING).await;
    let issue = world.issue("Add a greeting", "").await;
    let message = world.path().join("message.json");
    let task = json!({
        "issue_number": issue, "repository": "owner/repo", "title": "Add a greeting", "body": "",
        "labels": ["ai-task"], "created_at": "2026-01-02T03:04:05Z",
    });
    std::fs::write(&message, task.to_string()).unwrap();
    for _ in 0..2 {
        let sent = world.run(&["submit", message.to_str().unwrap()]).await;
        assert_eq!(sent.code, Some(0), "{sent:?}");
    }
    assert_eq!(world.work().await.code, Some(0));
    // A worker that knows nothing of the first one's runs.
    world.set("data_dir", json!(world.path().join("other")));
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let pulls = world.pull_requests().await;
    assert_eq!((pulls.len(), &pulls[0]["draft"]), (1, &json!(true)));
    let comment = world.status_comment(1).await;
    assert!(comment.contains("Done without a test: #2 is a draft, and says why"), "{comment}");
    assert_eq!(world.labels(1).await, ["ai-task-done", "keep me"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_may_have_untested_changes_ready() {
    let files =
        [("README.md", "prose\n"), (".codingworker.toml", "[checks]\nuntested = \"ready\"\n")];
    let world = world_with(&files, GREETING).await;
    let pull = ready(&world).await;
    assert!(first_line(&pull).contains("No test was run"), "{pull}");
    assert!(!body(&pull).contains("why it is a draft"), "{pull}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_passes_is_no_test() {
    let toml = "[checks]\nbuild = \"test -e README.md\"\nlint = \"true\"\n";
    let files = [("README.md", "prose\n"), (".codingworker.toml", toml)];
    let pull = untested_draft(&world_with(&files, BREAK).await).await;
    assert!(first_line(&pull).contains("found no test command"), "{pull}");
    let off = format!("{toml}test = \"\"\n");
    let files = [("README.md", "prose\n"), (".codingworker.toml", off.as_str())];
    let pull = untested_draft(&world_with(&files, BREAK).await).await;
    assert!(first_line(&pull).contains("turns the test check off"), "{pull}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_makefile_that_builds_the_tests_and_runs_none_tests_nothing() {
    let files = [("Makefile", "test:\n\t@echo cc -o shop_test shop_test.c\n")];
    let pull = untested_draft(&world_with(&files, BREAK).await).await;
    assert!(
        first_line(&pull).contains("`make test` passed, and its output shows no test"),
        "{pull}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_shows_how_many_ran_makes_a_change_ready() {
    let files = [("Makefile", "test:\n\t@test ! -e broken && echo 'ok 1 - it is whole'\n")];
    ready(&world_with(&files, GREETING).await).await;
    red(&world_with(&files, BREAK).await).await;
}

/// One test is red on the base. It hides no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_red_test_of_the_base_hides_no_other_one() {
    let makefile = "test:\n\t@echo 'not ok 1 - old'; test ! -e broken && echo 'ok 2 - new' || \
                    echo 'not ok 2 - new'; false\n";
    let files = [("Makefile", makefile)];
    let pull = ready(&world_with(&files, GREETING).await).await;
    assert!(body(&pull).contains("failed before this change too"), "{pull}");
    assert!(body(&pull).contains("not ok 1 - old"), "the end of its output: {pull}");
    let comment = red(&world_with(&files, BREAK).await).await;
    assert!(comment.contains("did not fail so before it"), "{comment}");
    assert!(comment.contains("What fails anew: `new`."), "{comment}");
    assert!(!comment.contains("passed before"), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_command_that_only_fails_says_nothing() {
    let files = [FILES[0], FILES[1], FILES[2], ("broken", "since long ago\n")];
    let pull = untested_draft(&world_with(&files, GREETING).await).await;
    assert!(first_line(&pull).contains("`sh check.sh` failed before it too"), "{pull}");
    assert!(body(&pull).contains("FAILED broken is there"), "{pull}");
}

/// What hides behind `&&` after a test about colors is seen, since nothing speaks of colors.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_has_the_environment_that_ci_gives_it() {
    let makefile = "test:\n\t@test -z \"$$NO_COLOR$$FORCE_COLOR\" && echo 'ok 1 - colors' && \
                    test \"$$CI\" = true && test \"$$TERM\" = dumb && test ! -e broken && \
                    echo 'ok 2 - types'\n";
    let files = [("Makefile", makefile)];
    ready(&world_with(&files, GREETING).await).await;
    red(&world_with(&files, BREAK).await).await;
}

/// The script is as pnpm is: it ends with 1 where the shell ended with 127.
#[tokio::test(flavor = "multi_thread")]
async fn a_package_manager_that_hides_a_missing_tool_is_seen_through() {
    let pnpm = "echo '> vitest run'; echo; sh -c 'no-such-vitest run'; \
                echo ' ELIFECYCLE  Test failed. See above for more details.'; exit 1\n";
    let toml = "[checks]\ntest = \"sh pnpm test\"\n";
    let files = [("pnpm", pnpm), (".codingworker.toml", toml)];
    let pull = untested_draft(&world_with(&files, BREAK).await).await;
    assert!(first_line(&pull).contains("`no-such-vitest` is missing"), "{pull}");
    assert!(body(&pull).contains("none of the checks below could be run"), "{pull}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_may_not_be_executed_was_not_run() {
    let files = [("run.sh", "exit 0\n"), (".codingworker.toml", "[checks]\ntest = \"./run.sh\"\n")];
    let pull = untested_draft(&world_with(&files, BREAK).await).await;
    assert!(first_line(&pull).contains("`./run.sh` may not be executed"), "{pull}");
}

/// As it is committed on Windows.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrapper_that_may_not_be_executed_is_run_by_its_shell() {
    let gradlew =
        "#!/bin/sh\ncase \"$*\" in *test*) echo '> Task :test';; esac\ntest ! -e broken\n";
    let files = [("build.gradle", "plugins { id 'java' }\n"), ("gradlew", gradlew)];
    ready(&world_with(&files, GREETING).await).await;
    red(&world_with(&files, BREAK).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_at_a_private_address_is_told() {
    if tools::on_the_path("npm").is_none() || tools::on_the_path("bwrap").is_none() {
        return;
    }
    let manifest = r#"{"name": "shop", "version": "1.0.0", "scripts": {"test": "no-such-jest"},
        "dependencies": {"left-pad": "1.0.0"}}"#;
    let files = [
        ("package.json", manifest),
        (".npmrc", "registry=http://10.0.0.1/\n"),
        (".codingworker.toml", "[checks]\nsetup_network = true\n"),
    ];
    let pull = untested_draft(&world_with(&files, BREAK).await).await;
    assert!(first_line(&pull).contains("a host was refused or could not be reached"), "{pull}");
    assert!(first_line(&pull).contains("`no-such-jest` is missing"), "{pull}");
    assert!(!body(&pull).contains("setup_network"), "it is set: {pull}");
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_without_a_network_gives_up_at_once() {
    if tools::on_the_path("npm").is_none() || tools::on_the_path("bwrap").is_none() {
        return;
    }
    let manifest = r#"{"name": "shop", "version": "1.0.0", "scripts": {"test": "no-such-jest"},
        "dependencies": {"left-pad": "1.0.0"}}"#;
    let world = world_with(&[("package.json", manifest)], BREAK).await;
    let pull = untested_draft(&world).await;
    assert!(first_line(&pull).contains("`setup_network = true`"), "{pull}");
    let setups = body(&pull).lines().find(|line| line.starts_with("| setup |")).unwrap();
    assert!(!setups.contains(" min "), "{setups}");
}

/// Java is there or not, and so is Maven: without a network nothing of it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_pom_whose_plugins_are_not_there_is_not_red_but_untested() {
    if tools::on_the_path("bwrap").is_none() {
        return;
    }
    let pom = "<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId>\
               <artifactId>shop</artifactId><version>1</version></project>\n";
    let files = [("pom.xml", pom), ("src/main/java/Shop.java", "class Shop { int x = \"no\"; }\n")];
    let pull = untested_draft(&world_with(&files, BREAK).await).await;
    assert!(first_line(&pull).contains("could not be run, since"), "{pull}");
    assert!(body(&pull).contains("none of the checks below could be run"), "{pull}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_toolchain_that_is_missing_is_told() {
    if tools::on_the_path("rustup").is_none() || tools::on_the_path("bwrap").is_none() {
        return;
    }
    let toolchain = "[toolchain]\nchannel = \"1.41.0\"\ncomponents = [\"rust-src\"]\n";
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2018\"\n";
    let files = [
        ("Cargo.toml", manifest),
        ("Cargo.lock", "version = 3\n\n[[package]]\nname = \"shop\"\nversion = \"0.1.0\"\n"),
        ("rust-toolchain.toml", toolchain),
        ("src/lib.rs", "pub fn shop() {}\n"),
    ];
    let pull = untested_draft(&world_with(&files, BREAK).await).await;
    assert!(first_line(&pull).contains("could not be run, since"), "{pull}");
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_failures_are_counted_and_the_same_end_is_told_once() {
    let makefile = "test:\n\t@test ! -e broken && echo 'ok 1 - all' || { for n in $$(seq 30); do \
                    echo \"not ok $$n - t$$n\"; done; false; }\n";
    let world = world_with(&[("Makefile", makefile)], BREAK).await;
    let issue = world.task("Break it", "").await;
    for expected in [RETRIED, RETRIED, DEAD_LETTERED] {
        assert_eq!(world.work().await.code, Some(expected));
    }
    let pulls = world.pull_requests().await;
    assert_eq!(pulls[0]["draft"], true);
    assert!(body(&pulls[0]).contains(" and 10 more"), "{pulls:?}");
    assert!(body(&pulls[0]).contains("This is what a coding agent made of"), "{pulls:?}");
    let comment = world.status_comment(issue).await;
    assert_eq!(comment.matches("did not fail so before it").count(), 1, "{comment}");
    assert!(comment.contains("`t1`") && comment.contains(" and 20 more."), "{comment}");
    assert!(comment.contains("All 3 attempts ended so."), "{comment}");
    world.queue.poke().await;
    world.leaves_in_dead_letters(1, "the task failed in all of its deliveries");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_run_once_on_a_base_and_not_for_each_attempt() {
    let mut world = World::without_repository().await;
    let count = world.shared_dir().join("count");
    let toml =
        format!("[checks]\ntest = \"echo run >> {} && test ! -e broken\"\n", count.display());
    world.forge.repository("owner/repo", "main", &[(".codingworker.toml", &toml)]);
    world.agent(BREAK);
    world.set("checks", json!({ "fix_ups": 0 }));
    let issue = world.task("Break it", "").await;
    for _ in 0..2 {
        assert_eq!(world.work().await.code, Some(RETRIED));
    }
    let runs = std::fs::read_to_string(&count).unwrap().lines().count();
    assert_eq!(runs, 3, "once on the base, and once on the change of each attempt");
    assert!(world.status_comment(issue).await.contains("did not fail so before it"));
    world.leaves_messages(1, "the task is to be repeated");
}

/// The formatter rewrites a tracked file and an ignored one. The linter looks at the ignored one.
#[tokio::test(flavor = "multi_thread")]
async fn a_formatter_that_touches_ignored_files_does_not_change_what_a_linter_sees() {
    let toml = "[checks]\nsetup = \"echo plain > made.txt\"\n\
                format = \"echo formatted > made.txt; echo more >> README.md\"\n\
                lint = \"grep -q formatted made.txt\"\ntest = \"test ! -e broken\"\n";
    let files = [("README.md", "x\n"), (".gitignore", "made.txt\n"), (".codingworker.toml", toml)];
    let pull = ready(&world_with(&files, GREETING).await).await;
    assert!(body(&pull).contains("would rewrite files that this change does not touch"), "{pull}");
    assert!(body(&pull).contains("failed before this change too"), "{pull}");
    red(&world_with(&files, BREAK).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formatter_is_not_blamed_for_what_the_setup_rewrote() {
    let toml = "[checks]\nsetup = \"echo at setup > generated.txt\"\n\
                format = \"test ! -e ugly || echo pretty > ugly\"\nbuild = \"\"\nlint = \"\"\n\
                test = \"test ! -e broken\"\n";
    let files = [("generated.txt", "v1\n"), (".codingworker.toml", toml)];
    let world = world_with(&files, "echo ugly > ugly").await;
    let pull = ready(&world).await;
    assert!(!body(&pull).contains("formatter was not run"), "{pull}");
    let branch = pull["head"]["ref"].as_str().unwrap();
    assert_eq!(world.file(branch, "generated.txt").as_deref(), Some("v1\n"));
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    assert_eq!(run_git(&bare, &["diff", "--name-only", "main", branch]), "ugly\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_may_call_git() {
    let test = "V=$(git describe --always) && test -z \\\"$(git status --porcelain)\\\" && \
                git diff --exit-code && git grep -q prose && test ! -e broken";
    let toml = format!("[checks]\ntest = \"{test}\"\n");
    let files = [("README.md", "prose\n"), (".codingworker.toml", toml.as_str())];
    let pull = ready(&world_with(&files, GREETING).await).await;
    assert!(!body(&pull).contains("failed before"), "{pull}");
    red(&world_with(&files, BREAK).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_the_nearest_tag() {
    let test = "test $(git describe --tags --abbrev=0) = v1.2.3";
    let toml = format!("[checks]\ntest = \"{test}\"\n");
    let world = world_with(&[(".codingworker.toml", &toml)], GREETING).await;
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    run_git(&bare, &["tag", "v0.9"]);
    world.forge.commit("owner/repo", "main", "one.txt");
    run_git(&bare, &["tag", "--annotate", "--message=x", "v1.2.3", "main"]);
    world.forge.commit("owner/repo", "main", "two.txt");
    let pull = ready(&world).await;
    assert!(!body(&pull).contains("failed before"), "{pull}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_check_writes_into_its_repository_is_never_run_by_the_worker() {
    let mut world = World::without_repository().await;
    let proof = world.shared_dir().join("proof");
    let test = format!(
        "git config core.fsmonitor 'touch {proof}'; git config core.sshCommand 'touch {proof}'; \
         mkdir -p .git/hooks; printf 'touch {proof}' > .git/hooks/post-index-change; \
         chmod +x .git/hooks/post-index-change",
        proof = proof.display()
    );
    let toml = format!("[checks]\nformat = \"true\"\ntest = \"{test}\"\n");
    world.forge.repository("owner/repo", "main", &[(".codingworker.toml", &toml)]);
    world.agent(GREETING);
    ready(&world).await;
    assert!(!proof.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_told_once_what_this_machine_lacks() {
    let toml = "[checks]\nlint = \"no-such-linter\"\ntest = \"true\"\n";
    let world = world_with(&[(".codingworker.toml", toml)], GREETING).await;
    let issues = [world.task("Add a greeting", "").await, world.task("Add another", "").await];
    let mut worker = world.start(&["worker"]);
    for issue in issues {
        world.wait_until_done(issue).await;
        world.check_done(issue).await;
    }
    worker.signal(rustix::process::Signal::TERM);
    worker.ended().await;
    let printed = worker.printed();
    assert_eq!(printed.matches("can't be run on this machine").count(), 1, "{printed}");
    assert!(printed.contains("no-such-linter is missing: install it"), "{printed}");
    let doctor = world.run(&["doctor"]).await;
    let told = "owner/repo: `no-such-linter` could not be run: no-such-linter is missing";
    assert_eq!(doctor.stdout.matches(told).count(), 1, "{doctor:?}");
}
