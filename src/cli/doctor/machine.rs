//! What a worker needs of its machine: programs, the sandbox, the data directory and the disk.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::DoctorFinding;
use crate::agent::Agent;
use crate::checks::{self, RepositoryFile};
use crate::cli::told::file_phrase;
use crate::config::Config;
use crate::disk::FileAction;
use crate::errors;
use crate::journal::{CheckRecord, JournalReader, RunRecord};
use crate::language::Language;
use crate::process;
use crate::sandbox::{Level, ResourceLimits, Sandbox};
use crate::worker::health::Health;

/// How many of the newest runs are looked at for checks that could not be run.
const LOOKED_AT_RUNS: u32 = 20;

/// Tells which file the settings came from, what is wrong with them, and which repositories they
/// name.
pub(super) fn settings(config: &Config) -> Vec<DoctorFinding> {
    let (language, file) = (config.language, config.file.display());
    let mut findings = vec![DoctorFinding::good(
        "settings",
        if config.file.exists() {
            file.to_string()
        } else {
            language.pick(
                format!("defaults and the environment: there is no {file}"),
                format!("既定値と環境変数のみです（{file} はありません）"),
            )
        },
    )];
    let warnings = config.warnings.iter();
    findings.extend(warnings.map(|warning| DoctorFinding::good("settings", warning.of(language))));
    if config.repositories.is_empty() {
        findings.push(DoctorFinding::bad(
            "repositories",
            language.pick("none may be worked on", "作業してよいリポジトリがありません"),
            language.pick(
                format!("list them in {file}: repositories = [\"OWNER/NAME\"]"),
                format!("{file} に指定してください: repositories = [\"OWNER/NAME\"]"),
            ),
        ));
    }
    findings
}

/// Tells whether git, the agent and its model are there.
pub(super) async fn programs(config: &Config) -> Vec<DoctorFinding> {
    let language = config.language;
    let git = language.pick("install git", "gitをインストールしてください");
    let agent = match config.agent.kind.install_command() {
        Some(command) => command,
        None => language.pick(
            "install it, or correct `agent.command`",
            "インストールするか、`agent.command` を修正してください",
        ),
    };
    vec![
        executable("git", "git", git, config),
        executable("agent", config.agent.kind.program(), agent, config),
        model(config).await,
    ]
}

fn executable(what: &'static str, name: &str, next: &str, config: &Config) -> DoctorFinding {
    match process::find_executable(name, config.environment.search_path()) {
        Some(path) => DoctorFinding::good(what, path.display().to_string()),
        None => {
            let missing = config.language.pick(
                format!("{name} was not found on the PATH"),
                format!("{name} がPATHにありません"),
            );
            DoctorFinding::bad(what, missing, next)
        }
    }
}

async fn model(config: &Config) -> DoctorFinding {
    let search_path = config.environment.search_path();
    let agent = Agent::new(&config.agent, search_path, &Sandbox::none(), &config.redaction);
    match agent.check_model().await {
        Ok(()) => DoctorFinding::good("model", config.agent.models.join(", ")),
        Err(problem) => {
            DoctorFinding::bad_as_told("model", errors::told(&problem, config.language))
        }
    }
}

