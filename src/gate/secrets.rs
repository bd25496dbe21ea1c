//! Secrets in what a change adds: those that their form gives away, and those that this worker knows.
//!
//! The rules are data, of Betterleaks (`scripts/secret-rules` makes `secrets.toml` of its configuration). A finding names the rule and the
//! place, and never what was found.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::redaction::Known;

/// How much memory a compiled rule may take, in bytes.
const LARGEST_EXPRESSION: usize = 64 << 20;

/// The rule that a known secret is told by.
pub const KNOWN: &str = "a credential of this worker";

/// One kind of secret, by its form.
#[derive(Debug, Deserialize)]
struct Rule {
    id: String,
    regex: String,
    /// One of these, in lower case, is in every text that has such a secret.
    keywords: Vec<String>,
    /// What is less random, in bits a character, is a placeholder.
    entropy: f64,
    /// What matches one of these is an example.
    examples: Vec<String>,
}

#[derive(Deserialize)]
struct Rules {
    rules: Vec<Rule>,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rules: Rules =
        toml::from_str(include_str!("secrets.toml")).expect("the file is part of this program, and a test reads it");
    rules.rules
});

/// The names of the rules that a text breaks, each once.
#[must_use]
pub fn find(text: &str, known: &Known) -> Vec<String> {
    let folded = text.to_lowercase();
    let by_form = RULES
        .iter()
        .filter(|rule| rule.keywords.iter().any(|keyword| folded.contains(keyword)))
        .filter(|rule| rule.is_broken_by(text))
        .map(|rule| rule.id.clone());
    known.is_in(text).then(|| KNOWN.to_owned()).into_iter().chain(by_form).collect()
}

impl Rule {
    /// What is found is the first group of the expression, where it has one.
    fn is_broken_by(&self, text: &str) -> bool {
        let regex = expression(&self.regex);
        let examples: Vec<Regex> = self.examples.iter().map(|example| expression(example)).collect();
        regex.captures_iter(text).any(|found| {
            let secret =
                found.iter().skip(1).flatten().next().or_else(|| found.get(0)).map_or("", |part| part.as_str());
            entropy(secret) > self.entropy && !examples.iter().any(|example| example.is_match(secret))
        })
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

    fn found(text: &str) -> Vec<String> {
        find(text, &Known::default())
    }

    #[test]
    fn every_rule_can_be_read() {
        assert!(RULES.len() > 200, "{}", RULES.len());
        for rule in RULES.iter() {
            for text in rule.examples.iter().chain([&rule.regex]) {
                expression(text);
            }
            assert!(rule.keywords.iter().all(|keyword| *keyword == keyword.to_lowercase()), "{}", rule.id);
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
                format!("-----BEGIN {} KEY-----\n{}\n-----END {} KEY-----", "PRIVATE", random.repeat(4), "PRIVATE"),
                "private-key",
            ),
        ] {
            assert!(found(&text).iter().any(|found| found == rule), "{text}: {:?}", found(&text));
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
            assert_eq!(found(&text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_known_secret_needs_no_form() {
        let known = Known::new(["forge-token-of-the-owner".into()]);
        assert_eq!(find("x forge-token-of-the-owner y", &known), [KNOWN]);
    }
}
