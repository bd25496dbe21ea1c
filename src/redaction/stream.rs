//! Output that comes in pieces, given on when no secret can be cut in two any more: by whole lines.

use memchr::{memmem, memrchr};

use super::Redaction;

/// A line that is longer is given on in parts, and so is a block that does not end.
const LONGEST: usize = 64 << 10;

/// What begins a key that goes over several lines, and what ends it (RFC 7468).
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// One stream of a program's output, without secrets.
#[derive(Debug, Default)]
pub struct StreamRedactor {
    redaction: Redaction,
    pending: Vec<u8>,
}

impl StreamRedactor {
    #[must_use]
    pub fn new(redaction: &Redaction) -> Self {
        Self { redaction: redaction.clone(), pending: Vec::new() }
    }

    /// Takes what came, and gives on what can be.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let ready = match whole_lines(&self.pending) {
            0 if self.pending.len() > LONGEST => self.redaction.spellings().cut(&self.pending),
            lines => lines,
        };
        let rest = self.pending.split_off(ready);
        self.give(rest)
    }

    /// The rest, when nothing more comes.
    pub fn end(&mut self) -> Vec<u8> {
        self.give(Vec::new())
    }

    fn give(&mut self, rest: Vec<u8>) -> Vec<u8> {
        let ready = std::mem::replace(&mut self.pending, rest);
        self.redaction.spellings().redact(&ready)
    }
}

/// How much of it is lines that are whole, and not in the midst of a key.
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

    /// What comes out when a text comes in pieces.
    fn check(text: &str, sizes: &[usize], expected: &str) {
        for &size in sizes {
            let mut strained = StreamRedactor::new(&Redaction::new([SECRET.into()]));
            let mut told: Vec<u8> =
                text.as_bytes().chunks(size).flat_map(|piece| strained.push(piece)).collect();
            told.extend(strained.end());
            assert!(String::from_utf8(told).unwrap() == expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_secret_that_comes_in_two_pieces_is_struck_out() {
        check(
            &format!("a {SECRET} b\nc {SECRET}"),
            &[1, 2, 7, 100],
            "a [redacted] b\nc [redacted]",
        );
    }

    #[test]
    fn in_a_line_without_an_end_too() {
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
    fn lines_are_given_on_as_they_end_and_a_key_when_it_is_whole() {
        let mut strained = StreamRedactor::default();
        assert_eq!(strained.push(b"one\ntwo"), b"one\n");
        assert_eq!(strained.push(b" three\n-----BEGIN A KEY-----\nabc\n"), b"two three\n");
        assert_eq!(strained.push(b"def\n"), b"");
        assert_eq!(
            strained.push(b"-----END A KEY-----\nx\ny"),
            b"-----BEGIN A KEY-----\nabc\ndef\n-----END A KEY-----\nx\n"
        );
        assert_eq!(strained.end(), b"y");
    }

    #[test]
    fn a_key_without_an_end_holds_nothing_back_for_ever() {
        let mut strained = StreamRedactor::default();
        assert_eq!(strained.push(b"-----BEGIN A KEY-----\n"), b"");
        assert!(strained.push(&b"x\n".repeat(LONGEST)).len() > LONGEST);
    }
}
