//! The output of a program within a limit, its head and its tail; and in a log, up to a limit of
//! its own.
//!
//! A stream is always read to its end, so that no program blocks on a full pipe. What has a log is
//! told to people, so secrets are struck out of all of it as it comes.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::ProcessError;
use crate::redaction::{Redaction, StreamRedactor};

const CHUNK: usize = 64 * 1024;

/// What a log takes of one stream: more than anybody reads, and less than a disk holds of a program
/// that prints for ever.
const LONGEST_LOG: usize = 16 << 20;
const LOG_IS_FULL: &[u8] = b"\n[the log is full: the rest of this program's output is left out]\n";

/// A file that the output of programs is appended to as it comes, up to 16 MiB of each stream.
#[derive(Debug, Clone)]
pub struct Log {
    pub file: PathBuf,
    /// What is struck out, here and of the output that is kept.
    pub redaction: Redaction,
}

/// What is kept of one stream: the first half of the limit, and the last.
pub(super) struct Capture {
    head: Vec<u8>,
    head_limit: usize,
    tail: VecDeque<u8>,
    tail_limit: usize,
    left_out: usize,
}

impl Capture {
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

    /// Reads a stream to its end, into the log as well.
    pub(super) async fn read(
        &mut self,
        stream: Option<pipe::Receiver>,
        log: Option<&Log>,
    ) -> Result<(), ProcessError> {
        let Some(mut stream) = stream else { return Ok(()) };
        let mut told = match log {
            Some(log) => Some(Told::to(log).await),
            None => None,
        };
        let mut chunk = vec![0; CHUNK];
        // A pipe's read does not fail; if it did, there would be nothing more to keep.
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            let bytes = chunk.get(..count).unwrap_or_default();
            match &mut told {
                Some(told) => {
                    let strained = told.strained.push(bytes);
                    self.push(&strained);
                    told.append(&strained).await;
                }
                None => self.push(bytes),
            }
        }
        let Some(mut told) = told else { return Ok(()) };
        let rest = told.strained.end();
        self.push(&rest);
        told.append(&rest).await;
        told.close()
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = self.head_limit.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.tail_limit);
        self.tail.drain(..excess);
        self.left_out += excess;
    }

    pub(super) fn is_truncated(&self) -> bool {
        self.left_out > 0
    }

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

/// One stream on its way into a log, which remembers its first failure instead of ending the
/// reading.
struct Told<'a> {
    log: &'a Log,
    strained: StreamRedactor,
    file: io::Result<File>,
    room: usize,
}

impl<'a> Told<'a> {
    async fn to(log: &'a Log) -> Self {
        let file = File::options().create(true).append(true).open(&log.file).await;
        Self { log, strained: StreamRedactor::new(&log.redaction), file, room: LONGEST_LOG }
    }

    async fn append(&mut self, bytes: &[u8]) {
        let Ok(file) = &mut self.file else { return };
        if self.room == 0 || bytes.is_empty() {
            return;
        }
        let (taken, rest) = bytes.split_at(bytes.len().min(self.room));
        self.room -= taken.len();
        let mut written = write(file, taken).await;
        if self.room == 0 && !rest.is_empty() {
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

/// Flushed at once: somebody may be following, and a file of tokio's writes behind.
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
    fn what_fits_is_kept_whole() {
        check(10, &["01234", "56789"], "0123456789");
        check(10, &[], "");
        check(0, &[], "");
    }

    #[test]
    fn over_the_limit_head_and_tail_are_kept_with_a_mark_between() {
        check(4, &["0123456789"], "01\n[… 6 bytes left out …]\n89");
        check(4, &["0", "1", "2", "3", "4"], "01\n[… 1 bytes left out …]\n34");
        check(0, &["abc"], "\n[… 3 bytes left out …]\n");
    }
}
