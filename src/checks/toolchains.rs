//! Where toolchains live: what a check must be told of the user's home, which it does not get.
//!
//! A check runs with a private `HOME`. Toolchains that are installed below the user's own home are
//! named to it one by one, through the variable that each tool reads for it, and are only read.
//! What tools download is kept for each repository apart: one repository's build can't put a
//! library into another's.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Directories that hold programs: the variable that a tool reads (when the worker's own
/// environment has it, that value counts), and where the directory is otherwise, relative to the
/// user's home; each as the tool's own manual names it.
const PROGRAMS: &[(&str, &str)] = &[
    ("RUSTUP_HOME", ".rustup"),
    ("GOROOT", ""),
    ("PYENV_ROOT", ".pyenv"),
    ("NVM_DIR", ".nvm"),
    ("VOLTA_HOME", ".volta"),
    ("ASDF_DATA_DIR", ".asdf"),
    ("MISE_DATA_DIR", ".local/share/mise"),
    ("SDKMAN_DIR", ".sdkman"),
    ("JAVA_HOME", ""),
];

/// Directories that hold what tools fetched: the variable, and the directory's name in a
/// repository's cache.
const DOWNLOADS: &[(&str, &str)] = &[
    ("CARGO_HOME", "cargo"),
    ("GOPATH", "go"),
    ("GOCACHE", "go-build"),
    ("PIP_CACHE_DIR", "pip"),
    ("UV_CACHE_DIR", "uv"),
    ("npm_config_cache", "npm"),
    ("GRADLE_USER_HOME", "gradle"),
];

/// The toolchains of one user.
#[derive(Debug, Clone, Default)]
pub struct Toolchains {
    programs: Vec<(&'static str, PathBuf)>,
}

impl Toolchains {
    /// Those that are there, of the user whose home is `home`; `set` gives what the worker's own
    /// environment has for a variable.
    pub fn find(home: &Path, set: impl Fn(&str) -> Option<OsString>) -> Self {
        let found = PROGRAMS.iter().filter_map(|&(variable, default)| {
            let named = set(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
            let default = Some(default).filter(|path| !path.is_empty()).map(|path| home.join(path));
            named.or(default).filter(|path| path.is_dir()).map(|path| (variable, path))
        });
        Self { programs: found.collect() }
    }

    /// What a check may read.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.programs.iter().map(|(_, path)| path.as_path())
    }

    /// The variables that show a check to the toolchains, and to the repository's `cache`.
    ///
    /// Maven knows no variable for its repository alone and is given an option, which is split at
    /// blanks and knows no quotes.
    pub(super) fn environment(&self, cache: &Path) -> Vec<(OsString, OsString)> {
        let programs = self
            .programs
            .iter()
            .map(|(variable, path)| (OsStr::new(variable).to_owned(), path.into()));
        let downloads = DOWNLOADS
            .iter()
            .map(|(variable, name)| (OsString::from(variable), cache.join(name).into()));
        let mut environment: Vec<(OsString, OsString)> = programs.chain(downloads).collect();
        let maven = cache.join("maven");
        if !maven.to_string_lossy().contains(char::is_whitespace) {
            let mut option = OsString::from("-Dmaven.repo.local=");
            option.push(maven);
            environment.push(("MAVEN_OPTS".into(), option));
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_that_exist_are_named_and_the_environment_wins_over_the_home() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        for directory in [".rustup", ".pyenv"] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        let toolchains = Toolchains::find(home.path(), |name| match name {
            "PYENV_ROOT" => Some(elsewhere.path().into()),
            "GOROOT" => Some("/nowhere/at/all".into()),
            "NVM_DIR" => Some(OsString::new()),
            _ => None,
        });
        assert_eq!(
            toolchains.directories().collect::<Vec<_>>(),
            [&home.path().join(".rustup"), elsewhere.path()]
        );
        let environment = toolchains.environment(Path::new("/cache"));
        let value = |name: &str| {
            environment
                .iter()
                .find(|(set, _)| set == name)
                .map(|(_, value)| value.to_str().unwrap())
        };
        assert_eq!(value("PYENV_ROOT"), elsewhere.path().to_str());
        assert_eq!(value("CARGO_HOME"), Some("/cache/cargo"));
        assert_eq!(value("MAVEN_OPTS"), Some("-Dmaven.repo.local=/cache/maven"));
    }
}
