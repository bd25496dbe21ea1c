//! Logs: text for people or JSON for programs, with all secrets redacted. They go to standard
//! error, so that standard output has only the output of the command.

pub mod settings;

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use self::settings::{LogFormat, LogSettings};
use crate::redaction::Redaction;

/// The filter of the settings can't be read.
#[derive(Debug, thiserror::Error)]
#[error("`log.filter` is {filter:?}, expected a filter such as `info` or `codingworker=debug`")]
pub struct InvalidFilter {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging. A second call changes nothing.
///
/// # Errors
/// The filter can't be read.
pub fn start(settings: &LogSettings, redaction: &Redaction) -> Result<(), InvalidFilter> {
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|source| InvalidFilter { filter: settings.filter.clone(), source })?;
    let stderr = Stderr { redaction: redaction.clone() };
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
    let started = match settings.format {
        // Without `with_ansi` there are colors, unless NO_COLOR is set.
        LogFormat::Text if io::IsTerminal::is_terminal(&io::stderr()) => logs.try_init(),
        LogFormat::Text => logs.with_ansi(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging has been started already");
    }
    Ok(())
}

/// Standard error with all secrets redacted.
#[derive(Debug, Clone)]
struct Stderr {
    redaction: Redaction,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The subscriber writes each event with one call, so no secret is cut in two.
impl Write for &Stderr {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let event_text = String::from_utf8_lossy(event);
        io::stderr().write_all(self.redaction.redact(&event_text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
