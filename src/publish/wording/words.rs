//! The fixed words of a pull request in each language.

use super::{LISTED_FAILURES, text};
use crate::publish::report::{CheckOutcome, Note};
use crate::publish::settings::Language;

/// Names in braces are filled in.
pub(super) struct Words {
    language: Language,
    pub(super) intent: &'static str,
    pub(super) draft: &'static str,
    pub(super) checks: &'static str,
    pub(super) check_columns: [&'static str; 4],
    pub(super) changes: &'static str,
    pub(super) files: &'static str,
    pub(super) binary: &'static str,
    pub(super) run: &'static str,
    pub(super) run_rows: [&'static str; 9],
    pub(super) tokens: &'static str,
    pub(super) calls: &'static str,
    pub(super) responsibility: &'static str,
}

impl Words {
    pub(super) fn of(language: Language) -> Self {
        match language {
            Language::En => Self {
                language,
                intent: "This does what the issue “{title}” asks for. A coding agent wrote it; the \
                         checks below were run on the result.",
                draft: "Checks that passed before fail with this change. It is kept as a draft so \
                        that the work is not lost.",
                checks: "Checks",
                check_columns: ["check", "command", "result", "time"],
                changes: "Changes",
                files: "{count} files",
                binary: "binary",
                run: "Run",
                run_rows: [
                    "agent",
                    "model",
                    "tokens",
                    "sandbox",
                    "time",
                    "attempt",
                    "agent calls",
                    "base",
                    "commit",
                ],
                tokens: "{sent} sent, {received} received",
                calls: "{calls}, {fix_ups} of them to mend a failed check",
                responsibility: "A person has to review this before it is merged.",
            },
            Language::Ja => Self {
                language,
                intent: "Issue「{title}」の依頼に対する変更です。コーディングエージェントが作成し、その結果に対して以下のチェックを実行しました。",
                draft: "変更前に成功していたチェックが失敗しています。作業内容を残すため、下書きとして作成しました。",
                checks: "チェック結果",
                check_columns: ["チェック", "コマンド", "結果", "時間"],
                changes: "変更内容",
                files: "{count}ファイル",
                binary: "バイナリ",
                run: "実行情報",
                run_rows: [
                    "エージェント",
                    "モデル",
                    "トークン",
                    "サンドボックス",
                    "所要時間",
                    "試行",
                    "エージェント呼び出し",
                    "ベース",
                    "コミット",
                ],
                tokens: "送信 {sent}、受信 {received}",
                calls: "{calls}回（うち失敗したチェックの修正 {fix_ups}回）",
                responsibility: "マージする前に、必ず人がレビューしてください。",
            },
        }
    }

    pub(super) fn result(&self, outcome: &CheckOutcome) -> String {
        let japanese = self.language == Language::Ja;
        match outcome {
            CheckOutcome::Passed if japanese => "✅ 成功".to_owned(),
            CheckOutcome::Passed => "✅ passed".to_owned(),
            CheckOutcome::Failed { failures } => {
                let failed = if japanese { "❌ 失敗" } else { "❌ failed" };
                let named: Vec<_> = failures.iter().take(LISTED_FAILURES).map(|name| text::inline_code(name)).collect();
                if named.is_empty() { failed.to_owned() } else { format!("{failed}: {}", named.join(", ")) }
            }
            CheckOutcome::FailedBefore if japanese => {
                "⚠️ 失敗（変更前から失敗しており、新しい失敗はありません）".to_owned()
            }
            CheckOutcome::FailedBefore => "⚠️ failed before this change too, in no new way".to_owned(),
            CheckOutcome::TimedOut if japanese => "❌ 時間切れ".to_owned(),
            CheckOutcome::TimedOut => "❌ took too long".to_owned(),
            CheckOutcome::Offline if japanese => {
                "➖ 実行できません: ネットワークがありません（`.codingworker.toml` の `setup_network`）".to_owned()
            }
            CheckOutcome::Offline => {
                "➖ could not be run: there is no network (`setup_network` in \
                 `.codingworker.toml`)".to_owned()
            }
            CheckOutcome::NotRun { tool } if japanese => {
                format!("➖ 実行できません: {} がありません", text::inline_code(tool))
            }
            CheckOutcome::NotRun { tool } => format!("➖ could not be run: {} is missing", text::inline_code(tool)),
        }
    }

    pub(super) fn note(&self, note: Note) -> &'static str {
        match (note, self.language) {
            (Note::NoTestsWritten, Language::En) => "The agent wrote no tests for this change.",
            (Note::NoTestsWritten, Language::Ja) => {
                "この変更に対するテストは作成されませんでした。"
            }
            (Note::FormatSkipped, Language::En) => {
                "The formatter was not run: it would rewrite files that this change does not touch."
            }
            (Note::FormatSkipped, Language::Ja) => {
                "フォーマッターは実行していません。この変更と無関係なファイルまで書き換えるためです。"
            }
            (Note::HiddenText, Language::En) => {
                "The issue has text that GitHub does not show (comments or hidden characters). The \
                 agent did not get it."
            }
            (Note::HiddenText, Language::Ja) => {
                "Issueには、GitHubが表示しない文字（コメントや隠し文字）があります。エージェントには渡していません。"
            }
            (Note::TestDeleted, Language::En) => "**Look closely:** a file of tests is deleted.",
            (Note::TestDeleted, Language::Ja) => "**要確認:** テストのファイルが削除されています。",
            (Note::TestSkipped, Language::En) => {
                "**Look closely:** a test is marked to be skipped, or others than one are."
            }
            (Note::TestSkipped, Language::Ja) => {
                "**要確認:** テストを省略する印が追加されています。"
            }
            (Note::BinaryFile, Language::En) => {
                "**Look closely:** there is binary content, which GitHub does not show."
            }
            (Note::BinaryFile, Language::Ja) => {
                "**要確認:** GitHubに表示されないバイナリがあります。"
            }
            (Note::NothingToCheck, Language::En) => {
                "No checks were found in this repository. Name them in `.codingworker.toml` to \
                 have them run."
            }
            (Note::NothingToCheck, Language::Ja) => {
                "このリポジトリにはチェックが見つかりませんでした。`.codingworker.toml` に書くと実行されます。"
            }
            (Note::BaseMoved, Language::En) => {
                "The base branch has moved on since the work began: the checks ran on what it was \
                 then."
            }
            (Note::BaseMoved, Language::Ja) => {
                "作業の開始後にベースブランチが進みました。チェックは開始時点の内容に対して実行しています。"
            }
        }
    }
}
