//! The requests since the start and the status codes of their answers. They are kept in memory, for
//! tests and for a person who looks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many requests are remembered. A forge that runs for months must not grow by its log.
const CAPACITY: usize = 10_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Counts from 1, in order of arrival.
    sequence: u64,
    /// The HTTP method.
    pub method: String,
    /// The path as it was sent, with its query.
    pub path: String,
    /// The status code of the answer. `None` as long as there is no answer, and for ever when the
    /// connection was closed instead.
    pub status: Option<u16>,
}

/// The log. Cheap to clone; all clones have the same entries.
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<LoggedRequest>,
    arrived: u64,
}

impl RequestLog {
    /// The requests that are remembered, oldest first.
    pub fn entries(&self) -> Vec<LoggedRequest> {
        self.with(|log| log.entries.iter().cloned().collect())
    }

    /// How many of the remembered requests belong to a route, such as
    /// `("POST", "/repos/{owner}/{repo}/pulls")`; see [`crate::Faults::inject`].
    pub fn count(&self, method: &str, pattern: &str) -> usize {
        let route = crate::faults::Route::new(method, pattern);
        self.with(|log| {
            log.entries.iter().filter(|entry| route.matches(&entry.method, &entry.path)).count()
        })
    }

    /// Forgets all requests.
    pub fn clear(&self) {
        self.with(|log| log.entries.clear());
    }

    /// Adds a request. Returns its number, for [`RequestLog::answered`].
    pub(crate) fn arrive(&self, method: &str, path: &str) -> u64 {
        self.with(|log| {
            log.arrived += 1;
            if log.entries.len() == CAPACITY {
                log.entries.pop_front();
            }
            let sequence = log.arrived;
            log.entries.push_back(LoggedRequest {
                sequence,
                method: method.to_owned(),
                path: path.to_owned(),
                status: None,
            });
            sequence
        })
    }

    /// Adds the status code to a request, if it is still remembered.
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
