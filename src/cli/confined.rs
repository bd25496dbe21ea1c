//! `codingworker confined`: the part of this program that runs inside a sandbox. The worker starts
//! it; no person calls it by hand.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::sandbox::init;

#[derive(Debug, clap::Args)]
pub(super) struct ConfinedArguments {
    /// The configuration in JSON, which the worker wrote
    // This field can't be named `config`, because the global option `--config` already has that id.
    init_config: String,
    /// The program to run, with its arguments
    #[arg(last = true)]
    command: Vec<OsString>,
}

pub(super) fn run(arguments: &ConfinedArguments) -> ExitCode {
    init::run(&arguments.init_config, &arguments.command)
}
