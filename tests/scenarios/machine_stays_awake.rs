//! While a task is worked on, the machine is kept from sleeping, by the platform's own tool; a
//! stand-in for it shows when it runs.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::world::{TOKEN, World};

/// Puts a stand-in for the tool first on a search path: it writes down how it was called and its
/// process id, then does what it is told.
fn stand_in(world: &World) -> (String, PathBuf) {
    let directory = world.path().join("bin");
    let calls = world.path().join("inhibitor.calls");
    std::fs::create_dir(&directory).unwrap();
    let (name, then) = if cfg!(target_os = "macos") {
        ("caffeinate", "sleep 600")
    } else {
        ("systemd-inhibit", "while [ \"${1#--}\" != \"$1\" ]; do shift; done; exec \"$@\"")
    };
    let script = format!("#!/bin/sh\necho \"$$ $*\" >> '{}'\n{then}\n", calls.display());
    std::fs::write(directory.join(name), script).unwrap();
    std::fs::set_permissions(directory.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    (format!("{}:{}", directory.display(), std::env::var("PATH").unwrap()), calls)
}

fn lives(pid: &str) -> bool {
    std::process::Command::new("kill")
        .args(["-0", pid])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_is_kept_awake_exactly_while_a_task_is_worked_on() {
    let mut world = World::new().await;
    let agent = world.held_agent(1);
    world.task("Add a greeting", "").await;
    let (search_path, calls) = stand_in(&world);
    let meanwhile = async {
        agent.wait_until_it_stops().await;
        let called = async {
            while !calls.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), called)
            .await
            .expect("the tool is not called");
        let call = std::fs::read_to_string(&calls).unwrap();
        let pid = call.split(' ').next().unwrap().to_owned();
        assert!(lives(&pid), "{call}");
        agent.go_on();
        (pid, call)
    };
    let environment = [("GITHUB_TOKEN", TOKEN), ("PATH", search_path.as_str())];
    let (ran, (pid, call)) =
        tokio::join!(world.run_with(&["worker", "--once"], &environment), meanwhile);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // Killed by a worker that ended at once, it is laid to rest by whoever takes orphans in.
    let gone = async {
        while lives(&pid) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .expect("the machine is kept awake after the task");
    if cfg!(target_os = "linux") {
        assert!(call.contains("--what=sleep:idle") && call.contains("tail --pid="), "{call}");
    }
    world.finish();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_it_is_not_kept_awake() {
    let mut world = World::new().await;
    world.set("worker", json!({ "keep_awake": false }));
    world.task("Add a greeting", "").await;
    let (search_path, calls) = stand_in(&world);
    let ran = world
        .run_with(&["worker", "--once"], &[("GITHUB_TOKEN", TOKEN), ("PATH", &search_path)])
        .await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!calls.exists());
    world.finish();
}
