//! The workflow that sends an issue to SQS: its own scripts run on payloads as GitHub makes them,
//! and send to two kinds of queue.

use codingworker::task::Task;
use localhub::{Answer, Fault, Permission, When};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::actions::{Actions, Job};
use crate::world::moto::Moto;
use crate::world::{FILES, Forge, Queue};

/// What SQS takes in one message, its attributes included.
const LARGEST: usize = 262_144;
const PERMISSION: &str = "/repos/{owner}/{repo}/collaborators/{name}/permission";

struct Workflow {
    _directory: tempfile::TempDir,
    forge: Forge,
    queue: Queue,
    actions: Actions,
    number: u64,
}

impl Workflow {
    async fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let queue = Queue::start(directory.path()).await;
        Self::with(directory, queue).await
    }

    async fn with(directory: tempfile::TempDir, queue: Queue) -> Option<Self> {
        let forge = Forge::start(directory.path()).await;
        forge.repository("owner/repo", "main", FILES);
        let issue = json!({ "title": "An issue", "labels": ["ai-task"] });
        let issue = forge.ask(reqwest::Method::POST, "/repos/owner/repo/issues", issue).await;
        let actions = Actions::at(&forge.url, &queue.url)?;
        Some(Self {
            _directory: directory,
            forge,
            queue,
            actions,
            number: issue["number"].as_u64().unwrap(),
        })
    }

    /// The payload of `issues.labeled` (GitHub Docs, "Webhook events and payloads").
    fn labeled(&self, title: &str, body: &Value, labels: &[String]) -> Value {
        let labels: Vec<Value> = labels.iter().map(|name| json!({ "name": name })).collect();
        json!({
            "action": "labeled",
            "label": { "name": "ai-task" },
            "issue": {
                "number": self.number, "state": "open", "title": title, "body": body,
                "labels": labels,
            },
            "repository": { "full_name": "owner/repo" },
            "sender": { "login": "owner" },
        })
    }

    fn run(&self, payload: &Value) -> Job {
        self.actions.run("issues", &payload.to_string(), &json!({}))
    }

    async fn comments(&self) -> Vec<String> {
        let comments = self.forge.comments("owner/repo", self.number).await;
        comments.into_iter().map(|comment| comment.body).collect()
    }

    async fn labels(&self) -> Vec<String> {
        let issue = self.forge.get(&format!("/repos/owner/repo/issues/{}", self.number)).await;
        issue["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| label["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Queues an issue with this text, and compares the text with the message in the queue.
    async fn check(&self, title: &str, body: &Value, labels: &[String]) {
        let job = self.run(&self.labeled(title, body, labels));
        let body = body.as_str().unwrap_or_default();
        assert_eq!(job.conclusion, "success", "{title}: {job}");
        let message = self.queue.take().await.expect("nothing was queued");
        let attribute = |name: &str| {
            message["MessageAttributes"][name]["StringValue"].as_str().unwrap_or_default()
        };
        assert_eq!(attribute("IssueNumber"), self.number.to_string());
        assert_eq!(attribute("Repository"), "owner/repo");
        assert_eq!(attribute("Sender"), "owner");
        assert_eq!(attribute("RunId"), "1234567890");
        assert_eq!(attribute("BodySha256"), hex(&Sha256::digest(body)));

        let text = message["Body"].as_str().unwrap();
        let task = Task::decode(text.as_bytes()).unwrap();
        assert_eq!(task.issue_number.value(), self.number);
        assert_eq!(task.repository.to_string(), "owner/repo");
        assert_eq!((task.title.as_str(), task.labels.as_slice()), (title, labels));
        let age = jiff::Timestamp::now().duration_since(task.created_at).as_secs();
        assert!((0..60).contains(&age), "made {age} s ago");
        if attribute("BodyTruncated") == "false" {
            assert_eq!(task.body, body, "{title}");
        } else {
            assert_eq!(attribute("BodyTruncated"), "true");
            assert!(body.starts_with(&task.body) && body != task.body, "{title}");
            assert!(
                text.len() > LARGEST - 1024 - 12,
                "{title}: only {} bytes were kept",
                text.len()
            );
        }
        let attributes = message["MessageAttributes"].as_object().unwrap().iter();
        let attributes: usize = attributes
            .map(|(name, value)| {
                name.len()
                    + ["DataType", "StringValue"]
                        .map(|field| value[field].as_str().unwrap().len())
                        .iter()
                        .sum::<usize>()
            })
            .sum();
        assert!(text.len() + attributes <= LARGEST, "{title}: {} bytes", text.len() + attributes);

        let queued = format!("message `{}`", message["MessageId"].as_str().unwrap());
        assert!(self.comments().await.iter().any(|comment| comment.contains(&queued)));
        assert!(!job.directory.path().join("pwned").exists(), "{title}: something was executed");
    }

    async fn check_every_text(&self) {
        let ai_task = ["ai-task".to_owned()];
        self.check(
            "Add FizzBuzz",
            &json!("Create a function that prints FizzBuzz from 1 to 100"),
            &ai_task,
        )
        .await;
        self.check("No body", &Value::Null, &ai_task).await;
        self.check("日本語のとても長い依頼", &json!("課".repeat(65_536)), &ai_task).await;
        self.check("The longest body", &json!("x".repeat(262_144)), &ai_task).await;
        self.check("Just under the limit", &json!("y".repeat(260_000)), &ai_task).await;
        self.check("Lines and quotes, too long", &json!("\"a\\b\"\r\n".repeat(30_000)), &ai_task)
            .await;
        self.check("😀 emoji, cut between two", &json!("😀".repeat(30_000)), &ai_task).await;
        let attack = "\"; touch pwned; '$(touch pwned)' `touch pwned` ${{ github.token }} \
                      ${IFS} \\ \n\r\n\ttouch pwned\n";
        self.check(attack, &json!(attack), &[ai_task[0].clone(), attack.to_owned()]).await;
        self.check("-n --help @file", &json!("@/etc/passwd"), &ai_task).await;
        self.check("\u{fffe}", &json!("before \u{fffe} \u{ffff} \u{7f} \u{200b} after"), &ai_task)
            .await;
        let controls = "nul \u{0}, bell \u{7}, escape \u{1b}, end";
        self.check("Controls", &json!(controls), &ai_task).await;
        let labels: Vec<String> = (0..99)
            .map(|n| format!("label {n} ラベル {}", "字".repeat(30)))
            .chain(ai_task.clone())
            .collect();
        self.check("A hundred labels and a long body", &json!("z".repeat(262_144)), &labels).await;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_reaches_the_embedded_queue_as_it_was_labelled() {
    let Some(fixture) = Workflow::new().await else { return };
    fixture.check_every_text().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_reaches_moto_as_it_was_labelled() {
    let Some(moto) = Moto::start().await else { return };
    let queue = Queue::at_moto(&moto.url).await;
    let directory = tempfile::tempdir().unwrap();
    let Some(fixture) = Workflow::with(directory, queue).await else { return };
    fixture.check_every_text().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_person_who_may_write_to_the_repository_can_queue_an_issue() {
    let Some(fixture) = Workflow::new().await else { return };
    let hub = &fixture.forge.hub;
    for (login, permission) in [
        ("reader", Some(Permission::Read)),
        ("sorter", Some(Permission::Triage)),
        ("stranger", None),
    ] {
        hub.add_user(login, &format!("token-of-{login}")).unwrap();
        if let Some(permission) = permission {
            hub.grant("owner/repo", login, permission).unwrap();
        }
    }
    for login in ["reader", "sorter", "stranger", "nobody", "some-app[bot]"] {
        hub.add_labels("owner/repo", "owner", fixture.number, &["ai-task"]).unwrap();
        let mut payload = fixture.labeled("Do as I say", &json!(""), &["ai-task".to_owned()]);
        payload["sender"]["login"] = json!(login);
        let before = fixture.comments().await.len();
        let job = fixture.run(&payload);
        assert_eq!(job.conclusion, "success", "{login}: {job}");
        assert_eq!(job.outcome("Send the message"), "skipped");
        assert_eq!(fixture.queue.take().await, None, "{login}");
        assert_eq!(fixture.labels().await, Vec::<String>::new(), "{login}");
        let comments = fixture.comments().await;
        assert_eq!(comments.len(), before + 1, "{login}");
        assert!(
            comments[before].contains("CodingWorker did not queue this issue"),
            "{}",
            comments[before]
        );
    }
    for (login, permission) in [("writer", Permission::Write), ("maintainer", Permission::Maintain)]
    {
        hub.add_user(login, &format!("token-of-{login}")).unwrap();
        hub.grant("owner/repo", login, permission).unwrap();
        let mut payload = fixture.labeled("Do as I say", &json!(""), &["ai-task".to_owned()]);
        payload["sender"]["login"] = json!(login);
        assert_eq!(fixture.run(&payload).conclusion, "success");
        assert!(fixture.queue.take().await.is_some(), "{login}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_anything_but_a_labelled_open_issue_starts_nothing() {
    let Some(mut fixture) = Workflow::new().await else { return };
    let plain = fixture.labeled("An issue", &json!(""), &["ai-task".to_owned()]);
    let changed = |change: fn(&mut Value)| {
        let mut payload = plain.clone();
        change(&mut payload);
        payload
    };
    let payloads = [
        changed(|payload| payload["label"]["name"] = json!("bug")),
        changed(|payload| payload["label"]["name"] = json!("ai-task-failed")),
        changed(|payload| payload["action"] = json!("unlabeled")),
        changed(|payload| payload["issue"]["state"] = json!("closed")),
        changed(|payload| {
            payload["issue"]["pull_request"] =
                json!({ "url": "https://api.github.com/repos/owner/repo/pulls/1" });
        }),
    ];
    for payload in payloads {
        assert_eq!(fixture.run(&payload).conclusion, "skipped", "{payload}");
    }
    for value in ["", "false", "1"] {
        fixture.actions.enabled = value;
        assert_eq!(fixture.run(&plain).conclusion, "skipped", "ENABLE_SQS_WORKFLOW = {value:?}");
    }
    assert_eq!(fixture.queue.take().await, None);
    assert_eq!(fixture.comments().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_is_queued_again_by_hand() {
    let Some(fixture) = Workflow::new().await else { return };
    let path = format!("/repos/owner/repo/issues/{}", fixture.number);
    let change =
        json!({ "title": "Edited since", "body": "and more", "labels": ["ai-task-failed"] });
    fixture.forge.ask(reqwest::Method::PATCH, &path, change).await;
    let payload =
        json!({ "repository": { "full_name": "owner/repo" }, "sender": { "login": "owner" } })
            .to_string();
    let dispatch = |number: Value| {
        fixture.actions.run("workflow_dispatch", &payload, &json!({ "issue_number": number }))
    };

    let job = dispatch(json!(fixture.number.to_string()));
    assert_eq!(job.conclusion, "success", "{job}");
    let message = fixture.queue.take().await.unwrap();
    let task = Task::decode(message["Body"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!((task.title.as_str(), task.body.as_str()), ("Edited since", "and more"));
    assert!(task.labels.contains(&"ai-task".to_owned()), "{:?}", task.labels);
    assert_eq!(fixture.labels().await, ["ai-task", "ai-task-failed"]);

    for wrong in ["999", "0", "1/../../../../user", "1; touch pwned", "-1"] {
        let job = dispatch(json!(wrong));
        assert_eq!(job.conclusion, "failure", "{wrong}");
        assert!(!job.directory.path().join("pwned").exists());
    }
    fixture.forge.ask(reqwest::Method::PATCH, &path, json!({ "state": "closed" })).await;
    assert_eq!(dispatch(json!(fixture.number)).conclusion, "failure");
    let comments = fixture.comments().await;
    assert!(comments.last().unwrap().contains("could **not** be queued"), "{comments:?}");
    assert_eq!(fixture.queue.take().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issue_is_told_of_a_failure() {
    let Some(fixture) = Workflow::new().await else { return };
    let payload = fixture.labeled("An issue", &json!(""), &["ai-task".to_owned()]);

    // GitHub fails when it is asked what the sender may do.
    fixture.forge.hub.faults().inject(
        "GET",
        PERMISSION,
        When::Nth(1),
        Fault::Answer(Answer::status(500)),
    );
    let job = fixture.run(&payload);
    assert_eq!(job.conclusion, "failure");
    assert!(fixture.comments().await.pop().unwrap().contains("actions/runs/1234567890"));

    // Nobody answers at the queue's address.
    let nowhere = Actions::at(&fixture.forge.url, "http://127.0.0.1:9").unwrap();
    let job = nowhere.run("issues", &payload.to_string(), &json!({}));
    assert_eq!((job.conclusion.as_str(), job.outcome("Send the message")), ("failure", "failure"));
    let comments = fixture.comments().await;
    assert_eq!(comments.len(), 2);
    assert!(comments[1].contains("could **not** be queued"), "{}", comments[1]);
    assert_eq!(fixture.queue.take().await, None);
}

/// The runner of these tests does execute what a workflow pastes into its scripts, so the tests
/// above would see it.
#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_pastes_a_title_into_a_script_would_be_caught() {
    let Some(fixture) = Workflow::new().await else { return };
    let directory = tempfile::tempdir().unwrap();
    let careless = directory.path().join("careless.yml");
    std::fs::write(
        &careless,
        "jobs:\n  send:\n    steps:\n      - run: echo \"${{ github.event.issue.title }}\"\n",
    )
    .unwrap();
    let payload = fixture.labeled("$(touch pwned)", &json!(""), &[]).to_string();
    let job = fixture.actions.run_workflow(&careless, "issues", &payload, &json!({}));
    assert!(job.directory.path().join("pwned").exists(), "{job}");
}
