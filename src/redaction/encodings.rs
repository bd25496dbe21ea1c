//! The spellings of a secret that a program has at hand: what `base64`, `xxd`, `rev`, a URL, JSON
//! and an HTTP header make of it.

use std::fmt::Write as _;

use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::SHORTEST;

/// Every spelling of one line, none of them so short that an ordinary word could be it.
pub(super) fn of(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let mut all = vec![
        secret.to_owned(),
        secret.chars().rev().collect(),
        hex(secret, |digits, byte| write!(digits, "{byte:02x}")),
        hex(secret, |digits, byte| write!(digits, "{byte:02X}")),
        percent(secret),
        json.trim_matches('"').to_owned(),
    ];
    for before in 0..3 {
        all.extend([&STANDARD, &URL_SAFE].map(|alphabet| in_base64(secret, before, alphabet)));
    }
    all.retain(|spelling| spelling.len() >= SHORTEST);
    all.sort();
    all.dedup();
    all
}

fn hex(secret: &str, write: impl Fn(&mut String, u8) -> std::fmt::Result) -> String {
    secret.bytes().fold(String::new(), |mut digits, byte| {
        write(&mut digits, byte).expect("a string takes all");
        digits
    })
}

/// As it stands in a URL (RFC 3986, "Percent-Encoding").
fn percent(secret: &str) -> String {
    secret.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes all");
        }
        text
    })
}

/// The characters that are sure when `before` bytes, or three times as many more, stand before the
/// secret: at its ends a character is made of a neighbor's bits too.
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
    fn a_secret_is_struck_out_in_any_spelling() {
        let secret = "forge/token+of\"the-owner";
        let redaction = Redaction::new([secret.into()]);
        for spelling in [
            secret.to_owned(),
            "renwo-eht\"fo+nekot/egrof".to_owned(),
            "666f7267652f746f6b656e2b6f66227468652d6f776e6572".to_owned(),
            "666F7267652F746F6B656E2B6F66227468652D6F776E6572".to_owned(),
            "forge%2Ftoken%2Bof%22the-owner".to_owned(),
            "forge/token+of\\\"the-owner".to_owned(),
        ] {
            assert_eq!(redaction.redact(&format!("x {spelling} y")), "x [redacted] y");
        }
        for beside in ["", "x", "xy", "x-access-token:", "{\"token\":\""] {
            let text = format!("{beside}{secret}{beside}");
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                let left = redaction.redact(&encoded);
                let around = left.len() - "[redacted]".len();
                assert!(left.contains("[redacted]"), "{beside}: {encoded}");
                // Of the secret's own, at most a character on each side, beside the padding.
                assert!(around <= 2 * STANDARD.encode(beside).len() + 4, "{beside}: {left}");
            }
        }
    }
}
