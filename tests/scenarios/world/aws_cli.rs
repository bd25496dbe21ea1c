//! The AWS CLI, unmodified, with an endpoint on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::tools;

pub const REGION: &str = "ap-northeast-1";

pub struct AwsCli {
    program: PathBuf,
    endpoint: String,
}

impl AwsCli {
    /// `None` when the test is to be skipped.
    pub fn at(endpoint: &str) -> Option<Self> {
        Some(Self { program: tools::tool("aws", "awscli")?, endpoint: endpoint.to_owned() })
    }

    /// The answer to a call; JSON's null when there is none.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.call(arguments);
        assert!(
            output.status.success(),
            "aws {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    pub fn call(&self, arguments: &[&str]) -> Output {
        // Version 1 asks SQS at AWS's own endpoint unless the command line names another.
        let mut command = self.command(&self.program);
        command
            .args(["--endpoint-url", &self.endpoint, "--output", "json"])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// A program that finds this CLI and this endpoint, and no keys of a real account.
    pub fn command(&self, program: &Path) -> Command {
        let search_path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", format!("{}:{search_path}", self.program.parent().unwrap().display()))
            .env("HOME", "/nonexistent")
            .env("LANG", "C.UTF-8")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        command
    }
}
