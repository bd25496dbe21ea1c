//! Which principal may do what, as a third party's evaluator reads the policies that Terraform
//! really made.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{ACCOUNT, Applied};
use crate::world::queue_proxy::QueueProxy;
use crate::world::{World, tools};

const MAY: &str = "Allowed";
const MAY_NOT: &str = "ImplicitlyDenied";
const NEVER: &str = "ExplicitlyDenied";

const ACTIONS: [&str; 14] = [
    "SendMessage",
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueUrl",
    "GetQueueAttributes",
    "SetQueueAttributes",
    "PurgeQueue",
    "DeleteQueue",
    "AddPermission",
    "TagQueue",
    "StartMessageMoveTask",
    "CancelMessageMoveTask",
    "ListMessageMoveTasks",
];
const SENDER: [&str; 3] = ["SendMessage", "GetQueueUrl", "GetQueueAttributes"];
const WORKER: [&str; 5] = [
    "ReceiveMessage",
    "DeleteMessage",
    "GetQueueUrl",
    "GetQueueAttributes",
    "ChangeMessageVisibility",
];
const OPERATOR_ON_DLQ: [&str; 9] = [
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "GetQueueAttributes",
    "GetQueueUrl",
    "PurgeQueue",
    "StartMessageMoveTask",
    "CancelMessageMoveTask",
    "ListMessageMoveTasks",
];

/// A request, and the decision that is expected.
struct Row {
    what: String,
    request: Value,
    verdict: &'static str,
}

/// A queue with the policy it has.
struct Target {
    arn: String,
    policy: Option<Value>,
}

impl Target {
    /// The main queue, the dead-letter queue, and a foreign queue, whose policy denies nothing.
    fn all(applied: &Applied) -> [Self; 3] {
        let arn = |name: &str| applied.output("sqs_queue_arn").replace("codingworker-tasks", name);
        let policy = |output: &str| {
            let attributes = applied.queue_attributes(applied.output(output));
            Some(serde_json::from_str(&attributes["Policy"]).unwrap())
        };
        [
            Self { arn: arn("codingworker-tasks"), policy: policy("sqs_queue_url") },
            Self { arn: arn("codingworker-tasks-dlq"), policy: policy("sqs_dlq_url") },
            Self { arn: arn("another"), policy: None },
        ]
    }

    fn asked(
        &self,
        principal: &str,
        policy: &Value,
        action: &str,
        tls: bool,
        verdict: &'static str,
    ) -> Row {
        Row {
            what: format!(
                "{principal}: {action} on {}{}",
                self.arn,
                if tls { "" } else { " over plain HTTP" }
            ),
            request: json!({
                "principal": principal,
                "action": format!("sqs:{action}"),
                "resource": self.arn,
                "account": ACCOUNT,
                "context": { "aws:SecureTransport": tls.to_string() },
                "identity": [policy],
                "resource_policy": self.policy,
            }),
            verdict,
        }
    }
}

pub(super) async fn check(applied: &Applied) {
    if tools::node_package("@cloud-copilot/iam-simulate").is_none() {
        return;
    }
    let queues = Target::all(applied);
    let mut rows = who_may_assume_the_role(applied);
    rows.extend(who_may_do_what(applied, &queues));
    rows.extend(calls_of_the_worker(applied, &queues[0]).await);
    assert!(rows.len() >= 60, "only {} rows", rows.len());
    let verdicts = judge(&rows);
    let wrong: Vec<String> = rows
        .iter()
        .zip(&verdicts)
        .filter(|(row, verdict)| row.verdict != *verdict)
        .map(|(row, verdict)| format!("{}: {verdict}, not {}", row.what, row.verdict))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let allowed = verdicts.iter().filter(|verdict| *verdict == MAY).count();
    println!("{} rows, {allowed} of them allowed", rows.len());
}

