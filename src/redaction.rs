//! Secrets: what this worker knows by its value, and what gives itself away by its form.
//!
//! They are found in what is about to be published, and struck out of what is told: logs,
//! transcripts, comments. A value is known in every spelling that a program has at hand
//! (`spellings`); forms are data (`forms`). Does no I/O. Invariant: a text that was struck out
//! holds no secret that was known by then, and says where one was.

mod encodings;
mod patterns;
mod stream;

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use secrecy::{ExposeSecret, SecretString};

pub use self::stream::StreamRedactor;

/// What is shorter could be an ordinary word.
const SHORTEST: usize = 8;
const STRUCK_OUT: &str = "[redacted]";
/// The rule that a known secret is told by.
const KNOWN: &str = "a credential of this worker";

/// Secrets that one program holds. Clones share what they know, since some are learned while it
/// runs. Shown by `Debug` as none.
#[derive(Debug, Clone, Default)]
pub struct Redaction(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    secrets: Vec<SecretString>,
    spellings: Spellings,
}

/// All spellings of all secrets, ready to be looked for.
#[derive(Clone)]
struct Spellings {
    any: AhoCorasick,
    longest: usize,
}

impl Redaction {
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let redaction = Self::default();
        for secret in secrets {
            redaction.learn(&secret);
        }
        redaction
    }

    /// From now on this is a secret. One of several lines is known by each of them.
    pub fn learn(&self, secret: &SecretString) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for line in
            secret.expose_secret().lines().map(str::trim).filter(|line| line.len() >= SHORTEST)
        {
            if !known.secrets.iter().any(|secret| secret.expose_secret() == line) {
                known.secrets.push(line.into());
            }
        }
        known.spellings = Spellings::of(&known.secrets);
    }

    /// What of a text is a secret: the names of the rules it breaks, each once, and never what was
    /// found.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<String> {
        let known = self.spellings().any.is_match(text).then(|| KNOWN.to_owned());
        known.into_iter().chain(patterns::find(text)).collect()
    }

    /// The text with a mark in place of each secret.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.spellings().redact(text.as_bytes())).into_owned()
    }

    fn spellings(&self) -> Spellings {
        self.0.read().unwrap_or_else(PoisonError::into_inner).spellings.clone()
    }
}

impl Spellings {
    fn of(secrets: &[SecretString]) -> Self {
        let all: Vec<String> =
            secrets.iter().flat_map(|secret| encodings::of(secret.expose_secret())).collect();
        let longest = all.iter().map(String::len).max().unwrap_or_default();
        let any = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&all);
        Self { any: any.expect("a few short words make no automaton that is too large"), longest }
    }

    /// How much of a text that goes on can be given away without cutting a spelling in two.
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

    /// The text without them, and without what has a secret's form.
    fn redact(&self, text: &[u8]) -> Vec<u8> {
        let mut unknown = Vec::with_capacity(text.len());
        self.any.replace_all_with_bytes(text, &mut unknown, |_, _, rest| {
            rest.extend_from_slice(STRUCK_OUT.as_bytes());
            true
        });
        match patterns::redact(&unknown) {
            Cow::Owned(struck_out) => struck_out,
            Cow::Borrowed(_) => unknown,
        }
    }
}

impl Default for Spellings {
    fn default() -> Self {
        Self::of(&[])
    }
}

/// How many there are is no secret.
impl std::fmt::Debug for Spellings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} spellings", self.any.patterns_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction() -> Redaction {
        Redaction::new(["forge-token-of-the-owner".into(), "short".into()])
    }

    #[test]
    fn a_known_secret_needs_no_form() {
        assert_eq!(redaction().find("x forge-token-of-the-owner y"), [KNOWN]);
        assert_eq!(redaction().redact("x forge-token-of-the-owner y"), "x [redacted] y");
        assert!(redaction().find("short forge-token").is_empty());
        assert_eq!(redaction().redact("short forge-token"), "short forge-token");
        assert!(!format!("{:?}", redaction()).contains("forge-token"));
    }

    #[test]
    fn what_is_learned_later_is_known_to_every_clone() {
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
    fn a_secret_of_several_lines_is_known_by_each() {
        let redaction =
            Redaction::new(["-----BEGIN\nfirst-line-of-it\nsecond-line-of-it\nend\n".into()]);
        assert_eq!(redaction.redact("> second-line-of-it <"), "> [redacted] <");
    }
}
