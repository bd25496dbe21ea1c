//! The secrets that this worker holds, to be found in what is about to be published, and struck out of what is told.
//!
//! By value, for a token has no form that is sure; what has one is found by `gate::secrets` besides. Does no I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// What is shorter could be an ordinary word.
const SHORTEST: usize = 8;

const STRUCK_OUT: &str = "[redacted]";

/// Secrets by their values. Shown by `Debug` as none.
#[derive(Debug, Clone, Default)]
pub struct Known(Vec<SecretString>);

impl Known {
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        Self(secrets.into_iter().filter(|secret| secret.expose_secret().len() >= SHORTEST).collect())
    }

    /// Whether one is in a text, as it is or in an encoding that a program has at hand.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.spellings().any(|spelling| text.contains(&spelling))
    }

    /// The text with a mark in place of each.
    #[must_use]
    pub fn strike_out(&self, text: &str) -> String {
        self.spellings().fold(text.to_owned(), |text, spelling| text.replace(&spelling, STRUCK_OUT))
    }

    fn spellings(&self) -> impl Iterator<Item = String> {
        let all = self.0.iter().flat_map(|secret| {
            let secret = secret.expose_secret();
            let hex = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            // The ends depend on what stands beside it, so that only the middle is sure.
            let encoded = STANDARD.encode(secret);
            let middle = encoded.get(..encoded.len().saturating_sub(4)).unwrap_or_default().to_owned();
            [secret.to_owned(), hex, middle, secret.chars().rev().collect()]
        });
        all.filter(|spelling| spelling.len() >= SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_and_struck_out_in_any_spelling() {
        let known = Known::new(["forge-token-of-the-owner".into(), "short".into()]);
        for text in
            ["forge-token-of-the-owner", "666f7267652d746f6b656e2d6f662d7468652d6f776e6572", "renwo-eht-fo-nekot-egrof"]
        {
            assert!(known.is_in(&format!("x {text} y")), "{text}");
            assert_eq!(known.strike_out(&format!("x {text} y")), "x [redacted] y");
        }
        assert!(known.is_in("Zm9yZ2UtdG9rZW4tb2YtdGhlLW93bmVy"));
        assert!(!known.is_in("short forge-token"));
        assert_eq!(known.strike_out("short"), "short");
        assert!(!format!("{known:?}").contains("forge-token"));
    }
}
