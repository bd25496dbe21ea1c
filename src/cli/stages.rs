//! What a run is doing, a line for each stage with its time, for who watches the demo.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::{output, run_summary};
use crate::journal::{JournalReader, RunRecord, Stage};
use crate::language::Language;

/// Prints each stage of a run once.
pub(super) struct StageLines {
    data_dir: PathBuf,
    /// Nothing before the worker has made one.
    journal: Option<JournalReader>,
    language: Language,
    shown: Vec<Stage>,
}

impl StageLines {
    /// The lines for the newest run below `data_dir`.
    pub(super) fn new(data_dir: PathBuf, language: Language) -> Self {
        Self { data_dir, journal: None, language, shown: Vec::new() }
    }

    /// Prints the stages that the run has reached since the last call.
    ///
    /// # Errors
    /// The journal can't be read.
    pub(super) async fn show_new(&mut self) -> anyhow::Result<()> {
        if self.journal.is_none() {
            self.journal = JournalReader::open(&self.data_dir).await?;
        }
        let Some(journal) = &self.journal else { return Ok(()) };
        for run in journal.newest(1).await? {
            for event in journal.events(run.run).await? {
                if !self.shown.contains(&event.stage) {
                    self.shown.push(event.stage);
                    let time = event.at.to_zoned_datetime(TimeZone::system()).strftime("%H:%M:%S");
                    output::progress(&line(&time.to_string(), &run, event.stage, self.language));
                }
            }
        }
        Ok(())
    }
}

fn line(time: &str, run: &RunRecord, stage: Stage, language: Language) -> String {
    let issue = format!("{}#{}", run.repository, run.issue_number);
    let (name, doing) = (run_summary::stage(stage, language), doing(stage, language));
    format!("{time} {issue} {name}: {doing}")
}

fn doing(stage: Stage, language: Language) -> &'static str {
    let (english, japanese) = match stage {
        Stage::Admit => ("looking at the issue", "Issueを確認しています"),
        Stage::Prepare => (
            "fetching the repository and running its checks",
            "リポジトリを取得し、変更前のチェックを実行しています",
        ),
        Stage::Implement => ("the agent works on the task", "エージェントが作業しています"),
        Stage::Check => {
            ("writing tests and running the checks", "テストを作成し、チェックを実行しています")
        }
        Stage::Gate => ("judging the change by the policy", "変更を規則に照らして審査しています"),
        Stage::Publish => ("opening the pull request", "プルリクエストを作成しています"),
        Stage::Settle => ("telling the issue", "Issueに結果を報告しています"),
    };
    language.pick(english, japanese)
}
