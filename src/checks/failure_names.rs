//! Names of failures, taken from what tools print.
//!
//! Owns how a name is made from what a tool prints, and the forms of errors that compilers share.
//! Leaves to `languages` the output formats of one language's tools. Invariant: a name has nothing
//! in it that changes from run to run or with an unrelated edit, so no line numbers, times,
//! addresses or temporary paths, and the same failure reported twice has one name.

pub(super) mod compilers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

/// The failures that were found in an output so far.
#[derive(Debug, Default)]
pub(super) struct FailureNames {
    tests: BTreeSet<String>,
    /// Each diagnostic with the places at which it was reported.
    diagnostics: BTreeMap<String, BTreeSet<String>>,
}

impl FailureNames {
    /// A test that failed, by the name its tool gives it.
    pub(super) fn test(&mut self, name: &str) {
        self.tests.insert(stable(name.trim()));
    }

    /// An error that a compiler or linter reported in `path`; `place` tells it from the same error
    /// elsewhere in the file.
    pub(super) fn diagnostic(&mut self, path: &str, message: &str, place: &str) {
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
    pub(super) fn into_names(self) -> BTreeSet<String> {
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
        r#"(?x)
        (?P<line>\b[Ll]ine\ )\d+ |
        (?P<address>\b0x)[0-9a-fA-F]{4,} |
        (?P<temporary>(?:/private)?/(?:tmp|var/folders|var/tmp)/)[^\s'"`:]+
        "#,
    )
    .expect("the pattern is a constant that a test compiles")
});

fn stable(name: &str) -> String {
    UNSTABLE.replace_all(name, "${line}${address}${temporary}…").into_owned()
}
