//! The body of an issue that is too long for one message.
//!
//! A message of SQS has at most 262,144 bytes, including its attributes. The producer cuts a longer
//! body and says so in the message attributes [`TRUNCATED`] and [`SHA256`]. The worker then reads
//! the whole body from GitHub. It uses that text only while the digest matches, because somebody
//! could edit the issue after a person labelled it.

use sha2::{Digest, Sha256};

/// The message attribute that is `true` when the producer cut the body.
pub const TRUNCATED: &str = "BodyTruncated";
/// The message attribute with the SHA-256 of the whole body. The body is hashed as UTF-8, and the
/// digest is written in hexadecimal digits.
pub const SHA256: &str = "BodySha256";

/// What the producer said about the body that it cut.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CutBody {
    sha256: String,
}

impl CutBody {
    /// Reads the two attributes. Returns `None` when the body is complete.
    #[must_use]
    pub fn from_attributes(truncated: Option<&str>, sha256: Option<&str>) -> Option<Self> {
        (truncated == Some("true"))
            .then(|| Self { sha256: sha256.unwrap_or_default().to_ascii_lowercase() })
    }

    /// Returns whether `body` is the text that the producer cut. No text is when the producer gave
    /// no digest.
    #[must_use]
    pub fn is_of(&self, body: &str) -> bool {
        let digest: String =
            Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        self.sha256 == digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn only_the_text_that_was_cut_is_it() {
        let cut = CutBody::from_attributes(Some("true"), Some(&OF_ABC.to_uppercase())).unwrap();
        assert!(cut.is_of("abc"));
        assert!(!cut.is_of("abcd"));
        assert!(!CutBody::from_attributes(Some("true"), None).unwrap().is_of(""));
    }

    #[test]
    fn a_body_is_whole_unless_it_is_said_to_be_cut() {
        for truncated in [None, Some("false"), Some("")] {
            assert_eq!(CutBody::from_attributes(truncated, Some(OF_ABC)), None);
        }
    }
}
