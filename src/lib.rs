//! The worker: takes a task from a queue, has a coding agent change a repository, checks the change
//! and opens a pull request.
//!
//! ARCHITECTURE.md is the map. Dependencies point down the list: a module may use the modules below
//! it. [`run`] composes the adapters, which do not know each other.

pub mod cli;
pub mod telemetry;

pub mod worker;

pub mod run;

pub mod agent;
pub mod checks;
pub mod gate;
pub mod github;
pub mod journal;
pub mod publish;
pub mod queue;
pub mod workspace;

pub mod process;
pub mod sandbox;

pub mod config;
pub mod disk;
pub mod environment;
pub mod errors;
pub mod git;
pub mod language;
pub mod redaction;
pub mod settings;
pub mod task;
