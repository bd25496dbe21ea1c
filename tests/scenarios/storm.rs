//! Many tasks and several workers in a storm: workers are killed and started again, stopped for
//! longer than their leases, and what they ask is refused, throttled, dropped and slow; messages
//! come twice, issues are closed. Once it is over, every task has exactly one end.
//!
//! `CODINGWORKER_STORM_TASKS`, `_WORKERS` and `_SEED` make it longer and repeat it; `scripts/storm`
//! sets them.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::world::weather::Weather;
use crate::world::{TOKEN, World};

/// In seconds; a stopped worker sleeps for longer.
const LEASE: u64 = 8;
/// One in so many tasks is sent twice, and one in so many is called off.
const TWICE: u64 = 8;
const CALLED_OFF: u64 = 10;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(format!("CODINGWORKER_STORM_{name}"))
        .ok()
        .map_or(default, |value| value.parse().unwrap())
}

struct Storm {
    world: World,
    workers: Vec<Fellow>,
    dice: fastrand::Rng,
    tasks: u64,
    kills: usize,
    stops: usize,
}

/// A worker, which is started again when it was killed.
struct Fellow {
    weather: Weather,
    settings: toml::Table,
    process: Child,
    /// When it is to be woken, if it was stopped.
    wakes: Option<Instant>,
}

impl Storm {
    async fn gather(tasks: u64, workers: u64, seed: u64) -> Self {
        let mut world = World::new().await;
        world.queue.set_visibility_timeout(LEASE).await;
        world.agent(
            "sleep 0.2; test -e hello.txt && echo test > hello_test.txt || echo hello > hello.txt",
        );
        world.set("github", json!({ "watch_seconds": 1 }));
        world.set("worker", json!({ "concurrency": 2, "drain_seconds": 0 }));
        let mut dice = fastrand::Rng::with_seed(seed);
        for number in 1..=tasks {
            let issue = world.issue(&format!("Add greeting {number}"), "").await;
            let task = json!({
                "issue_number": issue, "repository": "owner/repo", "title": format!("Add greeting {number}"), "body": "",
                "labels": ["ai-task"], "created_at": jiff::Timestamp::now().to_string(),
            });
            for _ in 0..if dice.u64(0..TWICE) == 0 { 2 } else { 1 } {
                world.queue.send(&task.to_string()).await;
            }
        }
        let mut fellows = Vec::new();
        for number in 0..workers {
            let lease = Duration::from_secs(LEASE);
            let weather =
                Weather::before(&world.queue.url, &world.forge.url, seed + number, lease).await;
            world.set("data_dir", json!(world.path().join(format!("worker-{number}"))));
            world.set("queue", json!({ "endpoint_url": weather.queue_url }));
            world.set(
                "github",
                json!({ "api_url": weather.forge_url, "git_url": weather.forge_url }),
            );
            let settings = world.settings.clone();
            let process = start(&world, &settings);
            fellows.push(Fellow { weather, settings, process, wakes: None });
        }
        Self { world, workers: fellows, dice, tasks, kills: 0, stops: 0 }
    }

    /// One blow: a worker is killed and started again, or stopped; an issue is closed.
    async fn blow(&mut self) {
        let index = self.dice.usize(0..self.workers.len());
        let worker = &mut self.workers[index];
        if worker.wakes.is_some() {
            return;
        }
        match self.dice.u32(0..10) {
            0..6 => {
                worker.process.kill().await.unwrap();
                worker.process = start(&self.world, &worker.settings);
                self.kills += 1;
            }
            6..9 => {
                tell(&worker.process, Signal::STOP);
                worker.wakes = Some(Instant::now() + Duration::from_secs(LEASE + 1));
                self.stops += 1;
            }
            _ => {
                let issue = 1 + self.dice.u64(0..self.tasks.div_ceil(CALLED_OFF))
                    * CALLED_OFF.min(self.tasks);
                let path = format!("/repos/owner/repo/issues/{}", issue.min(self.tasks));
                self.world.forge.ask(Method::PATCH, &path, json!({ "state": "closed" })).await;
            }
        }
    }

    fn wake(&mut self) {
        for worker in &mut self.workers {
            if worker.wakes.is_some_and(|wakes| Instant::now() > wakes) {
                tell(&worker.process, Signal::CONT);
                worker.wakes = None;
            }
        }
    }

