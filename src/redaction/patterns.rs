//! Secrets by their form, as the kinds of tokens and keys that services give out.
//!
//! The rules are data, of Betterleaks (`scripts/secret-rules` makes `forms.toml` of its
//! configuration).

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::STRUCK_OUT;

/// How much memory a compiled rule may take, in bytes.
const LARGEST_EXPRESSION: usize = 64 << 20;

/// One kind of secret.
struct Rule {
    id: String,
    regex: Lazy<Regex>,
    /// What is less random, in bits a character, is a placeholder.
    entropy: f64,
    /// What matches one of these is an example.
    examples: Lazy<Vec<Regex>>,
}

/// Few rules are ever asked, and to compile all of them takes a second.
type Lazy<T> = LazyLock<T, Box<dyn FnOnce() -> T + Send>>;

/// A rule as the file has it.
#[derive(Debug, Deserialize)]
struct Written {
    id: String,
    regex: String,
    /// One of these, in lower case, is in every text that has such a secret.
    keywords: Vec<String>,
    entropy: f64,
    examples: Vec<String>,
}

struct Rules {
    /// All keywords of all rules.
    keywords: AhoCorasick,
    /// Whose keyword each is.
    owners: Vec<usize>,
    rules: Vec<Rule>,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::of(written()));

fn written() -> Vec<Written> {
    #[derive(Deserialize)]
    struct File {
        rules: Vec<Written>,
    }
    let file: File = toml::from_str(include_str!("patterns.toml"))
        .expect("the file is part of this program, and a test reads it");
    file.rules
}

/// The names of the rules that a text breaks, each once.
pub(super) fn find(text: &str) -> Vec<String> {
    let text = text.as_bytes();
    RULES
        .asked(text)
        .filter(|rule| rule.breaches(text).next().is_some())
        .map(|rule| rule.id.clone())
        .collect()
}

/// The text with a mark in place of each.
pub(super) fn redact(text: &[u8]) -> Cow<'_, [u8]> {
    let mut breaches: Vec<Range<usize>> =
        RULES.asked(text).flat_map(|rule| rule.breaches(text)).collect();
    if breaches.is_empty() {
        return Cow::Borrowed(text);
    }
    breaches.sort_unstable_by_key(|breach| breach.start);
    let mut struck_out = Vec::with_capacity(text.len());
    let mut told = 0;
    for breach in breaches {
        // Where several overlap, the first has its mark, and what another has beyond it goes too.
        if breach.start >= told {
            struck_out.extend_from_slice(text.get(told..breach.start).unwrap_or_default());
            struck_out.extend_from_slice(STRUCK_OUT.as_bytes());
        }
        told = told.max(breach.end);
    }
    struck_out.extend_from_slice(text.get(told..).unwrap_or_default());
    Cow::Owned(struck_out)
}

impl Rules {
    fn of(written: Vec<Written>) -> Self {
        let keywords = written.iter().flat_map(|rule| &rule.keywords);
        let keywords = AhoCorasick::builder().ascii_case_insensitive(true).build(keywords);
        let owners = written
            .iter()
            .enumerate()
            .flat_map(|(place, rule)| rule.keywords.iter().map(move |_| place));
        let owners = owners.collect();
        let rules = written.into_iter().map(Rule::of).collect();
        Self {
            keywords: keywords
                .expect("the words of some hundred rules make no automaton that is too large"),
            owners,
            rules,
        }
    }

    /// The rules that have a keyword in the text.
    fn asked(&self, text: &[u8]) -> impl Iterator<Item = &Rule> {
        let found = self.keywords.find_overlapping_iter(text);
        let asked: BTreeSet<usize> = found
            .filter_map(|found| self.owners.get(found.pattern().as_usize()).copied())
            .collect();
        asked.into_iter().filter_map(|place| self.rules.get(place))
    }
}

impl Rule {
    fn of(Written { id, regex, entropy, examples, .. }: Written) -> Self {
        let examples = move || examples.iter().map(|example| expression(example)).collect();
        Self {
            id,
            regex: LazyLock::new(Box::new(move || expression(&regex))),
            entropy,
            examples: LazyLock::new(Box::new(examples)),
        }
    }

    /// Where a text breaks the rule. What is found is the first group of the expression, where it
    /// has one.
    fn breaches(&self, text: &[u8]) -> impl Iterator<Item = Range<usize>> {
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

/// Some repeat a class hundreds of times, which takes room.
fn expression(text: &str) -> Regex {
    let built = RegexBuilder::new(text).size_limit(LARGEST_EXPRESSION).build();
    built.expect("the rules are part of this program, and a test builds each")
}

/// Shannon's, in bits a character.
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
    fn every_rule_can_be_read() {
        assert!(written().len() > 200, "{}", written().len());
        for rule in written() {
            for text in rule.examples.iter().chain([&rule.regex]) {
                expression(text);
            }
            assert!(
                rule.keywords.iter().all(|keyword| *keyword == keyword.to_lowercase()),
                "{}",
                rule.id
            );
        }
    }

    /// Put together here, so that this file has none in it.
    #[test]
    fn secrets_are_known_by_their_form() {
        let random = "x7Kq2Lw9Zr4Tn8Vb3Mc6Jd1Hf5Gs0PyQeUi2";
        for (text, rule) in [
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
            assert!(find(&text).iter().any(|found| found == rule), "{text}: {:?}", find(&text));
        }
    }

    #[test]
    fn placeholders_and_code_are_none() {
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

    /// A key of several lines, in the middle of other words.
    #[test]
    fn what_is_found_is_struck_out_and_nothing_else() {
        let random = "x7Kq2Lw9Zr4Tn8Vb3Mc6Jd1Hf5Gs0PyQeUi2";
        let key = format!(
            "-----BEGIN {0} KEY-----\n{1}\n-----END {0} KEY-----",
            "PRIVATE",
            random.repeat(4)
        );
        let text = format!("日本語 token={}{random} and\n{key}\nthe rest", "ghp_");
        let struck_out = redact(text.as_bytes()).into_owned();
        assert_eq!(
            String::from_utf8(struck_out).unwrap(),
            "日本語 token=[redacted] and\n[redacted]\nthe rest"
        );
        assert_eq!(redact(b"nothing"), Cow::Borrowed(b"nothing"));
    }
}
