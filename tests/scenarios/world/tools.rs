//! Programs that tests use when they are installed.
//!
//! A test that needs one which is missing says so and is skipped; under `CODINGWORKER_CI=1` it
//! fails.

#![expect(clippy::disallowed_methods, reason = "the environment tells tests where their tools are")]

use std::env;
use std::path::{Path, PathBuf};

/// The release that the command line and the phrases are pinned to.
const AIDER: &str = "aider-chat 0.86.2";

/// The real Aider.
pub fn aider() -> Option<PathBuf> {
    tool("aider", AIDER)
}

/// An executable of the virtual environment that `CODINGWORKER_VENV` names, else of the project's
/// own; `None` when the test is to be skipped. `needs` says what to install.
pub fn tool(name: &str, needs: &str) -> Option<PathBuf> {
    let directory = env::var_os("CODINGWORKER_VENV").map(PathBuf::from);
    let directory =
        directory.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv"));
    let path = directory.join("bin").join(name);
    if path.is_file() {
        return Some(path);
    }
    skipped(&format!("needs {needs} ({} is not there; scripts/test installs it)", path.display()))
}

/// An executable of the search path.
pub fn on_the_path(name: &str) -> Option<PathBuf> {
    let search_path = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&search_path).map(|entry| entry.join(name));
    found.find(|path| path.is_file()).or_else(|| skipped(&format!("needs {name} on the PATH")))
}

/// The directory of an npm package that the project's manifest names.
pub fn node_package(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules").join(name);
    if path.is_dir() {
        return Some(path);
    }
    skipped(&format!("needs npm's {name} (scripts/test installs it)"))
}

/// Says why the test is skipped, in the words that `scripts/test` counts.
pub fn skipped<T>(reason: &str) -> Option<T> {
    assert!(env::var_os("CODINGWORKER_CI").is_none_or(|value| value != "1"), "SKIPPED: {reason}");
    println!("SKIPPED: {reason}");
    None
}
