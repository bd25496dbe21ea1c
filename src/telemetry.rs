//! Logs: text for people or JSON for programs, with all secrets redacted. They go to standard
//! error, so that standard output has only the output of the command.

pub mod settings;
mod short;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use self::settings::{LogFormat, LogSettings};
use self::short::ShortFormat;
use crate::errors::Bilingual;
use crate::redaction::Redaction;

/// What comes before the filter of the settings. At `info` the AWS SDK logs access key ids, and at
/// `warn` the insides of each failed request, whose error the worker tells anyway. A filter that
/// names one of its crates, or `aws`, has the last word. The name stands for all targets that begin
/// with it (documentation of `tracing_subscriber::filter::EnvFilter`, "Directives").
const QUIET: &str = "aws=error";

/// Whether the logs are JSON, once logging was started.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Returns whether every line on standard error has to be JSON.
#[must_use]
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// The filter of the settings can't be read.
#[derive(Debug, thiserror::Error)]
#[error("`log.filter` is {filter:?}, expected a filter such as `info` or `codingworker=debug`")]
pub struct InvalidFilter {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

impl Bilingual for InvalidFilter {
    fn japanese(&self) -> String {
        format!(
            "`log.filter` の値は {:?} です（正しい値の例: `info`、`codingworker=debug`）",
            self.filter
        )
    }
}

/// Who reads the log of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Whoever called the command and waits for its end.
    Caller,
    /// Whoever looks into it days later: the command runs until it is stopped.
    Operator,
}

/// Starts logging. A second call changes nothing.
///
/// # Errors
/// The filter can't be read.
pub fn start(
    settings: &LogSettings,
    redaction: &Redaction,
    reader: Reader,
) -> Result<(), InvalidFilter> {
    let filter = filter(&settings.filter)?;
    let stderr = Stderr { redaction: redaction.clone() };
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
    let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
    let short = ShortFormat { is_dated: reader == Reader::Operator && !is_terminal };
    let started = match settings.format {
        // Without `with_ansi` there are colors, unless NO_COLOR is set.
        LogFormat::Text if is_terminal => logs.event_format(short).try_init(),
        LogFormat::Text => logs.with_ansi(false).event_format(short).try_init(),
        LogFormat::Full if is_terminal => logs.try_init(),
        LogFormat::Full => logs.with_ansi(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging has been started already");
        return Ok(());
    }
    IS_JSON.store(settings.format == LogFormat::Json, Ordering::Relaxed);
    // A panic is a line of the log too: without secrets, and in the log's form.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("a part of the program failed: {panic}");
    }));
    Ok(())
}

fn filter(wanted: &str) -> Result<EnvFilter, InvalidFilter> {
    EnvFilter::builder()
        .parse(format!("{QUIET},{wanted}"))
        .map_err(|source| InvalidFilter { filter: wanted.to_owned(), source })
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
///
/// An event that can't be written, to a file on a full disk or to a pipe that nobody reads any
/// more, is lost. The subscriber would report the failure to standard error as well, and that
/// panics.
impl Write for &Stderr {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let event_text = String::from_utf8_lossy(event);
        io::stderr().write_all(self.redaction.redact(&event_text).as_bytes()).ok();
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush().ok();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What a log of this filter shows of an event of the SDK and of one of the worker.
    fn shown(wanted: &str) -> (bool, bool) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&written);
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter(wanted).unwrap())
            .with_writer(move || Written(Arc::clone(&writer)))
            .finish();
        tracing::subscriber::with_default(log, || {
            tracing::warn!(target: "aws_config::profile", "of the SDK");
            tracing::info!(target: "codingworker::worker", "of the worker");
        });
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        (text.contains("of the SDK"), text.contains("of the worker"))
    }

    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_aws_sdk_is_quiet_unless_it_is_asked_for() {
        assert_eq!(shown("info"), (false, true));
        assert_eq!(shown("debug"), (false, true));
        assert_eq!(shown("info,aws_config=debug"), (true, true));
        assert_eq!(shown("warn,aws=info"), (true, false));
        assert!(filter("no filter=====").is_err());
    }
}
