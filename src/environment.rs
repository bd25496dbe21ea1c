//! The environment variables: the only place that reads them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A snapshot of the process's environment, taken once at start.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    search_path: OsString,
    executable: Option<PathBuf>,
}

impl Environment {
    /// Takes the snapshot. It leaves out variables that are not UTF-8: the program has none.
    #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
    #[must_use]
    pub fn capture() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            variables: variables.collect(),
            executable: std::env::current_exe().ok(),
        }
    }

    /// An environment of just these variables.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables: BTreeMap<_, _> = variables.into_iter().collect();
        let search_path = variables.get("PATH").map(OsString::from).unwrap_or_default();
        Self { search_path, variables, executable: None }
    }

    /// A variable's value; one that is set to nothing counts as not set.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable's value as a path; one that is set to nothing counts as not set.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    /// `$PATH`: where executables are looked for.
    #[must_use]
    pub fn search_path(&self) -> &OsString {
        &self.search_path
    }

    /// Where this program itself is.
    #[must_use]
    pub fn executable(&self) -> Option<&Path> {
        self.executable.as_deref()
    }

    /// `$HOME`, else the root directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path("HOME").unwrap_or_else(|| PathBuf::from("/"))
    }

    /// `$XDG_CONFIG_HOME`, else the platform's own.
    #[must_use]
    pub fn configuration_directory(&self) -> PathBuf {
        self.path("XDG_CONFIG_HOME")
            .unwrap_or_else(|| self.home().join(platform(".config", "Library/Application Support")))
    }

    /// `$XDG_DATA_HOME`, else the platform's own.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.path("XDG_DATA_HOME").unwrap_or_else(|| {
            self.home().join(platform(".local/share", "Library/Application Support"))
        })
    }
}

/// Values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

fn platform(linux: &'static str, macos: &'static str) -> &'static str {
    if cfg!(target_os = "macos") { macos } else { linux }
}
