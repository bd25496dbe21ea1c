//! The output of a program: its head and tail within a limit, and a log with a limit of its own.
//!
//! A stream is always read to its end, so that no program blocks on a full pipe (pipe(7)). People
//! read a stream that has a log, so secrets are redacted in the log and in the kept output.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::ProcessError;
use crate::redaction::{Redaction, StreamRedactor};

/// How much is read at once, in bytes: the capacity of a pipe on Linux (pipe(7)).
const CHUNK: usize = 64 * 1024;

/// How much of one stream goes into the log, in bytes. A program that prints for ever must not fill
/// the disk.
const LONGEST_LOG: usize = 16 << 20;
const LOG_IS_FULL: &[u8] = b"\n[the log is full: the rest of this program's output is left out]\n";

/// A file to which the output of programs is appended at once, at most 16 MiB of each stream.
#[derive(Debug, Clone)]
pub struct Log {
    /// The path of the file.
    pub file: PathBuf,
    /// The secrets that are redacted in the file and in the kept output.
    pub redaction: Redaction,
}

/// What is kept of one stream: its head and its tail, each at most half of the limit.
pub(super) struct Capture {
    head: Vec<u8>,
    head_limit: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    left_out: usize,
}

impl Capture {
    /// Keeps at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let head_limit = limit / 2;
        Self {
            head: Vec::new(),
            head_limit,
            tail: VecDeque::new(),
            tail_limit: limit - head_limit,
            left_out: 0,
        }
    }

    /// Reads a stream to its end, and writes it into the log too.
    ///
    /// # Errors
    /// The log can't be written. The stream is read to its end all the same.
    pub(super) async fn read(
        &mut self,
        stream: Option<pipe::Receiver>,
        log: Option<&Log>,
    ) -> Result<(), ProcessError> {
        let Some(mut stream) = stream else { return Ok(()) };
        let mut writer = match log {
            Some(log) => Some(LogWriter::open(log).await),
            None => None,
        };
        let mut chunk = vec![0; CHUNK];
        // A failed read ends the stream like its end: there is nothing more to keep.
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            let bytes = chunk.get(..count).unwrap_or_default();
            match &mut writer {
                Some(writer) => {
                    let redacted = writer.redactor.push(bytes);
                    self.push(&redacted);
                    writer.append(&redacted).await;
                }
                None => self.push(bytes),
            }
        }
        let Some(mut writer) = writer else { return Ok(()) };
        let rest = writer.redactor.end();
        self.push(&rest);
        writer.append(&rest).await;
        writer.close()
    }

    fn push(&mut self, bytes: &[u8]) {
        let free = self.head_limit.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(free);
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.tail_limit);
        self.tail.drain(..excess);
        self.left_out += excess;
    }

    /// Whether bytes were left out.
    pub(super) fn is_truncated(&self) -> bool {
        self.left_out > 0
    }

    /// The head and the tail, with a note between them when bytes were left out.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.head;
        if self.left_out > 0 {
            bytes.extend_from_slice(
                format!("\n[… {} bytes left out …]\n", self.left_out).as_bytes(),
            );
        }
        bytes.extend(self.tail);
        bytes
    }
}

/// Writes one stream into a log. It remembers its first failure, so that the stream is still read
/// to its end.
struct LogWriter<'a> {
    log: &'a Log,
    redactor: StreamRedactor,
    file: io::Result<File>,
    /// How many bytes the log still takes.
    remaining: usize,
}

impl<'a> LogWriter<'a> {
    async fn open(log: &'a Log) -> Self {
        let file = File::options().create(true).append(true).open(&log.file).await;
        let redactor = StreamRedactor::new(&log.redaction);
        Self { log, redactor, file, remaining: LONGEST_LOG }
    }

    async fn append(&mut self, bytes: &[u8]) {
        let Ok(file) = &mut self.file else { return };
        if self.remaining == 0 || bytes.is_empty() {
            return;
        }
        let (taken, rest) = bytes.split_at(bytes.len().min(self.remaining));
        self.remaining -= taken.len();
        let mut written = write(file, taken).await;
        if self.remaining == 0 && !rest.is_empty() {
            written = written.and(write(file, LOG_IS_FULL).await);
        }
        if let Err(failed) = written {
            self.file = Err(failed);
        }
    }

    fn close(self) -> Result<(), ProcessError> {
        self.file
            .map(drop)
            .map_err(|source| ProcessError::Log { path: self.log.file.clone(), source })
    }
}

/// Writes and flushes at once, because a person may follow the log. Without a flush, tokio's file
/// may return before its background thread has written (tokio's documentation of `fs::File`).
async fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes).await?;
    file.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: usize, pieces: &[&str], kept: &str) {
        let mut capture = Capture::new(limit);
        for piece in pieces {
            capture.push(piece.as_bytes());
        }
        assert_eq!(String::from_utf8_lossy(&capture.into_bytes()), kept);
    }

    #[test]
    fn output_within_the_limit_is_kept_whole() {
        check(10, &["01234", "56789"], "0123456789");
        check(10, &[], "");
        check(0, &[], "");
    }

    #[test]
    fn over_the_limit_head_and_tail_are_kept_with_a_note_between() {
        check(4, &["0123456789"], "01\n[… 6 bytes left out …]\n89");
        check(4, &["0", "1", "2", "3", "4"], "01\n[… 1 bytes left out …]\n34");
        check(0, &["abc"], "\n[… 3 bytes left out …]\n");
    }
}
