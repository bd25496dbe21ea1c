//! The command line's help and its own error messages, in the reader's language.
//!
//! The English help is what clap makes of the arguments' documentation. For Japanese the texts of
//! [`japanese`] are put in its place. A call that succeeds needs none of this.

mod japanese;
mod usage_error;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory};

use super::exit_code::{self, Exit};
use super::{Cli, output};
use crate::config::Config;
use crate::environment::Environment;
use crate::language::Language;

/// Tells what clap has to say instead of a parsed command line: help, the version, or what is
/// wrong with the arguments.
pub(super) fn tell(said: &clap::Error, environment: &Environment) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let file = named_file(&arguments);
    let language = Config::language_before_loading(file.as_deref(), environment);
    let told = match language {
        Language::En => None,
        // The same arguments, read by the same command with other texts, end in the same way.
        Language::Ja => in_japanese().try_get_matches_from(&arguments).err(),
    };
    let said = told.as_ref().unwrap_or(said);
    if language == Language::Ja && said.use_stderr() && !is_help(said) {
        output::complaint(&usage_error::japanese(said));
    } else if said.print().is_err() {
        tracing::debug!("the output is closed");
    }
    match said.exit_code() {
        0 => Exit::Ok.into(),
        _ => Exit::Usage.into(),
    }
}

/// Whether it is the help that clap prints in place of a missing command.
fn is_help(said: &clap::Error) -> bool {
    said.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// The configuration file that the arguments name. They could not be parsed, or were not parsed to
/// their end, so this only looks for the one option.
fn named_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().map(PathBuf::from);
        }
        if let Some(file) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(file.into());
        }
    }
    None
}

/// The widest page of help, in columns, as in English.
const WIDEST: usize = 100;

/// How many columns stand beside a text: the names of commands, or the options with their values.
const NAMES: usize = 12;
const SPECIFICATIONS: usize = 35;

/// How wide a text may be. clap folds only at blanks, which Japanese does not have.
fn page_width(taken: usize) -> usize {
    let (_, columns) = console::Term::stdout().size_checked().unwrap_or((0, u16::MAX));
    usize::from(columns).min(WIDEST).saturating_sub(taken).max(taken)
}

/// The command line with its texts in Japanese.
fn in_japanese() -> Command {
    let mut command = Cli::command();
    // Only then are `help` and `--help` among the commands and arguments.
    command.build();
    translated(command, "")
}

fn translated(command: Command, path: &str) -> Command {
    let header = *command.get_styles().get_header();
    let template = format!(
        "{{before-help}}{{about-with-newline}}\n{header}使い方:{header:#} {{usage}}\n\n\
         {{all-args}}{{after-help}}"
    );
    let codes = match path {
        "" => Some(exit_code::help(None, Language::Ja)),
        "worker" | "doctor" => Some(exit_code::help(Some(path), Language::Ja)),
        _ => None,
    };
    let names: Vec<_> =
        command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let mut command = command
        .help_template(template)
        .subcommand_help_heading("コマンド")
        .mut_args(|argument| translated_argument(argument, path));
    if let Some(about) = about(path) {
        command = command.about(output::folded(about, page_width(NAMES))).long_about(None);
    }
    if let Some(codes) = codes {
        command = command.after_help(codes);
    }
    for name in names {
        let below = below(path, &name);
        command = command.mut_subcommand(name, |command| translated(command, &below));
    }
    command
}

/// The path of a command below another one. What stands below `help` are the commands once more.
fn below(path: &str, name: &str) -> String {
    match path {
        "" | "help" => name.to_owned(),
        path => format!("{path} {name}"),
    }
}

fn about(path: &str) -> Option<&'static str> {
    // `dlq help` is what `help` is.
    let path = if path.ends_with(" help") { "help" } else { path };
    japanese::COMMANDS.iter().find(|(command, _)| *command == path).map(|(_, text)| *text)
}

fn text_of(path: &str, id: &str) -> Option<&'static str> {
    let of = |wanted: &str| {
        let mut rows = japanese::ARGUMENTS.iter();
        rows.find(|(command, argument, _)| *command == wanted && *argument == id)
    };
    of(path).or_else(|| of("")).map(|(_, _, text)| *text)
}