fn who_may_assume_the_role(applied: &Applied) -> Vec<Row> {
    let trust = applied.trust();
    let provider = applied.output("oidc_provider_arn").to_owned();
    let row = |subject: Option<&str>, audience: Option<&str>, federated: &str, verdict| {
        let mut context = serde_json::Map::new();
        for (key, value) in [("sub", subject), ("aud", audience)] {
            if let Some(value) = value {
                context.insert(format!("token.actions.githubusercontent.com:{key}"), json!(value));
            }
        }
        Row {
            what: format!("{federated} as {subject:?} for {audience:?}"),
            request: json!({
                "principal": federated,
                "action": "sts:AssumeRoleWithWebIdentity",
                "resource": applied.output("github_actions_role_arn"),
                "account": ACCOUNT,
                "context": context,
                "resource_policy": trust,
            }),
            verdict,
        }
    };
    let aws = Some("sts.amazonaws.com");
    let mut rows = Vec::new();
    for subject in
        ["repo:owner@11/repo@22:ref:refs/heads/main", "repo:owner/repo:ref:refs/heads/main"]
    {
        rows.push(row(Some(subject), aws, &provider, MAY));
        rows.push(row(Some(subject), Some("https://github.com/owner"), &provider, MAY_NOT));
        rows.push(row(Some(subject), None, &provider, MAY_NOT));
        rows.push(row(
            Some(subject),
            aws,
            "arn:aws:iam::123456789012:oidc-provider/gitlab.com",
            MAY_NOT,
        ));
    }
    for subject in [
        "repo:owner/other:ref:refs/heads/main",
        "repo:stranger/repo:ref:refs/heads/main",
        "repo:owner/repo-fork:ref:refs/heads/main",
        "repo:owner/repo:ref:refs/heads/main2",
        "repo:owner/repo:ref:refs/heads/feature/main",
        "repo:owner/repo:ref:refs/tags/main",
        "repo:owner/repo:pull_request",
        "repo:owner/repo:environment:production",
        "repo:owner/repo:environment:main",
        "repo:Owner/Repo:ref:refs/heads/main",
        "repo:owner/repo:*",
        "repo:owner/*",
        "",
        "repo:owner@11/repo@23:ref:refs/heads/main",
        "repo:owner@12/repo@22:ref:refs/heads/main",
        "repo:owner@11/other@22:ref:refs/heads/main",
        "repo:owner@11/repo@22:ref:refs/heads/develop",
        "repo:owner@11/repo@22:pull_request",
        "repo:owner@11/repo@22:environment:production",
        "repo:owner@11/repo:ref:refs/heads/main",
        "repo:owner/repo@22:ref:refs/heads/main",
    ] {
        rows.push(row(Some(subject), aws, &provider, MAY_NOT));
    }
    rows.push(row(None, aws, &provider, MAY_NOT));
    rows.push(row(None, None, &provider, MAY_NOT));
    rows
}

/// Every principal, action and queue, over TLS and without.
fn who_may_do_what(applied: &Applied, [main, dlq, another]: &[Target; 3]) -> Vec<Row> {
    let role =
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/codingworker-github-actions/codingworker-1");
    let user = |name: &str| format!("arn:aws:iam::{ACCOUNT}:user/{name}");
    let none = json!({ "Version": "2012-10-17", "Statement": [] });
    let principals: [(String, Value, &[&str], &[&str]); 4] = [
        (role, applied.role_policy(), &SENDER, &[]),
        (user("codingworker-worker"), applied.user_policy(), &WORKER, &[]),
        (user("operator"), applied.operator_policy(), &SENDER, &OPERATOR_ON_DLQ),
        (user("somebody-else"), none, &[], &[]),
    ];
    let mut rows = Vec::new();
    for (principal, policy, on_main, on_dlq) in &principals {
        for (queue, may) in [(main, on_main), (dlq, on_dlq), (another, &&[][..])] {
            for action in ACTIONS {
                let allowed = if may.contains(&action) { MAY } else { MAY_NOT };
                let in_the_clear = if queue.policy.is_some() { NEVER } else { allowed };
                rows.push(queue.asked(principal, policy, action, true, allowed));
                rows.push(queue.asked(principal, policy, action, false, in_the_clear));
            }
        }
    }
    rows
}

/// The calls that a worker really makes, all of which its user must be allowed.
async fn calls_of_the_worker(applied: &Applied, queue: &Target) -> Vec<Row> {
    let mut world = World::new().await;
    let proxy = QueueProxy::before(&world.queue.url).await;
    world.task("Add a greeting", "").await;
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    let ran = world.work().await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(world.pull_requests().await.len(), 1);
    world.agent("exit 1");
    world.set("queue", json!({ "endpoint_url": world.queue.url }));
    world.task("Fail", "").await;
    world.set("queue", json!({ "endpoint_url": proxy.url }));
    world.work().await;
    world.leaves_messages(1, "the failed task is to be repeated");
    world.leaves_comments_unread("the calls to the queue are what this is about");
    let ran = world.run(&["status"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let asked = proxy.actions();
    assert!(asked.len() >= 3 && asked.contains(&"sqs:DeleteMessage".to_owned()), "{asked:?}");
    println!("the worker calls {asked:?}");
    let user = format!("arn:aws:iam::{ACCOUNT}:user/codingworker-worker");
    let policy = applied.user_policy();
    asked
        .iter()
        .map(|action| queue.asked(&user, &policy, action.trim_start_matches("sqs:"), true, MAY))
        .collect()
}

fn judge(rows: &[Row]) -> Vec<String> {
    let mut evaluator = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/peers/authorize.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let rows: Vec<&Value> = rows.iter().map(|row| &row.request).collect();
    evaluator
        .stdin
        .take()
        .unwrap()
        .write_all(json!({ "rows": rows }).to_string().as_bytes())
        .unwrap();
    let output = evaluator.wait_with_output().unwrap();
    assert!(output.status.success(), "the evaluator itself failed");
    serde_json::from_slice(&output.stdout).unwrap()
}
