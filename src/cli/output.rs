//! Prints lines for people and JSON for programs. The program ends quietly when the reader closes
//! the pipe.
//!
//! On a terminal a line is folded to its width, and what was good or bad has a color unless
//! `NO_COLOR` is set. In a pipe a line stays one line, for `grep`.

use std::io::{self, Write};

use console::{Alignment, measure_text_width, pad_str, style};

use super::told::told;
use crate::language::Language;
use crate::redaction::Redaction;
use crate::telemetry;

/// The narrowest column that text is folded into. Where a terminal has less beside the label, the
/// text stands below it.
const NARROWEST: usize = 28;

/// How far text is indented that stands below its label.
const INDENT: usize = 4;

/// Prints a line on standard output.
pub(super) fn line(text: impl AsRef<str>) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{}", text.as_ref())?)
}

/// Prints a text beside its label, whose column is `column` wide. On a terminal the text is folded,
/// and its further lines stand below its first one; on a narrow one it stands below the label.
pub(super) fn row(label: &str, column: usize, text: &str) -> anyhow::Result<()> {
    let terminal = terminal_width();
    let is_narrow = terminal.is_some_and(|width| width < column + NARROWEST);
    let (label, column) = if is_narrow && !label.is_empty() {
        line(label)?;
        ("", INDENT)
    } else {
        (label, if is_narrow { INDENT } else { column })
    };
    let width = terminal.map_or(usize::MAX, |width| width.saturating_sub(column).max(1));
    let label = pad_str(label, column, Alignment::Left, None);
    let indent = " ".repeat(column);
    let lines = text.lines().flat_map(|line| fold(line, width));
    for (number, text) in lines.enumerate() {
        let before = if number == 0 { &*label } else { &indent };
        line(format!("{before}{text}").trim_end())?;
    }
    Ok(())
}

/// Returns a word in the color of what is good or bad.
pub(super) fn judged(word: &str, good: bool) -> String {
    let styled = style(word);
    if good { styled.green() } else { styled.red().bold() }.to_string()
}

/// How wide a person's terminal is, in columns. `None` in a pipe or a file.
fn terminal_width() -> Option<usize> {
    width_of(&console::Term::stdout())
}

fn width_of(terminal: &console::Term) -> Option<usize> {
    let (_, columns) = terminal.size_checked()?;
    terminal.is_term().then_some(usize::from(columns))
}

/// Folds a text as [`row`] does, to lines of at most `width` columns.
pub(super) fn folded(text: &str, width: usize) -> String {
    fold(text, width).join("\n")
}

/// Folds a line at its blanks to at most `width` columns. A word that is longer, such as a path,
/// stays whole, so that it can be copied. Wide characters, such as kana and kanji, have no blanks
/// between them and are folded anywhere.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in pieces(text) {
        let wide = measure_text_width(word);
        if used > 0 && used + measure_text_width(word.trim_end()) > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
        }
        used += wide;
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The parts between which a line may be folded: after each blank and each wide character, but not
/// before a mark that ends something.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let end = at + character.len_utf8();
        let next = characters.peek().map(|(_, next)| *next);
        let wide = measure_text_width(character.encode_utf8(&mut [0; 4])) == 2;
        let closes = next.is_some_and(|next| "、。）」』】・：！？)]}.,:;".contains(next));
        let opens = "（「『【".contains(character);
        if (character == ' ' || wide) && !closes && !opens {
            pieces.push(&text[begin..end]);
            begin = end;
        }
    }
    pieces.push(&text[begin..]);
    pieces
}

/// Prints a value as JSON, indented for people who look at it.
pub(super) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Whether a command failed only because whoever read its output closed the pipe, as `head` does.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Prints an error with all its causes on standard error, without secrets. Where logs are JSON, it
/// is one of their lines, and in English like these.
pub(super) fn error(error: &anyhow::Error, redaction: &Redaction, language: Language) {
    if telemetry::is_json() {
        // The log removes the secrets.
        tracing::error!("{}", told(error, Language::En));
        return;
    }
    let label = language.pick("error", "エラー");
    complaint(&redaction.redact(&format!("{label}: {}", told(error, language))));
}

/// Prints lines of a failure on standard error.
pub(super) fn complaint(text: &str) {
    if writeln!(io::stderr(), "{text}").is_err() {
        tracing::debug!("standard error is closed");
    }
}

/// Prints a line about the progress on standard error, so that standard output contains only the
/// result. When logs are JSON, the line is one of theirs.
pub(super) fn progress(line: &str) {
    if telemetry::is_json() {
        tracing::info!("{line}");
        return;
    }
    let width = width_of(&console::Term::stderr()).unwrap_or(usize::MAX);
    for (number, line) in fold(line, width.saturating_sub(INDENT).max(1)).iter().enumerate() {
        let indent = if number == 0 { 0 } else { INDENT };
        if writeln!(io::stderr(), "{:indent$}{line}", "").is_err() {
            tracing::debug!("standard error is closed");
        }
    }
}

/// Formats a duration for people: `0.4 s`, `12 s`, `3 min 20 s`.
pub(super) fn duration(span: std::time::Duration, language: Language) -> String {
    let (seconds, minutes, hours) = (span.as_secs(), span.as_secs() / 60, span.as_secs() / 3600);
    let (hour, minute, second) = language.pick((" h ", " min", " s"), ("時間", "分", "秒"));
    let between = language.pick(" ", "");
    match seconds {
        0..10 => format!("{:.1}{second}", span.as_secs_f64()),
        10..60 => format!("{seconds}{second}"),
        60..3600 => format!("{minutes}{minute}{between}{}{second}", seconds % 60),
        _ => format!("{hours}{hour}{}{minute}", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_folded_at_blanks_and_a_path_stays_whole() {
        assert_eq!(fold("one two three", 7), ["one two", "three"]);
        assert_eq!(fold("in /a/very/long/path it is", 8), ["in", "/a/very/long/path", "it is"]);
        assert_eq!(fold("", 8), [""]);
        assert_eq!(fold("a short line", usize::MAX), ["a short line"]);
    }

    #[test]
    fn wide_characters_take_two_columns_and_no_mark_begins_a_line() {
        assert_eq!(fold("実行します。次です", 10), ["実行しま", "す。次です"]);
        for line in fold("ワーカーは（今も）動いています。キューは空です。", 12)
        {
            assert!(measure_text_width(&line) <= 14, "{line}");
            assert!(!line.starts_with(['。', '）']), "{line}");
        }
    }

    #[test]
    fn a_duration_is_told_in_its_two_largest_units() {
        for (seconds, english, japanese) in [
            (0.42, "0.4 s", "0.4秒"),
            (12.0, "12 s", "12秒"),
            (200.0, "3 min 20 s", "3分20秒"),
            (7_500.0, "2 h 5 min", "2時間5分"),
        ] {
            let span = std::time::Duration::from_secs_f64(seconds);
            assert_eq!(duration(span, Language::En), english);
            assert_eq!(duration(span, Language::Ja), japanese);
        }
    }

    #[test]
    fn only_a_closed_pipe_is_passed_over() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&anyhow::Error::from(closed).context("printing")));
        assert!(!is_closed_pipe(&io::Error::from(io::ErrorKind::StorageFull).into()));
    }
}
