//! Logs: text for people, JSON for programs, on standard error so that a command's own output stays clean.

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

/// A filter that is not one.
#[derive(Debug, thiserror::Error)]
#[error("`log.filter` is {filter:?}, expected a filter such as `info` or `codingworker=debug`: {source}")]
pub struct InvalidFilter {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging; a second call changes nothing.
///
/// # Errors
/// The filter can't be read.
pub fn start(settings: &LogSettings) -> Result<(), InvalidFilter> {
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|source| InvalidFilter { filter: settings.filter.clone(), source })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started = match settings.format {
        LogFormat::Text => logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging has been started already");
    }
    Ok(())
}
