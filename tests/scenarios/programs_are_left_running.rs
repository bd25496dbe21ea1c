//! The worker is killed while the agent or a check of its works. What they left running is gone
//! when the next worker begins, and what was committed is not done again.

use std::process::Stdio;
use std::time::Duration;

use crate::world::program::Program;
use crate::world::{TOKEN, World};

const DEADLINE: Duration = Duration::from_secs(60);

/// A world with an agent and a check that both stop in the given call; 0 is never.
async fn world(agent_stops_at: usize, check_stops_at: usize) -> (World, Program, Program) {
    let mut world = World::without_repository().await;
    world.without_sandbox();
    let agent = world.held_agent(agent_stops_at);
    let check = Program::new(&world, "check", check_stops_at, "test ! -e broken");
    let nothing = "build = \"\"\nformat = \"\"\nlint = \"\"\nsetup = \"\"\n";
    let settings =
        format!("[checks]\n{nothing}test = \"sh '{}'\"\n", check.file("script").display());
    world.forge.repository(
        "owner/repo",
        "main",
        &[("README.md", ""), (".codingworker.toml", &settings)],
    );
    (world, agent, check)
}

/// Kills the worker while `program` stops; returns what still lives.
async fn kill_in(world: &World, program: &Program) -> Vec<String> {
    let mut worker = world.command(&["worker", "--once"]);
    let worker =
        worker.env("GITHUB_TOKEN", TOKEN).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut worker = worker.unwrap();
    program.wait_until_it_stops().await;
    worker.kill().await.unwrap();
    program.living()
}

async fn is_done_after_one_more(world: &World, issue: u64) {
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    assert_eq!(world.pull_requests().await.len(), 1);
    assert_eq!(world.comments(issue).await.len(), 1);
}

async fn check(
    agent_stops_at: usize,
    check_stops_at: usize,
    agent_calls: usize,
    check_calls: usize,
) {
    let (world, agent, check) = world(agent_stops_at, check_stops_at).await;
    let issue = world.task("Add a greeting", "").await;
    let stopped = if agent_stops_at > 0 { &agent } else { &check };
    let left = kill_in(&world, stopped).await;
    assert!(left.len() >= 2, "the kill left nothing running, so nothing is shown: {left:?}");
    stopped.go_on();
    is_done_after_one_more(&world, issue).await;
    assert_eq!((agent.living(), check.living()), (vec![], vec![]));
    assert_eq!((agent.calls(), check.calls()), (agent_calls, check_calls));
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_before_the_work_is_run_again() {
    check(0, 1, 2, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pass_that_was_cut_off_is_done_again() {
    check(1, 0, 3, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pass_that_was_cut_off_goes_on_after_the_first() {
    check(2, 0, 3, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_after_the_work_is_run_again_and_the_work_is_not() {
    check(0, 2, 2, 3).await;
}

/// Another worker process would kill them; this one is refused before it looks.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_in_a_sandbox_dies_with_the_worker() {
    let (mut world, agent, check) = world(1, 0).await;
    world.set("sandbox", serde_json::json!({ "require": "full" }));
    let issue = world.task("Add a greeting", "").await;
    kill_in(&world, &agent).await;
    let dead = async {
        while !agent.living().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, dead).await.expect("the worker is dead, and the agent is not");
    agent.go_on();
    is_done_after_one_more(&world, issue).await;
    assert_eq!(check.living(), Vec::<String>::new());
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_the_directory_leaves_the_first_ones_programs_alone() {
    let (world, agent, _) = world(1, 0).await;
    let issue = world.task("Add a greeting", "").await;
    let mut first = world.command(&["worker", "--once"]);
    let mut first = first.env("GITHUB_TOKEN", TOKEN).stderr(Stdio::null()).spawn().unwrap();
    agent.wait_until_it_stops().await;
    let second = world.work().await;
    assert!(second.stderr.contains("another worker uses"), "{second:?}");
    assert!(agent.living().len() >= 2);
    agent.go_on();
    assert!(tokio::time::timeout(DEADLINE, first.wait()).await.unwrap().unwrap().success());
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    world.finish();
}
