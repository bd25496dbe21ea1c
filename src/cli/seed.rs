//! The first commit of a repository that this program makes on the embedded forge.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::told::said;
use crate::environment::Environment;
use crate::process;
use crate::run::StartError;

/// Pushes a first commit with these files to the branch `main` of a bare repository. The work tree
/// is below `scratch`, and is removed.
pub(super) async fn seed(
    repository: &Path,
    files: &[(&str, &str)],
    scratch: &Path,
    environment: &Environment,
) -> anyhow::Result<()> {
    let tree = tempfile::tempdir_in(scratch)?;
    for (name, text) in files {
        std::fs::write(tree.path().join(name), text)?;
    }
    let destination = repository.to_string_lossy();
    for arguments in [
        vec!["init", "--quiet", "--initial-branch=main"],
        vec!["add", "--all"],
        vec![
            "-c",
            "user.name=CodingWorker",
            "-c",
            "user.email=codingworker@localhost",
            "commit",
            "--quiet",
            "--message",
            "A first commit",
        ],
        vec!["push", "--quiet", &destination, "main"],
    ] {
        git(&arguments, tree.path(), environment).await?;
    }
    Ok(())
}

/// Returns whether a bare repository has no branch.
pub(super) async fn is_empty(repository: &Path, environment: &Environment) -> anyhow::Result<bool> {
    let branches = ["for-each-ref", "--count=1", "refs/heads"];
    Ok(git(&branches, repository, environment).await?.is_empty())
}

/// Runs git with a configuration of its own, and returns what it printed.
pub(super) async fn git(
    arguments: &[&str],
    directory: &Path,
    environment: &Environment,
) -> anyhow::Result<String> {
    let program =
        process::find_executable("git", environment.search_path()).ok_or(StartError::NoGit)?;
    let mut variables =
        crate::sandbox::clean_environment(environment.search_path(), directory, directory);
    variables.extend(
        [("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")]
            .map(|(name, value)| (name.into(), value.into())),
    );
    let invocation = process::Invocation {
        program,
        arguments: arguments.iter().map(Into::into).collect(),
        directory: directory.to_path_buf(),
        environment: variables,
        input: Vec::new(),
        deadline: Duration::from_secs(60),
        output_limit: 1 << 20,
        streams: process::Streams::Merged,
        log: None,
    };
    let finished = process::run(invocation, &CancellationToken::new()).await?;
    let output = String::from_utf8_lossy(&finished.output).into_owned();
    let command = arguments.join(" ");
    anyhow::ensure!(
        finished.ending == process::Ending::Exited(0),
        said(
            format!("git {command} failed: {output}"),
            format!("git {command} が失敗しました: {output}"),
        )
    );
    Ok(output)
}
