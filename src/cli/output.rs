//! Prints lines for people and JSON for programs. The program ends quietly when the reader closes
//! the pipe.

use std::io::{IsTerminal, Write};

use crate::errors;
use crate::redaction::Redaction;

/// Prints a line on standard output.
pub(super) fn line(text: impl AsRef<str>) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", text.as_ref())?)
}

/// Prints a value as JSON, indented for people who look at it.
pub(super) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Prints an error with all its causes on standard error, without secrets.
pub(super) fn error(error: &anyhow::Error, redaction: &Redaction) {
    let text = format!("error: {}\n", errors::chain(error.as_ref()));
    if std::io::stderr().write_all(redaction.redact(&text).as_bytes()).is_err() {
        tracing::debug!("standard error is closed");
    }
}

/// Prints a line about the progress on standard error, so that standard output contains only the
/// result.
pub(super) fn progress(line: &str) {
    if writeln!(std::io::stderr(), "{line}").is_err() {
        tracing::debug!("standard error is closed");
    }
}

/// Returns whether standard error is a terminal, where a person sees it.
pub(super) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Formats a duration for people: `0.4 s`, `12 s`, `3 min 20 s`.
pub(super) fn duration(span: std::time::Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        10..60 => format!("{} s", span.as_secs()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
