//! A day of an operator: three workers share a queue, GitHub has an outage, the token of one worker
//! expires, a task fails for good, and the operator puts it back.
//!
//! The questions of the day and the commands that answer them are in `docs/operations.md` and in
//! its Japanese page, with what the commands print.

use std::path::PathBuf;

use localhub::{Answer, Fault, Permission, When};
use serde_json::{Value, json};

use crate::exit_codes::OK;
use crate::world::examples::Examples;
use crate::world::running::Running;
use crate::world::{DEADLINE, OWNER, World, wait_until};

/// The test fails when the greeting is misspelled.
const FILES: &[(&str, &str)] = &[
    ("README.md", "# greetings\n"),
    (
        "check.sh",
        "test ! -e greeting.txt || grep -qx hello greeting.txt || {\n\
         echo \"FAILED greeting: expected hello, found $(cat greeting.txt)\"; exit 1; }\n\
         echo 'all greetings are right'\n",
    ),
    (
        ".codingworker.toml",
        "[checks]\nbuild = \"\"\nformat = \"\"\nlint = \"\"\nsetup = \"\"\n\
         test = \"sh check.sh\"\n",
    ),
];

/// The task that takes all day.
const LONG: &str = "Sort the names";

/// The task that fails until the operator has found a better model.
const FAILING: &str = "Say hello";

/// Where the page says that a worker's files are.
const SHOWN_DATA_DIR: &str = "/home/me/.local/share/codingworker";

/// A machine with a worker, or the operator's laptop, which has none.
struct Machine {
    login: &'static str,
    token_file: PathBuf,
    settings: toml::Table,
}

struct Day {
    world: World,
    examples: Examples,
}

impl Day {
    async fn begin(language: &str, page: &str) -> Self {
        let mut world = World::without_repository().await;
        world.forge.repository("owner/repo", "main", FILES);
        world.set("language", json!(language));
        world.set("github", json!({ "watch_seconds": 1 }));
        // The day is long enough without one.
        world.without_sandbox();
        let shared = world.shared_dir();
        let file = |name: &str| format!("'{}'", shared.join(name).display());
        // The first calls wait for each other, so that each worker has one task.
        let script = format!(
            "echo call >> {calls}; until [ $(wc -l < {calls}) -ge 3 ]; do sleep 0.02; done\n\
             if grep -q '{LONG}' \"$1\"; then\n\
             touch {busy}; until [ -e {go} ]; do sleep 0.02; done\n\
             fi\n\
             if grep -q '{FAILING}' \"$1\"; then\n\
             echo helo > greeting.txt; [ ! -e {better} ] || echo hello > greeting.txt\n\
             echo 'I wrote greeting.txt.'\n\
             fi\n\
             test -e names.txt && echo test > names_test.txt || echo names > names.txt",
            calls = file("calls"),
            busy = file("busy"),
            go = file("go"),
            better = file("better"),
        );
        world.agent(&script);
        Self { world, examples: Examples::of(page) }
    }

    /// A machine with a token of its own, in a file.
    fn machine(&self, login: &'static str) -> Machine {
        let token = format!("token-of-{login}");
        self.world.forge.hub.add_user(login, &token).unwrap();
        self.world.forge.hub.grant("owner/repo", login, Permission::Write).unwrap();
        let token_file = self.world.path().join(format!("{login}.token"));
        std::fs::write(&token_file, token).unwrap();
        let mut settings = self.world.settings.clone();
        let path = |path: PathBuf| toml::Value::String(path.to_str().unwrap().to_owned());
        settings.insert("data_dir".to_owned(), path(self.world.path().join(login)));
        let github = settings["github"].as_table_mut().unwrap();
        github.insert("token_file".to_owned(), path(token_file.clone()));
        Machine { login, token_file, settings }
    }