fn translated_argument(argument: Arg, path: &str) -> Arg {
    let Some(text) = text_of(path, argument.get_id().as_str()) else { return argument };
    let mut text = text.to_owned();
    let takes_values = argument.get_action().takes_values();
    let listed = |values: Vec<&str>| values.join("、");
    let values = argument.get_possible_values();
    let values: Vec<_> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
    if takes_values && !values.is_empty() {
        text.push_str(&format!("（指定できる値: {}）", listed(values)));
    }
    let defaults = argument.get_default_values().iter();
    let defaults: Vec<_> = defaults.filter_map(|value| value.to_str()).collect();
    if takes_values && defaults.iter().any(|value| !value.is_empty()) {
        text.push_str(&format!("（既定値: {}）", listed(defaults)));
    }
    let named = argument.get_help_heading().and_then(|heading| {
        let mut rows = japanese::HEADINGS.iter();
        rows.find(|(english, _)| *english == heading).map(|(_, text)| *text)
    });
    let heading = match named {
        Some(heading) => heading,
        None if argument.is_positional() => "引数",
        None => "オプション",
    };
    argument
        .help(output::folded(&text, page_width(SPECIFICATIONS)))
        .long_help(None)
        .help_heading(heading)
        .hide_default_value(true)
        .hide_possible_values(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every command that people call, with its path.
    fn commands(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        found.push((path.to_owned(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            if sub.get_name() != "help" {
                commands(sub, &below(path, sub.get_name()), found);
            }
        }
    }

    fn all_commands() -> Vec<(String, Command)> {
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        commands(&command, "", &mut found);
        found
    }

    #[test]
    fn every_command_and_every_argument_has_a_japanese_text() {
        let mut known = BTreeSet::new();
        for (path, command) in all_commands() {
            assert!(about(&path).is_some(), "the command {path:?} has no row in COMMANDS");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let id = argument.get_id().as_str();
                assert!(text_of(&path, id).is_some(), "no row in ARGUMENTS: {path:?}, {id:?}");
                known.insert((path.clone(), id.to_owned()));
                if let Some(heading) = argument.get_help_heading() {
                    let mut rows = japanese::HEADINGS.iter();
                    assert!(rows.any(|(english, _)| *english == heading), "{heading}");
                }
            }
        }
        let paths: BTreeSet<_> = all_commands().into_iter().map(|(path, _)| path).collect();
        for (path, _) in japanese::COMMANDS {
            assert!(paths.contains(*path) || *path == "help", "there is no command {path:?}");
        }
        for (path, id, _) in japanese::ARGUMENTS {
            assert!(
                known.contains(&((*path).to_owned(), (*id).to_owned())),
                "the command {path:?} has no argument {id:?}"
            );
        }
    }

    #[test]
    fn the_japanese_help_shows_defaults_and_possible_values() {
        let mut command = in_japanese();
        let up = command.find_subcommand_mut("up").unwrap().render_long_help().to_string();
        assert!(up.contains("（既定値: 127.0.0.1:9324）"), "{up}");
        assert!(!up.contains("[default"), "{up}");
        let demo = command.find_subcommand_mut("demo").unwrap().render_long_help().to_string();
        assert!(demo.contains("（指定できる値: aider、scripted）"), "{demo}");
        assert!(demo.contains("使い方: codingworker demo"), "{demo}");
        assert!(demo.contains("オプション:") && !demo.contains("Options:"), "{demo}");
    }

    #[test]
    fn the_configuration_file_is_found_among_arguments_that_are_wrong() {
        let file = |arguments: &[&str]| {
            named_file(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
        };
        assert_eq!(file(&["x", "--nonsense", "--config", "/a.toml"]), Some("/a.toml".into()));
        assert_eq!(file(&["x", "worker", "--config=/b.toml", "-h"]), Some("/b.toml".into()));
        assert_eq!(file(&["x", "worker", "--config"]), None);
    }
}
