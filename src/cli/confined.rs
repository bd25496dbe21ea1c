//! `codingworker confined`: this program's part inside a sandbox. Nobody calls it by hand.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::sandbox::init;

#[derive(Debug, clap::Args)]
pub(super) struct ConfinedArguments {
    /// The configuration in JSON, which the worker wrote
    // The global option `--config` has the id `config`.
    init_config: String,
    /// The program to run, with its arguments
    #[arg(last = true)]
    command: Vec<OsString>,
}

pub(super) fn run(arguments: &ConfinedArguments) -> ExitCode {
    init::run(&arguments.init_config, &arguments.command)
}
