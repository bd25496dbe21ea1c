//! What is wrong with the arguments, in Japanese. The English text is clap's own.

use std::error::Error;
use std::fmt::Write;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::told;

/// Tells an error of clap's: what is wrong, what may have been meant, and how the command is used.
pub(super) fn japanese(error: &clap::Error) -> String {
    let mut text = format!("エラー: {}", sentence(error));
    let suggestions = [
        (ContextKind::SuggestedSubcommand, "コマンド"),
        (ContextKind::SuggestedArg, "引数"),
        (ContextKind::SuggestedValue, "値"),
    ];
    let mut further = String::new();
    for (kind, what) in suggestions {
        let alike = words(error, kind);
        if !alike.is_empty() {
            let alike = quoted(&alike);
            further.push_str(&format!("\n  ヒント: 似た名前の{what} {alike} があります"));
        }
    }
    if !further.is_empty() {
        text.push_str(&format!("\n{further}"));
    }
    if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
        let usage = usage.to_string();
        let usage = usage.trim().trim_start_matches("Usage:").trim();
        text.push_str(&format!("\n\n使い方: {usage}"));
    }
    text.push_str("\n\n詳しくは '--help' を参照してください。");
    text
}

fn sentence(error: &clap::Error) -> String {
    let argument = quoted(&words(error, ContextKind::InvalidArg));
    let value = quoted(&words(error, ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::UnknownArgument => format!("引数 {argument} は使えません"),
        ErrorKind::InvalidSubcommand => {
            let command = quoted(&words(error, ContextKind::InvalidSubcommand));
            format!("コマンド {command} はありません")
        }
        ErrorKind::MissingSubcommand => {
            let command = quoted(&words(error, ContextKind::InvalidSubcommand));
            let valid = words(error, ContextKind::ValidSubcommand).join("、");
            format!("{command} にはコマンドの指定が必要です（{valid}）")
        }
        ErrorKind::MissingRequiredArgument => {
            let mut text = "次の引数が必要です:".to_owned();
            for argument in words(error, ContextKind::InvalidArg) {
                let _ = write!(text, "\n  {argument}");
            }
            text
        }
        ErrorKind::ArgumentConflict => {
            let prior = words(error, ContextKind::PriorArg);
            if prior.is_empty() || prior == words(error, ContextKind::InvalidArg) {
                format!("引数 {argument} は1回だけ指定できます")
            } else {
                format!("引数 {argument} は {} と同時に指定できません", quoted(&prior))
            }
        }
        ErrorKind::InvalidValue if words(error, ContextKind::InvalidValue).concat().is_empty() => {
            format!("引数 {argument} には値が必要です")
        }
        ErrorKind::InvalidValue => {
            let valid = words(error, ContextKind::ValidValue).join("、");
            format!("引数 {argument} に値 {value} は指定できません（指定できる値: {valid}）")
        }
        ErrorKind::ValueValidation => {
            let cause = error.source().map(|cause| {
                let own = told::bilingual(cause).map(|cause| cause.japanese());
                format!(": {}", own.unwrap_or_else(|| cause.to_string()))
            });
            let cause = cause.unwrap_or_default();
            format!("引数 {argument} に値 {value} は指定できません{cause}")
        }
        ErrorKind::NoEquals => format!("引数 {argument} の値は = に続けて指定してください"),
        ErrorKind::TooManyValues => format!("引数 {argument} の値 {value} は余分です"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("引数 {argument} の値の数が正しくありません")
        }
        ErrorKind::InvalidUtf8 => "引数にUTF-8ではない文字が含まれています".to_owned(),
        other @ (ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion
        | ErrorKind::Io
        | ErrorKind::Format
        | _) => format!("引数を解釈できません（{other}）"),
    }
}

/// The words of a part of the error.
fn words(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(word)) => vec![word.clone()],
        Some(ContextValue::Strings(words)) => words.clone(),
        _ => Vec::new(),
    }
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join("、")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::help::in_japanese;

    fn told(arguments: &[&str]) -> String {
        let arguments = std::iter::once("codingworker").chain(arguments.iter().copied());
        japanese(&in_japanese().try_get_matches_from(arguments).unwrap_err())
    }

    #[test]
    fn what_is_wrong_with_the_arguments_is_said_in_japanese() {
        let check = |arguments: &[&str], expected: &str| {
            let text = told(arguments);
            assert!(text.contains(expected), "{arguments:?}: {text}");
        };
        check(&["worker", "--onse"], "引数 '--onse' は使えません");
        check(&["worker", "--onse"], "ヒント: 似た名前の引数 '--once' があります");
        check(&["worker", "--onse"], "使い方: codingworker worker");
        check(&["wrker"], "コマンド 'wrker' はありません");
        check(&["why"], "次の引数が必要です:\n  <OWNER/NAME#7>");
        check(&["demo", "--agent", "x"], "（指定できる値: aider、scripted）");
        check(&["status", "--runs"], "引数 '--runs <RUNS>' には値が必要です");
        check(&["init", "--owner", "o*"], "GitHubの所有者名");
        check(&["up", "--repository", "x"], "リポジトリ名ではありません");
        check(&["up", "--account", "12"], "12桁の数字");
        check(&["queue", "serve", "--data", "d", "--region", "a:b"], "リージョンとして使えません");
        check(&["logs", "--since", "Tuesday"], "2h、3d");
        check(
            &["dlq", "redrive", "--task", "k", "--all"],
            "引数 '--task <OWNER/NAME#7>' は '--all' と同時に指定できません",
        );
    }
}