/// Builds and probes the sandbox in a place of its own, because a worker may be running.
pub(super) async fn sandbox(config: &Config) -> anyhow::Result<Vec<DoctorFinding>> {
    let (language, required) = (config.language, config.sandbox.require);
    let place = tempfile::tempdir()?;
    let endpoint = &config.agent.model_endpoint;
    let (settings, data_dir, environment) =
        (&config.sandbox, &config.data_dir, &config.environment);
    let sandbox = Sandbox::find(settings, data_dir, place.path(), endpoint, environment).await?;
    let report = sandbox.report();
    let (level, why) = (report.level, report.why.of(language));
    let found = language.pick(
        format!("{level} (required: {required}) {why}"),
        format!("{level}（必要な強度: {required}）{why}"),
    );
    let found = found.trim();
    let finding = if report.level < required {
        let weaker = (report.level == Level::Degraded).then(|| {
            language.pick(
                "if this much is enough for you, set sandbox.require = \"degraded\" \
                 (docs/security-model.md says what is missing)",
                "この強度で足りる場合は sandbox.require = \"degraded\" を設定してください\
                 （不足の内容は docs/security-model.ja.md にあります）",
            )
        });
        match weaker {
            Some(next) => DoctorFinding::bad("sandbox", found, next),
            None => DoctorFinding::bad_as_told("sandbox", found),
        }
    } else if required == Level::None {
        DoctorFinding::good("sandbox", found).advising(language.pick(
            "agents and checks run as you: a worker starts only with --unsafe",
            "エージェントとチェックはあなたの権限で動きます。\
             ワーカーの起動には --unsafe が必要です",
        ))
    } else {
        DoctorFinding::good("sandbox", found)
    };
    let boundaries = report.boundaries.iter().map(|(boundary, held)| {
        let boundary = language.pick(boundary.to_string(), boundary.japanese().to_owned());
        let finding = DoctorFinding::good("boundary", boundary).minor();
        DoctorFinding { good: *held, ..finding }
    });
    let limits = limits(&config.sandbox.limits, !report.boundaries.is_empty(), language);
    Ok(std::iter::once(finding).chain(boundaries).chain(limits).collect())
}

/// Returns the limits of a program in the sandbox. Nothing enforces them without a sandbox.
fn limits(limits: &ResourceLimits, held: bool, language: Language) -> [DoctorFinding; 4] {
    let ResourceLimits { processes, memory, file_size, temporary, .. } = limits;
    let finding = |en: &str, ja: &str, value: &dyn Display| {
        let unenforced =
            language.pick(", which nothing enforces here", "（ここでは制限されません）");
        let unenforced = if held { "" } else { unenforced };
        let limit = language.pick(en, ja);
        let finding = DoctorFinding::good("limit", format!("{limit}: {value}{unenforced}")).minor();
        DoctorFinding { good: held, ..finding }
    };
    [
        finding("processes", "プロセス数", processes),
        finding("memory in MiB", "メモリー（MiB）", &(memory >> 20)),
        finding("one file in MiB", "1ファイルの大きさ（MiB）", &(file_size >> 20)),
        finding("temporary files in MiB", "一時ファイル（MiB）", &(temporary >> 20)),
    ]
}

/// Checks whether a worker can write its data directory, whether it can read the journal in it,
/// whether others may enter it, and whether the disk has room.
pub(super) async fn data_directory(config: &Config) -> Vec<DoctorFinding> {
    let place = place(config).await;
    // The disk of a place that can't be used says nothing.
    if place.good { vec![place, disk(config)] } else { vec![place] }
}

async fn place(config: &Config) -> DoctorFinding {
    let (language, path) = (config.language, &config.data_dir);
    let shown = path.display();
    if let Err(error) = try_to_write(path) {
        return DoctorFinding::bad(
            "data",
            language.pick(
                format!("{shown} can't be written: {error}"),
                format!("{shown} に書き込めません: {error}"),
            ),
            language.pick(
                "make it writable for this user, or set `data_dir`",
                "このユーザーが書き込めるようにするか、`data_dir` を設定してください",
            ),
        );
    }
    if let Err(error) = JournalReader::open(path).await {
        return DoctorFinding::bad_as_told("data", errors::told(&error, language));
    }
    let mode = std::fs::metadata(path).map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        let detail = language.pick(
            format!("others of this machine may enter {shown}"),
            format!("{shown} にこのマシンの他のユーザーが入れます"),
        );
        return DoctorFinding::bad("data", detail, format!("chmod 700 {shown}"));
    }
    let worker = Health::read(path).ok().flatten();
    match worker.filter(|health| health.is_running(path, Timestamp::now())) {
        Some(Health { pid, .. }) => DoctorFinding::good(
            "data",
            language.pick(
                format!("{shown}, in use by the worker of process {pid}"),
                format!("{shown}（プロセス{pid}のワーカーが使用中）"),
            ),
        ),
        None => DoctorFinding::good("data", shown.to_string()),
    }
}

