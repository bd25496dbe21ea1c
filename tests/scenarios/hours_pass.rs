//! What a worker does after minutes and hours of one delivery, by a clock that the scenario moves.

use std::time::Duration;

use localhub::{Answer, Fault, When};
use serde_json::json;

use crate::world::clock::Clock;
use crate::world::held_program::HeldProgram;
use crate::world::running::Running;
use crate::world::{TOKEN, World, wait_until};

const MINUTE: Duration = Duration::from_secs(60);

/// In seconds, the longest that SQS has. A clock that goes on by minutes does not end the lease.
const LONGEST_LEASE: u64 = 12 * 3600;

/// A worker with a clock of its own, whose agent is held in its first call. The message was
/// delivered so often before, and given back.
async fn start(
    world: &mut World,
    deliveries_before: u32,
) -> Option<(Clock, HeldProgram, u64, Running)> {
    let clock = Clock::new(world)?;
    world.set("github", json!({ "watch_seconds": 1 }));
    world.queue.set_visibility_timeout(LONGEST_LEASE).await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    for _ in 0..deliveries_before {
        world.queue.receive(0).await.unwrap();
    }
    let mut command = world.command(&["worker"]);
    command.env("GITHUB_TOKEN", TOKEN);
    clock.give_to(&mut command);
    let worker = Running::start(command);
    agent.wait_until_it_stops().await;
    Some((clock, agent, issue, worker))
}

fn refuse_the_token(world: &World) {
    let refused = Fault::Answer(Answer::status(401).message("Bad credentials"));
    world.forge.hub.faults().inject_everywhere(When::Always, refused);
}

/// Waits until a run that waits for the forge has asked it again, with the time as it is now.
async fn wait_until_it_asked_again(world: &World) {
    let asked = || world.forge.hub.requests().count("GET", "/rate_limit");
    let before = asked();
    // The first of them may have been under way.
    wait_until("the forge is asked again", async || asked() >= before + 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_given_back_when_its_token_is_refused_for_half_an_hour() {
    let mut world = World::new().await;
    let Some((clock, agent, issue, mut worker)) = start(&mut world, 0).await else { return };
    refuse_the_token(&world);
    agent.go_on();
    worker.line_with("the run keeps its message").await;
    clock.go_on_by(29 * MINUTE);
    wait_until_it_asked_again(&world).await;
    assert_eq!(world.queue.counts().await, (0, 1, 0), "it is kept for half an hour");
    clock.go_on_by(31 * MINUTE);
    wait_until("the message is given back", async || world.queue.counts().await == (1, 0, 0)).await;
    world.forge.hub.faults().clear();
    world.wait_until_done(issue).await;
    world.check_done(issue).await;
    worker.stop_at_once().await;
}

/// SQS would send it to the dead-letter queue, and the issue would hear nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_its_last_delivery_is_kept_however_long_its_token_is_refused() {
    let mut world = World::new().await;
    let Some((clock, agent, issue, mut worker)) = start(&mut world, 2).await else { return };
    refuse_the_token(&world);
    agent.go_on();
    worker.line_with("the run keeps its message").await;
    clock.go_on_by(3 * 60 * MINUTE);
    wait_until_it_asked_again(&world).await;
    assert_eq!(world.queue.counts().await, (0, 1, 0), "it is kept");
    world.forge.hub.faults().clear();
    world.wait_until_done(issue).await;
    world.check_done(issue).await;
    worker.stop_at_once().await;
}

/// SQS ends each lease twelve hours after the receive.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_itself_before_sqs_ends_its_lease() {
    let mut world = World::new().await;
    let Some((clock, _agent, issue, mut worker)) = start(&mut world, 0).await else { return };
    clock.go_on_by(11 * 60 * MINUTE + 31 * MINUTE);
    worker.line_with("the work took longer than SQS lets a message be worked on").await;
    // The message was given back in time, so its next delivery is the same worker's.
    world.wait_until_done(issue).await;
    world.check_done(issue).await;
    worker.stop_at_once().await;
}
