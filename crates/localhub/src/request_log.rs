//! What was asked and answered since the start, in memory, for tests and for a person who looks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// Older entries make room: a forge that runs for months must not grow by its log.
const CAPACITY: usize = 10_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Counts from 1, in order of arrival.
    pub sequence: u64,
    pub time: Timestamp,
    pub method: String,
    /// The path as it came, with its query.
    pub path: String,
    /// `None` while it is being answered, and for ever when the connection was dropped instead.
    pub status: Option<u16>,
}

/// The log; cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<LoggedRequest>,
    arrived: u64,
}

impl RequestLog {
    /// Everything that is remembered, oldest first.
    pub fn entries(&self) -> Vec<LoggedRequest> {
        self.with(|log| log.entries.iter().cloned().collect())
    }

    /// How many requests of this method had a path that fits the pattern, as in
    /// `("POST", "/repos/{owner}/{repo}/pulls")`.
    pub fn count(&self, method: &str, pattern: &str) -> usize {
        let route = crate::faults::Route::new(method, pattern);
        self.with(|log| {
            log.entries.iter().filter(|entry| route.matches(&entry.method, &entry.path)).count()
        })
    }

    pub fn clear(&self) {
        self.with(|log| log.entries.clear());
    }

    pub(crate) fn arrive(&self, method: &str, path: &str, time: Timestamp) -> u64 {
        self.with(|log| {
            log.arrived += 1;
            if log.entries.len() == CAPACITY {
                log.entries.pop_front();
            }
            let sequence = log.arrived;
            log.entries.push_back(LoggedRequest {
                sequence,
                time,
                method: method.to_owned(),
                path: path.to_owned(),
                status: None,
            });
            sequence
        })
    }

    pub(crate) fn answered(&self, sequence: u64, status: u16) {
        self.with(|log| {
            if let Some(entry) =
                log.entries.iter_mut().rev().find(|entry| entry.sequence == sequence)
            {
                entry.status = Some(status);
            }
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Log) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
