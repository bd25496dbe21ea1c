//! A real apply: the queues at localsqs, everything else at moto. The test reads every row of the
//! documented tables back, plans again, lets a policy evaluator judge the permissions, and destroys
//! everything. It is one test, because the provider waits half a minute for each queue and each of
//! its policies.

mod permissions;

use std::collections::BTreeMap;
use std::path::Path;

use localsqs::{Options, Queues};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::aws_cli::{AwsCli, REGION};
use crate::world::moto::Moto;
use crate::world::terraform::Terraform;

/// moto's.
const ACCOUNT: &str = "123456789012";
const BOOTSTRAP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/infra/bootstrap-backend.sh");
const BUCKET: &str = "codingworker-dev-tfstate";

/// An organization with a repository that presents both forms of the subject.
const VALUES: &str = r#"
github_org             = "owner"
github_repos           = ["repo"]
github_owner_id        = "11"
github_repo_ids        = { repo = "22" }
accept_legacy_subject  = true
alarm_email            = "someone@example.com"
create_operator_policy = true
"#;

struct Applied {
    queues: AwsCli,
    others: AwsCli,
    outputs: Value,
}

#[tokio::test(flavor = "multi_thread")]
async fn terraform_makes_the_documented_resources_and_destroys_them_again() {
    let Some(moto) = Moto::start().await else { return };
    let directory = tempfile::tempdir().unwrap();
    let queue = serve_queues(directory.path()).await;
    let (Some(queues), Some(others)) = (AwsCli::at(&queue), AwsCli::at(&moto.url)) else { return };
    let made = others.command(Path::new(BOOTSTRAP)).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    // moto reads no conditions in a bucket's policy, and would refuse everything.
    others.ask(&["s3api", "delete-bucket-policy", "--bucket", BUCKET]);
    let Some(terraform) = Terraform::with(&settings(&moto.url, &queue)) else { return };
    let values = directory.path().join("values.tfvars");
    std::fs::write(&values, VALUES).unwrap();
    let values = format!("-var-file={}", values.display());

    terraform.succeed(&["apply", "-auto-approve", "-input=false", "-no-color", &values]);
    let applied = Applied { queues, others, outputs: terraform.outputs() };
    applied.check_table();
    permissions::check(&applied).await;
    let again =
        terraform.run(&["plan", "-detailed-exitcode", "-input=false", "-no-color", &values]);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stdout));
    check_that_a_held_lock_is_respected(&applied.others, &terraform, &values);

    terraform.succeed(&["destroy", "-auto-approve", "-input=false", "-no-color", &values]);
    applied.check_that_nothing_is_left();
    let destroyed = applied.others.command(Path::new(BOOTSTRAP)).arg("--destroy").output().unwrap();
    assert!(destroyed.status.success(), "{destroyed:?}");
}