    /// A worker never ends by itself.
    fn all_live(&mut self) {
        for worker in &mut self.workers {
            let ended = worker.process.try_wait().unwrap();
            assert_eq!(ended, None, "a worker ended: {}", log_of(&worker.settings));
        }
    }

    async fn rage(&mut self, longest: Duration) {
        let over = Instant::now() + longest;
        while Instant::now() < over && self.live_tasks().await > 0 {
            tokio::time::sleep(Duration::from_millis(self.dice.u64(200..1500))).await;
            self.wake();
            self.blow().await;
        }
        for worker in &mut self.workers {
            worker.weather.calm_down();
            worker.wakes = worker.wakes.map(|_| Instant::now());
        }
        self.wake();
    }

    /// Those that a worker may still receive without an operator.
    async fn live_tasks(&self) -> u64 {
        let (waiting, in_flight, _) = self.world.queue.counts().await;
        waiting + in_flight
    }

    async fn open_tasks(&self) -> u64 {
        let (waiting, in_flight, dead) = self.world.queue.counts().await;
        waiting + in_flight + dead
    }

    /// Waits until the queue is empty; what was cut off in all of its deliveries is redriven, as an
    /// operator would.
    async fn calm(&mut self, longest: Duration) -> u64 {
        let mut redriven = 0;
        let over = Instant::now() + longest;
        while self.open_tasks().await > 0 {
            assert!(
                Instant::now() < over,
                "not every task comes to an end: {:?}",
                self.world.queue.counts().await
            );
            self.wake();
            self.all_live();
            redriven += self.world.queue.redrive().await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        redriven
    }

    async fn end(&mut self) {
        for worker in &mut self.workers {
            tell(&worker.process, Signal::TERM);
            tell(&worker.process, Signal::INT);
            worker.process.wait().await.unwrap();
        }
    }

    /// Each issue's end: one pull request and its label, or none and the word that it was called
    /// off.
    async fn judge(&self) -> BTreeMap<&'static str, usize> {
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
            let comments = self.world.comments(issue).await;
            assert_eq!(comments.len(), 1, "issue {issue}: {comments:?}");
            let labels = self.world.labels(issue).await;
            let closed = self.world.forge.get(&format!("/repos/owner/repo/issues/{issue}")).await["state"]
                == "closed";
            let of_issue = pulls.remove(&format!("codingworker/issue-{issue}")).unwrap_or_default();
            assert!(of_issue.len() <= 1, "issue {issue} has {} pull requests", of_issue.len());
            let end = if labels == ["ai-task-done", "keep me"] {
                assert_eq!(of_issue.len(), 1, "issue {issue} is done without a pull request");
                assert!(comments[0].contains("Done"), "issue {issue}: {comments:?}");
                "done"
            } else {
                assert!(closed, "issue {issue} has no end: {labels:?}, {comments:?}");
                assert!(comments[0].contains("was closed"), "issue {issue}: {comments:?}");
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

/// What a worker said, over all of its lives.
fn log_of(settings: &toml::Table) -> String {
    std::fs::read_to_string(log_file(settings)).unwrap()
}

fn tell(worker: &Child, signal: Signal) {
    let pid = worker.id().and_then(|id| Pid::from_raw(id.try_into().unwrap())).unwrap();
    kill_process(pid, signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_has_exactly_one_end() {
    let seed = setting("SEED", fastrand::u64(0..1_000_000));
    let (tasks, workers) = (setting("TASKS", 12), setting("WORKERS", 3));
    println!("seed {seed}");
    let began = Instant::now();
    let mut storm = Storm::gather(tasks, workers, seed).await;
    storm.rage(Duration::from_secs(10 + tasks * 2)).await;
    let raged = began.elapsed();
    let redriven = storm.calm(Duration::from_secs(120 + tasks * 4)).await;
    storm.end().await;

    let ends = storm.judge().await;
    let mut faults: BTreeMap<&str, usize> = BTreeMap::new();
    let mut writes = 0;
    for worker in &storm.workers {
        for (fault, count) in worker.weather.faults() {
            *faults.entry(fault).or_default() += count;
        }
        let of_worker = worker.weather.writes();
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
        "{tasks} tasks, {workers} workers, seed {seed}: {ends:?}; {} kills, {} stops, {faults:?}; {writes} writes, none late; \
         {redriven} redriven; {:.0} s of storm, {:.0} s in all",
        storm.kills,
        storm.stops,
        raged.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
}
