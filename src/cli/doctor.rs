//! `codingworker doctor` reports whether a worker could start here and which limits its sandbox
//! enforces.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::exit_code::Exit;
use super::output;
use crate::agent::Agent;
use crate::checks::{self, RepositoryFile};
use crate::config::Config;
use crate::errors;
use crate::journal::{CheckRecord, JournalReader, RunRecord};
use crate::process;
use crate::sandbox::{ResourceLimits, Sandbox};

/// How many of the newest runs are looked at for checks that could not be run.
const LOOKED_AT_RUNS: u32 = 20;

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The result of one test of something that a worker needs.
#[derive(Serialize)]
struct DoctorFinding {
    what: String,
    good: bool,
    detail: String,
}

pub(super) async fn run(arguments: DoctorArguments, config: Config) -> anyhow::Result<ExitCode> {
    // The test does not use the data directory, because a worker may be running there.
    let place = tempfile::tempdir()?;
    let endpoint = &config.agent.model_endpoint;
    let sandbox = Sandbox::find(
        &config.sandbox,
        &config.data_dir,
        place.path(),
        endpoint,
        &config.environment,
    )
    .await?;
    let report = sandbox.report();
    let mut findings = vec![
        executable("git", "git", &config),
        executable("agent", config.agent.kind.program(), &config),
        model(&config).await,
        DoctorFinding {
            what: "sandbox".to_owned(),
            good: report.level >= config.sandbox.require,
            detail: format!(
                "{} (required: {}) {}",
                report.level, config.sandbox.require, report.why
            )
            .trim()
            .to_owned(),
        },
    ];
    findings.push(data_directory(&config));
    findings.extend(repository_file(Path::new(checks::REPOSITORY_FILE)));
    findings.extend(checks_not_run(&config).await);
    findings.extend(config.warnings.iter().map(|warning| DoctorFinding {
        what: "settings".to_owned(),
        good: true,
        detail: warning.clone(),
    }));
    let boundaries = report.boundaries.iter().map(|(boundary, held)| DoctorFinding {
        what: "  boundary".to_owned(),
        good: *held,
        detail: boundary.to_string(),
    });
    findings.extend(boundaries);
    findings.extend(limits(&config.sandbox.limits, !report.boundaries.is_empty()));
    if arguments.json {
        output::json(&findings)?;
    } else {
        for DoctorFinding { what, good, detail } in &findings {
            output::line(format!("{} {what:<9} {detail}", if *good { "ok " } else { "NOT" }))?;
        }
    }
    let is_ready = findings.iter().all(|finding| finding.good);
    Ok(if is_ready { Exit::Ok } else { Exit::NotReady }.into())
}

fn executable(what: &str, name: &str, config: &Config) -> DoctorFinding {
    let found = process::find_executable(name, config.environment.search_path());
    let detail = match &found {
        Some(path) => path.display().to_string(),
        None => format!("{name} was not found on the PATH: install it"),
    };
    DoctorFinding { what: what.to_owned(), good: found.is_some(), detail }
}

async fn model(config: &Config) -> DoctorFinding {
    let search_path = config.environment.search_path();
    let agent = Agent::new(&config.agent, search_path, &Sandbox::none(), &config.redaction);
    let answer = agent.check_model().await;
    let detail = match &answer {
        Ok(()) => config.agent.models.join(", "),
        Err(problem) => errors::chain(problem),
    };
    DoctorFinding { what: "model".to_owned(), good: answer.is_ok(), detail }
}

/// Checks the `.codingworker.toml` of the repository in which the program runs, if it runs in one.
/// A key that this version does not know has no effect. The report mentions it, and it is not a
/// fault.
fn repository_file(path: &Path) -> Vec<DoctorFinding> {
    let finding = |good, detail| DoctorFinding { what: "checks".to_owned(), good, detail };
    match std::fs::read(path) {
        Ok(text) => match RepositoryFile::parse(&text) {
            Ok(file) => {
                let unknown = file.unknown_keys().iter();
                unknown.map(|unknown| finding(true, unknown.to_string())).collect()
            }
            Err(error) => vec![finding(false, errors::chain(&error))],
        },
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => vec![finding(false, format!("can't read {}: {error}", path.display()))],
    }
}

/// What kept checks from running in the latest runs, each told once. A worker starts all the same.
async fn checks_not_run(config: &Config) -> Vec<DoctorFinding> {
    // The command `status` tells what is wrong with a journal that can't be read.
    let Ok(Some(journal)) = JournalReader::open(&config.data_dir).await else { return Vec::new() };
    let mut told = BTreeSet::new();
    for RunRecord { repository, checks, .. } in
        journal.newest(LOOKED_AT_RUNS).await.unwrap_or_default()
    {
        let not_run = |check: CheckRecord| {
            let obstacle = check.obstacle?;
            Some(format!("{repository}: `{}` could not be run: {obstacle}", check.command))
        };
        told.extend(checks.into_iter().filter_map(not_run));
    }
    let finding = |detail| DoctorFinding { what: "checks".to_owned(), good: true, detail };
    told.into_iter().map(finding).collect()
}

/// Checks whether other users may enter the data directory. A worker that finds no data directory
/// makes a private one.
fn data_directory(config: &Config) -> DoctorFinding {
    let path = &config.data_dir;
    let open = std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    let advice = if open {
        format!(", which others of this machine may enter: chmod 700 {}", path.display())
    } else {
        String::new()
    };
    DoctorFinding {
        what: "data".to_owned(),
        good: !open,
        detail: format!("{}{advice}", path.display()),
    }
}

/// Returns the limits of a program in the sandbox. Nothing enforces them without a sandbox.
fn limits(limits: &ResourceLimits, held: bool) -> [DoctorFinding; 4] {
    let ResourceLimits { processes, memory, file_size, temporary, .. } = limits;
    let finding = |limit: &str, value: &dyn Display| DoctorFinding {
        what: "  limit".to_owned(),
        good: held,
        detail: format!(
            "{limit}: {value}{}",
            if held { "" } else { ", which nothing enforces here" }
        ),
    };
    [
        finding("processes", processes),
        finding("memory in MiB", &(memory >> 20)),
        finding("one file in MiB", &(file_size >> 20)),
        finding("temporary files in MiB", &(temporary >> 20)),
    ]
}
