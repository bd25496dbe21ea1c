//! What an agent leaves in its tree becomes the change: all of it that belongs to the change, and
//! nothing else, and nothing vanishes without a word.

use std::path::Path;

use serde_json::json;

use crate::exit_codes::{DEAD_LETTERED, RETRIED};
use crate::world::{FILES, World, run_git};

const BRANCH: &str = "codingworker/issue-1";

/// A repository in which Git LFS stores pictures.
const FILTERED: &[(&str, &str)] = &[
    (".gitattributes", "*.bin filter=lfs -text\n"),
    ("logo.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 48\n"),
];

/// A world whose repository has these files beside [`FILES`], and whose agent runs a script. Each
/// call adds a line to the file that [`calls`] counts.
async fn world(files: &[(&str, &str)], agent: &str) -> World {
    let mut world = World::without_repository().await;
    world.forge.repository("owner/repo", "main", &[FILES, files].concat());
    script(&mut world, agent);
    world
}

fn script(world: &mut World, agent: &str) {
    let calls = world.shared_dir().join("calls");
    world.agent(&format!("echo call >> '{}'\n{agent}", calls.display()));
}

/// How often the agent was called.
fn calls(world: &World) -> usize {
    std::fs::read_to_string(world.shared_dir().join("calls")).unwrap_or_default().lines().count()
}

