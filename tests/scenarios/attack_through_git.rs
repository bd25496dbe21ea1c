//! The agent leaves traps in its tree for the git that looks at it afterwards. Each is shown to
//! work on a git that trusts the tree: the agent springs it itself. None goes off when the worker
//! takes the tree in.

use serde_json::json;

use crate::exit_codes::{DEAD_LETTERED, OK, RETRIED};
use crate::world::{TOKEN, World};

/// A program that tells that it was run.
const TRAP: &str = "#!/bin/sh\necho sprung >> \"$(dirname \"$0\")/sprung\"\n";

const COVER: &str = "test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt";

/// A world whose agent sets a trap (`$TRAP`), springs it, and does its task.
struct Trapped {
    world: World,
    issue: u64,
}

impl Trapped {
    async fn new(set: &str, spring: &str) -> Self {
        let mut world = World::new().await;
        let (trap, stage) = (world.stage().join("trap"), world.stage());
        std::fs::write(&trap, TRAP).unwrap();
        std::fs::set_permissions(&trap, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        // What springs it is the control, and put aside; both may be tried in each call.
        world.agent(&format!(
            "export TRAP='{}' STAGE='{}' HOME=/tmp\n({set}\n{spring}\n) </dev/null >> \"$STAGE/said\" 2>&1\n\
             test -e \"$STAGE/sprung\" && mv \"$STAGE/sprung\" \"$STAGE/control\"\n{COVER}",
            trap.display(),
            stage.display()
        ));
        let issue = world.task("Add a greeting", "").await;
        Self { world, issue }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.world.stage().join("said")).unwrap_or_default()
    }

    fn check_only_the_control_was_sprung(&self) {
        assert!(
            self.world.stage().join("control").exists(),
            "the trap does not work at all: {}",
            self.said()
        );
        assert!(!self.world.stage().join("sprung").exists(), "the worker sprang the trap");
    }

    /// The pull request is made, and holds what the agent's task was.
    async fn check_published(&self) {
        let ran = self.world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}; {}", self.said());
        assert_eq!(self.world.pull_requests().await.len(), 1);
        assert_eq!(
            self.world.file("codingworker/issue-1", "hello.txt").as_deref(),
            Some("hello\n")
        );
        assert_eq!(self.world.branches(), ["codingworker/issue-1", "main"]);
        assert!(!ran.stderr.contains(TOKEN));
    }

    /// The run is refused with a word that a person understands.
    async fn check_refused(&self, word: &str, code: i32) {
        let ran = self.world.work().await;
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let comments = self.world.comments(self.issue).await.concat();
        assert!(comments.contains(word), "{word:?} is not in {comments}");
        assert!(self.world.pull_requests().await.is_empty());
        assert_eq!(self.world.branches(), ["main"]);
    }
}

