//! Other people's clients, unmodified: boto3 and the AWS CLI, with and without signatures that are checked.

use std::path::{Path, PathBuf};
use std::process::Command;

use localsqs::{KeyPair, Options};

use crate::server::Server;

/// The interpreter of the virtual environment that has both; nothing when the test is to be passed over.
fn python() -> Option<PathBuf> {
    let directory = std::env::var_os("CODINGWORKER_VENV").map(PathBuf::from);
    let directory = directory.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv"));
    let python = directory.join("bin/python");
    if python.is_file() && directory.join("bin/aws").is_file() {
        return Some(python);
    }
    let skipped = format!("SKIPPED: needs boto3 and awscli in {} (scripts/test installs them)", directory.display());
    assert!(std::env::var_os("CODINGWORKER_CI").is_none_or(|value| value != "1"), "{skipped}");
    println!("{skipped}");
    None
}

async fn run(script: &str, server: &Server, secret: &str) -> (bool, String) {
    let Some(python) = python() else { return (true, String::new()) };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/peers").join(script);
    let mut command = Command::new(&python);
    command
        .arg(script)
        .arg(&server.url)
        .env_clear()
        .env(
            "PATH",
            std::env::join_paths([python.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap(),
        )
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_uses_every_action() {
    let server = Server::start().await;
    let (passed, said) = run("sqs_boto3.py", &server, "any").await;
    assert!(passed, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_sends_receives_and_deletes() {
    let server = Server::start().await;
    let (passed, said) = run("sqs_aws_cli.py", &server, "any").await;
    assert!(passed, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_checked_when_there_is_a_key_pair() {
    let directory = tempfile::tempdir().unwrap();
    let keys = KeyPair { access_key_id: "AKIDEXAMPLE".to_owned(), secret_access_key: "right".to_owned() };
    let options = Options { credentials: Some(keys), ..Options::default() };
    let server = Server::open(directory.path(), options).await;
    let (passed, said) = run("sqs_aws_cli.py", &server, "right").await;
    assert!(passed, "{said}");
    if python().is_some() {
        let (passed, said) = run("sqs_aws_cli.py", &server, "wrong").await;
        assert!(!passed && said.contains("SignatureDoesNotMatch"), "{said}");
    }
}
