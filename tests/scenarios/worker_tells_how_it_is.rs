//! Whether the worker is well is told by `status`, by a file that it renews and over HTTP; busy
//! does not look dead, and a missing queue does not look well.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::world::{TOKEN, World};

const DEADLINE: Duration = Duration::from_secs(60);

fn start(world: &mut World) -> (Child, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    world.set("worker", json!({ "health_listen": free.to_string(), "drain_seconds": 0 }));
    let mut worker = world.command(&["worker"]);
    let worker = worker
        .env("GITHUB_TOKEN", TOKEN)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (worker, format!("http://{free}/health"))
}

async fn end(mut worker: Child) {
    let pid = worker.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert!(tokio::time::timeout(DEADLINE, worker.wait()).await.unwrap().unwrap().success());
}

async fn status(world: &World) -> Value {
    let ran = world.run(&["status", "--json"]).await;
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
}

/// What the probe answers, once its state is this.
async fn probe(url: &str, state: &str) -> (u16, Value) {
    let asked = async {
        loop {
            if let Ok(answer) = reqwest::get(url).await {
                let (code, health) =
                    (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
                if health["state"] == state {
                    return (code, health);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.expect("it never is")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_is_well_and_says_what_it_holds() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    world.task("Add a greeting", "").await;
    assert_eq!(status(&world).await["worker"], Value::Null);
    let (worker, url) = start(&mut world);
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
    assert!(shown.stdout.contains("worker working (process "), "{shown:?}");
    assert!(shown.stdout.contains("its message is held until "), "{shown:?}");
    end(worker).await;
    assert_eq!(status(&world).await["worker"], Value::Null, "one that ended is not one that hangs");
    assert!(status(&world).await["current"][0]["lease_end"].is_string(), "it is suspended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_queue_was_deleted_is_not_well() {
    let mut world = World::new().await;
    let (worker, url) = start(&mut world);
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
    end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_killed_is_not_alive_for_long() {
    let mut world = World::new().await;
    let (mut worker, url) = start(&mut world);
    probe(&url, "working").await;
    // It answers as soon as it listens, and writes down at the same time how it is.
    let file = world.data_dir().join("health.json");
    let written = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), written).await.expect("it writes nothing down");
    worker.kill().await.unwrap();
    // As it is a minute later.
    let mut health: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let then: jiff::Timestamp = health["updated_at"].as_str().unwrap().parse().unwrap();
    health["updated_at"] = json!((then - jiff::SignedDuration::from_secs(61)).to_string());
    std::fs::write(&file, health.to_string()).unwrap();
    let told = status(&world).await;
    assert_eq!(told["worker"]["alive"], false, "{told}");
    let shown = world.run(&["status"]).await;
    assert!(shown.stdout.contains("has said nothing for 6"), "{shown:?}");
}
