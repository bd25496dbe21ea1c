//! `codingworker init` in repositories and in Terraform folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::world::forge::OWNER;
use crate::world::{Ran, World, run_git};

const WORKFLOW: &str = include_str!("../../.github/workflows/send-to-sqs.yml");
const WORKFLOW_PATH: &str = ".github/workflows/send-to-sqs.yml";
const FLAGS: [&str; 4] = ["--owner", "octo-org", "--repo", "shop"];

/// A small Rust project below the world's own directory, with git in it.
fn repository(world: &World) -> PathBuf {
    let directory = world.path().join("shop");
    std::fs::create_dir(&directory).unwrap();
    run_git(&directory, &["init", "--quiet"]);
    std::fs::write(directory.join("Cargo.toml"), "[package]\nname = \"shop\"\n").unwrap();
    directory
}

fn terraform_folder(world: &World) -> PathBuf {
    let directory = world.path().join("terraform");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(
        directory.join("variables.tf"),
        "variable \"github_org\" {\n  type = string\n}\n",
    )
    .unwrap();
    directory
}

async fn init(world: &World, directory: &Path, arguments: &[&str]) -> Ran {
    world.run_with(&[&["init", directory.to_str().unwrap()], arguments].concat(), &[]).await
}

/// The files of a directory, but for git's own, with their paths.
fn files_of(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() && entry.file_name() != ".git" {
            files.extend(self::files_of(&path));
        } else if entry.file_type().unwrap().is_file() {
            files.push((path.clone(), std::fs::read_to_string(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[track_caller]
fn refused(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} is not in {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_gets_the_workflow_and_its_checks_and_nothing_new_at_a_second_time() {
    let world = World::without_repository().await;
    let directory = repository(&world);
    let mut command = world.command(&["init"]);
    let output = command.current_dir(&directory).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("gh variable set ENABLE_SQS_WORKFLOW --body true"), "{printed}");
    assert!(printed.contains("gh secret set AWS_ROLE_ARN"), "{printed}");
    assert_eq!(std::fs::read_to_string(directory.join(WORKFLOW_PATH)).unwrap(), WORKFLOW);
    let checks = std::fs::read_to_string(directory.join(".codingworker.toml")).unwrap();
    assert!(checks.contains("#: test = \"cargo test --no-fail-fast\"\n"), "{checks}");
    assert_eq!(
        toml::from_str::<toml::Table>(&checks).unwrap(),
        toml::from_str("[checks]").unwrap()
    );

    let before = files_of(&directory);
    let again = init(&world, &directory, &[]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.stdout.matches("unchanged ").count(), 2, "{again:?}");
    assert_eq!(files_of(&directory), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_changed_is_kept_unless_forced() {
    let world = World::without_repository().await;
    let directory = repository(&world);
    std::fs::write(directory.join(".codingworker.toml"), "[checks]\ntest = \"make\"\n").unwrap();
    let before = files_of(&directory);
    let ran = init(&world, &directory, &[]).await;
    refused(&ran, &[".codingworker.toml is there and differs; nothing was written", "--force"]);
    assert_eq!(files_of(&directory), before);

    let shown = init(&world, &directory, &["--dry-run"]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(
        shown.stdout.contains("would write ") && shown.stdout.contains("would refuse "),
        "{shown:?}"
    );
    assert!(
        shown.stdout.contains(WORKFLOW) && shown.stdout.contains("#: build = \"cargo build\""),
        "{shown:?}"
    );
    assert_eq!(files_of(&directory), before);

    let forced = init(&world, &directory, &["--force"]).await;
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert!(forced.stdout.contains("wrote ") && forced.stdout.contains("replaced "), "{forced:?}");
    assert!(
        std::fs::read_to_string(directory.join(".codingworker.toml"))
            .unwrap()
            .contains("#: test = ")
    );
    assert_eq!(files_of(&directory).len(), before.len() + 1, "a temporary file was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_through_a_symbolic_link() {
    let world = World::without_repository().await;
    let directory = repository(&world);
    let outside = world.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, directory.join(".github")).unwrap();
    for arguments in [&[][..], &["--force"], &["--dry-run"]] {
        refused(&init(&world, &directory, arguments).await, &[".github is a symbolic link"]);
    }
    std::fs::remove_file(directory.join(".github")).unwrap();
    let theirs = outside.join("theirs.toml");
    std::fs::write(&theirs, "[checks]\n").unwrap();
    std::os::unix::fs::symlink(&theirs, directory.join(".codingworker.toml")).unwrap();
    refused(
        &init(&world, &directory, &["--force"]).await,
        &[".codingworker.toml is a symbolic link"],
    );
    assert!(
        !directory.join(".github").exists(),
        "a file was written before all places were looked at"
    );
    assert_eq!(files_of(&outside), [(theirs, "[checks]\n".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_no_repository_is_left_alone_unless_it_is_named() {
    let mut world = World::without_repository().await;
    let directory = world.path().join("plain");
    std::fs::create_dir(&directory).unwrap();
    let output = world.command(&["init"]).current_dir(&directory).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("not the root of a repository"),
        "{output:?}"
    );
    refused(&init(&world, &directory.join("missing"), &[]).await, &["missing is not a directory"]);
    refused(
        &init(&world, &directory, &FLAGS).await,
        &["are for the Terraform folder", "declares github_org"],
    );
    assert_eq!(files_of(&directory), []);
    // When it is named, it is set up. A broken file of settings is no hindrance, because none is
    // needed for that.
    world.set("repositores", json!([]));
    let ran = init(&world, &directory, &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(files_of(&directory).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terraform_folder_gets_its_variables_from_flags() {
    let world = World::without_repository().await;
    let directory = terraform_folder(&world);
    let flags = [
        &FLAGS[..],
        &["--repo", "a.b", "--region", "us-east-1", "--alarm-email", "me@example.com"],
    ]
    .concat();
    let ran = init(&world, &directory, &flags).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("terraform apply") && ran.stdout.contains("no numbers"), "{ran:?}");
    let text = std::fs::read_to_string(directory.join("terraform.tfvars")).unwrap();
    for line in [
        "github_org   = \"octo-org\"",
        "github_repos = [\"shop\", \"a.b\"]",
        "#   gh api repos/octo-org/a.b --jq '.id, .owner.id'",
        "accept_legacy_subject = false",
        "aws_region  = \"us-east-1\"",
        "environment = \"dev\"",
        "alarm_email = \"me@example.com\"",
    ] {
        assert!(text.lines().any(|other| other == line), "{line:?} is not in:\n{text}");
    }
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("github_owner_id") || line.starts_with("github_repo_ids"))
    );
    check_terraform_format(&directory);

    let again = init(&world, &directory, &flags).await;
    assert!(again.stdout.starts_with("unchanged "), "{again:?}");
    let other = init(&world, &directory, &FLAGS).await;
    refused(&other, &["terraform.tfvars is there and differs"]);
    assert_eq!(std::fs::read_to_string(directory.join("terraform.tfvars")).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_the_numbers_and_the_spelling_of_names_are_looked_up() {
    let world = World::new().await;
    world.forge.empty_repository("owner/Second", "main");
    let directory = terraform_folder(&world);
    let arguments = [
        "init",
        directory.to_str().unwrap(),
        "--owner",
        OWNER,
        "--repo",
        "repo",
        "--repo",
        "second",
        "--dry-run",
    ];
    let shown = world.run(&arguments).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(!directory.join("terraform.tfvars").exists());
    let ran = world.run(&arguments[..8]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("spells owner/second as owner/Second"), "{ran:?}");
    let text = std::fs::read_to_string(directory.join("terraform.tfvars")).unwrap();
    assert!(shown.stdout.contains(&text), "{shown:?}");
    let first = world.forge.get("/repos/owner/repo").await;
    let second = world.forge.get("/repos/owner/Second").await;
    let values: toml::Table = toml::from_str(&text).unwrap();
    let expected = json!({
        "github_org": "owner",
        "github_repos": ["repo", "Second"],
        "github_owner_id": first["owner"]["id"].to_string(),
        "github_repo_ids": { "repo": first["id"].to_string(), "Second": second["id"].to_string() },
        "accept_legacy_subject": false,
        "aws_region": "ap-northeast-1",
        "environment": "dev",
    });
    assert_eq!(serde_json::to_value(values).unwrap(), expected);
    check_terraform_format(&directory);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_fails_writes_nothing() {
    let mut world = World::new().await;
    let directory = terraform_folder(&world);
    let arguments = ["init", directory.to_str().unwrap(), "--owner", OWNER, "--repo", "missing"];
    let missing = world.run(&arguments).await;
    refused(
        &missing,
        &[
            "can't look up the numbers of owner/missing",
            "nothing was written",
            "--no-lookup",
            "/repos/owner/missing",
        ],
    );
    let wrong = world.run_with(&arguments, &[("GITHUB_TOKEN", "wrong")]).await;
    refused(&wrong, &["refused the token", "--no-lookup"]);
    world.set("repositores", json!([]));
    refused(
        &world.run(&arguments).await,
        &["can't tell whether there is a token", "repositores", "--no-lookup"],
    );
    assert!(!directory.join("terraform.tfvars").exists());
    let ran = world.run(&[&arguments[..], &["--no-lookup"]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(directory.join("terraform.tfvars").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_wrong_values_are_told_where_there_is_no_terminal_to_ask() {
    let world = World::without_repository().await;
    let directory = terraform_folder(&world);
    refused(
        &init(&world, &directory, &[]).await,
        &["--owner OWNER and --repo NAME", "no terminal"],
    );
    refused(&init(&world, &directory, &["--owner", "o"]).await, &[": --repo NAME"]);
    let twice = init(&world, &directory, &[&FLAGS[..], &["--repo", "SHOP"]].concat()).await;
    refused(&twice, &["SHOP is named twice"]);
    for (flag, value) in [
        ("--owner", "octo*"),
        ("--owner", "octo_org"),
        ("--repo", "octo-org/shop"),
        ("--repo", "sh?p"),
        ("--repo", "shop\"\n"),
        ("--repo", "shop.git"),
        ("--region", "tokyo"),
        ("--environment", "Dev"),
        ("--alarm-email", "nobody"),
    ] {
        let ran = init(&world, &directory, &[flag, value]).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(flag) && ran.stderr.contains(" is not "), "{ran:?}");
    }
    assert!(!directory.join("terraform.tfvars").exists());
}

/// Fails when Terraform can't read the file or would format it differently; checks nothing where
/// Terraform is not installed.
fn check_terraform_format(directory: &Path) {
    let run = Command::new("terraform")
        .args(["fmt", "-check", "-diff", "terraform.tfvars"])
        .current_dir(directory)
        .output();
    if let Ok(output) = run {
        assert!(output.status.success(), "{output:?}");
    }
}
