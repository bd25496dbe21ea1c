//! The words: the status comment and the pull request, in English and in Japanese.
//!
//! Pure. Everything that comes from elsewhere passes through [`text`](super::text), and every body
//! fits GitHub's limit with its mark in it.

use std::fmt::Write as _;
use std::time::Duration;

use super::marker::{self, PrState};
use super::report::{CheckLine, Note, Report, Stage, Status};
use super::settings::Language;
use super::text::{self, LONGEST_BODY};
use crate::task::IssueNumber;

/// How many files a pull request lists by name.
const LISTED_FILES: usize = 50;
/// How many new failures of a check are named.
const LISTED_FAILURES: usize = 20;

/// The body of an issue's status comment.
pub(super) fn comment(language: Language, issue: IssueNumber, status: &Status<'_>) -> String {
    let said = match language {
        Language::En => english(status),
        Language::Ja => japanese(status),
    };
    let marker = marker::status(issue);
    format!("{}\n\n{marker}", fit(language, &said, marker.chars().count() + 2))
}

/// The body of a pull request.
pub(super) fn pull_request(language: Language, report: &Report<'_>, state: PrState) -> String {
    let words = Words::of(language);
    let mut body = String::new();
    let closes = if state == PrState::Done { "Closes" } else { "Refs" };
    push(&mut body, format!("{closes} #{}\n", report.task.issue_number));
    push(
        &mut body,
        format!("{}\n", words.intent.replace("{title}", &text::line(&report.task.title))),
    );
    if state == PrState::Draft {
        push(&mut body, format!("> [!WARNING]\n> {}\n", words.draft));
    }
    push(&mut body, format!("### {}\n", words.checks));
    push(&mut body, check_table(&words, report));
    for check in report.red() {
        let summary = text::line(&check.command).replace('<', "&lt;");
        push(
            &mut body,
            format!(
                "<details><summary>{summary}</summary>\n\n{}\n\n</details>\n",
                text::code(&check.output)
            ),
        );
    }
    for note in &report.notes {
        push(&mut body, format!("- {}", words.note(*note)));
    }
    push(&mut body, format!("\n### {}\n", words.changes));
    push(&mut body, changed_files(&words, report));
    push(&mut body, format!("### {}\n", words.run));
    push(&mut body, run_table(&words, report));
    push(&mut body, words.responsibility);
    let marker = marker::pull_request(&report.task.key(), state);
    format!("{}\n\n{marker}", fit(language, body.trim_end(), marker.chars().count() + 2))
}

fn check_table(words: &Words, report: &Report<'_>) -> String {
    if report.checks.is_empty() {
        return format!("{}\n", words.note(Note::NothingToCheck));
    }
    let mut table =
        format!("| {} |\n| --- | --- | --- | ---: |\n", words.check_columns.join(" | "));
    for check in &report.checks {
        let CheckLine { kind, command, result, duration, .. } = check;
        let command = text::inline_code(command);
        push(
            &mut table,
            format!("| {kind} | {command} | {} | {} |", words.result(result), seconds(*duration)),
        );
    }
    table
}

fn changed_files(words: &Words, report: &Report<'_>) -> String {
    let (added, deleted) = report.lines();
    let count = report.files.len().to_string();
    let mut list = format!("{} (+{added} −{deleted})\n\n", words.files.replace("{count}", &count));
    for file in report.files.iter().take(LISTED_FILES) {
        let lines = file.lines.map_or_else(
            || words.binary.to_owned(),
            |(added, deleted)| format!("+{added} −{deleted}"),
        );
        push(&mut list, format!("- {} ({lines})", text::inline_code(&file.path)));
    }
    if report.files.len() > LISTED_FILES {
        push(&mut list, format!("- … (+{})", report.files.len() - LISTED_FILES));
    }
    list
}

fn run_table(words: &Words, report: &Report<'_>) -> String {
    let [agent, model, tokens, sandbox, duration, attempt, calls, base, commit] = words.run_rows;
    let models: Vec<_> = report.models.iter().map(|model| text::inline_code(model)).collect();
    let mut rows = vec![
        (agent, text::line(&report.agent)),
        (model, models.join(", ")),
        (sandbox, text::line(&report.sandbox)),
        (duration, seconds(report.duration)),
        (attempt, report.attempt.to_string()),
        (
            calls,
            words
                .calls
                .replace("{calls}", &report.calls.to_string())
                .replace("{fix_ups}", &report.fix_ups.to_string()),
        ),
        (base, text::inline_code(report.base)),
        (commit, report.commit.to_owned()),
    ];
    if let Some((sent, received)) = report.tokens {
        rows.insert(
            2,
            (
                tokens,
                words
                    .tokens
                    .replace("{sent}", &sent.to_string())
                    .replace("{received}", &received.to_string()),
            ),
        );
    }
    let mut table = "| | |\n| --- | --- |\n".to_owned();
    for (name, value) in rows {
        push(&mut table, format!("| {name} | {value} |"));
    }
    table
}

