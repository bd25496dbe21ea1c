//! The coding agent: one call of it changes a tree, and a verdict says what came of it.
//!
//! Owns the calls (prompt, command line, private home, list of models), and their judgment. Leaves
//! the tree's making and snapshot to `workspace`, what a program may see to `sandbox`. Invariant: a
//! verdict comes from the diff and the transcript; Aider exits with 0 on every failure, so its exit
//! code is believed only when it crashes. After a call the tree holds what the agent made and
//! nothing else new.

pub mod aider;
mod call_dir;
mod command;
pub mod model;
pub mod prompt;
pub mod settings;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::aider::Aider;
use self::aider::hidden_files::HiddenFiles;
pub use self::aider::hidden_files::put_back;
use self::aider::transcript;
pub use self::aider::transcript::Usage;
use self::call_dir::CallDir;
use self::command::CommandAgent;
use self::model::{Model, ModelProblem};
use self::prompt::Prompt;
use self::settings::{AgentKind, AgentSettings};
use crate::process::{self, Finished, Invocation, Log, ProcessError, Streams};
use crate::redaction::Redaction;
use crate::sandbox::{self, FsPolicy, NetworkPolicy, Sandbox};

/// How long an agent has to tell its version.
const VERSION_DEADLINE: Duration = Duration::from_secs(60);

/// An agent as the settings describe it.
#[derive(Debug, Clone)]
pub struct Agent {
    cli: Cli,
    models: Vec<Model>,
    settings: AgentSettings,
    search_path: OsString,
    sandbox: Sandbox,
    redaction: Redaction,
}

#[derive(Debug, Clone)]
enum Cli {
    Aider(Aider),
    Command(CommandAgent),
}

/// One call: what is asked, where, and with which files in view.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    pub prompt: &'a Prompt,
    /// The disposable clone that the agent changes.
    pub tree: &'a Path,
    /// A directory outside the tree, for the agent's home, its histories and what the call is told
    /// by file.
    pub scratch: &'a Path,
    /// Files to edit, relative to the tree; those that the issue names.
    pub edit: Vec<PathBuf>,
    /// Files to read only, relative to the tree, such as conventions.
    pub read: Vec<PathBuf>,
    /// The run's log, which the output is appended to as it comes.
    pub log: &'a Path,
}

/// What a call was, before the diff is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The model that was asked last.
    pub model: String,
    pub outcome: Outcome,
    /// Tokens of all models asked, when the agent tells.
    pub usage: Option<Usage>,
    pub duration: Duration,
    /// How many models were asked: one, and one more for each that timed out.
    pub calls: u32,
    /// The end of the output, without escape sequences.
    pub tail: String,
}

/// How a call went, by its transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The model answered, and what it answered could be read.
    Answered,
    /// The model answered, though the prompt was estimated to be over its context window.
    #[serde(alias = "Crowded")]
    ContextExceeded,
    /// The last answer could not be applied as edits.
    MalformedEdits,
    /// The context window or the output limit was hit, so that the last answer may be cut off.
    TokenLimit,
    ModelMissing,
    /// The endpoint did not serve the last request; what it said.
    ModelUnreachable {
        detail: String,
    },
    /// The model or the whole call took too long.
    TimedOut,
    Stopped,
    /// The agent itself failed; why.
    Failed {
        detail: String,
    },
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Edited,
    NoChange,
    MalformedEdits,
    ModelUnreachable { detail: String },
    ModelMissing,
    TokenLimit,
    TimedOut,
    Stopped,
    Failed { detail: String },
}

/// Why a call could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("could not prepare the agent's call at {}", path.display())]
    Scratch { path: PathBuf, source: io::Error },
    #[error("could not keep the repository's own agent settings out of sight in {}", tree.display())]
    HiddenFiles { tree: PathBuf, source: io::Error },
    #[error("no model is configured: name one in `agent.models`")]
    NoModel,
}

impl Agent {
    /// An agent whose executable is looked up on the search path when it is called.
    #[must_use]
    pub fn new(
        settings: &AgentSettings,
        search_path: &OsStr,
        sandbox: &Sandbox,
        redaction: &Redaction,
    ) -> Self {
        let model_endpoint = sandbox.model_endpoint(&settings.model_endpoint);
        let cli = match &settings.kind {
            AgentKind::Aider(aider) => {
                Cli::Aider(Aider::new(aider, &model_endpoint, settings.model_timeout))
            }
            AgentKind::Command(command) => Cli::Command(CommandAgent::new(command)),
        };
        let models = settings.models.iter().map(|model| Model::new(model)).collect();
        let (settings, search_path) = (settings.clone(), search_path.to_owned());
        Self {
            cli,
            models,
            settings,
            search_path,
            sandbox: sandbox.clone(),
            redaction: redaction.clone(),
        }
    }

