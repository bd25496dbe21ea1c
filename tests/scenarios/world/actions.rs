//! GitHub Actions on this machine: a workflow's own scripts, its conditions by GitHub's own
//! expression language, with the AWS CLI before a queue and `gh` before the forge.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::forge::TOKEN;
use super::tools;

pub const WORKFLOW: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/.github/workflows/send-to-sqs.yml");

const REGION: &str = "il-central-1";

pub struct Actions {
    aws: PathBuf,
    forge: String,
    queue: String,
    pub enabled: &'static str,
}

/// How a run of the workflow ended, and the directory it worked in.
pub struct Job {
    pub conclusion: String,
    pub steps: Vec<Value>,
    pub directory: TempDir,
}

impl Actions {
    /// `None` when the test is to be skipped.
    pub fn at(forge: &str, queue: &str) -> Option<Self> {
        let aws = tools::tool("aws", "awscli")?;
        for program in ["bash", "gh", "jq", "node"] {
            tools::on_the_path(program)?;
        }
        tools::node_package("@actions/expressions")?;
        Some(Self { aws, forge: forge.to_owned(), queue: queue.to_owned(), enabled: "true" })
    }

    /// Runs the workflow on an event, whose payload is given as the text that GitHub would send.
    pub fn run(&self, event_name: &str, payload: &str, inputs: &Value) -> Job {
        self.run_workflow(Path::new(WORKFLOW), event_name, payload, inputs)
    }

    pub fn run_workflow(
        &self,
        workflow: &Path,
        event_name: &str,
        payload: &str,
        inputs: &Value,
    ) -> Job {
        let directory = tempfile::tempdir().unwrap();
        let search_path = std::env::var("PATH").unwrap();
        let host = json!({
            "github": {
                "event_name": event_name,
                "repository": "owner/repo",
                "run_id": 1_234_567_890,
                "server_url": "https://github.com",
                "token": TOKEN,
            },
            "vars": { "ENABLE_SQS_WORKFLOW": self.enabled },
            "secrets": {
                "AWS_ROLE_ARN": "arn:aws:iam::000000000000:role/codingworker-github-actions",
            },
            "inputs": inputs,
            "event": payload,
            "environment": {
                "PATH": format!("{}:{search_path}", self.aws.parent().unwrap().display()),
                "HOME": directory.path(),
                "LANG": "C.UTF-8",
                "AWS_ENDPOINT_URL": self.queue,
                // The step that assumes the role would set these. In older regions, version 1 of
                // the CLI, which is the one on PyPI, asks an endpoint of its own.
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "secret",
            },
            "directory": directory.path(),
            "forge": self.forge,
        });
        let mut runner = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/peers/run_workflow.mjs"))
            .arg(workflow)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        runner.stdin.take().unwrap().write_all(host.to_string().as_bytes()).unwrap();
        let output = runner.wait_with_output().unwrap();
        assert!(output.status.success(), "the runner itself failed");
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        Job {
            conclusion: result["conclusion"].as_str().unwrap().to_owned(),
            steps: result["steps"].as_array().unwrap().clone(),
            directory,
        }
    }
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for step in &self.steps {
            writeln!(
                f,
                "{}: {}\n{}",
                step["name"],
                step["outcome"],
                step["output"].as_str().unwrap_or_default()
            )?;
        }
        Ok(())
    }
}

impl Job {
    /// How the step of this name ended.
    pub fn outcome(&self, name: &str) -> &str {
        let step = self.steps.iter().find(|step| step["name"] == name);
        step.unwrap_or_else(|| panic!("no step is called {name}:\n{self}"))["outcome"]
            .as_str()
            .unwrap()
    }
}
