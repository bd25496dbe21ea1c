//! The command line of bubblewrap.

use std::ffi::OsString;
use std::path::Path;

/// The options of bubblewrap and the command that runs inside.
///
/// bubblewrap(1) carries out its options in the order in which they are given, so a later mount
/// covers an earlier one.
#[derive(Debug, Default)]
pub(super) struct BubblewrapArguments(Vec<OsString>);

impl BubblewrapArguments {
    /// Adds options that have no value.
    pub(super) fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }

    /// Adds an option with one value.
    pub(super) fn pair(&mut self, option: &str, value: impl Into<OsString>) {
        self.0.extend([option.into(), value.into()]);
    }

    /// Adds an option with two paths: the first is outside of the sandbox or the target of a
    /// symbolic link, the second is the place inside.
    pub(super) fn bind(&mut self, option: &str, outside: &Path, inside: &Path) {
        self.0.extend([option.into(), outside.into(), inside.into()]);
    }

    /// The whole command line with the command to run inside at its end.
    pub(super) fn with_command(
        mut self,
        command: impl IntoIterator<Item = OsString>,
    ) -> Vec<OsString> {
        self.0.push("--".into());
        self.0.extend(command);
        self.0
    }
}
