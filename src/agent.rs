//! The coding agent. One call of it changes a tree, and a verdict says what the result is.
//!
//! This module owns the calls (prompt, command line, private home, list of models) and the verdicts
//! on them. `workspace` makes the tree and takes snapshots of it, and `sandbox` decides what a
//! program may see. Invariants: a verdict comes from the diff and the transcript, and never from an
//! exit code of 0, because Aider also exits with 0 when it fails; after a call the tree contains no
//! new files except those that the agent made as its work.

pub mod aider;
mod call_dir;
mod command;
mod hidden_files;
pub mod model;
mod profile;
pub mod prompt;
mod report;
pub mod settings;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use self::call_dir::CallDir;
use self::hidden_files::HiddenFiles;
use self::model::{Model, ModelProblem};
use self::profile::Profile;
use self::prompt::Prompt;
pub use self::report::{CallOutcome, Report, Usage, Verdict, tail, verdict};
use self::settings::{AgentKind, AgentSettings};
use crate::disk::DiskError;
use crate::errors::Bilingual;
use crate::process::{self, Finished, Invocation, Log, ProcessError, Streams};
use crate::redaction::Redaction;
use crate::sandbox::{self, FsPolicy, NetworkPolicy, Sandbox};

/// How long an agent may take to print its version.
const VERSION_DEADLINE: Duration = Duration::from_secs(60);

/// The agent that the settings describe.
#[derive(Debug, Clone)]
pub struct Agent {
    profile: Profile,
    models: Vec<Model>,
    settings: AgentSettings,
    search_path: OsString,
    sandbox: Sandbox,
    redaction: Redaction,
}

/// One call of the agent: the prompt, the tree, and the files that the agent starts with.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    pub prompt: &'a Prompt,
    /// The disposable clone that the agent changes.
    pub tree: &'a Path,
    /// A directory outside the tree. It holds the agent's home, its histories, and the files that
    /// tell the agent about the call.
    pub scratch: &'a Path,
    /// The files to edit, relative to the tree. They are the files that the issue names.
    pub edit: Vec<PathBuf>,
    /// The files that the agent may only read, relative to the tree, such as conventions.
    pub read: Vec<PathBuf>,
    /// The log of the run. The agent's output is appended to it while the agent runs.
    pub log: &'a Path,
}

/// Why a call could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("could not prepare the agent's call at {}", path.display())]
    Scratch { path: PathBuf, source: io::Error },
    #[error("could not hide the repository's own settings for the agent in {}", tree.display())]
    HiddenFiles { tree: PathBuf, source: io::Error },
    #[error("no model is configured: name one in `agent.models`")]
    NoModel,
}

impl Bilingual for AgentError {
    fn japanese(&self) -> String {
        match self {
            Self::Process(error) => error.japanese(),
            Self::Disk(error) => error.japanese(),
            Self::Scratch { path, source: _ } => {
                format!("エージェントの実行を {} に準備できません", path.display())
            }
            Self::HiddenFiles { tree, source: _ } => {
                format!("{} にあるリポジトリ自身の設定をエージェントから隠せません", tree.display())
            }
            Self::NoModel => {
                "モデルが設定されていません。`agent.models` に指定してください".to_owned()
            }
        }
    }

    fn own_cause(&self) -> Option<&dyn Bilingual> {
        match self {
            Self::Process(error) => error.own_cause(),
            Self::Disk(error) => error.own_cause(),
            Self::Scratch { .. } | Self::HiddenFiles { .. } | Self::NoModel => None,
        }
    }
}

impl Agent {
    /// Makes the agent. Each call looks up the executable on the search path.
    #[must_use]
    pub fn new(
        settings: &AgentSettings,
        search_path: &OsStr,
        sandbox: &Sandbox,
        redaction: &Redaction,
    ) -> Self {
        let model_endpoint = sandbox.model_endpoint(&settings.model_endpoint);
        let profile = match &settings.kind {
            AgentKind::Aider(aider) => {
                aider::profile(aider, &model_endpoint, settings.model_timeout)
            }
            AgentKind::Command(command) => command::profile(command),
        };
        let models = settings.models.iter().map(|model| Model::new(model)).collect();
        let (settings, search_path) = (settings.clone(), search_path.to_owned());
        Self {
            profile,
            models,
            settings,
            search_path,
            sandbox: sandbox.clone(),
            redaction: redaction.clone(),
        }
    }

