//! A program prints more than anybody wants: the worker neither blocks nor grows, and the disk does
//! not fill.

use std::process::Stdio;
use std::time::Duration;

use crate::world::{TOKEN, World};

/// As much as an agent in a loop prints in a night.
const FLOOD: &str = "3G";
/// What a worker may have resident at its peak, in KiB.
const LARGEST: u64 = 150 * 1024;

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn three_gigabytes_of_output_cost_a_worker_no_more_than_any_other() {
    let mut world = World::new().await;
    let edit = "test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt";
    let peaks = world.stage().join("peaks");
    // The worker is the agent's parent, and its peak so far stands in the process table.
    world.agent(&format!(
        "test -e hello.txt || yes 'an agent that talks to itself' | head -c {FLOOD}; grep VmHWM /proc/$PPID/status >> '{}'; {edit}",
        peaks.display()
    ));
    let issue = world.task("Add a greeting", "").await;
    let worker = world
        .command(&["worker", "--once"])
        .env("GITHUB_TOKEN", TOKEN)
        .stderr(Stdio::null())
        .status();
    let status =
        tokio::time::timeout(Duration::from_secs(180), worker).await.expect("it blocks").unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(world.labels(issue).await, ["ai-task-done", "keep me"]);
    let peaks = std::fs::read_to_string(&peaks).unwrap();
    assert_eq!(peaks.lines().count(), 2, "{peaks}");
    for line in peaks.lines() {
        let peak: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(peak < LARGEST, "{line}");
    }
    let log = std::fs::metadata(world.data_dir().join("runs/1/log")).unwrap().len();
    assert!((16 << 20..40 << 20).contains(&log), "the log has {log} bytes");
    world.finish();
}
