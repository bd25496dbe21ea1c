//! The program: parse, dispatch, exit code.

use std::process::ExitCode;

use codingworker::environment::Environment;

fn main() -> ExitCode {
    codingworker::cli::run(&Environment::capture())
}
