//! The command line: one file a command, each with its arguments and its wiring.
//!
//! The only module that prints, and the only one that names the embedded queue and forge. An error
//! is told on standard error with all its causes, and the exit code says how the command ended.

mod config;
mod confined;
mod demo;
mod dlq;
mod doctor;
mod embedded;
mod exit_code;
mod help;
mod init;
mod logs;
mod output;
mod queue;
mod run_summary;
mod schema;
mod scripted_agent;
mod seed;
mod signals;
mod stages;
mod status;
mod submit;
mod told;
mod up;
mod why;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit_code::Exit;
use crate::config::Config;
use crate::environment::Environment;
use crate::language::Language;
use crate::redaction::Redaction;
use crate::telemetry::Reader;

/// Turns labelled GitHub issues into pull requests, with a coding agent on your own machine.
#[derive(Debug, Parser)]
#[command(
    name = "codingworker",
    version,
    max_term_width = 100,
    after_help = exit_code::help(None, Language::En)
)]
struct Cli {
    /// The configuration file; else codingworker.toml in the platform's configuration directory
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole way on this machine: an issue, the agent, the checks, a pull request
    Demo(demo::DemoArguments),
    /// Run queue, forge and worker together on this machine, without AWS or GitHub
    Up(up::UpArguments),
    /// Set up a repository, or the Terraform folder of the AWS side
    Init(init::InitArguments),
    /// Take tasks from the queue and work on them
    #[command(after_help = exit_code::help(Some("worker"), Language::En))]
    Worker(worker::WorkerArguments),
    /// Show whether a worker could start here, and what its sandbox holds
    #[command(after_help = exit_code::help(Some("doctor"), Language::En))]
    Doctor(doctor::DoctorArguments),
    /// Put a task into the queue
    Submit(submit::SubmitArguments),
    /// Show the queue and the latest runs
    Status(status::StatusArguments),
    /// Show what a run printed
    Logs(logs::LogsArguments),
    /// Tell why an issue's task ended as it did
    Why(why::WhyArguments),
    /// Look into the dead-letter queue, and put its tasks back
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    /// The embedded queue
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// What the configuration file may have
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the JSON Schema of the task message
    Schema,
    /// The demo's stand-in for an agent
    #[command(hide = true)]
    ScriptedAgent(scripted_agent::ScriptedAgentArguments),
    /// This program's part inside a sandbox
    #[command(hide = true, name = crate::sandbox::init::SUBCOMMAND)]
    Confined(confined::ConfinedArguments),
}

/// Reads the command line and runs its command. A failure is printed.
#[must_use]
pub fn run(environment: &Environment) -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.run(environment),
        Err(said) => help::tell(&said, environment),
    }
}

impl Cli {
    fn run(self, environment: &Environment) -> ExitCode {
        let file = self.config.clone();
        self.dispatch(environment).unwrap_or_else(|error| {
            let language = Config::language_before_loading(file.as_deref(), environment);
            failed(&error, &Redaction::default(), language)
        })
    }

    fn dispatch(self, environment: &Environment) -> anyhow::Result<ExitCode> {
        // These need no settings, and work where those are broken.
        if let Command::Schema = self.command {
            return schema::run();
        }
        if let Command::Config(command) = &self.command {
            return config::run(command, self.config.as_deref(), environment);
        }
        if let Command::ScriptedAgent(arguments) = &self.command {
            return scripted_agent::run(arguments);
        }
        if let Command::Confined(arguments) = &self.command {
            return Ok(confined::run(arguments));
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let config = Config::load(self.config.as_deref(), environment);
        if let Command::Init(arguments) = self.command {
            let language = Config::language_before_loading(self.config.as_deref(), environment);
            return runtime.block_on(init::run(arguments, config, language));
        }
        let mut config = config?;
        let (redaction, language) = (config.redaction.clone(), config.language);
        if let Command::Demo(arguments) = &self.command {
            arguments.choose_log(&mut config.log);
        }
        let is_kept =
            matches!(self.command, Command::Worker(_) | Command::Up(_) | Command::Queue(_));
        let reader = if is_kept { Reader::Operator } else { Reader::Caller };
        crate::telemetry::start(&config.log, &redaction, reader)?;
        let done = runtime.block_on(async {
            match self.command {
                Command::Demo(arguments) => demo::run(arguments, config).await,
                Command::Init(arguments) => init::run(arguments, Ok(config), language).await,
                Command::Up(arguments) => up::run(arguments, config).await,
                Command::Worker(arguments) => worker::run(arguments, config).await,
                Command::Doctor(arguments) => doctor::run(arguments, config).await,
                Command::Submit(arguments) => submit::run(arguments, config).await,
                Command::Status(arguments) => status::run(arguments, config).await,
                Command::Logs(arguments) => logs::run(arguments, config).await,
                Command::Why(arguments) => why::run(arguments, config).await,
                Command::Dlq(command) => dlq::run(command, config).await,
                Command::Queue(command) => queue::run(command, config).await,
                Command::Config(command) => {
                    config::run(&command, self.config.as_deref(), environment)
                }
                Command::Schema => schema::run(),
                Command::ScriptedAgent(arguments) => scripted_agent::run(&arguments),
                Command::Confined(arguments) => Ok(confined::run(&arguments)),
            }
        });
        Ok(done.unwrap_or_else(|error| failed(&error, &redaction, language)))
    }
}

/// Tells an error, unless nobody wants to read any more: a command whose output goes to `head` has
/// done what it was asked to.
fn failed(error: &anyhow::Error, redaction: &Redaction, language: Language) -> ExitCode {
    if output::is_closed_pipe(error) {
        return Exit::Ok.into();
    }
    output::error(error, redaction, language);
    Exit::Error.into()
}
