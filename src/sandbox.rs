//! What a program that the worker starts may see.
//!
//! Owns the environment of agents and checks: it is built anew, so nothing of the worker's own (a token, a cloud credential, an agent's
//! settings) is inherited. Which files and networks they see is not limited yet; ARCHITECTURE.md says so.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The whole environment of an agent or a check: where tools are found, a home and a temporary directory of its own, a fixed locale.
#[must_use]
pub fn clean_environment(search_path: &OsStr, home: &Path, temporary: &Path) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), search_path.to_owned()),
        ("HOME".into(), home.into()),
        ("TMPDIR".into(), temporary.into()),
    ];
    let fixed =
        [("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"), ("TERM", "dumb"), ("NO_COLOR", "1"), ("CI", "1"), ("TZ", "UTC")];
    environment.extend(fixed.map(|(name, value)| (name.into(), value.into())));
    environment
}
