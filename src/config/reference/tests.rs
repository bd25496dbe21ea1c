use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use super::*;
use crate::config::tests::chain;
use crate::config::{Config, ConfigError};
use crate::environment::Environment;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("codingworker.toml"), &Environment::default())
}

/// What is wrong with a file that has just this key.
fn refused(key: &str, value: &str) -> Option<String> {
    let (section, key) = match key.split_once('.') {
        Some((section, key)) => (format!("[{section}]\n"), key),
        None => (String::new(), key),
    };
    let text = format!("{section}{key} = {value}\n");
    parse(&text).err().map(|error| chain(&error))
}

/// What serde says it would have taken: the words in backquotes after "expected".
fn expected(error: &str) -> Vec<String> {
    let (_, list) = error.split_once(", expected ").unwrap();
    let list = list.lines().next().unwrap();
    let words = Regex::new("`([^`]+)`").unwrap();
    words.captures_iter(list).map(|found| found[1].to_owned()).collect()
}

#[test]
fn exactly_the_keys_that_the_file_may_have_are_documented() {
    let defaults = toml::Table::try_from(ConfigFile::default()).unwrap();
    let mut accepted = BTreeSet::new();
    for name in expected(&refused("\"?\"", "0").unwrap()) {
        if defaults.get(&name).is_some_and(toml::Value::is_table) {
            let keys = expected(&refused(&format!("{name}.\"?\""), "0").unwrap());
            accepted.extend(keys.into_iter().map(|key| format!("{name}.{key}")));
        } else {
            accepted.insert(name);
        }
    }
    let documented: Vec<_> = registry().map(|setting| setting.key.to_owned()).collect();
    assert_eq!(documented.len(), accepted.len(), "no key is documented twice");
    assert_eq!(documented.into_iter().collect::<BTreeSet<_>>(), accepted);
}

#[test]
fn exactly_the_words_that_a_key_may_have_are_documented() {
    for setting in registry() {
        if let ValueKind::OneOf(words) = setting.kind {
            assert_eq!(expected(&refused(setting.key, "\"?\"").unwrap()), words);
        }
    }
}

#[test]
fn the_range_that_is_documented_is_the_one_that_is_allowed() {
    for setting in registry() {
        let (range, list) = match &setting.kind {
            ValueKind::Number { range, .. } => (range, false),
            ValueKind::Numbers { range, .. } => (range, true),
            ValueKind::Text
            | ValueKind::Texts
            | ValueKind::Path
            | ValueKind::Paths
            | ValueKind::Url
            | ValueKind::Address
            | ValueKind::Boolean
            | ValueKind::OneOf(_) => continue,
        };
        let refused = |number: i128| {
            let value = if list { format!("[{number}]") } else { number.to_string() };
            refused(setting.key, &value)
        };
        let (least, most) = (i128::from(*range.start()), i128::from(*range.end()));
        assert_eq!(refused(least), None, "{}", setting.key);
        assert_eq!(refused(most), None, "{}", setting.key);
        assert!(refused(least - 1).is_some(), "{}", setting.key);
        assert!(refused(most + 1).is_some(), "{}", setting.key);
    }
}

#[test]
fn every_key_has_a_default_of_its_type_or_one_in_words() {
    let defaults = toml::Table::try_from(ConfigFile::default()).unwrap();
    for Setting { key, kind, default, .. } in registry() {
        let Some(value) = written(&defaults, key) else {
            assert!(default.is_some(), "{key} has a default in words");
            continue;
        };
        let fits = match kind {
            ValueKind::Text
            | ValueKind::Path
            | ValueKind::Url
            | ValueKind::Address
            | ValueKind::OneOf(_) => value.starts_with('"'),
            ValueKind::Texts | ValueKind::Paths | ValueKind::Numbers { .. } => {
                value.starts_with('[')
            }
            ValueKind::Boolean => value.parse::<bool>().is_ok(),
            ValueKind::Number { .. } => value.parse::<u64>().is_ok(),
        };
        assert!(fits, "{key} is {value}");
    }
}

#[test]
fn no_variable_is_registered_twice() {
    let names: Vec<_> = registry()
        .filter_map(|setting| setting.variable)
        .chain(VARIABLES.iter().map(|variable| variable.name))
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

#[test]
fn the_old_name_of_a_key_is_told() {
    let text = Text { en: "What it is.", ja: "説明です。" };
    let setting = Setting::new("worker.new", "0.1.0", ValueKind::Boolean, text)
        .formerly(&[FormerKey { key: "worker.old", renamed_in: "0.2.0" }]);
    let row = |language| Page { language }.setting("new", &setting, &toml::Table::new());
    assert_eq!(
        row(Language::En),
        "| `new` |  | boolean |  | `true`, `false` |  | 0.1.0 | What it is. It was called \
         `worker.old` before version 0.2.0. |\n"
    );
    assert!(row(Language::Ja).contains("0.2.0より前の名前は `worker.old` です。"));
}

#[test]
fn a_bar_does_not_end_a_cell() {
    assert_eq!(row(&["a|b", "c"]), "| a\\|b | c |\n");
}

#[test]
fn the_example_documents_every_key_with_its_default() {
    let example = include_str!("../../../codingworker.example.toml");
    parse(example).unwrap();
    let uncommented: String = example
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let set: toml::Table = toml::from_str(example).unwrap();
    let every: toml::Table = toml::from_str(&uncommented).unwrap();
    let defaults = toml::Table::try_from(ConfigFile::default()).unwrap();
    for Setting { key, .. } in registry() {
        assert!(written(&every, key).is_some(), "{key} is not in the example");
        // There is no repository that would be right for everybody.
        if let Some(value) = written(&set, key).filter(|_| *key != "repositories") {
            assert_eq!(Some(value), written(&defaults, key), "{key}");
        }
    }
    parse(&uncommented).unwrap();
}
