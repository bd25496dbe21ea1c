//! The forge can't be asked at all, or refuses the worker's token: the worker receives nothing and
//! keeps the task that it has in hand, and the work goes on by itself.

use localhub::{Answer, Fault, When};
use serde_json::{Value, json};

use crate::exit_codes::RETRIED;
use crate::world::queue_proxy::QueueProxy;
use crate::world::running::Running;
use crate::world::{TOKEN, World, wait_until};

/// In seconds. An outage outlasts it.
const LEASE: u64 = 6;

/// More renewals than happen within one lease.
const RENEWALS: usize = 6;

const ISSUE: &str = "/repos/{owner}/{repo}/issues/{number}";
const COMMENT: &str = "/repos/{owner}/{repo}/issues/comments/{id}";

/// The ways in which a forge can't be asked, and how the worker tells each.
fn outages() -> [(Fault, &'static str); 5] {
    [
        (Fault::Answer(Answer::status(401).message("Bad credentials")), "refused the token"),
        (Fault::Answer(Answer::status(502)), "answered 502"),
        (Fault::Answer(Answer::status(200).body("<html>Sign in</html>")), "can't be understood"),
        (Fault::DropBeforeEffect, "can't be reached"),
        (
            Fault::Answer(
                Answer::status(403).message("API rate limit exceeded").header("retry-after", "1"),
            ),
            "rate limit is used up",
        ),
    ]
}

/// A world whose worker looks at the forge every second and answers probes.
async fn world_with_probe() -> World {
    let mut world = World::new().await;
    world.set("github", json!({ "watch_seconds": 1 }));
    // A problem that lasts is told once; what is told again is for who looks closely.
    world.set("log", json!({ "filter": "info,codingworker::worker=debug" }));
    world.set("worker", json!({ "health_listen": "127.0.0.1:0" }));
    world
}

async fn health_url(worker: &mut Running) -> String {
    let line = worker.line_with("health at http://").await;
    line.split_once("health at ").unwrap().1.trim().to_owned()
}

/// The probe's answer, once the worker waits for the forge.
async fn wait_until_unwell(url: &str, problem: &str) {
    let mut last = (0, Value::Null);
    wait_until(&format!("the worker tells {problem:?}"), async || {
        let answer = reqwest::get(url).await.unwrap();
        last = (answer.status().as_u16(), answer.json().await.unwrap());
        last.1["problem"].as_str().is_some_and(|told| told.contains(problem))
    })
    .await;
    assert_eq!((last.0, &last.1["state"]), (503, &json!("waiting_for_forge")), "{}", last.1);
}

/// Fails unless the lease on the message is renewed for longer than one lease lasts.
async fn check_the_message_is_kept(world: &World, queue: &QueueProxy) {
    let renewed = queue.count("sqs:ChangeMessageVisibility");
    queue.wait_for("sqs:ChangeMessageVisibility", renewed + RENEWALS).await;
    assert_eq!(world.queue.counts().await, (0, 1, 0), "the message is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_received_while_the_forge_can_not_be_asked() {
    let mut world = world_with_probe().await;
    let queue = QueueProxy::before(&world.queue.url).await;
    world.set("queue", json!({ "endpoint_url": queue.url }));
    let issues = [world.task("Add a greeting", "").await, world.task("Add another", "").await];
    let faults = world.forge.hub.faults().clone();
    faults.inject_everywhere(When::Always, outages()[0].0.clone());
    let mut worker = world.start(&["worker"]);
    let url = health_url(&mut worker).await;
    for (fault, problem) in outages() {
        faults.clear();
        faults.inject_everywhere(When::Always, fault);
        wait_until_unwell(&url, problem).await;
        let told = worker.lines_with("no task is taken while GitHub can't be asked", 1).await.len();
        worker.lines_with("no task is taken while GitHub can't be asked", told + 2).await;
        assert_eq!(queue.count("sqs:ReceiveMessage"), 0, "a delivery is spent in an outage");
    }
    faults.clear();
    for issue in issues {
        world.wait_until_done(issue).await;
        world.check_done(issue).await;
    }
    worker.stop_at_once().await;
}

/// The outage begins while the agent works, so the run meets it when it publishes.
async fn check_the_task_is_kept((fault, problem): (Fault, &str)) {
    let mut world = world_with_probe().await;
    let queue = QueueProxy::before(&world.queue.url).await;
    let agent = world.held_agent(1);
    let issue = world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": queue.url }));
    world.queue.set_visibility_timeout(LEASE).await;
    let mut worker = world.start(&["worker"]);
    let url = health_url(&mut worker).await;
    agent.wait_until_it_stops().await;
    world.forge.hub.faults().inject_everywhere(When::Always, fault);
    agent.go_on();
    wait_until_unwell(&url, problem).await;
    check_the_message_is_kept(&world, &queue).await;
    world.forge.hub.faults().clear();
    world.wait_until_done(issue).await;
    world.check_done(issue).await;
    assert_eq!(agent.calls(), 2, "one call for each pass: the work was not repeated");
    assert_eq!(world.pull_requests().await.len(), 1);
    worker.stop_at_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_hand_is_kept_beyond_a_token_that_is_refused() {
    check_the_task_is_kept(outages()[0].clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_hand_is_kept_beyond_server_errors() {
    check_the_task_is_kept(outages()[1].clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_hand_is_kept_beyond_a_proxys_pages() {
    check_the_task_is_kept(outages()[2].clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_hand_is_kept_beyond_a_forge_that_is_gone() {
    check_the_task_is_kept(outages()[3].clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_hand_is_kept_beyond_a_rate_limit() {
    check_the_task_is_kept(outages()[4].clone()).await;
}

/// What the task failed for can't be said during the outage. The message would be in the
/// dead-letter queue, and the issue would wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_final_failure_is_told_before_its_message_is_let_go() {
    let mut world = world_with_probe().await;
    let queue = QueueProxy::before(&world.queue.url).await;
    let agent = world.held_agent_with(1, "mkdir -p .github && echo x > .github/x.yml");
    let issue = world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": queue.url }));
    world.queue.set_visibility_timeout(LEASE).await;
    let mut worker = world.start(&["worker"]);
    let url = health_url(&mut worker).await;
    agent.wait_until_it_stops().await;
    let refused = Fault::Answer(Answer::status(401).message("Bad credentials"));
    // The gate's verdict needs nothing of the forge, so the comment is the first to fail.
    world.forge.hub.faults().inject_everywhere(When::Always, refused);
    agent.go_on();
    wait_until_unwell(&url, "refused the token").await;
    check_the_message_is_kept(&world, &queue).await;
    world.forge.hub.faults().clear();
    wait_until("the message is a dead letter", async || world.queue.counts().await == (0, 0, 1))
        .await;
    worker.stop_at_once().await;
    let comment = world.status_comment(issue).await;
    assert!(comment.contains(".github/x.yml"), "{comment}");
    assert_eq!(world.labels(issue).await, ["ai-task-failed", "keep me"]);
    world.leaves_in_dead_letters(1, "the task failed for good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_in_the_file_ends_the_wait() {
    let mut world = World::new().await;
    let file = world.path().join("github-token");
    std::fs::write(&file, "an-expired-token\n").unwrap();
    world.set("github", json!({ "watch_seconds": 1, "token_file": file }));
    world.set("worker", json!({ "health_listen": "127.0.0.1:0" }));
    let issue = world.task("Add a greeting", "").await;
    let mut worker = Running::start(world.command(&["worker"]));
    let url = health_url(&mut worker).await;
    wait_until_unwell(&url, "refused the token").await;
    assert_eq!(world.queue.counts().await, (1, 0, 0));
    std::fs::write(&file, TOKEN).unwrap();
    // git gets the new token as well: it fetches and pushes.
    world.wait_until_done(issue).await;
    world.check_done(issue).await;
    worker.stop_at_once().await;
    // The guard looks for the token in every file.
    std::fs::remove_file(file).unwrap();
}

/// A token that is refused for one repository says nothing of the others.
#[tokio::test(flavor = "multi_thread")]
async fn one_repositorys_refusal_stops_only_its_own_task() {
    let mut world = World::new().await;
    world.set("github", json!({ "watch_seconds": 1 }));
    let issue = world.task("Add a greeting", "").await;
    let refused = Fault::Answer(Answer::status(403).message("Resource not accessible"));
    world.forge.hub.faults().inject("GET", ISSUE, When::From { first: 1, count: 1 }, refused);
    let ran = world.work().await;
    assert_eq!(ran.code, Some(RETRIED), "{ran:?}");
    assert_eq!(world.queue.counts().await, (1, 0, 0), "it is given back");
    assert_eq!(world.work().await.code, Some(0));
    world.check_done(issue).await;
}

/// A token of a GitHub App's installation gets 403 from `GET /user`, and a bot's may get it from
/// the GraphQL API too.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_ask_who_it_is_keeps_one_comment() {
    for forbidden in [&[("GET", "/user")][..], &[("GET", "/user"), ("POST", "/graphql")]] {
        let world = World::new().await;
        for (method, route) in forbidden {
            let message = "Resource not accessible by integration";
            let refused = Fault::Answer(Answer::status(403).message(message));
            world.forge.hub.faults().inject(method, route, When::Always, refused);
        }
        let issue = world.task("Add a greeting", "").await;
        let ran = world.work().await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        world.check_done(issue).await;
    }
}

/// The issue was locked, or has as many comments as GitHub allows. The pull request is there.
#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_takes_no_comment_gets_its_label_and_the_task_is_done() {
    let world = World::new().await;
    let locked = Fault::Answer(Answer::status(403).message("Unable to create comment: locked"));
    world.forge.hub.faults().inject("PATCH", COMMENT, When::Always, locked);
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("the issue could not be told all of it"), "{ran:?}");
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    assert_eq!(world.queue.counts().await, (0, 0, 0));
    let comment = world.status_comment(issue).await;
    assert!(!comment.contains("Done: #"), "{comment}");
    let told = world.run(&["status"]).await;
    assert!(told.stdout.contains("could not be told"), "{told:?}");
}

/// The label can't be set, for example because the token may not.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_is_refused_does_not_make_the_task_fail() {
    let world = World::new().await;
    let refused = Fault::Answer(Answer::status(403).message("Resource not accessible"));
    let labels = "/repos/{owner}/{repo}/issues/{number}/labels";
    world.forge.hub.faults().inject("POST", labels, When::Always, refused);
    let issue = world.task("Add a greeting", "").await;
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(world.status_comment(issue).await.contains("Done: #"));
    assert_eq!(world.queue.counts().await, (0, 0, 0));
}
