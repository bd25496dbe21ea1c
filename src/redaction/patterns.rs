//! Secrets that are recognized by a pattern, such as the tokens and keys that services issue.
//!
//! The patterns are data from Betterleaks. `scripts/secret-rules` makes `patterns.toml` from its
//! configuration.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::REDACTED;

/// How much memory a compiled pattern may take, in bytes. Some repeat a character class hundreds of
/// times.
const LARGEST_EXPRESSION: usize = 64 << 20;

/// One kind of secret.
struct Pattern {
    id: String,
    regex: Lazy<Regex>,
    /// The least entropy of a secret, in bits a character. A match with less is a placeholder.
    entropy: f64,
    /// A match that one of these matches too is an example.
    examples: Lazy<Vec<Regex>>,
}

/// A value that is made when it is first used. Compiling all patterns takes a second, and a program
/// uses few of them.
type Lazy<T> = LazyLock<T, Box<dyn FnOnce() -> T + Send>>;

/// The file of the patterns.
#[derive(Debug, Deserialize)]
struct PatternFile {
    rules: Vec<PatternEntry>,
}

/// A pattern as the file has it.
#[derive(Debug, Deserialize)]
struct PatternEntry {
    id: String,
    regex: String,
    /// Every text with such a secret has one of these words, in any case. They are in lower case.
    keywords: Vec<String>,
    entropy: f64,
    examples: Vec<String>,
}

struct Patterns {
    /// All keywords of all patterns.
    keywords: AhoCorasick,
    /// The index of the pattern to which each keyword belongs.
    owners: Vec<usize>,
    patterns: Vec<Pattern>,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns::new(entries()));

fn entries() -> Vec<PatternEntry> {
    let file: PatternFile = toml::from_str(include_str!("patterns.toml"))
        .expect("a test reads this file, which is part of the program");
    file.rules
}

/// The names of the patterns that match in a text, each once.
pub(super) fn find(text: &str) -> Vec<String> {
    let text = text.as_bytes();
    PATTERNS
        .candidates(text)
        .filter(|pattern| pattern.secrets(text).next().is_some())
        .map(|pattern| pattern.id.clone())
        .collect()
}

/// The text with a mark in place of each secret.
pub(super) fn redact(text: &[u8]) -> Cow<'_, [u8]> {
    let mut secrets: Vec<Range<usize>> =
        PATTERNS.candidates(text).flat_map(|pattern| pattern.secrets(text)).collect();
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    secrets.sort_unstable_by_key(|secret| secret.start);
    let mut redacted = Vec::with_capacity(text.len());
    let mut end = 0;
    for secret in secrets {
        // Overlapping secrets share the mark of the first one.
        if secret.start >= end {
            redacted.extend_from_slice(text.get(end..secret.start).unwrap_or_default());
            redacted.extend_from_slice(REDACTED.as_bytes());
        }
        end = end.max(secret.end);
    }
    redacted.extend_from_slice(text.get(end..).unwrap_or_default());
    Cow::Owned(redacted)
}

impl Patterns {
    fn new(entries: Vec<PatternEntry>) -> Self {
        let keywords = entries.iter().flat_map(|entry| &entry.keywords);
        let keywords = AhoCorasick::builder().ascii_case_insensitive(true).build(keywords);
        let owners = entries
            .iter()
            .enumerate()
            .flat_map(|(index, entry)| entry.keywords.iter().map(move |_| index));
        let owners = owners.collect();
        let patterns = entries.into_iter().map(Pattern::new).collect();
        Self {
            keywords: keywords
                .expect("an automaton of the keywords of some hundred patterns is not too large"),
            owners,
            patterns,
        }
    }

    /// The patterns that have a keyword in the text.
    fn candidates(&self, text: &[u8]) -> impl Iterator<Item = &Pattern> {
        let found = self.keywords.find_overlapping_iter(text);
        let indices: BTreeSet<usize> = found
            .filter_map(|found| self.owners.get(found.pattern().as_usize()).copied())
            .collect();
        indices.into_iter().filter_map(|index| self.patterns.get(index))
    }
}