async fn serve_queues(directory: &Path) -> String {
    let options =
        Options { region: REGION.to_owned(), account: ACCOUNT.to_owned(), ..Options::default() };
    let queues = Queues::open(&directory.join("queue"), options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(localsqs::serve(listener, queues, CancellationToken::new().cancelled_owned()));
    url
}

fn settings(moto: &str, queue: &str) -> String {
    format!(
        r#"
terraform {{
  backend "s3" {{
    bucket                      = "{BUCKET}"
    key                         = "codingworker/terraform.tfstate"
    region                      = "{REGION}"
    encrypt                     = true
    dynamodb_table              = "codingworker-dev-tfstate-lock"
    use_lockfile                = true
    access_key                  = "AKIAEXAMPLE"
    secret_key                  = "secret"
    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_requesting_account_id  = true
    skip_s3_checksum            = true
    endpoints = {{
      s3       = "{moto}"
      dynamodb = "{moto}"
      iam      = "{moto}"
      sts      = "{moto}"
    }}
  }}
}}

provider "aws" {{
  access_key                  = "AKIAEXAMPLE"
  secret_key                  = "secret"
  max_retries                 = 2
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true

  endpoints {{
    cloudwatch = "{moto}"
    iam        = "{moto}"
    sns        = "{moto}"
    sqs        = "{queue}"
    sts        = "{moto}"
  }}
}}
"#
    )
}

fn check_that_a_held_lock_is_respected(aws: &AwsCli, terraform: &Terraform, values: &str) {
    let lock = json!({ "LockID": { "S": format!("{BUCKET}/codingworker/terraform.tfstate") } })
        .to_string();
    let table = ["--table-name", "codingworker-dev-tfstate-lock"];
    aws.ask(&[&["dynamodb", "put-item"], &table[..], &["--item", &lock]].concat());
    let refused = terraform.run(&["plan", "-input=false", "-no-color", values]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Error acquiring the state lock"));
    aws.ask(&[&["dynamodb", "delete-item"], &table[..], &["--key", &lock]].concat());
}

impl Applied {
    fn output(&self, name: &str) -> &str {
        self.outputs[name]["value"]
            .as_str()
            .unwrap_or_else(|| panic!("no output {name} in {}", self.outputs))
    }

    fn queue_attributes(&self, url: &str) -> BTreeMap<String, String> {
        let answer = self.queues.ask(&[
            "sqs",
            "get-queue-attributes",
            "--queue-url",
            url,
            "--attribute-names",
            "All",
        ]);
        let attributes = answer["Attributes"].as_object().unwrap().iter();
        attributes.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    fn policy(&self, arguments: &[&str], pointer: &str) -> Value {
        let answer = self.others.ask(arguments);
        let policy = answer.pointer(pointer).unwrap_or_else(|| panic!("{arguments:?}: {answer}"));
        policy.as_str().map_or_else(|| policy.clone(), |text| serde_json::from_str(text).unwrap())
    }

    fn trust(&self) -> Value {
        self.policy(
            &["iam", "get-role", "--role-name", "codingworker-github-actions"],
            "/Role/AssumeRolePolicyDocument",
        )
    }

    fn role_policy(&self) -> Value {
        let of = ["--role-name", "codingworker-github-actions", "--policy-name", "send-tasks"];
        self.policy(&[&["iam", "get-role-policy"], &of[..]].concat(), "/PolicyDocument")
    }

    fn user_policy(&self) -> Value {
        let of = ["--user-name", "codingworker-worker", "--policy-name", "work-on-tasks"];
        self.policy(&[&["iam", "get-user-policy"], &of[..]].concat(), "/PolicyDocument")
    }

    fn operator_policy(&self) -> Value {
        let arn = format!("arn:aws:iam::{ACCOUNT}:policy/codingworker-operator");
        self.policy(
            &["iam", "get-policy-version", "--policy-arn", &arn, "--version-id", "v1"],
            "/PolicyVersion/Document",
        )
    }

    /// Checks the documented tables of queues, identity and outputs, row by row.
    fn check_table(&self) {
        let (main_arn, dlq_arn) = [("codingworker-tasks"), ("codingworker-tasks-dlq")]
            .map(|name| format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"))
            .into();
        let main = self.queue_attributes(self.output("sqs_queue_url"));
        let dlq = self.queue_attributes(self.output("sqs_dlq_url"));
        let rows = [
            (&main, "QueueArn", main_arn.clone()),
            (&main, "VisibilityTimeout", "10800".into()),
            (&main, "MessageRetentionPeriod", "604800".into()),
            (&main, "ReceiveMessageWaitTimeSeconds", "20".into()),
            (&main, "SqsManagedSseEnabled", "true".into()),
            (&dlq, "QueueArn", dlq_arn.clone()),
            (&dlq, "MessageRetentionPeriod", "1209600".into()),
            (&dlq, "SqsManagedSseEnabled", "true".into()),
        ];
        for (queue, attribute, value) in rows {
            assert_eq!(queue.get(attribute), Some(&value), "{attribute} of {}", queue["QueueArn"]);
        }
        let rows = [
            (
                &main,
                "RedrivePolicy",
                json!({ "deadLetterTargetArn": dlq_arn, "maxReceiveCount": 3 }),
            ),
            (
                &dlq,
                "RedriveAllowPolicy",
                json!({ "redrivePermission": "byQueue", "sourceQueueArns": [main_arn] }),
            ),
            (&main, "Policy", deny_non_ssl(&main_arn)),
            (&dlq, "Policy", deny_non_ssl(&dlq_arn)),
        ];
        for (queue, attribute, value) in rows {
            let found: Value = serde_json::from_str(&queue[attribute]).unwrap();
            assert_eq!(found, value, "{attribute} of {}", queue["QueueArn"]);
        }
        assert!(!dlq.contains_key("RedrivePolicy"), "the dead-letter queue has one of its own");

        let provider =
            format!("arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com");
        let found = self.others.ask(&[
            "iam",
            "get-open-id-connect-provider",
            "--open-id-connect-provider-arn",
            &provider,
        ]);
        assert_eq!(
            found["Url"].as_str().unwrap().trim_start_matches("https://"),
            "token.actions.githubusercontent.com"
        );
        assert_eq!(found["ClientIDList"], json!(["sts.amazonaws.com"]));
        assert_eq!(
            self.trust()["Statement"],
            json!([{
                "Sid": "GitHubActionsOfListedRepositories",
                "Effect": "Allow",
                "Principal": { "Federated": provider },
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": { "StringEquals": {
                    "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                    "token.actions.githubusercontent.com:sub": [
                        "repo:owner@11/repo@22:ref:refs/heads/main",
                        "repo:owner/repo:ref:refs/heads/main",
                    ],
                } },
            }])
        );
        let role = ["GetQueueAttributes", "GetQueueUrl", "SendMessage"];
        let user = [
            "ChangeMessageVisibility",
            "DeleteMessage",
            "GetQueueAttributes",
            "GetQueueUrl",
            "ReceiveMessage",
        ];
        for (policy, actions) in [(self.role_policy(), &role[..]), (self.user_policy(), &user[..])]
        {
            let statement = policy["Statement"].as_array().unwrap();
            assert_eq!(statement.len(), 1, "{policy}");
            let mut found: Vec<&str> = statement[0]["Action"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            found.sort_unstable();
            assert_eq!(found, actions.iter().map(|name| format!("sqs:{name}")).collect::<Vec<_>>());
            assert_eq!(
                (&statement[0]["Resource"], &statement[0]["Effect"]),
                (&json!(main_arn), &json!("Allow"))
            );
        }
        let of_user =
            |call: &str| self.others.ask(&["iam", call, "--user-name", "codingworker-worker"]);
        assert_eq!(
            of_user("list-access-keys")["AccessKeyMetadata"],
            json!([]),
            "Terraform made a key"
        );
        assert_eq!(of_user("list-attached-user-policies")["AttachedPolicies"], json!([]));

        assert_eq!(self.outputs.as_object().unwrap().len(), 5);
        assert!(self.output("sqs_queue_url").ends_with("/codingworker-tasks"));
        assert!(self.output("sqs_dlq_url").ends_with("/codingworker-tasks-dlq"));
        assert_eq!(self.output("sqs_queue_arn"), main_arn);
        assert_eq!(
            self.output("github_actions_role_arn"),
            format!("arn:aws:iam::{ACCOUNT}:role/codingworker-github-actions")
        );
        assert_eq!(self.output("oidc_provider_arn"), provider);
        self.check_alarms_and_tags();
    }

    fn check_alarms_and_tags(&self) {
        let alarms = self.others.ask(&["cloudwatch", "describe-alarms"])["MetricAlarms"].take();
        let mut names: Vec<&str> = alarms
            .as_array()
            .unwrap()
            .iter()
            .map(|alarm| alarm["AlarmName"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "codingworker-dlq-expiring",
                "codingworker-dlq-not-empty",
                "codingworker-nobody-working"
            ]
        );
        for alarm in alarms.as_array().unwrap() {
            assert_eq!(alarm["AlarmActions"], alarm["OKActions"], "{alarm}");
            assert_eq!(alarm["AlarmActions"].as_array().unwrap().len(), 1, "{alarm}");
            let description = alarm["AlarmDescription"].as_str().unwrap();
            assert!(
                description.contains("codingworker dlq ")
                    || description.contains("codingworker worker"),
                "{description}"
            );
        }
        for name in ["sqs_queue_url", "sqs_dlq_url"] {
            let tags = self.queues.ask(&[
                "sqs",
                "list-queue-tags",
                "--queue-url",
                self.output(name),
            ])["Tags"]
                .take();
            assert_eq!(
                tags,
                json!({ "Project": "codingworker", "Environment": "dev", "ManagedBy": "terraform" })
            );
        }
    }

    fn check_that_nothing_is_left(&self) {
        let names = |aws: &AwsCli, arguments: &[&str], pointer: &str| {
            let answer = aws.ask(arguments);
            answer.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len)
        };
        assert_eq!(names(&self.queues, &["sqs", "list-queues"], "/QueueUrls"), 0);
        assert_eq!(names(&self.others, &["iam", "list-roles"], "/Roles"), 0);
        assert_eq!(names(&self.others, &["iam", "list-users"], "/Users"), 0);
        assert_eq!(
            names(&self.others, &["iam", "list-policies", "--scope", "Local"], "/Policies"),
            0
        );
        assert_eq!(
            names(
                &self.others,
                &["iam", "list-open-id-connect-providers"],
                "/OpenIDConnectProviderList"
            ),
            0
        );
        assert_eq!(names(&self.others, &["sns", "list-topics"], "/Topics"), 0);
        assert_eq!(names(&self.others, &["cloudwatch", "describe-alarms"], "/MetricAlarms"), 0);
    }
}

fn deny_non_ssl(arn: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "DenyNonSSLAccess",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": arn,
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        }],
    })
}