    async fn run(&self, machine: &Machine, arguments: &[&str]) -> String {
        let ran = self.world.command_with(&machine.settings, arguments).output();
        let ran = tokio::time::timeout(DEADLINE, ran).await.expect("the program hangs").unwrap();
        assert_eq!(ran.status.code(), Some(OK), "{arguments:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    async fn status(&self, machine: &Machine) -> Value {
        serde_json::from_str(&self.run(machine, &["status", "--json"]).await).unwrap()
    }

    async fn wait_until_it_is(&self, machine: &Machine, state: &str) {
        let what = format!("{} is {state}", machine.login);
        wait_until(&what, async || self.status(machine).await["worker"]["state"] == state).await;
    }

    /// Asks a question of the day, whose answer is in the page. The page shows the addresses of a
    /// worker that uses AWS and GitHub.
    async fn ask(&mut self, machine: &Machine, command: &str) {
        let arguments: Vec<_> = command.split_whitespace().collect();
        let printed = self.run(machine, &arguments).await;
        let forge = &self.world.forge.url;
        let data_dir = self.world.path().join(machine.login);
        let printed = printed
            .replace(data_dir.to_str().unwrap(), SHOWN_DATA_DIR)
            .replace(&self.world.queue.url, "https://sqs.eu-west-1.amazonaws.com")
            .replace(&format!("{forge}/rate_limit"), "https://api.github.com/rate_limit")
            .replace(forge, "https://github.com");
        // It is left to chance which of the workers fails.
        let printed = ["worker-1", "worker-2", "worker-3"]
            .iter()
            .fold(printed, |printed, login| printed.replace(login, "worker-1"));
        self.examples.compare(&format!("codingworker {command}"), &printed);
    }

    /// Waits until issues are done, and so many messages are left, all of them in flight.
    async fn wait_until_done(&self, issues: &[u64], in_flight: u64) {
        let what = format!("{issues:?} are done");
        wait_until(&what, async || self.world.queue.counts().await == (0, in_flight, 0)).await;
        for issue in issues {
            assert_eq!(self.world.labels(*issue).await, ["ai-task-done", "keep me"], "#{issue}");
            self.world.status_comment(*issue).await;
        }
    }
}

async fn a_day(language: &str, page: &str) {
    let mut day = Day::begin(language, page).await;
    let mut machines: Vec<_> =
        ["worker-1", "worker-2", "worker-3"].map(|login| day.machine(login)).into();
    let laptop = day.machine("laptop");
    for title in ["Count the names", "List the names", LONG] {
        day.world.task(title, "").await;
    }

    // GitHub has an outage, and nothing is taken from the queue.
    let outage = Fault::Answer(Answer::status(502));
    day.world.forge.hub.faults().inject_everywhere(When::Always, outage);
    let start =
        |machine: &Machine| Running::start(day.world.command_with(&machine.settings, &["worker"]));
    let workers: Vec<Running> = machines.iter().map(start).collect();
    for machine in &machines {
        day.wait_until_it_is(machine, "waiting_for_forge").await;
    }
    day.ask(&machines[0], "status").await;
    assert_eq!(day.world.queue.counts().await, (3, 0, 0));
    day.world.forge.hub.faults().clear();
    day.wait_until_done(&[1, 2], 1).await;
    let busy = day.world.shared_dir().join("busy");
    wait_until("the long task has begun", async || busy.exists()).await;

    // One worker is busy, the token of another one expires, and the third one does the rest.
    let mut working_on = async |issue: u64| {
        for (position, machine) in machines.iter().enumerate() {
            if day.status(machine).await["runs"][0]["issue_number"] == issue {
                return machines.remove(position);
            }
        }
        panic!("no worker has #{issue}");
    };
    let (worker, expired) = (working_on(1).await, working_on(2).await);
    day.world.forge.hub.add_user(expired.login, "a-new-token").unwrap();
    day.wait_until_it_is(&expired, "waiting_for_forge").await;
    day.ask(&expired, "status --runs 0").await;

    // A task fails for good.
    day.world.forge.hub.create_issue("owner/repo", OWNER, "A question", "", &[]).unwrap();
    let failing = day.world.task(FAILING, "").await;
    assert_eq!(failing, 7, "the number that the page shows");
    wait_until("the task is a dead letter", async || day.world.queue.counts().await == (0, 1, 1))
        .await;
    day.ask(&worker, "status --runs 3").await;
    day.ask(&worker, "dlq list").await;
    day.ask(&laptop, "dlq list").await;
    day.ask(&worker, "why owner/repo#7").await;
    day.ask(&worker, "logs 4").await;
    day.ask(&worker, "logs owner/repo#7 --since 3d").await;

    // The operator fixes the cause, and puts the task back.
    std::fs::write(day.world.shared_dir().join("better"), "").unwrap();
    day.ask(&laptop, "dlq redrive --task owner/repo#7").await;
    day.wait_until_done(&[7], 1).await;
    day.ask(&worker, "why owner/repo#7").await;

    // A new token and the end of the long task need nobody else.
    std::fs::write(&expired.token_file, "a-new-token").unwrap();
    day.wait_until_it_is(&expired, "working").await;
    std::fs::write(day.world.shared_dir().join("go"), "").unwrap();
    day.wait_until_done(&[3], 0).await;
    assert_eq!(day.world.pull_requests().await.len(), 4);
    for worker in workers {
        worker.stop_at_once().await;
    }
    day.examples.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_as_the_english_page_tells_it() {
    a_day("en", "docs/operations.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_as_the_japanese_page_tells_it() {
    a_day("ja", "docs/operations.ja.md").await;
}
