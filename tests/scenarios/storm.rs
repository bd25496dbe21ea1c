//! Many tasks and several workers under faults: workers are killed and started again, or stopped
//! for longer than their leases; a chaos proxy refuses, throttles, drops and delays what they ask;
//! the forge has outages; messages are sent twice, issues are closed. Afterwards every task has
//! exactly one end, and nothing was received in an outage.
//!
//! `CODINGWORKER_STORM_TASKS`, `_WORKERS` and `_SEED` make the storm longer and repeat it;
//! `scripts/storm` sets them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::world::chaos_proxy::{ChaosProxy, Outage};
use crate::world::{TASK_SCRIPT, TOKEN, World};

/// In seconds; a worker is stopped for longer.
const LEASE: u64 = 8;
/// One in so many tasks is sent twice, and one in so many issues is closed.
const SENT_TWICE: u64 = 8;
const CLOSED: u64 = 10;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(format!("CODINGWORKER_STORM_{name}"))
        .ok()
        .map_or(default, |value| value.parse().unwrap())
}

struct Storm {
    world: World,
    workers: Vec<Worker>,
    rng: fastrand::Rng,
    tasks: u64,
    kills: usize,
    stops: usize,
    outages: usize,
    /// When the outage ends that the forge has now.
    outage_ends: Option<Instant>,
}

/// A worker, which is started again when it was killed.
struct Worker {
    proxy: ChaosProxy,
    settings: toml::Table,
    process: Child,
    /// When it goes on, if it was stopped.
    resumes_at: Option<Instant>,
    /// Whether it was stopped in this outage: it may have asked the forge before the outage began,
    /// and receive when it goes on.
    is_excused: bool,
}

impl Storm {
    /// Queues the tasks and starts the workers, each with a proxy of its own.
    async fn start(tasks: u64, workers: u64, seed: u64) -> Self {
        let mut world = World::new().await;
        world.queue.set_visibility_timeout(LEASE).await;
        world.agent(&format!("sleep 0.2; {TASK_SCRIPT}"));
        world.set("github", json!({ "watch_seconds": 1 }));
        world.set("worker", json!({ "concurrency": 2, "drain_seconds": 0 }));
        let mut rng = fastrand::Rng::with_seed(seed);
        for number in 1..=tasks {
            let title = format!("Add greeting {number}");
            let issue = world.issue(&title, "").await;
            let task = json!({
                "issue_number": issue, "repository": "owner/repo", "title": title, "body": "",
                "labels": ["ai-task"], "created_at": jiff::Timestamp::now().to_string(),
            });
            for _ in 0..if rng.u64(0..SENT_TWICE) == 0 { 2 } else { 1 } {
                world.queue.send(&task.to_string()).await;
            }
        }
        let mut started = Vec::new();
        for number in 0..workers {
            let lease = Duration::from_secs(LEASE);
            let (queue, forge) = (&world.queue.url, &world.forge.url);
            let proxy = ChaosProxy::before(queue, forge, seed + number, lease).await;
            world.set("data_dir", json!(world.path().join(format!("worker-{number}"))));
            world.set("queue", json!({ "endpoint_url": proxy.queue_url }));
            let urls = json!({ "api_url": proxy.forge_url, "git_url": proxy.forge_url });
            world.set("github", urls);
            let settings = world.settings.clone();
            let process = start(&world, &settings);
            started.push(Worker { proxy, settings, process, resumes_at: None, is_excused: false });
        }
        Self {
            world,
            workers: started,
            rng,
            tasks,
            kills: 0,
            stops: 0,
            outages: 0,
            outage_ends: None,
        }
    }