/// Makes a file in the directory and removes it. When the directory does not exist, the function
/// makes and removes a directory where its first missing parent would be.
fn try_to_write(path: &Path) -> std::io::Result<()> {
    let there = first_that_exists(path)?;
    if there == path {
        tempfile::NamedTempFile::new_in(path)?.close()
    } else {
        tempfile::tempdir_in(there)?.close()
    }
}

/// The path itself, else its nearest parent that exists.
fn first_that_exists(path: &Path) -> std::io::Result<PathBuf> {
    for there in path.ancestors() {
        // The parent of a relative name is the directory in which the program runs.
        let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
        match std::fs::metadata(there) {
            Ok(_) => return Ok(there.to_owned()),
            Err(missing) if missing.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::NotFound.into())
}

fn disk(config: &Config) -> DoctorFinding {
    let language = config.language;
    let place = first_that_exists(&config.data_dir).unwrap_or_else(|_| PathBuf::from("/"));
    let disk = match rustix::fs::statvfs(&place) {
        Ok(disk) => disk,
        Err(error) => return DoctorFinding::bad_as_told("disk", error.to_string()),
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let (free_mib, wanted_mib) = (free >> 20, config.worker.free_space >> 20);
    let detail = language.pick(
        format!("{free_mib} MiB free, a worker wants {wanted_mib} MiB"),
        format!("空き容量は{free_mib} MiBです（ワーカーには{wanted_mib} MiBが必要です）"),
    );
    if free >= config.worker.free_space {
        return DoctorFinding::good("disk", detail);
    }
    let next = language.pick(
        "make space, or lower `worker.free_space_mib`",
        "空きを作るか、`worker.free_space_mib` を小さくしてください",
    );
    DoctorFinding::bad("disk", detail, next)
}

/// Checks the `.codingworker.toml` of the repository in which the program runs, if it runs in one.
/// A key that this version does not know has no effect. The report mentions it, and it is not a
/// fault.
pub(super) fn repository_file(language: Language) -> Vec<DoctorFinding> {
    let path = Path::new(checks::REPOSITORY_FILE);
    match std::fs::read(path) {
        Ok(text) => match RepositoryFile::parse(&text) {
            Ok(file) => {
                let unknown = file.unknown_keys().iter();
                unknown.map(|key| DoctorFinding::good("checks", key.told(language))).collect()
            }
            Err(error) => {
                vec![DoctorFinding::bad_as_told("checks", errors::told(&error, language))]
            }
        },
        Err(missing) if missing.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let unreadable = file_phrase(FileAction::Read, path);
            let unreadable = format!("{}: {error}", unreadable.of(language));
            vec![DoctorFinding::bad_as_told("checks", unreadable)]
        }
    }
}

/// What kept checks from running in the latest runs, each told once. A worker starts all the same.
pub(super) async fn checks_not_run(config: &Config) -> Vec<DoctorFinding> {
    // The command `status` tells what is wrong with a journal that can't be read.
    let Ok(Some(journal)) = JournalReader::open(&config.data_dir).await else { return Vec::new() };
    let mut told = BTreeSet::new();
    for RunRecord { repository, checks, .. } in
        journal.newest(LOOKED_AT_RUNS).await.unwrap_or_default()
    {
        let not_run = |check: CheckRecord| {
            let obstacle = check.obstacle?;
            let command = check.command;
            Some(config.language.pick(
                format!("{repository}: `{command}` could not be run: {obstacle}"),
                format!("{repository}: `{command}` を実行できませんでした: {obstacle}"),
            ))
        };
        told.extend(checks.into_iter().filter_map(not_run));
    }
    told.into_iter().map(|detail| DoctorFinding::good("checks", detail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_can_not_be_made_is_found_without_making_one_that_can() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b/c");
        try_to_write(&deep).unwrap();
        try_to_write(directory.path()).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        for refused in [file.clone(), file.join("below"), "/proc/xx".into()] {
            assert!(try_to_write(&refused).is_err(), "{}", refused.display());
        }
    }
}
