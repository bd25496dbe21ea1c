//! While a worker works on a task, it keeps the machine from sleeping by the platform's own tool. A
//! script in place of the tool shows when it runs.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::world::{TOKEN, World, wait_until};

/// Puts a script in place of the tool first on a search path, and returns the search path and the
/// file of calls: the script records its process id and its arguments, then does as the tool does.
fn replace_inhibitor(world: &World) -> (String, PathBuf) {
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

fn is_alive(pid: &str) -> bool {
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
    let issue = world.task("Add a greeting", "").await;
    let (search_path, calls) = replace_inhibitor(&world);
    let meanwhile = async {
        agent.wait_until_it_stops().await;
        // The shell makes the file before it writes the line.
        let call = || std::fs::read_to_string(&calls).unwrap_or_default();
        wait_until("the tool is called", async || call().ends_with('\n')).await;
        let call = call();
        let pid = call.split(' ').next().unwrap().to_owned();
        assert!(is_alive(&pid), "{call}");
        agent.go_on();
        (pid, call)
    };
    let environment = [("GITHUB_TOKEN", TOKEN), ("PATH", search_path.as_str())];
    let (ran, (pid, call)) =
        tokio::join!(world.run_with(&["worker", "--once"], &environment), meanwhile);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // The worker kills the tool and ends at once, so the process that adopts orphans reaps it.
    wait_until("the tool is gone", async || !is_alive(&pid)).await;
    if cfg!(target_os = "linux") {
        assert!(call.contains("--what=sleep:idle") && call.contains("tail --pid="), "{call}");
    }
    world.check_done(issue).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_is_not_kept_awake_when_the_setting_says_so() {
    let mut world = World::new().await;
    world.set("worker", json!({ "keep_awake": false }));
    let issue = world.task("Add a greeting", "").await;
    let (search_path, calls) = replace_inhibitor(&world);
    let ran = world
        .run_with(&["worker", "--once"], &[("GITHUB_TOKEN", TOKEN), ("PATH", &search_path)])
        .await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!calls.exists());
    world.check_done(issue).await;
}
