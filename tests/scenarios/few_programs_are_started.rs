//! The git commands of a task, by name: each that runs in the sandbox takes some 40 ms, and each
//! question to the forge a connection. A command that is added shows here.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::world::{TOKEN, World, tools};

/// Nothing is checked, and no tests are asked for.
const NO_CHECKS: &str = "[checks]\ntests = false\n\
                         setup = \"\"\nbuild = \"\"\nformat = \"\"\nlint = \"\"\ntest = \"\"\n";

/// The same with one check.
const ONE_CHECK: &str = "[checks]\ntests = false\n\
                         setup = \"\"\nbuild = \"\"\nformat = \"\"\nlint = \"\"\n\
                         test = \"test -e README.md\"\n";

/// The commands that a task without checks needs. Fetching, the snapshot of what the agent left,
/// and the policy each need what they name.
const PLAIN_OUTSIDE: &[&str] = &[
    "cat-file",
    "cat-file",
    "cat-file",
    "cat-file",
    "commit-tree",
    "diff-tree",
    "fetch",
    "fetch",
    "gc",
    "index-pack",
    "init",
    "init",
    "ls-remote",
    "ls-remote",
    "ls-tree",
    "ls-tree",
    "push",
    "rev-list",
    "rev-parse",
    "rev-parse",
    "rev-parse",
    "update-ref",
];
const PLAIN_INSIDE: &[&str] = &["add", "pack-objects", "read-tree", "write-tree"];

/// A world whose worker uses a git that writes down each command before it runs it.
struct Recorded {
    world: World,
    calls: PathBuf,
    search_path: String,
}

impl Recorded {
    async fn new(settings: &str) -> Option<Self> {
        let git = tools::on_the_path("git")?;
        let mut world = World::without_repository().await;
        let files = [("README.md", "small\n"), (".codingworker.toml", settings)];
        world.forge.repository("owner/repo", "main", &files);
        world.agent("echo edited > hello.txt");
        // Programs in the sandbox may write here too.
        let calls = world.shared_dir().join("calls");
        let programs = world.shared_dir().join("programs");
        std::fs::create_dir(&programs).unwrap();
        let script = format!(
            "#!/bin/sh\n\
             test -e /run/codingworker/codingworker && where=inside || where=outside\n\
             echo \"$where $1\" >> '{}'\n\
             exec '{}' \"$@\"\n",
            calls.display(),
            git.display()
        );
        std::fs::write(programs.join("git"), script).unwrap();
        std::fs::set_permissions(programs.join("git"), PermissionsExt::from_mode(0o755)).unwrap();
        let search_path = std::env::var("PATH").unwrap();
        let search_path = format!("{}:{search_path}", programs.display());
        Some(Self { world, calls, search_path })
    }

    /// Does one task, and returns the names of its git commands inside and outside of the sandbox,
    /// sorted, since some run at the same time.
    async fn work(&self) -> (Vec<String>, Vec<String>) {
        let issue = self.world.task("A task", "One edit.").await;
        std::fs::write(&self.calls, "").unwrap();
        let environment = [("GITHUB_TOKEN", TOKEN), ("PATH", &self.search_path)];
        let ran = self.world.run_with(&["worker", "--once"], &environment).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let comment = self.world.status_comment(issue).await;
        assert!(comment.contains("Done"), "{comment}");
        let calls = std::fs::read_to_string(&self.calls).unwrap();
        let of = |place: &str| {
            let mut names: Vec<String> = calls
                .lines()
                .filter_map(|line| line.strip_prefix(place)?.strip_prefix(' '))
                .map(str::to_owned)
                .collect();
            names.sort();
            names
        };
        (of("inside"), of("outside"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_checks_runs_each_git_command_for_a_reason() {
    let Some(recorded) = Recorded::new(NO_CHECKS).await else { return };
    let (inside, outside) = recorded.work().await;
    if tools::on_the_path("bwrap").is_none() {
        return;
    }
    assert_eq!(inside, PLAIN_INSIDE);
    assert_eq!(outside, PLAIN_OUTSIDE);
}

/// The checks' tree is written for the base and once more for the change, each with a repository
/// that reaches to the nearest tag.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_costs_its_tree_and_its_repository() {
    let Some(recorded) = Recorded::new(ONE_CHECK).await else { return };
    let (inside, outside) = recorded.work().await;
    if tools::on_the_path("bwrap").is_none() {
        return;
    }
    assert_eq!(inside, sorted(&["read-tree", "read-tree", "clean"], PLAIN_INSIDE));
    let more = ["rev-parse", "init", "describe", "fetch", "describe", "fetch"];
    assert_eq!(outside, sorted(&more, PLAIN_OUTSIDE));
}

fn sorted<'a>(more: &[&'a str], plain: &[&'a str]) -> Vec<&'a str> {
    let mut all = [more, plain].concat();
    all.sort_unstable();
    all
}
