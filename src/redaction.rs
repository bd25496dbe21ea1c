//! Secrets: those that this worker knows by value, and those that are recognized by a pattern.
//!
//! They are found in what the worker is about to publish, and redacted in what people read: logs,
//! transcripts and comments. A known value is found in every encoding that a program has at hand
//! (`encodings`). Patterns are data (`patterns`). This module does no I/O. Invariant: a redacted
//! text has none of the secrets that were known when it was redacted, and has a mark where one was.

mod encodings;
mod patterns;
mod stream;

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use secrecy::{ExposeSecret, SecretString};

pub use self::stream::StreamRedactor;

/// The fewest bytes of a secret. Something shorter could be an ordinary word.
const SHORTEST: usize = 8;

/// The mark in place of a secret.
const REDACTED: &str = "[redacted]";

/// The name under which [`Redaction::find`] reports a known secret.
const KNOWN: &str = "a credential of this worker";

/// The secrets that one program holds. Clones share them, because the program learns some of them
/// while it runs. `Debug` shows none.
#[derive(Debug, Clone, Default)]
pub struct Redaction(Arc<RwLock<KnownSecrets>>);

#[derive(Debug, Default)]
struct KnownSecrets {
    secrets: Vec<SecretString>,
    encodings: Encodings,
}

/// All encodings of all known secrets, prepared for a search.
#[derive(Clone)]
struct Encodings {
    any: AhoCorasick,
    /// The length of the longest one in bytes.
    longest: usize,
}

impl Redaction {
    /// Starts with these secrets, as [`Redaction::learn`] takes them.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let redaction = Self::default();
        for secret in secrets {
            redaction.learn(&secret);
        }
        redaction
    }

    /// Adds a secret. Each line of at least 8 bytes is a secret of its own, because programs often
    /// print a part of a text.
    pub fn learn(&self, secret: &SecretString) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for line in
            secret.expose_secret().lines().map(str::trim).filter(|line| line.len() >= SHORTEST)
        {
            if !known.secrets.iter().any(|secret| secret.expose_secret() == line) {
                known.secrets.push(line.into());
            }
        }
        known.encodings = Encodings::of(&known.secrets);
    }

    /// Finds secrets in a text. Returns the names of the patterns that matched, each once, and
    /// never the secrets.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<String> {
        let known = self.encodings().any.is_match(text).then(|| KNOWN.to_owned());
        known.into_iter().chain(patterns::find(text)).collect()
    }

    /// The text with the mark `[redacted]` in place of each secret.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.encodings().redact(text.as_bytes())).into_owned()
    }

    fn encodings(&self) -> Encodings {
        self.0.read().unwrap_or_else(PoisonError::into_inner).encodings.clone()
    }
}

impl Encodings {
    fn of(secrets: &[SecretString]) -> Self {
        let all: Vec<String> =
            secrets.iter().flat_map(|secret| encodings::of(secret.expose_secret())).collect();
        let longest = all.iter().map(String::len).max().unwrap_or_default();
        let any = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&all);
        Self { any: any.expect("an automaton of a few short strings is not too large"), longest }
    }

    /// How many bytes of an unfinished text can be redacted now without cutting an encoding in two.
    fn cut(&self, text: &[u8]) -> usize {
        let at = text.len().saturating_sub(self.longest);
        let from = at.saturating_sub(self.longest);
        let near = text.get(from..).unwrap_or_default();
        let across = self
            .any
            .find_iter(near)
            .find(|found| from + found.start() < at && at < from + found.end());
        across.map_or(at, |found| from + found.end())
    }

    /// The text with a mark in place of each encoding, and of each match of a pattern.
    fn redact(&self, text: &[u8]) -> Vec<u8> {
        let mut rest = Vec::with_capacity(text.len());
        self.any.replace_all_with_bytes(text, &mut rest, |_, _, output| {
            output.extend_from_slice(REDACTED.as_bytes());
            true
        });
        match patterns::redact(&rest) {
            Cow::Owned(redacted) => redacted,
            Cow::Borrowed(_) => rest,
        }
    }
}

impl Default for Encodings {
    fn default() -> Self {
        Self::of(&[])
    }
}

/// Shows only how many there are.
impl std::fmt::Debug for Encodings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} encodings", self.any.patterns_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction() -> Redaction {
        Redaction::new(["forge-token-of-the-owner".into(), "short".into()])
    }

    #[test]
    fn a_known_secret_is_found_without_a_pattern() {
        assert_eq!(redaction().find("x forge-token-of-the-owner y"), [KNOWN]);
        assert_eq!(redaction().redact("x forge-token-of-the-owner y"), "x [redacted] y");
        assert!(redaction().find("short forge-token").is_empty());
        assert_eq!(redaction().redact("short forge-token"), "short forge-token");
        assert!(!format!("{:?}", redaction()).contains("forge-token"));
    }

    #[test]
    fn every_clone_knows_a_secret_that_is_learned_later() {
        let (redaction, clone) = (redaction(), redaction());
        let shared = redaction.clone();
        redaction.learn(&"a-later-secret".into());
        assert_eq!(
            shared.redact("a-later-secret forge-token-of-the-owner"),
            "[redacted] [redacted]"
        );
        assert_eq!(clone.redact("a-later-secret"), "a-later-secret");
    }

    #[test]
    fn each_line_of_a_secret_is_a_secret() {
        let redaction =
            Redaction::new(["-----BEGIN\nfirst-line-of-it\nsecond-line-of-it\nend\n".into()]);
        assert_eq!(redaction.redact("> second-line-of-it <"), "> [redacted] <");
    }
}