async fn check_trap(set: &str, spring: &str) {
    let trapped = Trapped::new(set, spring).await;
    trapped.check_published().await;
    trapped.check_only_the_control_was_sprung();
    trapped.world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_monitor() {
    check_trap("git config core.fsmonitor \"$TRAP\"", "git status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks() {
    let hooks = "pre-commit post-commit post-checkout post-index-change reference-transaction pre-push post-merge";
    let set = format!(
        "mkdir -p .git/hooks; for hook in {hooks}; do printf '#!/bin/sh\\necho sprung >> %s/sprung\\n' \"$STAGE\" > .git/hooks/$hook; \
         chmod +x .git/hooks/$hook; done"
    );
    check_trap(
        &set,
        "git -c user.name=a -c user.email=a@b commit --allow-empty -m x; git reset --soft HEAD~1",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_filter() {
    let set = "git config filter.x.clean \"$TRAP\"; git config filter.x.smudge \"$TRAP\"; mkdir -p .git/info; echo '* filter=x' > .git/info/attributes";
    check_trap(
        set,
        "echo x > filtered; git add filtered; git rm -q --cached -f filtered; rm filtered",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_directory_that_is_a_file() {
    let set = "mv .git /tmp/elsewhere; echo 'gitdir: /tmp/elsewhere' > .git; git config core.fsmonitor \"$TRAP\"";
    check_trap(set, "git status; rm .git; mv /tmp/elsewhere .git").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_program() {
    let set = "git config gpg.program \"$TRAP\"; git config commit.gpgSign true; git config gpg.format openpgp";
    check_trap(set, "git -c user.name=a -c user.email=a@b commit --allow-empty -m x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper() {
    check_trap(
        "git config credential.helper \"$TRAP\"",
        "echo url=https://example.com | GIT_TERMINAL_PROMPT=0 git credential fill",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_becomes_a_program() {
    let set =
        "git config protocol.ext.allow always; git config url.\"ext::$TRAP \".insteadOf http://";
    check_trap(set, "git ls-remote http://example.com/x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_and_an_ssh_program() {
    let set = "git config core.sshCommand \"$TRAP\"; git config http.proxy http://127.0.0.1:1; git config core.gitProxy \"$TRAP\"";
    let trapped =
        Trapped::new(set, "git ls-remote ssh://example.com/x; git ls-remote http://example.com/x")
            .await;
    trapped.check_published().await;
    assert!(
        trapped.said().contains("127.0.0.1 port 1"),
        "the proxy is not used by a git that trusts the tree: {}",
        trapped.said()
    );
    trapped.check_only_the_control_was_sprung();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_on_the_search_path_in_the_repository() {
    let set = "printf '#!/bin/sh\\necho sprung >> %s/sprung\\n' \"$STAGE\" > git; chmod +x git";
    check_trap(set, "PATH=\".:$PATH\" git status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_bare_repository() {
    let set = "git init -q --bare sub; git --git-dir=sub config core.fsmonitor \"$TRAP\"; git --git-dir=sub config core.bare false; git --git-dir=sub config core.worktree .; rm -r sub/hooks; touch sub/refs/keep sub/objects/keep";
    check_trap(set, "(cd sub && git -c safe.bareRepository=all status)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history() {
    let set = "test -e \"$STAGE/once\" && exit; touch \"$STAGE/once\"; echo evil > evil.txt; git add evil.txt; git -c user.name=a -c user.email=a@b commit -qm evil; evil=$(git rev-parse HEAD)\n\
               git reset -q --hard HEAD~1; git replace -f HEAD $evil; mkdir -p .git/objects/info; echo /tmp/nowhere > .git/objects/info/alternates";
    let trapped = Trapped::new(set, "git ls-tree --name-only HEAD").await;
    trapped.check_published().await;
    assert!(
        trapped.said().contains("evil.txt"),
        "the replacement has no effect at all: {}",
        trapped.said()
    );
    assert_eq!(trapped.world.file("codingworker/issue-1", "evil.txt"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nested_repository_with_a_filter() {
    let set = "git init -q sub; (cd sub; git config filter.x.clean \"$TRAP\"; echo '* filter=x' > .git/info/attributes; echo 1 > f; git -c user.name=a -c user.email=a@b -c filter.x.clean=cat add f; git -c user.name=a -c user.email=a@b commit -qm x)";
    let spring = "cp -r . /tmp/copy; cd /tmp/copy; git add sub; echo 22 > sub/f; git add sub; git status; rm -rf /tmp/copy";
    let trapped = Trapped::new(set, spring).await;
    trapped.check_refused("git repository inside", RETRIED).await;
    trapped.check_only_the_control_was_sprung();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_spellings_of_a_git_directory() {
    for spelling in [".GIT", "git~1", ".g\u{200c}it"] {
        let set = format!("mkdir -p sub/'{spelling}'; echo x > sub/'{spelling}'/config");
        // A git without this protection takes them; `.GIT` is refused by every git, and other file
        // systems take it for `.git`.
        let trusting = "git -c core.protectHFS=false -c core.protectNTFS=false";
        let spring = format!(
            "{trusting} add -f sub; {trusting} -c core.quotePath=false ls-files; {trusting} rm -rq --cached sub"
        );
        let trapped = Trapped::new(&set, &spring).await;
        trapped.check_refused("git repository inside", RETRIED).await;
        let taken = trapped.said().contains(&format!("sub/{spelling}/config\n"));
        assert_eq!(taken, spelling != ".GIT", "{}", trapped.said());
    }
    Trapped::new("mkdir -p sub/.gitx; echo x > sub/.gitx/config", "true")
        .await
        .check_published()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submodule_that_is_a_program() {
    let set =
        "printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = ext::%s\\n' \"$TRAP\" > .gitmodules";
    let spring = "git -c protocol.ext.allow=always clone -q \"$(git config -f .gitmodules submodule.x.url)\" /tmp/x";
    let trapped = Trapped::new(set, spring).await;
    trapped.check_refused(".gitmodules", DEAD_LETTERED).await;
    trapped.check_only_the_control_was_sprung();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_became_a_link_out_of_the_tree() {
    let set = "rm -rf README.md; mkdir -p \"$STAGE/outside\"; ln -s \"$STAGE/outside\" README.md";
    // Whoever writes to the tree by its names writes outside.
    let trapped = Trapped::new(
        set,
        "echo x > README.md/through; mv \"$STAGE/outside/through\" \"$STAGE/sprung\"",
    )
    .await;
    trapped.check_refused("symbolic link out of the repository", DEAD_LETTERED).await;
    trapped.check_only_the_control_was_sprung();
    let outside = trapped.world.stage().join("outside");
    assert_eq!(
        std::fs::read_dir(outside).unwrap().count(),
        0,
        "something was written through the link"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file() {
    for (set, word) in [
        ("mkfifo pipe", "a named pipe"),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'", "a socket"),
        ("ln README.md second", "a hard link"),
        ("truncate -s 1G large", "more than 64 MiB"),
    ] {
        Trapped::new(set, "true").await.check_refused(word, RETRIED).await;
    }
    let plain = "echo x > pipe; cp README.md second; truncate -s 1M large";
    Trapped::new(plain, "true").await.check_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_too_large() {
    let set = "for i in 1 2 3; do head -c 40000000 /dev/urandom > large$i; done";
    Trapped::new(set, "true").await.check_refused("more than 64 MiB", RETRIED).await;
    let less = "for i in 1 2 3; do head -c 900000 /dev/urandom | base64 > large$i; done";
    Trapped::new(less, "true").await.check_published().await;
}

/// What keeps changing the tree is dead before git looks at it. A git that looks while it lives
/// sees another tree each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_changes_while_it_is_taken_in() {
    let set = "(setsid sh -c 'while :; do rm -rf flip; mkdir -p flip/.git; rm -rf flip; ln -s /etc flip; rm -f flip; echo x >> flip; done' \"$STAGE/flipper\" &)";
    let spring = "seen() { { git -C \"$PWD\" add -A -n; ls -ld flip; } 2>&1 | cksum; }; first=$(seen); until [ \"$(seen)\" != \"$first\" ]; do :; done; touch \"$STAGE/sprung\"";
    let mut trapped = Trapped::new(set, spring).await;
    trapped.world.set("queue", json!({ "retry_delays_seconds": [0] }));
    let ran = trapped.world.work().await;
    // It was stopped at one of its states; whichever it was, the run says so or has it, and nothing
    // runs on.
    assert!(matches!(ran.code, Some(OK | RETRIED)), "{ran:?}");
    trapped.check_only_the_control_was_sprung();
    let stage = trapped.world.stage().to_string_lossy().into_owned();
    assert_eq!(crate::world::program::commands_with(&stage), Vec::<String>::new());
    assert!(
        trapped
            .world
            .branches()
            .iter()
            .all(|branch| branch == "main" || branch == "codingworker/issue-1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_that_is_an_option_or_a_command() {
    let mut world = World::new().await;
    let sprung = world.stage().join("sprung");
    world.agent(COVER);
    let touch = format!("touch {}", sprung.display());
    for title in [
        format!("--upload-pack={touch}"),
        format!("$({touch})"),
        format!("`{touch}`; {touch} #"),
        "-".to_owned(),
    ] {
        let issue = world.task(&title, &format!("$({touch})")).await;
        assert_eq!(world.work().await.code, Some(0), "{title}");
        assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    }
    assert!(!sprung.exists());
    world.finish();
}

/// A check is judged by how it ends, whatever it prints.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_lies() {
    let mut world = World::new().await;
    world.agent("printf 'echo test result: ok. 5 passed; 0 failed; exit 1\\n' > check.sh; echo hello > hello.txt");
    world.set("checks", json!({ "fix_ups": 0 }));
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert!(world.comments(issue).await.concat().contains("sh check.sh"));
    world.agent("printf 'echo FAILED; exit 0\\n' > check.sh; echo hello > hello.txt");
    assert_eq!(world.work().await.code, Some(0), "the same with an honest end passes");
}
