//! `status`, a file that the worker renews, and an HTTP probe tell whether the worker is well. A
//! busy worker does not look dead, and a worker whose queue is missing does not look well.

use serde_json::{Value, json};

use crate::world::running::Running;
use crate::world::{World, wait_until};

/// Starts a worker that answers probes, and returns it with the probe's URL.
async fn start(world: &mut World) -> (Running, String) {
    world.set("worker", json!({ "health_listen": "127.0.0.1:0", "drain_seconds": 0 }));
    let mut worker = world.start(&["worker"]);
    let line = worker.line_with("health at http://").await;
    let (_, url) = line.split_once("health at ").unwrap();
    (worker, url.trim().to_owned())
}

async fn status(world: &World) -> Value {
    let ran = world.run(&["status", "--json"]).await;
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
}

/// The probe's answer, once the worker's state is this.
async fn probe(url: &str, state: &str) -> (u16, Value) {
    let mut last = (0, Value::Null);
    wait_until(&format!("the worker's state is {state}"), async || {
        if let Ok(answer) = reqwest::get(url).await {
            last = (answer.status().as_u16(), answer.json().await.unwrap());
        }
        last.1["state"] == state
    })
    .await;
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_is_well_and_tells_which_task_it_works_on() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    world.task("Add a greeting", "").await;
    assert_eq!(status(&world).await["worker"], Value::Null);
    let (worker, url) = start(&mut world).await;
    agent.wait_until_it_stops().await;
    let (code, health) = probe(&url, "working").await;
    assert_eq!(code, 200, "{health}");
    assert!(health["last_good_poll"].is_string(), "{health}");
    let told = status(&world).await;
    assert_eq!(
        (&told["worker"]["alive"], &told["worker"]["well"]),
        (&json!(true), &json!(true)),
        "{told}"
    );
    assert_eq!(told["current"][0]["issue_number"], 1, "{told}");
    assert_eq!(told["current"][0]["stage"], "implement", "{told}");
    assert!(told["current"][0]["lease_end"].is_string(), "{told}");
    let shown = world.run(&["status"]).await;
    assert!(shown.stdout.contains("worker    working (process "), "{shown:?}");
    assert!(shown.stdout.contains("its message is held until "), "{shown:?}");
    worker.stop_at_once().await;
    let told = status(&world).await;
    assert_eq!(told["worker"], Value::Null, "a worker that ended is not one that hangs");
    assert!(told["current"][0]["lease_end"].is_string(), "it is suspended: {told}");
    world.leaves_messages(1, "the run is suspended");
    world.leaves_open_leases(1, "the run is suspended");
    world.leaves_comments_unread("the run is cut off, and this is about the worker's health");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_queue_was_deleted_is_not_well() {
    let mut world = World::new().await;
    let (worker, url) = start(&mut world).await;
    probe(&url, "working").await;
    world.queue.delete().await;
    let (code, health) = probe(&url, "unhealthy").await;
    assert_eq!(code, 503, "{health}");
    assert!(health["problem"].as_str().unwrap().contains("there is no queue"), "{health}");
    let told = status(&world).await;
    assert_eq!(
        (&told["worker"]["alive"], &told["worker"]["well"]),
        (&json!(true), &json!(false)),
        "{told}"
    );
    worker.stop_at_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_killed_counts_as_dead_at_once() {
    let mut world = World::new().await;
    let (mut worker, url) = start(&mut world).await;
    probe(&url, "working").await;
    // It writes the file at about the time at which it begins to listen.
    let file = world.data_dir().join("health.json");
    wait_until("the file is written", async || file.exists()).await;
    worker.kill().await;
    let told = status(&world).await;
    assert_eq!(told["worker"]["alive"], false, "{told}");
    let shown = world.run(&["status"]).await;
    assert!(shown.stdout.contains("was killed: process "), "{shown:?}");

    // Of a process that is there, only the age of the file tells. This one is the scenario's own.
    let mut health: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let then: jiff::Timestamp = health["updated_at"].as_str().unwrap().parse().unwrap();
    health["updated_at"] = json!((then - jiff::SignedDuration::from_secs(61)).to_string());
    health["pid"] = json!(std::process::id());
    std::fs::write(&file, health.to_string()).unwrap();
    let shown = world.run(&["status"]).await;
    assert!(shown.stdout.contains("has said nothing for 1 min"), "{shown:?}");
}
