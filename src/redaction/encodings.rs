//! The encodings of a secret that a program has at hand: `base64`, hexadecimal digits, a URL, JSON,
//! and the reversed text.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::SHORTEST;

/// The characters that a URL encodes: all but the unreserved ones (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Every encoding of a line of a secret. Those that are as short as an ordinary word are left out.
pub(super) fn of(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let mut all = vec![
        secret.to_owned(),
        secret.chars().rev().collect(),
        hex::encode(secret),
        hex::encode_upper(secret),
        utf8_percent_encode(secret, RESERVED).to_string(),
        json.trim_matches('"').to_owned(),
    ];
    for before in 0..3 {
        all.extend([&STANDARD, &URL_SAFE].map(|alphabet| in_base64(secret, before, alphabet)));
    }
    all.retain(|encoding| encoding.len() >= SHORTEST);
    all.sort();
    all.dedup();
    all
}

/// The base64 characters that depend on the secret alone when `before` bytes, or a multiple of
/// three more, precede it. A character has six bits, so the first and the last one may also depend
/// on a neighboring byte.
fn in_base64(secret: &str, before: usize, alphabet: &impl base64::Engine) -> String {
    let encoded = alphabet.encode([&[0][..].repeat(before), secret.as_bytes()].concat());
    let (first, end) = ((before * 8).div_ceil(6), (before + secret.len()) * 8 / 6);
    encoded.get(first..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;
    use crate::redaction::Redaction;

    #[test]
    fn a_secret_is_redacted_in_every_encoding() {
        let secret = "forge/token+of\"the-owner";
        let redaction = Redaction::new([secret.into()]);
        for encoding in [
            secret.to_owned(),
            "renwo-eht\"fo+nekot/egrof".to_owned(),
            "666f7267652f746f6b656e2b6f66227468652d6f776e6572".to_owned(),
            "666F7267652F746F6B656E2B6F66227468652D6F776E6572".to_owned(),
            "forge%2Ftoken%2Bof%22the-owner".to_owned(),
            "forge/token+of\\\"the-owner".to_owned(),
        ] {
            assert_eq!(redaction.redact(&format!("x {encoding} y")), "x [redacted] y");
        }
        for beside in ["", "x", "xy", "x-access-token:", "{\"token\":\""] {
            let text = format!("{beside}{secret}{beside}");
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                let left = redaction.redact(&encoded);
                let around = left.len() - "[redacted]".len();
                assert!(left.contains("[redacted]"), "{beside}: {encoded}");
                // At most one character of the secret's own stays on each side, and the padding.
                assert!(around <= 2 * STANDARD.encode(beside).len() + 4, "{beside}: {left}");
            }
        }
    }
}
