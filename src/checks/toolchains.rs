//! Where toolchains live: what a check must be told of the user's home, which it does not get.
//!
//! A check runs with a private `HOME`. Toolchains that are installed below the user's own home are named to it one by one, through the variable
//! that each tool reads for it. What holds programs is only read; what holds downloads is written by the tools, too: a sandbox needs the difference.

use std::ffi::OsString;
use std::path::Path;

/// A directory of the user's that tools find through a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolchainDirectory {
    /// The variable that the tool reads; when the worker's own environment has it, that value counts.
    pub variable: &'static str,
    /// Where it is otherwise, relative to the user's home.
    pub default: &'static str,
    /// Whether tools put downloads there, rather than only read programs.
    pub written: bool,
}

const fn programs(variable: &'static str, default: &'static str) -> ToolchainDirectory {
    ToolchainDirectory { variable, default, written: false }
}

const fn downloads(variable: &'static str, default: &'static str) -> ToolchainDirectory {
    ToolchainDirectory { variable, default, written: true }
}

/// Each as the tool's own manual names it.
pub const TOOLCHAIN_DIRECTORIES: &[ToolchainDirectory] = &[
    programs("RUSTUP_HOME", ".rustup"),
    downloads("CARGO_HOME", ".cargo"),
    downloads("GOPATH", "go"),
    programs("GOROOT", ""),
    programs("PYENV_ROOT", ".pyenv"),
    programs("PYTHONUSERBASE", ".local"),
    downloads("PIP_CACHE_DIR", ".cache/pip"),
    downloads("UV_CACHE_DIR", ".cache/uv"),
    programs("NVM_DIR", ".nvm"),
    programs("VOLTA_HOME", ".volta"),
    programs("ASDF_DATA_DIR", ".asdf"),
    programs("MISE_DATA_DIR", ".local/share/mise"),
    programs("SDKMAN_DIR", ".sdkman"),
    programs("JAVA_HOME", ""),
    downloads("npm_config_cache", ".npm"),
    downloads("GRADLE_USER_HOME", ".gradle"),
];

/// The variables that show a check to the toolchains of the user whose home is `home`: those directories that exist.
///
/// `set` gives what the worker's own environment has for a variable. Maven knows no variable for its repository alone and is given an option
/// through `MAVEN_OPTS`.
pub fn toolchain_environment(home: &Path, set: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = TOOLCHAIN_DIRECTORIES
        .iter()
        .filter_map(|directory| {
            let named = set(directory.variable).filter(|value| !value.is_empty());
            let default = Some(directory.default).filter(|path| !path.is_empty()).map(|path| home.join(path).into());
            let value = named.or(default)?;
            Path::new(&value).is_dir().then(|| (directory.variable.into(), value))
        })
        .collect();
    let maven = home.join(".m2/repository");
    // The option is split at blanks and knows no quotes.
    let splits = maven.to_string_lossy().contains(char::is_whitespace);
    if maven.is_dir() && !splits {
        let mut option = OsString::from("-Dmaven.repo.local=");
        option.push(maven);
        environment.push(("MAVEN_OPTS".into(), option));
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_that_exist_are_named_and_the_environment_wins_over_the_home() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        for directory in [".rustup", ".cargo", ".m2/repository"] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        let environment = toolchain_environment(home.path(), |name| match name {
            "CARGO_HOME" => Some(elsewhere.path().into()),
            "GOPATH" => Some("/nowhere/at/all".into()),
            "NVM_DIR" => Some(OsString::new()),
            _ => None,
        });
        let mut repository = OsString::from("-Dmaven.repo.local=");
        repository.push(home.path().join(".m2/repository"));
        assert_eq!(
            environment,
            [
                ("RUSTUP_HOME".into(), home.path().join(".rustup").into()),
                ("CARGO_HOME".into(), elsewhere.path().into()),
                ("MAVEN_OPTS".into(), repository),
            ]
        );
    }
}
