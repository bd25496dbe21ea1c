//! What detection gets to see of a repository: its paths, and the contents of its manifests.
//!
//! Owns the decoding and parsing of manifests. Invariant: a manifest that the repository has and
//! that could not be read or parsed is told of, since the checks that it asks for are missing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Files at a repository's root that tell how the project is built, and how they are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct ManifestFiles {
    pub(super) paths: &'static [&'static str],
    syntax: Syntax,
}

#[derive(Debug, Clone, Copy)]
enum Syntax {
    /// Detection searches the text and does not parse it.
    Text,
    Toml,
    Json,
}

impl ManifestFiles {
    pub(super) const fn text(paths: &'static [&'static str]) -> Self {
        Self { paths, syntax: Syntax::Text }
    }

    pub(super) const fn toml(paths: &'static [&'static str]) -> Self {
        Self { paths, syntax: Syntax::Toml }
    }

    pub(super) const fn json(paths: &'static [&'static str]) -> Self {
        Self { paths, syntax: Syntax::Json }
    }
}

/// The files that [`Plan::manifests`](super::Plan::manifests) asks for, as far as they could be
/// read.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    contents: BTreeMap<String, Vec<u8>>,
    unreadable: BTreeMap<String, UnreadableReason>,
}

impl Manifests {
    /// Adds the content of the file at `path`.
    pub fn add(&mut self, path: &str, content: Vec<u8>) {
        self.contents.insert(path.to_owned(), content);
    }

    /// Notes why the file at `path` has no content here.
    pub fn add_unreadable(&mut self, path: &str, reason: UnreadableReason) {
        self.unreadable.insert(path.to_owned(), reason);
    }
}

/// A manifest that the repository has and that detection could not use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableManifest {
    /// Relative to the repository's root.
    pub path: String,
    pub reason: UnreadableReason,
}

/// Why a manifest could not be used. Lines count from 1, offsets of bytes from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnreadableReason {
    /// It has more than `limit` bytes.
    TooLarge {
        limit: usize,
    },
    /// A symbolic link. It is not followed, since it may lead out of the repository.
    Link,
    /// A submodule or a directory.
    NotAFile,
    /// The caller did not say what is in it.
    NotRead,
    /// A file that is only searched for words is still searched.
    NotUtf8 {
        offset: usize,
    },
    NotToml {
        line: usize,
        message: String,
    },
    NotJson {
        line: usize,
        message: String,
    },
}

impl fmt::Display for UnreadableManifest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.path, self.reason)
    }
}

impl fmt::Display for UnreadableReason {
    /// The predicate of a sentence whose subject is the file.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(formatter, "has more than {limit} bytes"),
            Self::Link => formatter.write_str("is a symbolic link"),
            Self::NotAFile => formatter.write_str("is not a file"),
            Self::NotRead => formatter.write_str("could not be read"),
            Self::NotUtf8 { offset } => {
                write!(formatter, "is not UTF-8: the byte at offset {offset} is invalid")
            }
            Self::NotToml { line, message } => {
                write!(formatter, "is not valid TOML: line {line}: {message}")
            }
            Self::NotJson { line, message } => {
                write!(formatter, "is not valid JSON: line {line}: {message}")
            }
        }
    }
}

/// A repository's paths, and the contents of those that tell something.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    pub(super) paths: &'a [&'a str],
    texts: BTreeMap<&'a str, String>,
    toml: BTreeMap<&'static str, toml::Table>,
    json: BTreeMap<&'static str, serde_json::Value>,
}

impl<'a> Survey<'a> {
    /// Decodes and parses `manifests`, each by the syntax that `known` gives it, and returns what
    /// could not be used beside the survey.
    ///
    /// Files that are not in `known`, such as tests, are text. Nothing is told of them.
    pub(super) fn new(
        paths: &'a [&'a str],
        manifests: &'a Manifests,
        known: impl IntoIterator<Item = ManifestFiles>,
    ) -> (Self, Vec<UnreadableManifest>) {
        let texts = manifests
            .contents
            .iter()
            .map(|(path, bytes)| (path.as_str(), decoded(bytes)))
            .collect();
        let mut survey = Self { paths, texts, toml: BTreeMap::new(), json: BTreeMap::new() };
        let mut unreadable = Vec::new();
        for ManifestFiles { paths: known, syntax } in known {
            for &path in known.iter().filter(|path| paths.contains(path)) {
                if let Err(reason) = survey.read(path, syntax, manifests) {
                    unreadable.push(UnreadableManifest { path: path.to_owned(), reason });
                }
            }
        }
        (survey, unreadable)
    }

    fn read(
        &mut self,
        path: &'static str,
        syntax: Syntax,
        manifests: &Manifests,
    ) -> Result<(), UnreadableReason> {
        let Some(bytes) = manifests.contents.get(path) else {
            let reason = manifests.unreadable.get(path);
            return Err(reason.cloned().unwrap_or(UnreadableReason::NotRead));
        };
        let text = self.text(path).unwrap_or_default();
        if let Err(error) = std::str::from_utf8(bytes) {
            return Err(UnreadableReason::NotUtf8 { offset: error.valid_up_to() });
        }
        match syntax {
            Syntax::Text => {}
            Syntax::Toml => {
                let table = text.parse().map_err(|error| not_toml(text, &error))?;
                self.toml.insert(path, table);
            }
            Syntax::Json => {
                let value = serde_json::from_str(text).map_err(|error| not_json(&error))?;
                self.json.insert(path, value);
            }
        }
        Ok(())
    }

    /// Whether the repository has a file at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.contains(&path)
    }

    /// The file's text when the repository has the file; the empty text when it could not be read.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.has(path).then(|| self.texts.get(path).map_or("", String::as_str))
    }

    /// A TOML manifest when the repository has it; the empty table when it could not be read.
    pub(super) fn toml(&self, path: &str) -> Option<toml::Table> {
        self.has(path).then(|| self.toml.get(path).cloned().unwrap_or_default())
    }

    /// A JSON manifest when the repository has it; null when it could not be read.
    pub(super) fn json(&self, path: &str) -> Option<serde_json::Value> {
        self.has(path).then(|| self.json.get(path).cloned().unwrap_or_default())
    }
}

