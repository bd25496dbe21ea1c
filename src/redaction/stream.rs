//! Redaction of output that arrives in pieces. A piece is passed on when no secret can be cut in
//! two at its end, which is at the end of a line.

use memchr::{memmem, memrchr};

use super::Redaction;

/// The most bytes that are held back. A longer line, or a longer block without an end, is passed on
/// in parts.
const LONGEST: usize = 64 << 10;

/// The beginnings of the first and the last line of a key (RFC 7468).
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// Redacts one stream of a program's output.
#[derive(Debug, Default)]
pub struct StreamRedactor {
    redaction: Redaction,
    pending: Vec<u8>,
}

impl StreamRedactor {
    /// Redacts the secrets that are known now or learned later.
    #[must_use]
    pub fn new(redaction: &Redaction) -> Self {
        Self { redaction: redaction.clone(), pending: Vec::new() }
    }

    /// Takes the next bytes, and returns the redacted text that can be passed on.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let ready = match whole_lines(&self.pending) {
            0 if self.pending.len() > LONGEST => self.redaction.encodings().cut(&self.pending),
            lines => lines,
        };
        let rest = self.pending.split_off(ready);
        self.redact_pending(rest)
    }

    /// Returns the redacted rest at the end of the stream.
    pub fn end(&mut self) -> Vec<u8> {
        self.redact_pending(Vec::new())
    }

    /// Redacts the pending bytes, and keeps `rest` as the pending ones.
    fn redact_pending(&mut self, rest: Vec<u8>) -> Vec<u8> {
        let ready = std::mem::replace(&mut self.pending, rest);
        self.redaction.encodings().redact(&ready)
    }
}

/// How many of the bytes are whole lines that do not end within a key.
fn whole_lines(pending: &[u8]) -> usize {
    let end = memrchr(b'\n', pending).map_or(0, |end| end + 1);
    let lines = pending.get(..end).unwrap_or_default();
    match memmem::rfind(lines, BEGIN) {
        Some(begin) if memmem::rfind(lines, END) < Some(begin) => begin,
        Some(_) | None => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "forge-token-of-the-owner";

    /// Checks the redacted text when a text arrives in pieces.
    fn check(text: &str, sizes: &[usize], expected: &str) {
        for &size in sizes {
            let mut redactor = StreamRedactor::new(&Redaction::new([SECRET.into()]));
            let mut redacted: Vec<u8> =
                text.as_bytes().chunks(size).flat_map(|piece| redactor.push(piece)).collect();
            redacted.extend(redactor.end());
            assert!(String::from_utf8(redacted).unwrap() == expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_secret_in_two_pieces_is_redacted() {
        check(
            &format!("a {SECRET} b\nc {SECRET}"),
            &[1, 2, 7, 100],
            "a [redacted] b\nc [redacted]",
        );
    }

    #[test]
    fn a_secret_in_a_line_without_an_end_is_redacted() {
        for beside in LONGEST - 30..LONGEST + 30 {
            let filler = "x".repeat(beside);
            check(
                &format!("{filler}{SECRET}{filler}"),
                &[1000, LONGEST - 7, 3 * LONGEST],
                &format!("{filler}[redacted]{filler}"),
            );
        }
    }

    #[test]
    fn a_line_is_passed_on_at_its_end_and_a_key_when_it_is_whole() {
        let mut redactor = StreamRedactor::default();
        assert_eq!(redactor.push(b"one\ntwo"), b"one\n");
        assert_eq!(redactor.push(b" three\n-----BEGIN A KEY-----\nabc\n"), b"two three\n");
        assert_eq!(redactor.push(b"def\n"), b"");
        assert_eq!(
            redactor.push(b"-----END A KEY-----\nx\ny"),
            b"-----BEGIN A KEY-----\nabc\ndef\n-----END A KEY-----\nx\n"
        );
        assert_eq!(redactor.end(), b"y");
    }

    #[test]
    fn a_key_without_an_end_is_not_held_back_for_ever() {
        let mut redactor = StreamRedactor::default();
        assert_eq!(redactor.push(b"-----BEGIN A KEY-----\n"), b"");
        assert!(redactor.push(&b"x\n".repeat(LONGEST)).len() > LONGEST);
    }
}
