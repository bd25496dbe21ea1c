//! AWS's own clients use the server unmodified: boto3 and the AWS CLI.

#![expect(
    clippy::disallowed_methods,
    reason = "the environment says where the tools of the tests are"
)]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so to scripts/test")]

use std::path::{Path, PathBuf};

use localsqs::Options;
use tokio::process::Command;

use crate::server::{Server, keys};

/// The Python that has the clients. When there is none the test says so and is skipped.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let environment =
        std::env::var_os("CODINGWORKER_VENV").map_or_else(|| root.join(".venv"), PathBuf::from);
    let python = environment.join("bin/python");
    let has_clients = || {
        let imported =
            std::process::Command::new(&python).args(["-c", "import boto3, awscli"]).output();
        imported.is_ok_and(|output| output.status.success())
    };
    if has_clients() {
        return Some(python);
    }
    let needs = "needs boto3 and awscli (scripts/test installs them)";
    assert!(
        std::env::var_os("CODINGWORKER_CI").is_none(),
        "{needs}: not in {}",
        environment.display()
    );
    println!("SKIPPED: {needs}");
    None
}

/// Runs a script of scripts/peers against the server.
async fn run(server: &Server, python: &Path, script: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/peers").join(script);
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.arg(script).arg(&server.endpoint).args(arguments).kill_on_drop(true);
    // The profile and the keys of whoever runs the test must not be used.
    command.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin");
    let output = tokio::time::timeout(std::time::Duration::from_secs(240), command.output()).await;
    let output = output.expect("the script ends in time").unwrap();
    let (told, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{errors}");
}

#[tokio::test]
async fn boto3_and_the_aws_cli_use_every_action() {
    let Some(python) = python() else { return };
    run(&Server::start().await, &python, "sqs_boto3.py", &[]).await;
}

#[tokio::test]
async fn boto3_and_the_aws_cli_sign_what_they_ask() {
    let Some(python) = python() else { return };
    let (keys, region) = (keys(), "ap-northeast-1");
    let arguments = [keys.access_key_id.as_str(), &keys.secret_access_key, region];
    let options = Options {
        region: region.to_owned(),
        account: "123456789012".to_owned(),
        credentials: Some(keys.clone()),
        ..Options::default()
    };
    run(&Server::start_with(options).await, &python, "sqs_keys.py", &arguments).await;
}