/// Without the byte order mark that some editors of Windows put first: npm ignores it in
/// `package.json`, and JSON has no place for it (RFC 8259, section 8.1).
fn decoded(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned()
}

fn not_toml(text: &str, error: &toml::de::Error) -> UnreadableReason {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    UnreadableReason::NotToml {
        line: before.matches('\n').count() + 1,
        message: error.message().replace('\n', ", "),
    }
}

fn not_json(error: &serde_json::Error) -> UnreadableReason {
    let message = error.to_string();
    // The line is told beside the message.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
    UnreadableReason::NotJson { line: error.line(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [ManifestFiles; 3] = [
        ManifestFiles::toml(&["a.toml"]),
        ManifestFiles::json(&["b.json"]),
        ManifestFiles::text(&["c.txt"]),
    ];

    /// What is told of a repository that has all of `KNOWN` and a file that is no manifest.
    fn told(fill: impl FnOnce(&mut Manifests)) -> Vec<String> {
        let mut manifests = Manifests::default();
        manifests.add("a.toml", b"a = 1\n".to_vec());
        manifests.add("b.json", b"{}".to_vec());
        manifests.add("c.txt", b"c\n".to_vec());
        manifests.add("test_d.py", b"\xff".to_vec());
        fill(&mut manifests);
        let (_, unreadable) =
            Survey::new(&["a.toml", "b.json", "c.txt", "test_d.py"], &manifests, KNOWN);
        unreadable.iter().map(UnreadableManifest::to_string).collect()
    }

    #[test]
    fn nothing_is_told_of_manifests_that_can_be_read() {
        assert_eq!(told(|_| {}), [""; 0]);
    }

    #[test]
    fn a_manifest_that_does_not_parse_is_told_with_the_line() {
        assert_eq!(
            told(|manifests| manifests.add("a.toml", b"a = 1\nb =\n".to_vec())),
            ["a.toml is not valid TOML: line 2: string values must be quoted, \
              expected literal string"]
        );
        assert_eq!(
            told(|manifests| manifests.add("b.json", b"{\n\"scripts\": {,\n}\n".to_vec())),
            ["b.json is not valid JSON: line 2: key must be a string"]
        );
    }

    #[test]
    fn a_manifest_that_is_not_utf8_is_told_and_its_words_are_still_found() {
        let latin = b"caf\xe9 pytest\n".to_vec();
        assert_eq!(
            told(|manifests| manifests.add("c.txt", latin.clone())),
            ["c.txt is not UTF-8: the byte at offset 3 is invalid"]
        );
        let mut manifests = Manifests::default();
        manifests.add("c.txt", latin);
        let (survey, _) = Survey::new(&["c.txt"], &manifests, KNOWN);
        assert_eq!(survey.text("c.txt"), Some("caf\u{fffd} pytest\n"));
    }

    #[test]
    fn a_manifest_that_was_not_read_is_told_with_the_reason() {
        for (reason, expected) in [
            (UnreadableReason::TooLarge { limit: 9 }, "a.toml has more than 9 bytes"),
            (UnreadableReason::Link, "a.toml is a symbolic link"),
            (UnreadableReason::NotAFile, "a.toml is not a file"),
        ] {
            let fill = |manifests: &mut Manifests| {
                manifests.contents.remove("a.toml");
                manifests.add_unreadable("a.toml", reason);
            };
            assert_eq!(told(fill), [expected]);
        }
        let forgotten = |manifests: &mut Manifests| {
            manifests.contents.remove("a.toml");
        };
        assert_eq!(told(forgotten), ["a.toml could not be read"]);
    }

    #[test]
    fn a_manifest_that_the_repository_does_not_have_is_not_told() {
        let manifests = Manifests::default();
        let (survey, unreadable) = Survey::new(&[], &manifests, KNOWN);
        assert_eq!((survey.toml("a.toml"), unreadable), (None, Vec::new()));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_manifest() {
        let mut manifests = Manifests::default();
        manifests.add("b.json", b"\xef\xbb\xbf{\"a\": 1}".to_vec());
        let (survey, unreadable) = Survey::new(&["b.json"], &manifests, KNOWN);
        assert_eq!(unreadable, []);
        assert_eq!(survey.json("b.json"), Some(serde_json::json!({"a": 1})));
    }
}
