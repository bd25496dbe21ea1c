//! In which language the program speaks before it has a configuration: for `--help`, for wrong
//! arguments, for what is wrong with the configuration file itself, and for `init`, which needs no
//! configuration.

use std::path::Path;

use super::{Config, registry};
use crate::environment::Environment;
use crate::language::Language;

/// The variables that name the locale of messages, strongest first (POSIX, "Environment
/// Variables", 8.2).
fn locale(environment: &Environment) -> Option<&str> {
    environment
        .value("LC_ALL")
        .or_else(|| environment.value("LC_MESSAGES"))
        .or_else(|| environment.value("LANG"))
}

impl Config {
    /// Returns the language in which a person is told something before the configuration was
    /// loaded, or although it can't be: that of `CODINGWORKER_LANGUAGE`, else the one that the
    /// configuration file names, also where the rest of the file is wrong. A sound file that names
    /// none stands for the setting's default. Without a file that says so, the locale decides.
    #[must_use]
    pub fn language_before_loading(file: Option<&Path>, environment: &Environment) -> Language {
        let setting = registry().find(|setting| setting.key == "language");
        let variable = setting.and_then(|setting| setting.variable);
        let named = variable.and_then(|name| environment.value(name)).and_then(Language::named);
        if let Some(named) = named {
            return named;
        }
        let (path, _) = Self::path(file, environment);
        let of_file = std::fs::read_to_string(path).ok().and_then(|text| of_text(&text));
        of_file.unwrap_or_else(|| locale(environment).map(Language::of_locale).unwrap_or_default())
    }
}

/// The language that a configuration file's text names. A text that is not TOML is looked through
/// for the line: it can only stand above the first section.
fn of_text(text: &str) -> Option<Language> {
    if let Ok(table) = text.parse::<toml::Table>() {
        return match table.get("language") {
            Some(language) => language.as_str().and_then(Language::named),
            None => Some(Language::default()),
        };
    }
    let above = text.lines().take_while(|line| !line.trim_start().starts_with('['));
    let mut lines = above.filter_map(|line| line.parse::<toml::Table>().ok());
    lines.find_map(|line| line.get("language")?.as_str().and_then(Language::named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::environment;

    #[test]
    fn the_language_is_read_from_a_file_that_is_otherwise_wrong() {
        for japanese in [
            "language = \"ja\"\n",
            "# ours\n  language='ja' # as we like it\nrepositories = [\n",
            "language = \"ja\"\n[agent]\nmodle = \"x\"\n",
            "language = \"ja\"\n[agent\n",
        ] {
            assert_eq!(of_text(japanese), Some(Language::Ja), "{japanese}");
        }
        assert_eq!(of_text(""), Some(Language::En));
        assert_eq!(of_text("language = \"fr\"\n"), None);
        assert_eq!(of_text("[agent\nlanguage = \"ja\"\n"), None);
    }

    #[test]
    fn the_variable_is_stronger_than_the_file_and_the_file_than_the_locale() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("codingworker.toml");
        let told = |file: &Path, variables: &[(&str, &str)]| {
            Config::language_before_loading(Some(file), &environment(variables))
        };
        let locale = ("LANG", "ja_JP.UTF-8");
        assert_eq!(told(&file, &[]), Language::En);
        assert_eq!(told(&file, &[locale]), Language::Ja);
        assert_eq!(told(&file, &[locale, ("LC_ALL", "C.UTF-8")]), Language::En);
        assert_eq!(told(&file, &[("LC_MESSAGES", "ja_JP.UTF-8"), ("LANG", "C")]), Language::Ja);
        std::fs::write(&file, "language = \"en\"\n[agent\n").unwrap();
        assert_eq!(told(&file, &[locale]), Language::En);
        assert_eq!(told(&file, &[("CODINGWORKER_LANGUAGE", "ja")]), Language::Ja);
    }
}
