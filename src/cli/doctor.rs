//! `codingworker doctor` reports what `codingworker worker` would do with this configuration, on
//! this machine: one line for each thing that a worker needs.
//!
//! Invariant: the doctor writes nothing that stays, takes nothing from the queue, and can be asked
//! while a worker runs.

mod machine;
mod services;

use std::process::ExitCode;

use console::measure_text_width;
use serde::Serialize;

use super::exit_code::Exit;
use super::output;
use crate::config::Config;
use crate::language::Language;

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArguments {
    /// Also show each wall of the sandbox and the limits inside
    #[arg(long, short)]
    verbose: bool,
    /// Print JSON, with everything
    #[arg(long)]
    json: bool,
}

/// What the doctor found of one thing that a worker needs.
#[derive(Debug, Serialize)]
struct DoctorFinding {
    what: &'static str,
    /// Whether a worker can start and work with it.
    good: bool,
    detail: String,
    /// What to do about it. Only a finding that is not good always has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Whether it is one of the sandbox's details.
    #[serde(skip)]
    is_minor: bool,
}

impl DoctorFinding {
    fn good(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, good: true, detail: detail.into(), next: None, is_minor: false }
    }

    fn bad(what: &'static str, detail: impl Into<String>, next: impl Into<String>) -> Self {
        let next = Some(next.into());
        Self { what, good: false, detail: detail.into(), next, is_minor: false }
    }

    /// A finding whose detail already says what to do.
    fn bad_as_told(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, good: false, detail: detail.into(), next: None, is_minor: false }
    }

    fn advising(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    fn minor(self) -> Self {
        Self { is_minor: true, ..self }
    }

    /// Returns what the finding is about, in a language.
    fn label(&self, language: Language) -> &'static str {
        let japanese = match self.what {
            "settings" => "設定",
            "repositories" | "repository" => "リポジトリ",
            "agent" => "エージェント",
            "model" => "モデル",
            "sandbox" => "サンドボックス",
            "boundary" => "境界",
            "limit" => "制限",
            "token" => "トークン",
            "queue" => "キュー",
            "data" => "データ",
            "disk" => "ディスク",
            "checks" => "チェック",
            what => what,
        };
        language.pick(self.what, japanese)
    }
}

pub(super) async fn run(arguments: DoctorArguments, config: Config) -> anyhow::Result<ExitCode> {
    let mut findings = machine::settings(&config);
    findings.extend(machine::programs(&config).await);
    findings.extend(machine::sandbox(&config).await?);
    findings.extend(services::forge(&config).await);
    findings.push(services::queue(&config).await);
    findings.extend(machine::data_directory(&config).await);
    findings.extend(machine::repository_file(config.language));
    findings.extend(machine::checks_not_run(&config).await);
    let is_ready = findings.iter().all(|finding| finding.good || finding.is_minor);
    if arguments.json {
        output::json(&findings)?;
    } else {
        let shown = findings.iter().filter(|finding| arguments.verbose || !finding.is_minor);
        print(shown.collect(), config.language)?;
        let faults = findings.iter().filter(|finding| !finding.good && !finding.is_minor).count();
        output::line(verdict(config.language, faults))?;
    }
    Ok(if is_ready { Exit::Ok } else { Exit::NotReady }.into())
}

fn print(findings: Vec<&DoctorFinding>, language: Language) -> anyhow::Result<()> {
    let labels = findings.iter().map(|finding| measure_text_width(finding.label(language)));
    let (mark_width, label_width) = (language.pick(5, 4), labels.max().unwrap_or_default() + 2);
    for finding in findings {
        let mark = match (finding.good, finding.is_minor) {
            (true, _) => "ok",
            (false, true) => "--",
            (false, false) => "NOT",
        };
        let mark = console::pad_str(mark, mark_width, console::Alignment::Left, None);
        let label =
            console::pad_str(finding.label(language), label_width, console::Alignment::Left, None);
        let before = format!("{}{label}", output::judged(&mark, finding.good));
        let column = mark_width + label_width;
        output::row(before.trim_end(), column, &finding.detail)?;
        if let Some(next) = &finding.next {
            output::row("", column, &format!("-> {next}"))?;
        }
    }
    Ok(())
}

fn verdict(language: Language, faults: usize) -> String {
    match faults {
        0 => language
            .pick("A worker can start here.", "この設定でワーカーを起動できます。")
            .to_owned(),
        1 => language
            .pick(
                "A worker can't work here: correct the line that says NOT.",
                "このままではワーカーは動作しません。NOTの行を修正してください。",
            )
            .to_owned(),
        faults => language.pick(
            format!("A worker can't work here: correct the {faults} lines that say NOT."),
            format!("このままではワーカーは動作しません。NOTの{faults}行を修正してください。"),
        ),
    }
}
