//! Where toolchains are installed, and where tools keep their downloads.
//!
//! A check runs with a private `HOME`. It finds the toolchains that are installed below the user's
//! own home through the variable that each tool reads, and can only read them. What tools download
//! is kept for each repository separately, so that the build of one repository can't put a library
//! into another one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::languages::LANGUAGES;

/// Version managers that serve several languages, in the form of
/// [`ProjectType::toolchains`](super::languages::ProjectType).
const VERSION_MANAGERS: &[(&str, &str)] =
    &[("ASDF_DATA_DIR", ".asdf"), ("MISE_DATA_DIR", ".local/share/mise")];

/// The toolchains of one user.
#[derive(Debug, Clone, Default)]
pub struct Toolchains {
    programs: Vec<(&'static str, PathBuf)>,
}

impl Toolchains {
    /// Finds the toolchains that exist, of the user whose home is `home`. `set` returns the value
    /// of a variable in the worker's own environment, which takes precedence over the default.
    pub fn find(home: &Path, set: impl Fn(&str) -> Option<OsString>) -> Self {
        let known = LANGUAGES.iter().flat_map(|language| language.toolchains);
        let found = known.chain(VERSION_MANAGERS).filter_map(|&(variable, default)| {
            let named = set(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
            let default = Some(default).filter(|path| !path.is_empty()).map(|path| home.join(path));
            named.or(default).filter(|path| path.is_dir()).map(|path| (variable, path))
        });
        Self { programs: found.collect() }
    }

    /// The directories that a check may read.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.programs.iter().map(|(_, path)| path.as_path())
    }

    /// The variables through which tools find the toolchains and the repository's `cache`, and
    /// those that make tools print plainly.
    pub(super) fn environment(&self, cache: &Path) -> Vec<(OsString, OsString)> {
        let mut environment: Vec<(OsString, OsString)> = self
            .programs
            .iter()
            .map(|(variable, path)| (OsString::from(variable), path.into()))
            .collect();
        for language in LANGUAGES {
            let caches = language.caches.iter().map(|(name, directory)| {
                (OsString::from(name), OsString::from(cache.join(directory)))
            });
            let options = (language.cache_options)(cache).into_iter();
            let variables = language.variables.iter();
            environment.extend(caches);
            environment.extend(options.map(|(name, value)| (name.into(), value)));
            environment.extend(variables.map(|(name, value)| (name.into(), value.into())));
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
