//! The program: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use codingworker::cli::Cli;
use codingworker::environment::Environment;

fn main() -> ExitCode {
    Cli::parse().run(&Environment::capture())
}
