//! Names of failures, taken from what tools print.
//!
//! Owns the knowledge of the tools' output formats, one file a family. Every family reads every
//! output, since a command may be a wrapper (`make test`) around anything. Invariant: a name has
//! nothing in it that changes from run to run or with an unrelated edit, so no line numbers, times,
//! addresses or temporary paths, and the same failure reported twice has one name.

mod compilers;
mod go;
mod java;
mod javascript;
mod python;
mod rust;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

/// The failures that an output names.
pub(super) fn named(output: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = output.lines().collect();
    let mut found = Found::default();
    for collect in [
        rust::collect,
        go::collect,
        python::collect,
        javascript::collect,
        java::collect,
        compilers::collect,
    ] {
        collect(&lines, &mut found);
    }
    found.into_names()
}

#[derive(Default)]
struct Found {
    tests: BTreeSet<String>,
    /// Each diagnostic with the places at which it was reported.
    diagnostics: BTreeMap<String, BTreeSet<String>>,
}

impl Found {
    /// A test that failed, by the name its tool gives it.
    fn test(&mut self, name: &str) {
        self.tests.insert(stable(name.trim()));
    }

    /// An error that a compiler or linter reported in `path`; `place` tells it from the same error
    /// elsewhere in the file.
    fn diagnostic(&mut self, path: &str, message: &str, place: &str) {
        let path = path.strip_prefix("./").unwrap_or(path);
        let name = stable(&if path.is_empty() {
            message.trim().to_owned()
        } else {
            format!("{path}: {}", message.trim())
        });
        self.diagnostics.entry(name).or_default().insert(place.to_owned());
    }

    /// The second of two equal diagnostics in one file gets a number, so that one more of them is a
    /// new name.
    fn into_names(self) -> BTreeSet<String> {
        let numbered = self.diagnostics.into_iter().flat_map(|(name, places)| {
            (1..=places.len()).map(move |number| {
                if number == 1 { name.clone() } else { format!("{name} ({number})") }
            })
        });
        self.tests.into_iter().chain(numbered).collect()
    }
}

/// What changes from run to run, inside of a name.
static UNSTABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x) (?P<line>\b[Ll]ine\ )\d+ | (?P<address>\b0x)[0-9a-fA-F]{4,} | (?P<temporary>(?:/private)?/(?:tmp|var/folders|var/tmp)/)[^\s'"`:]+ "#,
    )
    .expect("the pattern is a constant that a test compiles")
});

fn stable(name: &str) -> String {
    UNSTABLE.replace_all(name, "${line}${address}${temporary}…").into_owned()
}

#[cfg(test)]
mod tests;