    /// Kills a worker and starts it again, or stops one, or closes an issue.
    async fn inject_fault(&mut self) {
        let index = self.rng.usize(0..self.workers.len());
        let worker = &mut self.workers[index];
        if worker.resumes_at.is_some() {
            return;
        }
        match self.rng.u32(0..11) {
            0..6 => {
                worker.process.kill().await.unwrap();
                worker.process = start(&self.world, &worker.settings);
                self.kills += 1;
            }
            6..9 => {
                signal(&worker.process, Signal::STOP);
                worker.is_excused = true;
                worker.resumes_at = Some(Instant::now() + Duration::from_secs(LEASE + 1));
                self.stops += 1;
            }
            9 => self.begin_outage(),
            _ => {
                let issue =
                    1 + self.rng.u64(0..self.tasks.div_ceil(CLOSED)) * CLOSED.min(self.tasks);
                let path = format!("/repos/owner/repo/issues/{}", issue.min(self.tasks));
                self.world.forge.ask(Method::PATCH, &path, json!({ "state": "closed" })).await;
            }
        }
    }

    /// The forge can't be asked for longer than a lease, by anybody.
    fn begin_outage(&mut self) {
        if self.outage_ends.is_some() {
            return;
        }
        let outage = Outage::ALL[self.rng.usize(0..Outage::ALL.len())];
        for worker in &mut self.workers {
            worker.is_excused = worker.resumes_at.is_some();
            worker.proxy.set_outage(Some(outage));
        }
        let length = Duration::from_millis(self.rng.u64(1_000 * LEASE..2_000 * LEASE));
        self.outage_ends = Some(Instant::now() + length);
        self.outages += 1;
    }

    /// Ends the outage when its time is over. Fails when a worker that was not stopped received in
    /// it: a delivery is spent then for nothing.
    fn end_outage(&mut self, now: Instant) {
        if self.outage_ends.is_none_or(|end| now < end) {
            return;
        }
        self.outage_ends = None;
        for worker in &self.workers {
            worker.proxy.set_outage(None);
            let received = worker.proxy.take_receives_in_outages();
            assert!(
                received.is_empty() || worker.is_excused,
                "received in an outage: {received:?}\n{}",
                log_of(&worker.settings)
            );
        }
    }

    fn resume_workers(&mut self) {
        for worker in &mut self.workers {
            if worker.resumes_at.is_some_and(|at| Instant::now() > at) {
                signal(&worker.process, Signal::CONT);
                worker.resumes_at = None;
            }
        }
    }

    /// A worker never ends by itself.
    fn check_all_run(&mut self) {
        for worker in &mut self.workers {
            let ended = worker.process.try_wait().unwrap();
            assert_eq!(ended, None, "a worker ended: {}", log_of(&worker.settings));
        }
    }

    /// Injects faults until every task has ended, or for as long as this.
    async fn inject_faults(&mut self, longest: Duration) {
        let over = Instant::now() + longest;
        while Instant::now() < over && self.live_tasks().await > 0 {
            // Not a wait for anything: the moments of the faults are to be random ones.
            tokio::time::sleep(Duration::from_millis(self.rng.u64(200..1500))).await;
            self.end_outage(Instant::now());
            self.resume_workers();
            self.inject_fault().await;
        }
        if let Some(end) = self.outage_ends {
            tokio::time::sleep_until(end.into()).await;
            self.end_outage(end);
        }
        for worker in &mut self.workers {
            worker.proxy.stop_faults();
            worker.resumes_at = worker.resumes_at.map(|_| Instant::now());
        }
        self.resume_workers();
    }

    /// The tasks that a worker may still receive without an operator.
    async fn live_tasks(&self) -> u64 {
        let (waiting, in_flight, _) = self.world.queue.counts().await;
        waiting + in_flight
    }

    async fn open_tasks(&self) -> u64 {
        let (waiting, in_flight, dead) = self.world.queue.counts().await;
        waiting + in_flight + dead
    }

