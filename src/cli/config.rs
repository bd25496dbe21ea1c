//! `codingworker config`

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::output;
use super::told::{Said, said};
use crate::checks::Toolchains;
use crate::config::{Config, reference};
use crate::environment::Environment;
use crate::language::Language;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the reference of every key and environment variable, in Markdown
    Reference(Reference),
}

#[derive(Debug, clap::Args)]
pub(super) struct Reference {
    /// The language; else the configured one
    #[arg(long, value_name = "en|ja", value_parser = language)]
    language: Option<Language>,
}

fn language(name: &str) -> Result<Language, Said> {
    Language::named(name)
        .ok_or_else(|| said("expected `en` or `ja`", "`en` または `ja` を指定してください"))
}

/// Prints the page. It works where the configuration is wrong too, since it helps to correct it.
pub(super) fn run(
    command: &ConfigCommand,
    file: Option<&Path>,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let ConfigCommand::Reference(Reference { language }) = command;
    let language = language.unwrap_or_else(|| Config::language_before_loading(file, environment));
    output::line(page(language)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn page(language: Language) -> Result<String, toml::ser::Error> {
    let names = toolchain_variables();
    reference::page(language, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The variables by which the checks find toolchains, from the search itself.
fn toolchain_variables() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let _found = Toolchains::find(Path::new("/"), |name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    asked.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pages_are_those_that_the_program_prints() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        for (language, name, file) in
            [(Language::En, "en", "configuration.md"), (Language::Ja, "ja", "configuration.ja.md")]
        {
            let committed = std::fs::read_to_string(directory.join(file)).unwrap_or_default();
            assert!(
                committed == page(language).unwrap(),
                "docs/{file} is not what the program prints: run \
                 `cargo run -- config reference --language {name} > docs/{file}`"
            );
        }
    }
}