impl Pattern {
    fn new(PatternEntry { id, regex, entropy, examples, .. }: PatternEntry) -> Self {
        let examples = move || examples.iter().map(|example| compile(example)).collect();
        Self {
            id,
            regex: LazyLock::new(Box::new(move || compile(&regex))),
            entropy,
            examples: LazyLock::new(Box::new(examples)),
        }
    }

    /// Where a text has secrets of this kind. A secret is the first group of the expression that
    /// took part in the match, or the whole match when there is none.
    fn secrets(&self, text: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let found = self.regex.captures_iter(text);
        let secrets = found
            .filter_map(|found| found.iter().skip(1).flatten().next().or_else(|| found.get(0)));
        let secrets = secrets
            .filter(|secret| entropy(&String::from_utf8_lossy(secret.as_bytes())) > self.entropy);
        let is_example =
            |secret: &[u8]| self.examples.iter().any(|example| example.is_match(secret));
        secrets.filter(move |secret| !is_example(secret.as_bytes())).map(|secret| secret.range())
    }
}

fn compile(expression: &str) -> Regex {
    let built = RegexBuilder::new(expression).size_limit(LARGEST_EXPRESSION).build();
    built.expect("a test compiles each pattern, and all are part of the program")
}

/// The Shannon entropy of a text in bits a character.
fn entropy(text: &str) -> f64 {
    let mut counts: HashMap<char, u32> = HashMap::new();
    for character in text.chars() {
        *counts.entry(character).or_default() += 1;
    }
    let total = f64::from(counts.values().sum::<u32>());
    counts.values().map(|&count| f64::from(count) / total).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert!(entries().len() > 200, "{}", entries().len());
        for entry in entries() {
            for text in entry.examples.iter().chain([&entry.regex]) {
                compile(text);
            }
            assert!(
                entry.keywords.iter().all(|keyword| *keyword == keyword.to_lowercase()),
                "{}",
                entry.id
            );
        }
    }

    /// The test assembles the secrets, so that this file has none.
    #[test]
    fn secrets_are_recognized_by_their_pattern() {
        let random = "x7Kq2Lw9Zr4Tn8Vb3Mc6Jd1Hf5Gs0PyQeUi2";
        for (text, pattern) in [
            (format!("token = \"{}{random}\"", "ghp_"), "github-pat"),
            (format!("{}QX7KZ2LW3R4TNVBM", "AKIA"), "aws-access-token"),
            (format!("{}1234567890-1234567890{}", "xoxb-", "abcDEFghi123"), "slack-bot-token"),
            (
                format!(
                    "-----BEGIN {} KEY-----\n{}\n-----END {} KEY-----",
                    "PRIVATE",
                    random.repeat(4),
                    "PRIVATE"
                ),
                "private-key",
            ),
        ] {
            assert!(find(&text).iter().any(|found| found == pattern), "{text}: {:?}", find(&text));
        }
    }

    #[test]
    fn placeholders_and_code_are_not_secrets() {
        for text in [
            format!("{}IOSFODNN7EXAMPLE", "AKIA"),
            format!("{}{}", "ghp_", "x".repeat(36)),
            "let private_key = read(\"key.pem\");".to_owned(),
            "sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
            "fn token() -> String { std::env::var(\"GITHUB_TOKEN\").unwrap() }".to_owned(),
        ] {
            assert_eq!(find(&text), Vec::<String>::new(), "{text}");
        }
    }

    /// The text has a token and a key of several lines between other words.
    #[test]
    fn secrets_are_redacted_and_nothing_else_is() {
        let random = "x7Kq2Lw9Zr4Tn8Vb3Mc6Jd1Hf5Gs0PyQeUi2";
        let key = format!(
            "-----BEGIN {0} KEY-----\n{1}\n-----END {0} KEY-----",
            "PRIVATE",
            random.repeat(4)
        );
        let text = format!("日本語 token={}{random} and\n{key}\nthe rest", "ghp_");
        let redacted = redact(text.as_bytes()).into_owned();
        assert_eq!(
            String::from_utf8(redacted).unwrap(),
            "日本語 token=[redacted] and\n[redacted]\nthe rest"
        );
        assert_eq!(redact(b"nothing"), Cow::Borrowed(b"nothing"));
    }
}
