//! The worker is killed while the agent or a check runs. The programs that they left running are
//! killed when the next worker starts, and a pass that was committed is not done again.

use crate::world::held_program::HeldProgram;
use crate::world::{World, wait_until};

/// A world with an agent and a check that both stop in the given call; 0 is never.
async fn world(agent_stops_at: usize, check_stops_at: usize) -> (World, HeldProgram, HeldProgram) {
    let mut world = World::without_repository().await;
    world.without_sandbox();
    let agent = world.held_agent(agent_stops_at);
    let check = HeldProgram::new(&world, "check", check_stops_at, "test ! -e broken");
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

/// Kills the worker while `program` is stopped, and returns what still lives.
async fn kill_worker_in(world: &World, program: &HeldProgram) -> Vec<String> {
    let mut worker = world.start(&["worker", "--once"]);
    program.wait_until_it_stops().await;
    worker.kill().await;
    program.living()
}

async fn check_done_by_the_next_worker(world: &World, issue: u64) {
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    assert_eq!(world.pull_requests().await.len(), 1);
    world.check_done(issue).await;
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
    let left = kill_worker_in(&world, stopped).await;
    assert!(left.len() >= 2, "the kill left nothing running, so nothing is shown: {left:?}");
    stopped.go_on();
    check_done_by_the_next_worker(&world, issue).await;
    // They were killed, and may take a moment to be gone. One that got away would be there for ten
    // minutes.
    let gone = async || agent.living().is_empty() && check.living().is_empty();
    wait_until("the programs are dead", gone).await;
    assert_eq!((agent.calls(), check.calls()), (agent_calls, check_calls));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_before_the_work_that_was_cut_off_is_run_again() {
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
async fn a_check_after_the_work_that_was_cut_off_is_run_again_and_the_work_is_not() {
    check(0, 2, 2, 3).await;
}

/// No second worker is started before the programs are dead, since it would kill them.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_in_a_sandbox_dies_with_the_worker() {
    let (mut world, agent, check) = world(1, 0).await;
    world.set("sandbox", serde_json::json!({ "require": "full" }));
    let issue = world.task("Add a greeting", "").await;
    kill_worker_in(&world, &agent).await;
    wait_until("the agent is dead", async || agent.living().is_empty()).await;
    agent.go_on();
    check_done_by_the_next_worker(&world, issue).await;
    assert_eq!(check.living(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_the_directory_leaves_the_first_ones_programs_alone() {
    let (world, agent, _) = world(1, 0).await;
    let issue = world.task("Add a greeting", "").await;
    let mut first = world.start(&["worker", "--once"]);
    agent.wait_until_it_stops().await;
    let second = world.work().await;
    assert!(second.stderr.contains("another worker uses"), "{second:?}");
    assert!(agent.living().len() >= 2);
    agent.go_on();
    let status = first.ended().await;
    assert!(status.success(), "{status}: {}", first.printed());
    world.check_done(issue).await;
}
