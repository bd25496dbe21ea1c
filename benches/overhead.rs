//! The worker's own overhead for each task: the time of tasks whose agent makes one edit, with a
//! sandbox and without, compared with a shell script that makes the same git commands and HTTP
//! calls, in one run on one forge and queue. Also the memory of an idle worker.
//!
//! `cargo bench --bench overhead -- [--tasks N]`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a program that a person runs, which uses a part of the scenarios' world"
)]

#[path = "../tests/scenarios"]
mod scenarios {
    pub mod world;
}

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use scenarios::world::{TOKEN, World};
use serde_json::json;

const NO_CHECKS: &str = "[checks]\ntests = false\n\
                         setup = \"\"\nbuild = \"\"\nformat = \"\"\nlint = \"\"\ntest = \"\"\n";
const DEADLINE: Duration = Duration::from_secs(300);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let tasks = arguments
        .iter()
        .position(|argument| argument == "--tasks")
        .and_then(|at| arguments.get(at + 1));
    let tasks = tasks.map_or(20, |tasks| tasks.parse().unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(measure(tasks));
}

async fn measure(tasks: u32) {
    let mut world = World::without_repository().await;
    world.forge.repository(
        "owner/repo",
        "main",
        &[("README.md", "small\n"), (".codingworker.toml", NO_CHECKS)],
    );
    world.agent("echo edited > hello.txt");

    world.leaves_comments_unread("the time is what is measured");

    let mut sandboxed = Duration::ZERO;
    let (mut unsandboxed, mut by_hand) = (Duration::ZERO, Duration::ZERO);
    let mut memory = 0;
    // In turns, so that a machine that slows down slows all of them.
    for round in 0..2 {
        for (require, total) in [("full", &mut sandboxed), ("none", &mut unsandboxed)] {
            world.set("sandbox", json!({ "require": require }));
            for _ in 0..tasks {
                world.task("A task", "One edit.").await;
            }
            let mut worker = start_worker(&world);
            let began = Instant::now();
            wait_until_empty(&world).await;
            *total += began.elapsed();
            if round == 0 && require == "full" {
                memory = resident_kib(worker.id().unwrap());
            }
            stop(&mut worker).await;
        }

        let issues: Vec<u64> = {
            let mut issues = Vec::new();
            for _ in 0..tasks {
                issues.push(world.task("A task", "One edit.").await);
            }
            issues
        };
        let began = Instant::now();
        for issue in issues {
            by_hand_one(&world, issue).await;
        }
        by_hand += began.elapsed();
    }
    let each = |total: Duration| total.as_secs_f64() * 1000.0 / f64::from(2 * tasks);
    let totals = [("worker", sandboxed), ("without a sandbox", unsandboxed), ("by hand", by_hand)];
    for (name, total) in totals {
        println!(
            "{name:<17} {:>7.1} ms a task, {:>5.2} times by hand",
            each(total),
            each(total) / each(by_hand)
        );
    }
    println!("{:<17} {:>7.1} MB resident", "idle", f64::from(memory) / 1024.0);
}

fn start_worker(world: &World) -> tokio::process::Child {
    let mut worker = world.command(&["worker"]);
    worker.env("GITHUB_TOKEN", TOKEN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Tells the worker to end, so that it records the end of its last run first, and not to wait for
/// its open poll.
async fn stop(worker: &mut tokio::process::Child) {
    let pid = worker.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    worker.wait().await.unwrap();
}

async fn wait_until_empty(world: &World) {
    let until = Instant::now() + DEADLINE;
    while world.queue.counts().await != (0, 0, 0) {
        assert!(Instant::now() < until, "the worker does not get done");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn by_hand_one(world: &World, issue: u64) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/by_hand.sh");
    let directory = world.path().join("by-hand");
    std::fs::create_dir_all(&directory).unwrap();
    let status = tokio::process::Command::new(script)
        .args([
            &world.forge.url,
            TOKEN,
            &world.queue.url,
            directory.to_str().unwrap(),
            &issue.to_string(),
        ])
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(status.success(), "the script failed at issue {issue}");
}

fn resident_kib(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