    /// Waits until the queues are empty. As an operator would, it redrives tasks that were cut off
    /// in all of their deliveries, and returns how many those are.
    async fn wait_until_all_ended(&mut self, longest: Duration) -> u64 {
        let mut redriven = 0;
        let over = Instant::now() + longest;
        while self.open_tasks().await > 0 {
            let counts = self.world.queue.counts().await;
            assert!(Instant::now() < over, "not every task comes to an end: {counts:?}");
            self.resume_workers();
            self.check_all_run();
            redriven += self.world.queue.redrive().await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        redriven
    }

    async fn stop(&mut self) {
        for worker in &mut self.workers {
            signal(&worker.process, Signal::TERM);
            signal(&worker.process, Signal::INT);
            worker.process.wait().await.unwrap();
        }
    }

    /// Fails unless each issue has one end, and counts them: one pull request and its label, or no
    /// pull request and the comment that the issue was closed.
    async fn check_every_issue(&self) -> BTreeMap<&'static str, usize> {
        let mut ends = BTreeMap::new();
        let mut pulls: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for page in 1.. {
            let path = format!("/repos/owner/repo/pulls?state=all&per_page=100&page={page}");
            let answer = self.world.forge.get(&path).await;
            let answer = answer.as_array().unwrap();
            for pull in answer {
                pulls
                    .entry(pull["head"]["ref"].as_str().unwrap().to_owned())
                    .or_default()
                    .push(pull.clone());
            }
            if answer.is_empty() {
                break;
            }
        }
        for issue in 1..=self.tasks {
            let comment = self.world.status_comment(issue).await;
            let labels = self.world.labels(issue).await;
            let path = format!("/repos/owner/repo/issues/{issue}");
            let is_closed = self.world.forge.get(&path).await["state"] == "closed";
            let of_issue = pulls.remove(&format!("codingworker/issue-{issue}")).unwrap_or_default();
            assert!(of_issue.len() <= 1, "issue {issue} has {} pull requests", of_issue.len());
            let end = if labels == ["ai-task-done", "keep me"] {
                assert_eq!(of_issue.len(), 1, "issue {issue} is done without a pull request");
                assert!(comment.contains("Done"), "issue {issue}: {comment}");
                "done"
            } else {
                assert!(is_closed, "issue {issue} has no end: {labels:?}, {comment}");
                assert!(comment.contains("was closed"), "issue {issue}: {comment}");
                "called off"
            };
            *ends.entry(end).or_default() += 1;
        }
        assert!(pulls.is_empty(), "pull requests of no issue: {:?}", pulls.keys());
        ends
    }
}

fn start(world: &World, settings: &toml::Table) -> Child {
    let mut worker = world.command_with(settings, &["worker"]);
    let log = std::fs::File::options().create(true).append(true).open(log_file(settings)).unwrap();
    worker.env("GITHUB_TOKEN", TOKEN).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn log_file(settings: &toml::Table) -> String {
    format!("{}.log", settings["data_dir"].as_str().unwrap())
}

/// What a worker logged, in all of its processes.
fn log_of(settings: &toml::Table) -> String {
    std::fs::read_to_string(log_file(settings)).unwrap()
}

fn signal(worker: &Child, signal: Signal) {
    let pid = worker.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
    kill_process(pid, signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_has_exactly_one_end() {
    let seed = setting("SEED", fastrand::u64(0..1_000_000));
    let (tasks, workers) = (setting("TASKS", 12), setting("WORKERS", 3));
    println!("seed {seed}");
    let began = Instant::now();
    let mut storm = Storm::start(tasks, workers, seed).await;
    storm.inject_faults(Duration::from_secs(10 + tasks * 2)).await;
    let stormy = began.elapsed();
    let redriven = storm.wait_until_all_ended(Duration::from_secs(180 + tasks * 4)).await;
    storm.stop().await;

    let ends = storm.check_every_issue().await;
    let mut faults: BTreeMap<&str, usize> = BTreeMap::new();
    let mut writes = 0;
    for worker in &storm.workers {
        for (fault, count) in worker.proxy.faults() {
            *faults.entry(fault).or_default() += count;
        }
        let of_worker = worker.proxy.writes();
        writes += of_worker.len();
        let late: Vec<String> =
            of_worker.iter().filter(|write| write.is_late()).map(ToString::to_string).collect();
        assert!(
            late.is_empty(),
            "seed {seed}: written under a lost lease: {late:#?}\n{}",
            log_of(&worker.settings)
        );
    }
    println!(
        "{tasks} tasks, {workers} workers, seed {seed}: {ends:?}; {} kills, {} stops, {} outages, \
         {faults:?}; {writes} writes, none late; {redriven} redriven; {:.0} s of storm, {:.0} s \
         in all",
        storm.kills,
        storm.stops,
        storm.outages,
        stormy.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
}
