//! The program: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use codingworker::cli::Cli;
use codingworker::config::Environment;

fn main() -> ExitCode {
    Cli::parse().run(&Environment::capture())
}
