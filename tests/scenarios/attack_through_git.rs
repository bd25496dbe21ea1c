//! The agent leaves traps in its tree for the git that looks at the tree afterwards. Each trap is
//! shown to work with a git that trusts the tree: the agent springs it itself. No trap goes off
//! when the worker takes the tree in.

use crate::exit_codes::{DEAD_LETTERED, OK, RETRIED};
use crate::world::processes::commands_with;
use crate::world::{TASK_SCRIPT, TOKEN, World};

/// A program that tells that it was run.
const TRAP: &str = "#!/bin/sh\necho sprung >> \"$(dirname \"$0\")/sprung\"\n";

/// Options for a commit by the agent.
const AUTHOR: &str = "-c user.name=a -c user.email=a@b";

/// A world whose agent sets a trap (`$TRAP`), springs it, and does its task.
struct TrapScenario {
    world: World,
    issue: u64,
}

impl TrapScenario {
    async fn new(set: &str, spring: &str) -> Self {
        let mut world = World::new().await;
        let (trap, shared) = (world.shared_dir().join("trap"), world.shared_dir());
        std::fs::write(&trap, TRAP).unwrap();
        std::fs::set_permissions(&trap, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        // What the agent springs is the control, and put aside. Each call of the agent tries both.
        world.agent(&format!(
            "export TRAP='{}' SHARED='{}' HOME=/tmp\n\
             ({set}\n{spring}\n) </dev/null >> \"$SHARED/printed\" 2>&1\n\
             test -e \"$SHARED/sprung\" && mv \"$SHARED/sprung\" \"$SHARED/control\"\n\
             {TASK_SCRIPT}",
            trap.display(),
            shared.display()
        ));
        let issue = world.task("Add a greeting", "").await;
        Self { world, issue }
    }

    /// What the commands that set and spring the trap printed.
    fn printed(&self) -> String {
        std::fs::read_to_string(self.world.shared_dir().join("printed")).unwrap_or_default()
    }

    fn check_only_the_agent_sprang_the_trap(&self) {
        let shared = self.world.shared_dir();
        let printed = self.printed();
        assert!(shared.join("control").exists(), "the trap does not work at all: {printed}");
        assert!(!shared.join("sprung").exists(), "the worker sprang the trap");
    }

    /// Fails unless the pull request is made, and has the change of the agent's task.
    async fn check_published(&self) {
        let ran = self.world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}; {}", self.printed());
        assert_eq!(self.world.pull_requests().await.len(), 1);
        assert_eq!(
            self.world.file("codingworker/issue-1", "hello.txt").as_deref(),
            Some("hello\n")
        );
        assert_eq!(self.world.branches(), ["codingworker/issue-1", "main"]);
        assert!(!ran.stderr.contains(TOKEN));
        self.world.check_done(self.issue).await;
    }

    /// Fails unless the run is refused with words that a person understands.
    async fn check_refused(&self, reason: &str, code: i32) {
        let ran = self.world.work().await;
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let comment = self.world.status_comment(self.issue).await;
        assert!(comment.contains(reason), "{reason:?} is not in {comment}");
        assert!(self.world.pull_requests().await.is_empty());
        assert_eq!(self.world.branches(), ["main"]);
        self.world.leaves_messages(1, "it is on its way to the dead-letter queue");
    }
}