fn push(body: &mut String, line: impl AsRef<str>) {
    body.push_str(line.as_ref());
    body.push('\n');
}

/// The text with room for `reserved` characters, and a word where it was cut.
fn fit(language: Language, body: &str, reserved: usize) -> String {
    let mark = match language {
        Language::En => "\n\n*(cut here: GitHub takes no more)*",
        Language::Ja => "\n\n*（GitHubの上限のため、ここで省略しました）*",
    };
    text::cut(body, LONGEST_BODY - reserved, mark)
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

fn english(status: &Status<'_>) -> String {
    match status {
        Status::Working { stage, attempt } => {
            let doing = match stage {
                Stage::Accepted => "The task was accepted.",
                Stage::Preparing => "Fetching the repository and seeing how its checks stand.",
                Stage::Implementing => "The agent is working on it.",
                Stage::Checking => "Writing tests and running the checks.",
                Stage::Publishing => "Opening the pull request.",
            };
            format!("⏳ **CodingWorker** · attempt {attempt}\n\n{doing}")
        }
        Status::Done { number } => {
            format!("✅ **CodingWorker**\n\nDone: #{number} is ready for review.")
        }
        Status::Retrying { reason, attempt, delay } => {
            let delay = seconds(*delay);
            format!(
                "🔁 **CodingWorker**\n\nAttempt {attempt} failed and will be repeated in \
                 {delay}.\n\n{}",
                text::code(reason)
            )
        }
        Status::Cancelled { reason } => {
            format!("⏹️ **CodingWorker**\n\nStopped: {}.", text::neutral(reason))
        }
        Status::Failed { reason, tried, draft } => {
            let mut said = format!(
                "❌ **CodingWorker**\n\nThis could not be done.\n\n{}\n",
                text::code(reason)
            );
            if let Some(number) = draft {
                let _ = writeln!(said, "\nWhat was made so far is in the draft #{number}.");
            }
            tried_list(&mut said, "What was tried:", tried);
            said.push_str(
                "\nTo try again, say more in the issue if that helps, and put the label `ai-task` \
                 on it again.",
            );
            said
        }
    }
}

fn japanese(status: &Status<'_>) -> String {
    match status {
        Status::Working { stage, attempt } => {
            let doing = match stage {
                Stage::Accepted => "タスクを受け付けました。",
                Stage::Preparing => "リポジトリを取得し、変更前のチェック結果を確認しています。",
                Stage::Implementing => "エージェントが作業しています。",
                Stage::Checking => "テストを作成し、チェックを実行しています。",
                Stage::Publishing => "プルリクエストを作成しています。",
            };
            format!("⏳ **CodingWorker**・{attempt}回目\n\n{doing}")
        }
        Status::Done { number } => {
            format!("✅ **CodingWorker**\n\n完了しました。#{number} をレビューしてください。")
        }
        Status::Retrying { reason, attempt, delay } => {
            let delay = seconds(*delay);
            format!(
                "🔁 **CodingWorker**\n\n{attempt}回目は失敗しました。{delay} 後に再試行します。\n\n{}",
                text::code(reason)
            )
        }
        Status::Cancelled { reason } => {
            format!("⏹️ **CodingWorker**\n\n中止しました: {}", text::neutral(reason))
        }
        Status::Failed { reason, tried, draft } => {
            let mut said = format!(
                "❌ **CodingWorker**\n\nこのタスクは完了できませんでした。\n\n{}\n",
                text::code(reason)
            );
            if let Some(number) = draft {
                let _ = writeln!(said, "\n途中までの変更は下書き #{number} にあります。");
            }
            tried_list(&mut said, "試したこと:", tried);
            said.push_str("\n再試行するには、必要に応じてIssueに説明を補い、ラベル `ai-task` を付け直してください。");
            said
        }
    }
}

fn tried_list(said: &mut String, heading: &str, tried: &[String]) {
    if tried.is_empty() {
        return;
    }
    let _ = writeln!(said, "\n{heading}\n");
    for (number, attempt) in tried.iter().enumerate() {
        let _ = writeln!(said, "{}. {}", number + 1, text::line(attempt));
    }
}

mod words;
use words::Words;

#[cfg(test)]
mod tests;