    /// Returns `aider` or `command`, which is the name that the settings use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.profile.name
    }

    /// Returns the version that the agent prints, such as `aider 0.86.2`. Returns `None` for a
    /// command that the user configured, because the worker does not know how to ask it.
    ///
    /// # Errors
    /// The agent can't be started.
    pub async fn version(
        &self,
        scratch: &Path,
        stop: &CancellationToken,
    ) -> Result<Option<String>, AgentError> {
        let Some(prefix) = self.profile.version_prefix else { return Ok(None) };
        let call_dir = CallDir::prepare(scratch).await?;
        let asked = self.invocation(&call_dir, scratch, vec!["--version".into()])?;
        let policy = FsPolicy { writable: vec![scratch.to_owned()], ..FsPolicy::default() };
        let asked =
            self.sandbox.confine(Invocation { deadline: VERSION_DEADLINE, ..asked }, &policy);
        let finished = process::run(asked, stop).await?;
        let output = String::from_utf8_lossy(&finished.output);
        Ok(output.lines().map(str::trim).find(|line| line.starts_with(prefix)).map(str::to_owned))
    }

    /// Checks that Ollama answers and has the models. The function does not check models of other
    /// providers.
    ///
    /// # Errors
    /// The error says what is wrong and what to do about it.
    pub async fn check_model(&self) -> Result<(), ModelProblem> {
        model::check(&self.settings.model_endpoint, &self.models).await
    }

    /// Checks that the agent's program is installed.
    ///
    /// # Errors
    /// The error names the command that installs it, when that is known.
    pub fn check_program(&self) -> Result<(), ModelProblem> {
        let program = &self.profile.executable;
        match process::find_executable(program, &self.search_path) {
            Some(_) => Ok(()),
            None => Err(ModelProblem::NoAgent {
                program: program.clone(),
                install: self.settings.kind.install_command(),
            }),
        }
    }

    /// Lets the agent change the tree. The function tries the next model only when a model times
    /// out.
    ///
    /// The edits that an earlier model applied before it timed out are still in the tree when the
    /// next model starts.
    ///
    /// # Errors
    /// The agent can't be started. A failure of the agent itself is a [`CallOutcome`].
    pub async fn call(
        &self,
        call: &Call<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, AgentError> {
        let mut report: Option<Report> = None;
        for model in &self.models {
            let earlier = report.take();
            let attempt = self.ask(model, call, stop).await?.after(earlier);
            let timed_out = attempt.outcome == CallOutcome::TimedOut;
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
        let call_dir = CallDir::prepare(call.scratch).await?;
        call_dir.write(&call_dir.prompt(), call.prompt.as_str())?;
        (self.profile.write_settings)(model, &call_dir)?;
        let hidden = match self.profile.hidden {
            Some(names) => Some(HiddenFiles::take(call.tree, call.scratch, names).await?),
            None => None,
        };
        let arguments = (self.profile.arguments)(model, call, &call_dir);
        let finished = self.run(call, &call_dir, arguments, stop).await;
        if let Some(hidden) = hidden {
            hidden.put_back().await?;
        }
        let finished = finished?;
        let (outcome, usage) = (self.profile.judge)(model, &finished, &call_dir);
        let (model, tail) = (model.name().to_owned(), tail(&finished.output));
        Ok(Report { model, outcome, usage, duration: finished.duration, calls: 1, tail })
    }

    async fn run(
        &self,
        call: &Call<'_>,
        call_dir: &CallDir,
        arguments: Vec<OsString>,
        stop: &CancellationToken,
    ) -> Result<Finished, ProcessError> {
        let invocation = self.invocation(call_dir, call.tree, arguments)?;
        let writable = vec![call.tree.to_owned(), call_dir.directory().to_owned()];
        let policy = FsPolicy { writable, network: NetworkPolicy::Model, ..FsPolicy::default() };
        let log = Log { file: call.log.to_owned(), redaction: self.redaction.clone() };
        let invocation = Invocation { log: Some(log), ..invocation };
        process::run(self.sandbox.confine(invocation, &policy), stop).await
    }

    fn invocation(
        &self,
        call_dir: &CallDir,
        directory: &Path,
        arguments: Vec<OsString>,
    ) -> Result<Invocation, ProcessError> {
        let executable = &self.profile.executable;
        let program = process::find_executable(executable, &self.search_path)
            .ok_or_else(|| ProcessError::NotFound { program: executable.as_str().into() })?;
        let mut environment =
            sandbox::clean_environment(&self.search_path, &call_dir.home(), &call_dir.temporary());
        // An agent's own output is read by its profile. Checks get no such variables.
        let plain = [("NO_COLOR", "1"), ("CI", "1")];
        environment.extend(plain.map(|(name, value)| (name.into(), value.into())));
        let passed = self
            .settings
            .pass_environment
            .iter()
            .filter(|(name, _)| self.profile.lets_through(name));
        environment.extend(passed.map(|(name, value)| (name.into(), value.expose_secret().into())));
        environment.extend(self.profile.environment.clone());
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
