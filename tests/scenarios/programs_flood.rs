//! A program prints gigabytes: the worker neither blocks nor grows, and the disk does not fill.

use std::time::Duration;

use crate::world::{TASK_SCRIPT, World};

/// As much as an agent prints that runs in circles for a night.
const FLOOD: &str = "3G";
/// What a worker may have resident at its peak, in KiB.
const LARGEST: u64 = 150 * 1024;
/// The output is searched for secrets, which takes minutes on a busy machine.
const LONG: Duration = Duration::from_secs(270);

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn three_gigabytes_of_output_do_not_make_a_worker_grow() {
    let mut world = World::new().await;
    let peaks = world.shared_dir().join("peaks");
    // The worker is the agent's parent, and the process table has its peak so far.
    world.agent(&format!(
        "test -e hello.txt || yes 'an agent that talks to itself' | head -c {FLOOD}\n\
         grep VmHWM /proc/$PPID/status >> '{}'\n\
         {TASK_SCRIPT}",
        peaks.display()
    ));
    let issue = world.task("Add a greeting", "").await;
    let mut worker = world.start(&["worker", "--once"]);
    let status = worker.ended_within(LONG).await;
    assert!(status.success(), "{status}: {}", worker.printed());
    world.check_done(issue).await;
    let peaks = std::fs::read_to_string(&peaks).unwrap();
    assert_eq!(peaks.lines().count(), 2, "{peaks}");
    for line in peaks.lines() {
        let peak: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(peak < LARGEST, "{line}");
    }
    let log = std::fs::metadata(world.data_dir().join("runs/1/log")).unwrap().len();
    assert!((16 << 20..40 << 20).contains(&log), "the log has {log} bytes");
}