    /// `aider` or `command`, as the settings call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.cli {
            Cli::Aider(_) => "aider",
            Cli::Command(_) => "command",
        }
    }

    /// What the agent calls its version, such as `aider 0.86.2`; a command of the user's is not
    /// asked.
    ///
    /// # Errors
    /// When the agent can't be started.
    pub async fn version(
        &self,
        scratch: &Path,
        stop: &CancellationToken,
    ) -> Result<Option<String>, AgentError> {
        let Cli::Aider(_) = &self.cli else { return Ok(None) };
        let room = CallDir::prepare(scratch)?;
        let asked = self.invocation(&room, scratch, vec!["--version".into()])?;
        let view = FsPolicy { writable: vec![scratch.to_owned()], ..FsPolicy::default() };
        let asked = self.sandbox.confine(Invocation { deadline: VERSION_DEADLINE, ..asked }, &view);
        let finished = process::run(asked, stop).await?;
        let output = String::from_utf8_lossy(&finished.output);
        Ok(output.lines().map(str::trim).find(|line| line.starts_with("aider ")).map(str::to_owned))
    }

    /// Asks Ollama whether it is there and has the models; models of others are not checked.
    ///
    /// # Errors
    /// What is wrong, and what to do about it.
    pub async fn check_model(&self) -> Result<(), ModelProblem> {
        model::check(&self.settings.model_endpoint, &self.models).await
    }

    /// Lets the agent change the tree; the models are tried in their order while they time out.
    ///
    /// What an earlier model applied before its time was up is still in the tree when the next one
    /// is asked.
    ///
    /// # Errors
    /// When the agent can't be started; its own failures are an [`Outcome`].
    pub async fn call(
        &self,
        call: &Call<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, AgentError> {
        let mut report: Option<Report> = None;
        for model in &self.models {
            let earlier = report.take();
            let attempt = self.ask(model, call, stop).await?.after(earlier);
            let timed_out = attempt.outcome == Outcome::TimedOut;
            report = Some(attempt);
            if !timed_out {
                break;
            }
        }
        report.ok_or(AgentError::NoModel)
    }

    async fn ask(
        &self,
        model: &Model,
        call: &Call<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, AgentError> {
        let room = CallDir::prepare(call.scratch)?;
        room.write(&room.prompt(), call.prompt.as_str())?;
        let (finished, outcome, usage) = match &self.cli {
            Cli::Aider(aider) => {
                aider.write_settings(model, &room)?;
                let aside = HiddenFiles::take(call.tree, call.scratch)?;
                let finished =
                    self.run(call, &room, aider.arguments(model, call, &room), stop).await;
                aside.put_back()?;
                let finished = finished?;
                let (outcome, usage) = aider.judge(model, &finished, &room);
                (finished, outcome, usage)
            }
            Cli::Command(command) => {
                let finished =
                    self.run(call, &room, command.arguments(model, call, &room), stop).await?;
                let outcome = command::judge(&finished);
                (finished, outcome, None)
            }
        };
        let (model, tail) = (model.name().to_owned(), transcript::tail(&finished.output));
        Ok(Report { model, outcome, usage, duration: finished.duration, calls: 1, tail })
    }

    async fn run(
        &self,
        call: &Call<'_>,
        room: &CallDir,
        arguments: Vec<OsString>,
        stop: &CancellationToken,
    ) -> Result<Finished, ProcessError> {
        let invocation = self.invocation(room, call.tree, arguments)?;
        let writable = vec![call.tree.to_owned(), room.directory().to_owned()];
        let view = FsPolicy { writable, reach: NetworkPolicy::Model, ..FsPolicy::default() };
        let log = Log { file: call.log.to_owned(), redaction: self.redaction.clone() };
        let invocation = Invocation { log: Some(log), ..invocation };
        process::run(self.sandbox.confine(invocation, &view), stop).await
    }

    fn invocation(
        &self,
        room: &CallDir,
        directory: &Path,
        arguments: Vec<OsString>,
    ) -> Result<Invocation, ProcessError> {
        let executable = self.cli.executable();
        let program = process::find_executable(executable, &self.search_path)
            .ok_or_else(|| ProcessError::NotFound { program: executable.into() })?;
        let mut environment =
            sandbox::clean_environment(&self.search_path, &room.home(), &room.temporary());
        let passed =
            self.settings.pass_environment.iter().filter(|(name, _)| self.cli.lets_through(name));
        environment.extend(passed.map(|(name, value)| (name.into(), value.expose_secret().into())));
        environment.extend(self.cli.environment());
        environment.extend(self.sandbox.model_environment(&self.settings.model_endpoint));
        Ok(Invocation {
            program,
            arguments,
            directory: directory.to_owned(),
            environment,
            input: Vec::new(),
            deadline: self.settings.call_timeout,
            output_limit: self.settings.output_limit,
            streams: Streams::Merged,
            log: None,
        })
    }
}

impl Cli {
    fn executable(&self) -> &str {
        match self {
            Self::Aider(aider) => aider.executable(),
            Self::Command(command) => command.executable(),
        }
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        match self {
            Self::Aider(aider) => aider.environment(),
            Self::Command(_) => Vec::new(),
        }
    }

    /// Whether a variable that the user passes on reaches the agent.
    fn lets_through(&self, name: &str) -> bool {
        match self {
            Self::Aider(_) => !name.starts_with(aider::SETTINGS_PREFIX),
            Self::Command(_) => true,
        }
    }
}

impl Report {
    /// This attempt together with the ones before it.
    fn after(mut self, earlier: Option<Self>) -> Self {
        if let Some(earlier) = earlier {
            self.duration += earlier.duration;
            self.calls += earlier.calls;
            self.usage = self.usage.into_iter().chain(earlier.usage).reduce(Usage::plus);
        }
        self
    }
}

/// Judges a call by its report and by whether the snapshotted tree differs from the one before.
///
/// A change counts for more than the agent's complaints, except where it may be half of one: the
/// time was up, or the answer was cut off.
#[must_use]
pub fn verdict(report: &Report, changed: bool) -> Verdict {
    match &report.outcome {
        Outcome::Stopped => Verdict::Stopped,
        Outcome::TimedOut => Verdict::TimedOut,
        Outcome::TokenLimit => Verdict::TokenLimit,
        _ if changed => Verdict::Edited,
        Outcome::Answered => Verdict::NoChange,
        Outcome::ContextExceeded => Verdict::TokenLimit,
        Outcome::MalformedEdits => Verdict::MalformedEdits,
        Outcome::ModelMissing => Verdict::ModelMissing,
        Outcome::ModelUnreachable { detail } => {
            Verdict::ModelUnreachable { detail: detail.clone() }
        }
        Outcome::Failed { detail } => Verdict::Failed { detail: detail.clone() },
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edited => "the agent changed the repository",
            Self::NoChange => "the agent changed nothing",
            Self::MalformedEdits => "the model's edits were malformed and could not be applied",
            Self::ModelUnreachable { detail } => {
                return write!(f, "the model could not be reached: {detail}");
            }
            Self::ModelMissing => "the model is not installed",
            Self::TokenLimit => "the model hit its token limit",
            Self::TimedOut => "the agent timed out",
            Self::Stopped => "the agent was stopped",
            Self::Failed { detail } => return write!(f, "the agent failed: {detail}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcome: Outcome, unchanged: Verdict, changed: Verdict) {
        let (duration, tail) = (Duration::ZERO, String::new());
        let report =
            Report { model: "m".to_owned(), outcome, usage: None, duration, calls: 1, tail };
        assert_eq!(verdict(&report, false), unchanged);
        assert_eq!(verdict(&report, true), changed);
    }

    #[test]
    fn a_change_is_an_edit_unless_it_may_be_half_of_one() {
        let detail = || "connection refused".to_owned();
        check(Outcome::Answered, Verdict::NoChange, Verdict::Edited);
        check(Outcome::ContextExceeded, Verdict::TokenLimit, Verdict::Edited);
        check(Outcome::MalformedEdits, Verdict::MalformedEdits, Verdict::Edited);
        check(Outcome::ModelMissing, Verdict::ModelMissing, Verdict::Edited);
        check(
            Outcome::ModelUnreachable { detail: detail() },
            Verdict::ModelUnreachable { detail: detail() },
            Verdict::Edited,
        );
        check(
            Outcome::Failed { detail: detail() },
            Verdict::Failed { detail: detail() },
            Verdict::Edited,
        );
        check(Outcome::TokenLimit, Verdict::TokenLimit, Verdict::TokenLimit);
        check(Outcome::TimedOut, Verdict::TimedOut, Verdict::TimedOut);
        check(Outcome::Stopped, Verdict::Stopped, Verdict::Stopped);
    }
}