/// Fails unless the agent springs the trap and the worker does not.
async fn check_trap(set: &str, spring: &str) {
    let scenario = TrapScenario::new(set, spring).await;
    scenario.check_published().await;
    scenario.check_only_the_agent_sprang_the_trap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_monitor_is_not_run() {
    check_trap("git config core.fsmonitor \"$TRAP\"", "git status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_not_run() {
    let hooks = "pre-commit post-commit post-checkout post-index-change reference-transaction \
                 pre-push post-merge";
    let set = format!(
        "mkdir -p .git/hooks; for hook in {hooks}; do\n\
         printf '#!/bin/sh\\necho sprung >> %s/sprung\\n' \"$SHARED\" > .git/hooks/$hook\n\
         chmod +x .git/hooks/$hook; done"
    );
    let spring = format!("git {AUTHOR} commit --allow-empty -m x; git reset --soft HEAD~1");
    check_trap(&set, &spring).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_filter_is_not_run() {
    let set = "git config filter.x.clean \"$TRAP\"; git config filter.x.smudge \"$TRAP\"; \
               mkdir -p .git/info; echo '* filter=x' > .git/info/attributes";
    check_trap(
        set,
        "echo x > filtered; git add filtered; git rm -q --cached -f filtered; rm filtered",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_directory_that_is_a_file_is_not_followed() {
    let set = "mv .git /tmp/elsewhere; echo 'gitdir: /tmp/elsewhere' > .git; \
               git config core.fsmonitor \"$TRAP\"";
    check_trap(set, "git status; rm .git; mv /tmp/elsewhere .git").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_program_is_not_run() {
    let set = "git config gpg.program \"$TRAP\"; git config commit.gpgSign true; \
               git config gpg.format openpgp";
    check_trap(set, &format!("git {AUTHOR} commit --allow-empty -m x")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper_is_not_run() {
    check_trap(
        "git config credential.helper \"$TRAP\"",
        "echo url=https://example.com | GIT_TERMINAL_PROMPT=0 git credential fill",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_git_rewrites_to_a_program_is_not_used() {
    let set =
        "git config protocol.ext.allow always; git config url.\"ext::$TRAP \".insteadOf http://";
    check_trap(set, "git ls-remote http://example.com/x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_proxy_nor_an_ssh_program_is_used() {
    let set = "git config core.sshCommand \"$TRAP\"; git config http.proxy http://127.0.0.1:1; \
               git config core.gitProxy \"$TRAP\"";
    let spring = "git ls-remote ssh://example.com/x; git ls-remote http://example.com/x";
    let scenario = TrapScenario::new(set, spring).await;
    scenario.check_published().await;
    let printed = scenario.printed();
    assert!(
        printed.contains("127.0.0.1 port 1"),
        "a git that trusts the tree does not use the proxy: {printed}"
    );
    scenario.check_only_the_agent_sprang_the_trap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_git_in_the_repository_is_not_run() {
    let set = "printf '#!/bin/sh\\necho sprung >> %s/sprung\\n' \"$SHARED\" > git; chmod +x git";
    check_trap(set, "PATH=\".:$PATH\" git status").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_an_embedded_bare_repository_have_no_effect() {
    let set = "git init -q --bare sub; git --git-dir=sub config core.fsmonitor \"$TRAP\"; \
               git --git-dir=sub config core.bare false; \
               git --git-dir=sub config core.worktree .; \
               rm -r sub/hooks; touch sub/refs/keep sub/objects/keep";
    check_trap(set, "(cd sub && git -c safe.bareRepository=all status)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_of_the_base_commit_has_no_effect() {
    let set = format!(
        "test -e \"$SHARED/once\" && exit; touch \"$SHARED/once\"; \
         echo evil > evil.txt; git add evil.txt; git {AUTHOR} commit -qm evil; \
         evil=$(git rev-parse HEAD)\n\
         git reset -q --hard HEAD~1; git replace -f HEAD $evil; mkdir -p .git/objects/info; \
         echo /tmp/nowhere > .git/objects/info/alternates"
    );
    let scenario = TrapScenario::new(&set, "git ls-tree --name-only HEAD").await;
    scenario.check_published().await;
    let printed = scenario.printed();
    assert!(printed.contains("evil.txt"), "the replacement has no effect at all: {printed}");
    assert_eq!(scenario.world.file("codingworker/issue-1", "evil.txt"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nested_repository_with_a_filter_is_refused() {
    let set = format!(
        "git init -q sub; (cd sub; git config filter.x.clean \"$TRAP\"; \
         echo '* filter=x' > .git/info/attributes; echo 1 > f; \
         git {AUTHOR} -c filter.x.clean=cat add f; git {AUTHOR} commit -qm x)"
    );
    let spring = "cp -r . /tmp/copy; cd /tmp/copy; git add sub; echo 22 > sub/f; git add sub; \
                  git status; rm -rf /tmp/copy";
    let scenario = TrapScenario::new(&set, spring).await;
    scenario.check_refused("git repository inside", RETRIED).await;
    scenario.check_only_the_agent_sprang_the_trap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_spellings_of_a_git_directory_are_refused() {
    for spelling in [".GIT", "git~1", ".g\u{200c}it"] {
        let set = format!("mkdir -p sub/'{spelling}'; echo x > sub/'{spelling}'/config");
        // A git without this protection adds them, but for `.GIT`, which every git refuses. Other
        // file systems take all three for `.git`.
        let trusting = "git -c core.protectHFS=false -c core.protectNTFS=false";
        let spring = format!(
            "{trusting} add -f sub; {trusting} -c core.quotePath=false ls-files; \
             {trusting} rm -rq --cached sub"
        );
        let scenario = TrapScenario::new(&set, &spring).await;
        scenario.check_refused("git repository inside", RETRIED).await;
        let added = scenario.printed().contains(&format!("sub/{spelling}/config\n"));
        assert_eq!(added, spelling != ".GIT", "{}", scenario.printed());
    }
    let other_name = "mkdir -p sub/.gitx; echo x > sub/.gitx/config";
    TrapScenario::new(other_name, "true").await.check_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submodule_whose_address_is_a_program_is_refused() {
    let set =
        "printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = ext::%s\\n' \"$TRAP\" > .gitmodules";
    let spring = "git -c protocol.ext.allow=always clone -q \
                  \"$(git config -f .gitmodules submodule.x.url)\" /tmp/x";
    let scenario = TrapScenario::new(set, spring).await;
    scenario.check_refused(".gitmodules", DEAD_LETTERED).await;
    scenario.check_only_the_agent_sprang_the_trap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_out_of_the_tree_is_refused_and_not_followed() {
    let set = "rm -rf README.md; mkdir -p \"$SHARED/outside\"; ln -s \"$SHARED/outside\" README.md";
    // A program that writes to the tree by the names of its files writes outside.
    let spring = "echo x > README.md/through; mv \"$SHARED/outside/through\" \"$SHARED/sprung\"";
    let scenario = TrapScenario::new(set, spring).await;
    scenario.check_refused("symbolic link out of the repository", DEAD_LETTERED).await;
    scenario.check_only_the_agent_sprang_the_trap();
    let outside = std::fs::read_dir(scenario.world.shared_dir().join("outside")).unwrap();
    assert_eq!(outside.count(), 0, "something was written through the link");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_sockets_hard_links_and_large_files_are_refused() {
    let socket = "import socket; socket.socket(socket.AF_UNIX).bind(\"s\")";
    for (set, reason) in [
        ("mkfifo pipe", "a named pipe"),
        (&*format!("python3 -c '{socket}'"), "a socket"),
        ("ln README.md second", "a hard link"),
    ] {
        TrapScenario::new(set, "true").await.check_refused(reason, RETRIED).await;
    }
    let large = TrapScenario::new("truncate -s 1G large", "true").await;
    large.check_refused("more than 64 MiB", DEAD_LETTERED).await;
    let plain = "echo x > pipe; cp README.md second; truncate -s 1M large";
    TrapScenario::new(plain, "true").await.check_published().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_too_large_in_all_is_refused() {
    let set = "for i in 1 2 3; do head -c 4000000 /dev/urandom > large$i; done";
    let mut large = TrapScenario::new(set, "true").await;
    large.world.set("gate", serde_json::json!({ "file_limit_mib": 8 }));
    large.check_refused("more than 8 MiB", DEAD_LETTERED).await;
    // Random text would look like one of the known kinds of secrets now and then.
    let less = "for i in 1 2 3; do seq -f \"line %06g of large file $i\" 40000 > large$i; done";
    TrapScenario::new(less, "true").await.check_published().await;
}

/// The process that keeps changing the tree is dead before the worker's git looks at the tree. A
/// git that looks while it lives sees another tree each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_keeps_changing_is_taken_in_at_one_state() {
    let set = "(setsid sh -c 'while :; do rm -rf flip; mkdir -p flip/.git; rm -rf flip; \
               ln -s /etc flip; rm -f flip; echo x >> flip; done' \"$SHARED/flipper\" &)";
    let spring = "seen() { { git -C \"$PWD\" add -A -n; ls -ld flip; } 2>&1 | cksum; }; \
                  first=$(seen); until [ \"$(seen)\" != \"$first\" ]; do :; done; \
                  touch \"$SHARED/sprung\"";
    let scenario = TrapScenario::new(set, spring).await;
    let ran = scenario.world.work().await;
    scenario.check_only_the_agent_sprang_the_trap();
    let shared = scenario.world.shared_dir().to_string_lossy().into_owned();
    assert_eq!(commands_with(&shared), Vec::<String>::new());
    // The process was stopped at one of the tree's states: the run publishes that, or refuses it.
    let comment = scenario.world.status_comment(scenario.issue).await;
    match ran.code {
        Some(OK) => {
            assert!(comment.contains("Done: #"), "{comment}");
            assert_eq!(scenario.world.branches(), ["codingworker/issue-1", "main"]);
        }
        Some(RETRIED | DEAD_LETTERED) => {
            assert_eq!(scenario.world.branches(), ["main"]);
            scenario.world.leaves_messages(1, "the state that the tree was left in is refused");
        }
        _ => panic!("{ran:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_that_is_an_option_or_a_command_has_no_effect() {
    let mut world = World::new().await;
    let executed = world.shared_dir().join("executed");
    world.agent(TASK_SCRIPT);
    let touch = format!("touch {}", executed.display());
    for title in [
        format!("--upload-pack={touch}"),
        format!("$({touch})"),
        format!("`{touch}`; {touch} #"),
        "-".to_owned(),
    ] {
        let issue = world.task(&title, &format!("$({touch})")).await;
        assert_eq!(world.work().await.code, Some(0), "{title}");
        world.check_done(issue).await;
    }
    assert!(!executed.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_judged_by_how_it_ends_whatever_it_prints() {
    let mut world = World::new().await;
    let lie = "echo test result: ok. 5 passed; 0 failed; exit 1";
    world.agent(&format!("printf '{lie}\\n' > check.sh; echo hello > hello.txt"));
    world.set("checks", serde_json::json!({ "fix_ups": 0 }));
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    let comment = world.status_comment(issue).await;
    assert!(comment.contains("sh check.sh"), "{comment}");
    world.agent("printf 'echo FAILED; exit 0\\n' > check.sh; echo hello > hello.txt");
    assert_eq!(world.work().await.code, Some(0), "the same with an honest end passes");
    world.check_done(issue).await;
}
