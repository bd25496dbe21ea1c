//! What one agent CLI needs that the others do not, as one value that each CLI's module fills in.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use super::call_dir::CallDir;
use super::model::Model;
use super::report::{CallOutcome, Usage};
use super::{AgentError, Call};
use crate::process::Finished;

/// The peculiarities of one agent CLI. Everything else about a call is the same for all of them.
#[derive(Clone)]
pub(super) struct Profile {
    /// The agent as the settings call it.
    pub(super) name: &'static str,
    /// A name that is looked up on the search path, or a path.
    pub(super) executable: String,
    /// What the line of `--version` that names the version begins with; `None` when the CLI is not
    /// asked.
    pub(super) version_prefix: Option<&'static str>,
    /// Variables that the CLI gets besides the clean environment.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Variables whose names begin with this never reach the CLI, even when the user passes them:
    /// they would override how the worker calls it.
    pub(super) withheld_prefix: Option<&'static str>,
    /// The files of the repository that the CLI must not see during a call.
    pub(super) hidden: Option<HiddenNames>,
    /// Writes the files that tell the CLI about the model, before a call.
    pub(super) write_settings: Arc<SettingsWriter>,
    /// The arguments of a call.
    pub(super) arguments: Arc<CallArguments>,
    /// How the call went and which tokens it took, judged by what the CLI printed and left.
    pub(super) judge: Arc<CallJudge>,
}

type SettingsWriter = dyn Fn(&Model, &CallDir) -> Result<(), AgentError> + Send + Sync;
type CallArguments = dyn Fn(&Model, &Call<'_>, &CallDir) -> Vec<OsString> + Send + Sync;
type CallJudge = dyn Fn(&Model, &Finished, &CallDir) -> (CallOutcome, Option<Usage>) + Send + Sync;

/// Names at the root of a tree that an agent's own files have.
#[derive(Debug, Clone, Copy)]
pub(super) struct HiddenNames {
    /// Moved out of the tree during a call, and back after it.
    pub(super) is_hidden: fn(&OsStr) -> bool,
    /// Removed after a call when it was not there before: the CLI's own histories and caches.
    pub(super) is_litter: fn(&OsStr) -> bool,
}

impl Profile {
    /// Whether a variable that the user passes on reaches the agent.
    pub(super) fn lets_through(&self, name: &str) -> bool {
        self.withheld_prefix.is_none_or(|prefix| !name.starts_with(prefix))
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, executable, .. } = self;
        let mut profile = f.debug_struct("Profile");
        profile.field("name", name).field("executable", executable).finish_non_exhaustive()
    }
}
