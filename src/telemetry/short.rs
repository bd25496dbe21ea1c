//! The form of a log line for people: the time, the issue, the stage, and what happened. A log that
//! is kept has the date too. The form `full` has all spans.

use std::fmt;

use jiff::ZonedDateTime;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

const DIM: &str = "\u{1b}[2m";
const YELLOW: &str = "\u{1b}[33m";
const RED: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";

/// Writes short lines.
pub(super) struct ShortFormat {
    /// Whether a line begins with the date. A log that is kept for days needs it, and on a terminal
    /// the time is enough.
    pub(super) is_dated: bool,
}

impl<S, N> FormatEvent<S, N> for ShortFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let colored = writer.has_ansi_escapes();
        let styled = |writer: &mut Writer<'_>, style: &str, text: &str| {
            if colored {
                write!(writer, "{style}{text}{PLAIN} ")
            } else {
                write!(writer, "{text} ")
            }
        };
        let time = if self.is_dated { "%Y-%m-%d %H:%M:%S" } else { "%H:%M:%S" };
        styled(&mut writer, DIM, &ZonedDateTime::now().strftime(time).to_string())?;
        match *event.metadata().level() {
            Level::ERROR => styled(&mut writer, RED, "ERROR")?,
            Level::WARN => styled(&mut writer, YELLOW, "WARN")?,
            Level::INFO => {}
            level => styled(&mut writer, DIM, level.as_str())?,
        }
        let spans = context.event_scope().into_iter().flat_map(|scope| scope.from_root());
        for span in spans {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<N>>() else { continue };
            if let Some(short) = short(span.name(), &without_styles(fields)) {
                styled(&mut writer, DIM, &short)?;
            }
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// What a line says of a span: the issue of a run and the name of a stage. The other spans are in
/// the line's own words.
fn short(span: &str, fields: &str) -> Option<String> {
    let value = |name: &str| {
        let (_, value) = fields.split_once(&format!("{name}="))?;
        value.split_whitespace().next()
    };
    match span {
        "run" => value("task")?.split('@').next().map(str::to_owned),
        "stage" => Some(format!("{}:", value("name")?.trim_matches('"'))),
        _ => None,
    }
}

/// The fields of a span are kept as they would be printed, with the escape sequences of ECMA-48
/// that style them.
fn without_styles(fields: &str) -> String {
    console::strip_ansi_codes(fields).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_issue_and_a_stage_by_its_name() {
        let run = "run=7 task=owner/name#12@2026-01-26T00:00:00Z";
        assert_eq!(short("run", run).as_deref(), Some("owner/name#12"));
        assert_eq!(short("stage", "name=\"check\"").as_deref(), Some("check:"));
        assert_eq!(short("check", "command=\"cargo test\""), None);
        let styled = "\u{1b}[3mname\u{1b}[0m\u{1b}[2m=\u{1b}[0m\"gate\"";
        assert_eq!(short("stage", &without_styles(styled)).as_deref(), Some("gate:"));
    }
}