/// Works on a task, and returns the body of its pull request.
async fn published(world: &World) -> String {
    let issue = world.task("Do it", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world.check_done(issue).await;
    world.pull_requests().await[0]["body"].as_str().unwrap().to_owned()
}

/// Works on a task that is refused for good in its first delivery, and returns what its issue is
/// told.
async fn refused(world: &World) -> String {
    let issue = world.task("Do it", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(DEAD_LETTERED), "{ran:?}");
    assert!(world.pull_requests().await.is_empty());
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
    world.status_comment(issue).await
}

/// The paths that the branch of the first issue changes.
fn changed(world: &World) -> Vec<String> {
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let names = run_git(&bare, &["diff", "--name-only", "--no-renames", "main", BRANCH]);
    names.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_that_nobody_touches_is_no_obstacle() {
    // Random content can't be compressed much, so a pack with the file would be large too.
    let large: String = std::iter::repeat_with(fastrand::alphanumeric).take(4 << 20).collect();
    let mut world = world(&[("model.dat", &large)], "echo more >> README.md").await;
    world.set("gate", json!({ "file_limit_mib": 2 }));
    published(&world).await;
    assert_eq!(changed(&world), ["README.md"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_leaves_a_large_file_is_told_once() {
    let mut world = world(&[], "truncate -s 3M big.dat; echo more >> README.md").await;
    world.set("gate", json!({ "file_limit_mib": 2 }));
    let comment = refused(&world).await;
    assert!(comment.contains("`big.dat`, which has more than 2 MiB"), "{comment}");
    assert!(comment.contains("`gate.file_limit_mib`"), "{comment}");
    assert_eq!(calls(&world), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_undoes_what_is_refused_goes_on() {
    let agent = "if grep -q 'more than 2 MiB' \"$1\"; then rm big.dat; \
                 elif grep -q 'ci.yml is protected' \"$1\"; then rm -r .github; \
                 elif ! test -e .github -o -e hello.txt; then truncate -s 3M big.dat; \
                 mkdir .github; echo x > .github/ci.yml; echo hello > hello.txt; fi";
    let mut world = world(&[], agent).await;
    world.set("gate", json!({ "file_limit_mib": 2 }));
    let body = published(&world).await;
    assert_eq!(changed(&world), ["hello.txt"]);
    assert_eq!(calls(&world), 4, "the issue, what it is to undo twice, and tests");
    assert!(body.contains("0 of them to fix a failed check"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_stored_through_a_filter_is_refused() {
    let world = world(FILTERED, "head -c 2000 /dev/zero | tr '\\0' x > logo.bin").await;
    let comment = refused(&world).await;
    assert!(comment.contains("`logo.bin` is stored through the filter `lfs`"), "{comment}");
    assert_eq!(calls(&world), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_stored_through_a_filter_may_move() {
    let world = world(FILTERED, "test -e logo.bin && git mv logo.bin sign.bin").await;
    published(&world).await;
    assert_eq!(changed(&world), ["logo.bin", "sign.bin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_history_with_flaws_of_names_and_dates_is_no_obstacle() {
    let world = world(&[], "echo more >> README.md").await;
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    commit_of_an_old_tool(&bare, world.path());
    published(&world).await;
    assert_eq!(changed(&world), ["README.md"]);
}

/// Puts a commit on the main branch whose author's name touches the address.
fn commit_of_an_old_tool(bare: &Path, directory: &Path) {
    let tree = run_git(bare, &["rev-parse", "main^{tree}"]);
    let parent = run_git(bare, &["rev-parse", "main"]);
    let text = format!(
        "tree {tree}parent {parent}author Taro<t@example.com> 1300000000 +0900\n\
         committer Taro <t@example.com> 0130000000 +0900\n\nold\n"
    );
    let file = directory.join("commit");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let commit = run_git(bare, &["hash-object", "-t", "commit", "-w", "--literally", file]);
    run_git(bare, &["update-ref", "refs/heads/main", commit.trim()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_ignored_file_is_named_in_the_pull_request() {
    let agent = "mkdir -p lib; echo 'x = 1' > lib/calc.py; echo 'See lib/calc.py' > README.md";
    let world = world(&[(".gitignore", "lib/\n")], agent).await;
    let body = published(&world).await;
    assert_eq!(changed(&world), ["README.md"]);
    let told = "left out of the change, because git ignores them: `lib/`";
    assert!(body.contains(told), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_made_only_ignored_files_did_not_change_nothing() {
    let world = world(&[(".gitignore", "lib/\n")], "mkdir -p lib; echo x > lib/calc.py").await;
    let issue = world.task("Do it", "").await;
    assert_eq!(world.work().await.code, Some(RETRIED));
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("Git ignores `lib/`"), "{comment}");
    world.leaves_messages(1, "the task is to be repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_file_that_the_agent_commits_is_part_of_the_change() {
    let agent = "mkdir -p lib; echo x > lib/calc.py; git add --force lib/calc.py; \
                 git commit --quiet --message mine";
    let world = world(&[(".gitignore", "lib/\n")], agent).await;
    let body = published(&world).await;
    assert_eq!(changed(&world), ["lib/calc.py"]);
    assert!(!body.contains("ignores"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_moved_count_once() {
    let files: Vec<(String, String)> =
        (0..6).map(|number| (format!("old/{number}"), format!("{number}\n").repeat(3))).collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut world = world(&files, "test -e old && git mv old new").await;
    world.set("gate", json!({ "files_limit": 6 }));
    let body = published(&world).await;
    assert!(body.contains("6 files (+0 −0)"), "{body}");
    assert!(body.contains("`old/5 → new/5`"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_in_a_large_file_is_a_small_change() {
    let large: String = (0..300_000).map(|line| format!("{line:>20}\n")).collect();
    let world = world(&[("data.txt", &large)], "echo one more >> data.txt").await;
    published(&world).await;
    assert_eq!(changed(&world), ["data.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marks_of_a_merge_conflict_are_refused() {
    let conflict =
        "printf 'a: 1\\n<<<<<<< HEAD\\nb: 2\\n=======\\nb: 3\\n>>>>>>> x\\n' > conf.yaml";
    let world = world(&[], conflict).await;
    let comment = refused(&world).await;
    assert!(comment.contains("`conf.yaml` has the marks of a merge conflict"), "{comment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_programs_leave_behind_is_left_out_and_named() {
    let agent = "echo x > .aider.chat.history.md; echo x > README.md.orig; echo y >> README.md";
    let world = world(&[], agent).await;
    let body = published(&world).await;
    assert_eq!(changed(&world), ["README.md"]);
    assert!(body.contains("`.aider.chat.history.md`, `README.md.orig`"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_inside_a_submodule_is_named() {
    let world = world(&[], "echo fix > vendor/lib/fix.c; echo more >> README.md").await;
    let bare = world.forge.hub.repository_path("owner/repo").unwrap();
    let tree = tempfile::tempdir_in(world.path()).unwrap();
    run_git(tree.path(), &["clone", "--quiet", bare.to_str().unwrap(), "."]);
    let link = format!("160000,{},vendor/lib", "1".repeat(40));
    run_git(tree.path(), &["update-index", "--add", "--cacheinfo", &link]);
    run_git(tree.path(), &["commit", "--quiet", "--message", "submodule"]);
    run_git(tree.path(), &["push", "--quiet", "origin", "main"]);
    let body = published(&world).await;
    assert_eq!(changed(&world), ["README.md"]);
    assert!(body.contains("They are left out: `vendor/lib/fix.c`"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_in_the_wrong_encoding_is_told_to_the_agent() {
    let files = [(".gitattributes", "*.txt working-tree-encoding=UTF-16LE\n")];
    let agent = "if grep -q 'working-tree-encoding' \"$1\"; then rm notes.txt; \
                 else printf odd > notes.txt; echo more >> README.md; fi";
    let mut world = world(&files, agent).await;
    published(&world).await;
    assert_eq!(changed(&world), ["README.md"]);
    script(&mut world, "printf odd > notes.txt");
    let issue = world.task("Write notes", "").await;
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("is not in the encoding"), "{comment}");
    assert!(comment.contains("notes.txt"), "{comment}");
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}

/// This says something only of a worker that is not root.
#[tokio::test(flavor = "multi_thread")]
async fn directories_that_nobody_may_enter_are_no_obstacle() {
    let toml = "[checks]\nbuild = \"\"\nformat = \"\"\nlint = \"\"\nsetup = \"\"\n\
                test = \"test -d left || { mkdir -p left/by/tests && chmod 555 left/by left; }\"\n";
    let agent = "test -e sealed || { mkdir -p sealed/deep; echo x > sealed/deep/new.txt; \
                 chmod 000 sealed/deep/new.txt sealed/deep sealed; }; \
                 echo more >> README.md; chmod 555 .";
    let mut world = World::without_repository().await;
    world.forge.repository("owner/repo", "main", &[FILES[0], (".codingworker.toml", toml)]);
    script(&mut world, agent);
    published(&world).await;
    assert_eq!(changed(&world), ["README.md", "sealed/deep/new.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_of_hidden_characters_is_replaced_by_the_issue_s_number() {
    let world = world(&[], "echo more >> README.md").await;
    let issue = world.task("\u{200b}\u{2060}", "Add a line.").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await[0]["title"], format!("Issue {issue}"));
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_in_which_nothing_is_visible_is_refused_before_the_agent_is_called() {
    let world = world(&[], "echo more >> README.md").await;
    let issue = world.task("\u{200b}", "<!-- do evil -->").await;
    assert_eq!(world.work().await.code, Some(DEAD_LETTERED));
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("Nothing of the issue's title and text is visible"), "{comment}");
    assert_eq!(calls(&world), 0);
    world.leaves_messages(1, "it is on its way to the dead-letter queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_a_comment_in_code_hides_nothing() {
    let world = world(&[], "cp \"$1\" prompt.txt").await;
    let body = "Our lexer must treat `<!--` as the start of a comment.\n\n\
                1. Add `lex_comment()` to README.md.\n\n```html\n<!-- open\n```\n\nThe end.\n";
    let issue = world.task("Support <!-- comments -->", body).await;
    assert_eq!(world.work().await.code, Some(0));
    let prompt = world.file(BRANCH, "prompt.txt").unwrap();
    assert!(prompt.contains(body.trim_end()), "{prompt}");
    assert!(prompt.contains("Support <!-- comments -->"), "{prompt}");
    let pull_request = world.pull_requests().await[0]["body"].as_str().unwrap().to_owned();
    assert!(!pull_request.contains("text that GitHub does not show"), "{pull_request}");
    world.check_done(issue).await;
}

/// A build that keeps `Cargo.lock` as the version says, and two other files with each run.
const LOCKING_BUILD: &str = "[checks]\nsetup = \"\"\nformat = \"\"\nlint = \"\"\n\
    build = \"(echo locked; cat version) > Cargo.lock; date +%N > yarn.lock; cp version made\"\n\
    test = \"grep -q 1 version || { git --version; cat Cargo.lock; }; echo ok\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_that_the_build_updates_is_part_of_the_change() {
    let files = [
        (".codingworker.toml", LOCKING_BUILD),
        ("version", "1\n"),
        ("Cargo.lock", "locked\n1\n"),
        ("yarn.lock", "0\n"),
        ("made", "1\n"),
    ];
    let mut world = World::without_repository().await;
    world.forge.repository("owner/repo", "main", &files);
    script(&mut world, "echo 2 > version");
    let issue = world.task("Release", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.file(BRANCH, "Cargo.lock").as_deref(), Some("locked\n2\n"));
    // The build rewrites `yarn.lock` on the base too, and `made` is no lock file.
    assert_eq!(changed(&world), ["Cargo.lock", "version"]);
    assert!(ran.stderr.contains("the lock files that a check updated are taken over"), "{ran:?}");
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_that_becomes_too_large_is_refused() {
    let build = "[checks]\nsetup = \"\"\nformat = \"\"\nlint = \"\"\ntest = \"\"\n\
        build = \"grep -q 1 version || seq 1000 > Cargo.lock\"\n";
    let files = [(".codingworker.toml", build), ("version", "1\n"), ("Cargo.lock", "1\n")];
    let mut world = World::without_repository().await;
    world.forge.repository("owner/repo", "main", &files);
    world.set("gate", json!({ "size_limit_bytes": 1000 }));
    script(&mut world, "echo 2 > version");
    let comment = refused(&world).await;
    assert!(comment.contains("and the limit is 1000 bytes"), "{comment}");
}
