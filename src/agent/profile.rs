//! The differences between agent CLIs, as one value that the module of each CLI fills in.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use super::call_dir::CallDir;
use super::model::Model;
use super::report::{CallOutcome, Usage};
use super::{AgentError, Call};
use crate::process::Finished;

/// The peculiarities of one agent CLI. All other parts of a call are the same for every CLI.
#[derive(Clone)]
pub(super) struct Profile {
    /// The name that the settings use for the agent.
    pub(super) name: &'static str,
    /// A path, or a name to look up on the search path.
    pub(super) executable: String,
    /// The beginning of the line of `--version` that contains the version. It is `None` when the
    /// worker does not ask the CLI for its version.
    pub(super) version_prefix: Option<&'static str>,
    /// The variables that the CLI gets in addition to the clean environment.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Variables whose names begin with this prefix never reach the CLI, even when the user passes
    /// them, because they would override the worker's own options.
    pub(super) withheld_prefix: Option<&'static str>,
    /// The files of the repository that the CLI must not see during a call.
    pub(super) hidden: Option<HiddenNames>,
    /// Writes the files that tell the CLI about the model, before a call.
    pub(super) write_settings: Arc<SettingsWriter>,
    /// Makes the arguments of a call.
    pub(super) arguments: Arc<CallArguments>,
    /// Judges from the output and the files of the CLI how the call went and how many tokens it
    /// used.
    pub(super) judge: Arc<CallJudge>,
}

type SettingsWriter = dyn Fn(&Model, &CallDir) -> Result<(), AgentError> + Send + Sync;
type CallArguments = dyn Fn(&Model, &Call<'_>, &CallDir) -> Vec<OsString> + Send + Sync;
type CallJudge = dyn Fn(&Model, &Finished, &CallDir) -> (CallOutcome, Option<Usage>) + Send + Sync;

/// Selects entries in the root of a tree by their names.
#[derive(Debug, Clone, Copy)]
pub(super) struct HiddenNames {
    /// Selects the entries that the worker moves out of the tree during a call and back after it.
    pub(super) is_hidden: fn(&OsStr) -> bool,
    /// Selects the entries that the worker removes after a call when they were not there before:
    /// the histories and caches of the CLI.
    pub(super) is_litter: fn(&OsStr) -> bool,
}

impl Profile {
    /// Returns whether a variable that the user passes on reaches the agent.
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
