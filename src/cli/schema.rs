//! `codingworker schema` prints the JSON Schema of the task message.

use std::process::ExitCode;

use super::output;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    output::json(&crate::task::schema())?;
    Ok(ExitCode::SUCCESS)
}
